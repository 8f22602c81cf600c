"""Whole networks: a training run held against torch's, layer by layer and step by step."""

from npnet.verify.whole.dumps import compare as compare
from npnet.verify.whole.network import Network as Network
from npnet.verify.whole.training import TrainingRun as TrainingRun
from npnet.verify.whole.training import model as model
from npnet.verify.whole.training import part_of as part_of
