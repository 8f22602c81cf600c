"""A whole network of torch as a twin: trained step by step, with a bound beside every number."""

from npnet.twins.whole.modules import Reader as Reader
from npnet.twins.whole.modules import names_of as names_of
from npnet.twins.whole.modules import twin_of_layers as twin_of_layers
from npnet.twins.whole.modules import twin_of_loss as twin_of_loss
from npnet.twins.whole.network import TorchNetwork as TorchNetwork
