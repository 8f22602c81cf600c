"""Training on top of npnet.nn and npnet.optim: a model, its steps, what is remembered of them.

    from npnet import nn, optim, train

    data = train.digits()
    model = train.Model(
        [nn.Flatten(), nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 10)],
        nn.CrossEntropyLoss(), optim.RMSprop(lr=1e-3), ["accuracy"],
    )
    model.fit(data.x, data.y, epochs=5, batch_size=128, validation=0.1, rng=0)
    model.evaluate(data.x_test, data.y_test)

model       Model: fit, evaluate, predict, save, load; one training step
callbacks   EarlyStopping, Checkpoint, and what a callback of one's own has to have
fitting     the loop, the Training under way
history     loss and metrics, epoch by epoch
metrics     accuracy and the like
data        digits, mnist, read_idx
plot        a picture of a history
networks    the examples of the command npnet train
"""

from npnet.train.callbacks import Checkpoint as Checkpoint
from npnet.train.callbacks import EarlyStopping as EarlyStopping
from npnet.train.data import Dataset as Dataset
from npnet.train.data import digits as digits
from npnet.train.data import mnist as mnist
from npnet.train.data import read_idx as read_idx
from npnet.train.fitting import NonFiniteLossError as NonFiniteLossError
from npnet.train.fitting import Training as Training
from npnet.train.history import History as History
from npnet.train.model import Model as Model
