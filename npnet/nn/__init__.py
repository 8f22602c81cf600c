"""Layers and losses: torch.nn in NumPy, each with a hand-written backward pass."""

from npnet.nn import init as init
from npnet.nn.activation import GELU as GELU
from npnet.nn.activation import ReLU as ReLU
from npnet.nn.activation import Sigmoid as Sigmoid
from npnet.nn.activation import Tanh as Tanh
from npnet.nn.batchnorm import BatchNorm1d as BatchNorm1d
from npnet.nn.batchnorm import BatchNorm2d as BatchNorm2d
from npnet.nn.conv import Conv2d as Conv2d
from npnet.nn.dropout import Dropout as Dropout
from npnet.nn.embedding import Embedding as Embedding
from npnet.nn.flatten import Flatten as Flatten
from npnet.nn.layernorm import LayerNorm as LayerNorm
from npnet.nn.linear import Bilinear as Bilinear
from npnet.nn.linear import Linear as Linear
from npnet.nn.loss import BCEWithLogitsLoss as BCEWithLogitsLoss
from npnet.nn.loss import CrossEntropyLoss as CrossEntropyLoss
from npnet.nn.loss import MSELoss as MSELoss
from npnet.nn.lstm import LSTM as LSTM
from npnet.nn.pooling import AvgPool2d as AvgPool2d
from npnet.nn.pooling import MaxPool2d as MaxPool2d
from npnet.nn.sequential import Sequential as Sequential
from npnet.nn.softmax import LogSoftmax as LogSoftmax
from npnet.nn.softmax import Softmax as Softmax
