"""Optimizers: pure functions of parameters, gradients and a state."""

from npnet.optim import lr_scheduler as lr_scheduler
from npnet.optim.adam import Adam as Adam
from npnet.optim.adam import AdamState as AdamState
from npnet.optim.adam import AdamW as AdamW
from npnet.optim.rmsprop import RMSprop as RMSprop
from npnet.optim.rmsprop import RMSpropState as RMSpropState
from npnet.optim.sgd import SGD as SGD
from npnet.optim.sgd import SGDState as SGDState
from npnet.optim.state import load_state_dict as load_state_dict
from npnet.optim.state import state_dict as state_dict
