"""GRU: a recurrent layer with gates, and its cell, one step of it."""

from dataclasses import dataclass, field

import numpy as np

from npnet.contract import Array, Forward, State
from npnet.nn import _recurrent
from npnet.nn._recurrent import Back, Cell, States, squash


def _step(a: Array, b: Array, h: Array) -> tuple[States, Back]:
    H = len(h)
    rz = a[: 2 * H] + b[: 2 * H]
    squash(rz, slice(2 * H))
    r, z = rz[:H], rz[H:]
    b_n = b[2 * H :]
    n = np.tanh(a[2 * H :] + r * b_n)
    d = h - n
    h_next = n + z * d

    def back(dh: Array) -> tuple[Array, Array, tuple[Array]]:
        direct = dh * z
        da_n = (dh - direct) * (1 - n * n)
        drz = np.concatenate([da_n * b_n, dh * d]) * (rz * (1 - rz))
        da = np.concatenate([drz, da_n])
        db = np.concatenate([drz, da_n * r])
        return da, db, (direct,)

    return (h_next,), back


_CELL = Cell(3, ("h_0",), _step)


@dataclass(frozen=True)
class GRU:
    """h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}, for each layer and direction.

    (r, z) = σ(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), with the first two thirds of the rows, and
    n = tanh(W_in x_t + b_in + r ⊙ (W_hn h_{t-1} + b_hn)), with the last

    x: (T, N, input_size), (N, T, input_size) if batch_first, (T, input_size) without a batch
    h_0, h_n: (num_layers · directions, N, hidden_size), without a batch no N
    output: (T, N, directions · hidden_size), h_t of the last layer, laid out as x is
    weight_ih_l0: (3 · hidden_size, input_size)    weight_hh_l0: (3 · hidden_size, hidden_size)
    bias_ih_l0, bias_hh_l0: (3 · hidden_size,), the rows of r, z, n one below the other, in order

    dh_t = doutput_t + z_{t+1} ⊙ dh_{t+1} + W_hhᵀ db_{t+1}
    da_n = dh_t ⊙ (1 - z) ⊙ (1 - n²)    da_z = dh_t ⊙ (h_{t-1} - n) ⊙ z (1 - z)
    da_r = da_n ⊙ (W_hn h_{t-1} + b_hn) ⊙ r (1 - r)    (db_r, db_z, db_n) = (da_r, da_z, da_n ⊙ r)
    dx_t = W_ihᵀ da_t    dW_ih = Σ da_t x_tᵀ    dW_hh = Σ db_t h_{t-1}ᵀ
    db_ih = Σ da_t    db_hh = Σ db_t

    a = W_ih x_t + b_ih and b = W_hh h_{t-1} + b_hh, in rows r, z, n; sums are over t and the batch.
    At the last t, dh_n takes the place of what comes from t + 1; dh_0 is that before the first t.

    y = (output, h_n). r is applied after the product with W_hn, and to its bias too; in the paper
    it is applied to h_{t-1}. z is the share of the old state; in the paper it is that of the new.
    Layers, directions, initial states, batch_first, bias and dropout are as in RNN.

    Raises ShapeError, DtypeError; ConfigError, also where there is no `rng` to draw a mask from.
    Twin: torch.nn.GRU. Source: Cho et al. (2014), arXiv:1406.1078.
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    bidirectional: bool = False
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _recurrent.check_layers(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Every entry ~ U(-k, k) with k = 1 / √hidden_size."""
        return _recurrent.init_layers(self, _CELL, rng)

    def __call__(
        self,
        state: State,
        x: Array,
        hx: Array | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> Forward:
        """(output, h_n), and the gradients of x, of h_0 if given, and of the state."""
        return _recurrent.run_layers(self, _CELL, state, x, hx, rng)


@dataclass(frozen=True)
class GRUCell:
    """h' = (1 - z) ⊙ n + z ⊙ h: one step of a GRU.

    (r, z) = σ(W_ih x + b_ih + W_hh h + b_hh), with the first two thirds of the rows, and
    n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn)), with the last

    x: (N, input_size) or (input_size,)    h, h': (N, hidden_size) or (hidden_size,)
    weight_ih: (3 · hidden_size, input_size)    weight_hh: (3 · hidden_size, hidden_size)
    bias_ih, bias_hh: (3 · hidden_size,)

    da_n = dh' ⊙ (1 - z) ⊙ (1 - n²)    da_z = dh' ⊙ (h - n) ⊙ z (1 - z)
    da_r = da_n ⊙ (W_hn h + b_hn) ⊙ r (1 - r)    (db_r, db_z, db_n) = (da_r, da_z, da_n ⊙ r)
    dx = W_ihᵀ da    dh = z ⊙ dh' + W_hhᵀ db    dW_ih = Σ da xᵀ    dW_hh = Σ db hᵀ
    db_ih = Σ da    db_hh = Σ db, over the batch

    a = W_ih x + b_ih and b = W_hh h + b_hh, in rows r, z, n. Without h, it is 0.
    bias=False: there are no biases.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.GRUCell. Source: Cho et al. (2014), arXiv:1406.1078.
    """

    input_size: int
    hidden_size: int
    bias: bool = True

    def __post_init__(self) -> None:
        _recurrent.check_cell(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Every entry ~ U(-k, k) with k = 1 / √hidden_size."""
        return _recurrent.init_cell(self, _CELL, rng)

    def __call__(self, state: State, x: Array, hx: Array | None = None) -> Forward:
        """h', and the gradients of x, of h if given, and of the state."""
        return _recurrent.run_cell(self, _CELL, state, x, hx)
