"""Recurrent layers and cells in parts: vmap has no rules for them as wholes, or loops over them."""

from collections.abc import Callable
from typing import Any

import torch
from torch._decomp import decompositions
from torch.nn.functional import linear

Tensor = torch.Tensor


def _cell(step: Callable[..., Any]) -> Callable[..., Any]:
    """A cell as torch calls it: the weights before the biases."""

    def call(x: Tensor, h: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any) -> Any:
        return step(x, h, w_ih, b_ih, w_hh, b_hh)

    return call


def _lstm_step(x: Tensor, hx: Any, w_ih: Tensor, b_ih: Any, w_hh: Tensor, b_hh: Any) -> Any:
    h, c = hx
    return decompositions.lstm_cell(linear(x, w_ih, b_ih), h, c, w_hh, b_hh, None, chunk_dim=1)


_whole = torch._C._VariableFunctions

PARTS: dict[Any, Callable[..., Any]] = {
    _whole.rnn_tanh: decompositions.rnn_tanh_input,
    _whole.rnn_relu: decompositions.rnn_relu_input,
    _whole.lstm: decompositions.lstm_impl,
    _whole.gru: decompositions.gru_impl,
    _whole.rnn_tanh_cell: _cell(decompositions.rnn_cell_data(torch.tanh)),
    _whole.rnn_relu_cell: _cell(decompositions.rnn_cell_data(torch.relu)),
    _whole.lstm_cell: _cell(_lstm_step),
    _whole.gru_cell: _cell(decompositions.gru_cell_data),
}
"""torch's functions, and what each is made of, with the same arguments."""
