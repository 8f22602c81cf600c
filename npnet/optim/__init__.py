"""Optimizers: pure functions of parameters, gradients and a state."""

from npnet.optim import lr_scheduler as lr_scheduler
from npnet.optim.adam import Adam as Adam
from npnet.optim.adam import AdamState as AdamState
from npnet.optim.adam import AdamW as AdamW
from npnet.optim.averaging import AveragedModel as AveragedModel
from npnet.optim.averaging import AveragedState as AveragedState
from npnet.optim.averaging import get_ema_avg_fn as get_ema_avg_fn
from npnet.optim.averaging import get_swa_avg_fn as get_swa_avg_fn
from npnet.optim.clip import clip_grad_norm as clip_grad_norm
from npnet.optim.clip import clip_grad_value as clip_grad_value
from npnet.optim.rmsprop import RMSprop as RMSprop
from npnet.optim.rmsprop import RMSpropState as RMSpropState
from npnet.optim.sgd import SGD as SGD
from npnet.optim.sgd import SGDState as SGDState
from npnet.optim.state import load_state_dict as load_state_dict
from npnet.optim.state import state_dict as state_dict
