"""Training on top of npnet.nn and npnet.optim: a model, its steps, what is remembered of them."""

from npnet.train.model import Model as Model
