"""Dialects of the recurrent layers and of their cells."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

from npnet.twins.dialects._made import Naming
from npnet.verify.case import Config
from npnet.verify.dialect import Dialect

Tensor = torch.Tensor
Turn = Callable[[str, Tensor], Tensor]
"""The name of an entry and the entry -> what torch's formulas are given in its place."""


def _batched(config: Config) -> bool:
    """As the twins: not where a mask is drawn."""
    return not (config.get("training", True) and config.get("dropout") and config["num_layers"] > 1)


def _turned(base: type[nn.Module], turn: Turn) -> type[nn.Module]:
    class Turned(base):  # type: ignore[misc, valid-type]  # a base that is a variable
        """The module, with other weights than those that it is given."""

        def forward(self, *args: Any) -> Any:
            with _in_place(self, turn):
                return super().forward(*args)

    return Turned


@contextmanager
def _in_place(module: nn.Module, turn: Turn) -> Iterator[None]:
    given: dict[str, Any] = dict(module._parameters)
    places: dict[str, Any] = module._parameters

    def put(entries: dict[str, Any]) -> None:
        places.update(entries)
        if isinstance(module, nn.RNNBase):
            module._flat_weights = [getattr(module, n) for n in module._flat_weights_names]

    put({n: p if p is None or "_hr" in n else turn(n, p) for n, p in given.items()})
    try:
        yield
    finally:
        put(given)


def _blocks(order: Sequence[int], *negative: int) -> Turn:
    """Gates are read from blocks of rows in this order; of some, the argument is negated."""

    def turn(name: str, w: Tensor) -> Tensor:
        parts = w.chunk(len(order), 0)
        return torch.cat([-parts[k] if i in negative else parts[k] for i, k in enumerate(order)], 0)

    return turn


def _order(theirs: str, torchs: str) -> list[int]:
    """Where each of torch's gates stands in the other order."""
    return [theirs.split().index(gate) for gate in torchs.split()]


def _only(bias: str) -> Turn:
    other = {"bias_ih": "bias_hh", "bias_hh": "bias_ih"}[bias]
    return lambda name, w: torch.zeros_like(w) if name.startswith(other) else w


# ---- GRU with the reset gate before the product -------------------------------------------------


def _step(x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any) -> Tensor:
    """h ← (1 - z) n + z h with n = tanh(W_in x + b_in + W_hn (r ⊙ h) + b_hn)."""
    W_r, W_z, W_n = w_hh.chunk(3, 0)
    b_r, b_z, b_n = (None,) * 3 if b_hh is None else b_hh.chunk(3, 0)
    a_r, a_z, a_n = linear(x, w_ih, b_ih).chunk(3, -1)
    r = (a_r + linear(h, W_r, b_r)).sigmoid()
    z = (a_z + linear(h, W_z, b_z)).sigmoid()
    n = (a_n + linear(r * h, W_n, b_n)).tanh()
    return (h - n) * z + n


class _BeforeCell(nn.GRUCell):
    def forward(self, x: Tensor, hx: Tensor | None = None) -> Tensor:
        h = x.new_zeros(*x.shape[:-1], self.hidden_size) if hx is None else hx
        return _step(x, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)


class _Before(nn.GRU):
    def forward(self, x: Tensor, hx: Tensor | None = None) -> Any:  # type: ignore[override]  # torch's takes more
        one = x.dim() == 2
        z = x.unsqueeze(1) if one else x.transpose(0, 1) if self.batch_first else x
        D = 2 if self.bidirectional else 1
        if hx is None:
            starts: Any = [z.new_zeros(z.shape[1], self.hidden_size)] * (self.num_layers * D)
        else:
            starts = [h.unsqueeze(0) if one else h for h in hx]
        last: list[Tensor] = []
        for k in range(self.num_layers):
            ways = []
            for end in ("", "_reverse")[:D]:
                names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                own: list[Any] = [getattr(self, f"{name}_l{k}{end}", None) for name in names]
                h, found = starts[len(last)], []
                for x_t in reversed(z.unbind(0)) if end else z.unbind(0):
                    h = _step(x_t, h, *own)
                    found.append(h)
                last.append(h)
                ways.append(torch.stack(found[::-1] if end else found))
            z = torch.cat(ways, -1)
            if k < self.num_layers - 1 and self.dropout and self.training:
                z = torch.dropout(z, self.dropout, True)
        out = z.squeeze(1) if one else z.transpose(0, 1) if self.batch_first else z
        return out, torch.stack([h.squeeze(0) for h in last] if one else last)


# ---- the dialects -------------------------------------------------------------------------------

_LSTM = "i f g o"
_GRU = "r z n"
_LSTM_ORDERS = {
    "i f o g": "CS231n",
    "i g f o": "TensorFlow 1 (i, j, f, o)",
    "i o f g": "ONNX (i, o, f, c)",
    "g i f o": "Chainer, Greff et al. (2015), arXiv:1503.04069",
    "f i g o": "Olah, Ng",
    "f i o g": "Wikipedia",
}
_HOW: dict[str, Any] = {"batched": _batched}
_SILENT = {"bias_ih": "bias_hh", "bias_hh": "bias_ih"}
_INVERTED = "the update gate is the share of the new state; torch's is that of the old one"
_FIRST = (
    "the reset gate is applied to h before the product with W_hn; torch applies it after, to the "
    "bias too"
)


def _lstm(base: type[nn.Module], order: str, origin: str) -> Dialect:
    text = f"the gates' rows are in the order {order}; torch's are in the order {_LSTM}"
    turn = _blocks(_order(order, _LSTM))
    naming = Naming(f"gates-{order.replace(' ', '')}", origin, text)
    return naming.restated(base.__name__, _turned(base, turn), **_HOW)


def _gru(base: type[nn.Module], before: type[nn.Module]) -> Iterator[Dialect]:
    keras = _blocks(_order("z r n", _GRU))
    inverted = _blocks(_order(_GRU, _GRU), 1)
    rows = "the gates' rows are in the order z r n; torch's are in the order r z n"
    for name, origin, text, module in (
        ("reset-before", "Cho et al. (2014), arXiv:1406.1078v3", _FIRST, before),
        ("tensorflow", "TensorFlow 2, Keras (reset_after=True)", rows, _turned(base, keras)),
        (
            "keras-v1",
            "Keras (reset_after=False), ONNX (linear_before_reset=0)",
            f"{rows}; {_FIRST}",
            _turned(before, keras),
        ),
        (
            "inverted-update",
            "Chung et al. (2014), arXiv:1412.3555",
            _INVERTED,
            _turned(base, inverted),
        ),
        (
            "chung",
            "Chung et al. (2014), arXiv:1412.3555",
            f"{_INVERTED}; {_FIRST}",
            _turned(before, inverted),
        ),
    ):
        yield Naming(name, origin, text).restated(base.__name__, module, **_HOW)


def _one_bias(base: type[nn.Module], bias: str) -> Dialect:
    naming = Naming(
        f"only-{bias}",
        "Keras, most textbooks",
        f"there is one bias, {bias}; torch adds {_SILENT[bias]} to it",
    )
    found = naming.restated(base.__name__, _turned(base, _only(bias)), **_HOW)
    return naming.without(found, lambda q, _: q.startswith(f"gradient of {_SILENT[bias]}"))


FAMILY = (
    *_gru(nn.GRU, _Before),
    *_gru(nn.GRUCell, _BeforeCell),
    *(
        _lstm(base, order, origin)
        for base in (nn.LSTM, nn.LSTMCell)
        for order, origin in _LSTM_ORDERS.items()
    ),
    *(
        _one_bias(base, bias)
        for base in (nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell)
        for bias in _SILENT
    ),
)
