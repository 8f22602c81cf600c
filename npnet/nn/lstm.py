"""LSTM: a recurrent layer with gates and a memory, and its cell, one step of it."""

from dataclasses import dataclass, field

import numpy as np

from npnet.contract import Array, ConfigError, Forward, State
from npnet.nn import _recurrent
from npnet.nn._recurrent import Back, Cell, States, squash


def _step(a: Array, b: Array, h: Array, c: Array) -> tuple[States, Back]:
    H = len(c)
    gates = a + b
    squash(gates, slice(2 * H), slice(3 * H, 4 * H))
    i, f, g, o = gates.reshape(4, *c.shape)
    c_next = f * c + i * g
    tanh_c = np.tanh(c_next)

    def back(dh: Array, dc: Array) -> tuple[Array, Array, tuple[int, Array]]:
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        slope = gates * (1 - gates)
        slope[2 * H : 3 * H] = 1 - g * g
        da = np.concatenate([dc * g, dc * c, dc * i, dh * tanh_c]) * slope
        return da, da, (0, dc * f)

    return (o * tanh_c, c_next), back


_CELL = Cell(4, ("h_0", "c_0"), _step)


@dataclass(frozen=True)
class LSTM:
    """c_t = f ⊙ c_{t-1} + i ⊙ g    h_t = o ⊙ tanh(c_t), for each layer and direction.

    (i, f, g, o) = (σ, σ, tanh, σ)(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)

    x: (T, N, input_size), (N, T, input_size) if batch_first, (T, input_size) without a batch
    h_0, h_n, c_0, c_n: (num_layers · directions, N, hidden_size), without a batch no N
    output: (T, N, directions · hidden_size), h_t of the last layer, laid out as x is
    weight_ih_l0: (4 · hidden_size, input_size)    weight_hh_l0: (4 · hidden_size, hidden_size)
    bias_ih_l0, bias_hh_l0: (4 · hidden_size,), the rows of i, f, g, o one below the other, in order

    dh_t = doutput_t + W_hhᵀ da_{t+1}    dc_t = dh_t ⊙ o ⊙ (1 - tanh²(c_t)) + f_{t+1} ⊙ dc_{t+1}
    da_i = dc_t ⊙ g ⊙ i (1 - i)      da_f = dc_t ⊙ c_{t-1} ⊙ f (1 - f)
    da_g = dc_t ⊙ i ⊙ (1 - g²)       da_o = dh_t ⊙ tanh(c_t) ⊙ o (1 - o)
    dx_t = W_ihᵀ da_t    dW_ih = Σ da_t x_tᵀ    dW_hh = Σ da_t h_{t-1}ᵀ    db_ih = db_hh = Σ da_t

    da_t is (da_i, da_f, da_g, da_o); sums are over t and the batch. At the last t, dh_n and dc_n
    take the places of W_hhᵀ da_{t+1} and f_{t+1} ⊙ dc_{t+1}; dh_0 and dc_0 are these two before the
    first t.

    y = (output, h_n, c_n). Layers, directions, initial states, batch_first, bias and dropout are
    as in RNN.

    proj_size > 0: h_t = W_hr (o ⊙ tanh(c_t)), weight_hr_l0: (proj_size, hidden_size), and proj_size
    takes the place of hidden_size in every h, not in c. Then W_hrᵀ dh_t takes the place of dh_t in
    dc_t and da_o, and dW_hr = Σ dh_t (o ⊙ tanh(c_t))ᵀ.

    Raises ShapeError, DtypeError; ConfigError, also where there is no `rng` to draw a mask from.
    Twin: torch.nn.LSTM. Source: Hochreiter & Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735;
    the projection: Sak, Senior & Beaufays (2014), arXiv:1402.1128.
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    bidirectional: bool = False
    proj_size: int = 0
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _recurrent.check_layers(self)
        if not 0 <= self.proj_size < self.hidden_size:
            raise ConfigError(
                f"LSTM needs 0 <= proj_size < hidden_size, but got proj_size={self.proj_size} and "
                f"hidden_size={self.hidden_size}."
            )

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Every entry ~ U(-k, k) with k = 1 / √hidden_size."""
        return _recurrent.init_layers(self, _CELL, rng)

    def __call__(
        self,
        state: State,
        x: Array,
        hx: tuple[Array, Array] | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> Forward:
        """(output, h_n, c_n), and the gradients of x, of (h_0, c_0) if given, and of the state."""
        return _recurrent.run_layers(self, _CELL, state, x, hx, rng)


@dataclass(frozen=True)
class LSTMCell:
    """c' = f ⊙ c + i ⊙ g    h' = o ⊙ tanh(c'): one step of an LSTM.

    (i, f, g, o) = (σ, σ, tanh, σ)(W_ih x + b_ih + W_hh h + b_hh)

    x: (N, input_size) or (input_size,)    h, c, h', c': (N, hidden_size) or (hidden_size,)
    weight_ih: (4 · hidden_size, input_size)    weight_hh: (4 · hidden_size, hidden_size)
    bias_ih, bias_hh: (4 · hidden_size,)

    dc_total = dc' + dh' ⊙ o ⊙ (1 - tanh²(c'))    dc = f ⊙ dc_total    dh = W_hhᵀ da
    da_i = dc_total ⊙ g ⊙ i (1 - i)      da_f = dc_total ⊙ c ⊙ f (1 - f)
    da_g = dc_total ⊙ i ⊙ (1 - g²)       da_o = dh' ⊙ tanh(c') ⊙ o (1 - o)
    dx = W_ihᵀ da    dW_ih = Σ da xᵀ    dW_hh = Σ da hᵀ    db_ih = db_hh = Σ da, over the batch

    da is (da_i, da_f, da_g, da_o), in the order of the rows of the weights. y = (h', c'). Without
    (h, c), both are 0. bias=False: there are no biases.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.LSTMCell.
    Source: Hochreiter & Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735.
    """

    input_size: int
    hidden_size: int
    bias: bool = True

    def __post_init__(self) -> None:
        _recurrent.check_cell(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Every entry ~ U(-k, k) with k = 1 / √hidden_size."""
        return _recurrent.init_cell(self, _CELL, rng)

    def __call__(self, state: State, x: Array, hx: tuple[Array, Array] | None = None) -> Forward:
        """(h', c'), and the gradients of x, of (h, c) if given, and of the state."""
        return _recurrent.run_cell(self, _CELL, state, x, hx)
