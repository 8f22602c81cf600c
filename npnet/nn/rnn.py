"""RNN: the plain recurrence, in layers and directions, and its cell, one step of it."""

from dataclasses import dataclass, field

import numpy as np

from npnet.contract import Array, ConfigError, Forward, State
from npnet.nn import _recurrent
from npnet.nn._recurrent import Back, Cell, States


def _tanh_step(a: Array, b: Array, h: Array) -> tuple[States, Back]:
    y = np.tanh(a + b)

    def back(dy: Array) -> tuple[Array, Array, tuple[int]]:
        da = dy * (1 - y * y)
        return da, da, (0,)

    return (y,), back


def _relu_step(a: Array, b: Array, h: Array) -> tuple[States, Back]:
    y = np.maximum(a + b, 0)

    def back(dy: Array) -> tuple[Array, Array, tuple[int]]:
        da = dy * (y > 0)
        return da, da, (0,)

    return (y,), back


_CELLS = {"tanh": Cell(1, ("h_0",), _tanh_step), "relu": Cell(1, ("h_0",), _relu_step)}


@dataclass(frozen=True)
class RNN:
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), for each layer and direction.

    x: (T, N, input_size), (N, T, input_size) if batch_first, (T, input_size) without a batch
    h_0, h_n: (num_layers · directions, N, hidden_size), without a batch no N
    output: (T, N, directions · hidden_size), h_t of the last layer, laid out as x is
    weight_ih_l0: (hidden_size, input_size)    weight_hh_l0: (hidden_size, hidden_size)
    bias_ih_l0, bias_hh_l0: (hidden_size,)

    dh_t = doutput_t + W_hhᵀ da_{t+1}    da_t = dh_t ⊙ (1 - h_t²)    dh_0 = W_hhᵀ da_1
    dx_t = W_ihᵀ da_t    dW_ih = Σ da_t x_tᵀ    dW_hh = Σ da_t h_{t-1}ᵀ    db_ih = db_hh = Σ da_t

    Sums are over t and the batch; at the last t, dh_n takes the place of W_hhᵀ da_{t+1}. The dx of
    layer k, after the mask of dropout, is the doutput of layer k - 1.

    y = (output, h_n). nonlinearity="relu": max(z, 0) for tanh z, with the gradient 0 at 0. Layer k
    reads the output of layer k - 1, of directions · hidden_size features, which is the width of its
    weight_ih; its entries end in _l{k}, those of its backward direction in _l{k}_reverse. That one
    starts at the end of the sequence, and so reaches h_n at the first t. directions is 2 if
    bidirectional, else 1. Without h_0, it is 0. batch_first does not concern h_0 and h_n.
    bias=False: there are no biases.

    dropout: in training, the output of each layer but the last is multiplied by a mask
    as in Dropout. It is drawn in the order (T, N, features) even if batch_first, with N = 1 without
    a batch; 0 and 1 draw nothing.

    Raises ShapeError, DtypeError; ConfigError, also where there is no `rng` to draw a mask from.
    Twin: torch.nn.RNN. Source: Elman (1990), doi:10.1207/s15516709cog1402_1.
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    nonlinearity: str = "tanh"
    bias: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    bidirectional: bool = False
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _check_nonlinearity(self)
        _recurrent.check_layers(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Every entry ~ U(-k, k) with k = 1 / √hidden_size."""
        return _recurrent.init_layers(self, _CELLS[self.nonlinearity], rng)

    def __call__(
        self,
        state: State,
        x: Array,
        hx: Array | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> Forward:
        """(output, h_n), and the gradients of x, of h_0 if given, and of the state."""
        return _recurrent.run_layers(self, _CELLS[self.nonlinearity], state, x, hx, rng)


@dataclass(frozen=True)
class RNNCell:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh): one step of an RNN.

    x: (N, input_size) or (input_size,)    h, h': (N, hidden_size) or (hidden_size,)
    weight_ih: (hidden_size, input_size)    weight_hh: (hidden_size, hidden_size)
    bias_ih, bias_hh: (hidden_size,)

    da = dh' ⊙ (1 - h'²)    dx = W_ihᵀ da    dh = W_hhᵀ da
    dW_ih = Σ da xᵀ    dW_hh = Σ da hᵀ    db_ih = db_hh = Σ da, over the batch

    nonlinearity="relu": max(z, 0) for tanh z, with the gradient 0 at 0. Without h, it is 0.
    bias=False: there are no biases.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.RNNCell. Source: Elman (1990), doi:10.1207/s15516709cog1402_1.
    """

    input_size: int
    hidden_size: int
    bias: bool = True
    nonlinearity: str = "tanh"

    def __post_init__(self) -> None:
        _check_nonlinearity(self)
        _recurrent.check_cell(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Every entry ~ U(-k, k) with k = 1 / √hidden_size."""
        return _recurrent.init_cell(self, _CELLS[self.nonlinearity], rng)

    def __call__(self, state: State, x: Array, hx: Array | None = None) -> Forward:
        """h', and the gradients of x, of h if given, and of the state."""
        return _recurrent.run_cell(self, _CELLS[self.nonlinearity], state, x, hx)


def _check_nonlinearity(layer: RNN | RNNCell) -> None:
    if layer.nonlinearity not in _CELLS:
        raise ConfigError(
            f"{type(layer).__name__} needs nonlinearity='tanh' or 'relu', but got "
            f"{layer.nonlinearity!r}."
        )
