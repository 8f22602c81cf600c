"""What is asked of every table: modules of torch with their inputs, in several configurations."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from npnet.convert.facts import Table

_SPACE = {1: (7,), 2: (6, 7), 3: (4, 5, 6)}
_KERNEL = {1: (3,), 2: (3, 2), 3: (2, 2, 3)}


@dataclass
class Case:
    """A module of torch in float64, what it is called with, and what the framework is told.

    told: the arguments of the framework's layer, in torch's words
    """

    module: nn.Module
    inputs: tuple[np.ndarray, ...]
    told: dict[str, Any] = field(default_factory=dict)

    def outputs(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """What is compared, in order: what is no number of interest is left out."""
        m = self.module
        if isinstance(m, nn.MultiheadAttention):
            return [m(*tensors, need_weights=False)[0]]
        if isinstance(m, nn.LSTMCell):
            return list(m(tensors[0], (tensors[1], tensors[2])))
        if isinstance(m, nn.RNNBase):
            return [m(tensors[0])[0]]
        return [m(*tensors)]


def cases(table: Table, rng: np.random.Generator) -> Iterator[Case]:
    """Every configuration that a table is asked in."""
    for case in _of(table, rng):
        case.module.double()
        with torch.no_grad():
            for p in case.module.parameters():
                p.copy_(torch.from_numpy(rng.standard_normal(tuple(p.shape))))
            for name, b in case.module.named_buffers():
                if b.is_floating_point():
                    drawn = rng.standard_normal(tuple(b.shape))
                    b.copy_(torch.from_numpy(drawn**2 + 0.5 if "var" in name else drawn))
        yield case


def _of(table: Table, rng: np.random.Generator) -> Iterator[Case]:
    kind, variant = table.layer, table.variant
    normal = rng.standard_normal
    n = int(kind[-2]) if kind.endswith("d") and kind[-2].isdigit() else 0
    has_bias = kind not in ("RMSNorm", "Embedding", "EmbeddingBag", "PReLU")
    biases: tuple[bool, ...] = (True, False) if has_bias else (True,)
    if table.framework in ("flax", "nnx") and kind.startswith(("RNN", "LSTM", "GRU")):
        biases = (True,)  # its cells have no other way
    match kind:
        case "Linear":
            for bias in biases:
                yield Case(nn.Linear(3, 4, bias), (normal((2, 5, 3)),), {"bias": bias})
        case "Embedding":
            yield Case(nn.Embedding(6, 3), (rng.integers(0, 6, (2, 4)),))
        case "EmbeddingBag":
            for mode in ("sum", "mean"):
                bag = rng.integers(0, 6, (2, 4))
                yield Case(nn.EmbeddingBag(6, 3, mode=mode), (bag,), {"mode": mode})
        case "LayerNorm":
            for shape in ((5,), (4, 5)) if table.framework != "nnx" else ((5,),):
                yield Case(
                    nn.LayerNorm(shape, eps=0.01), (normal((3, 4, 5)),), {"axes": len(shape)}
                )
        case "RMSNorm":
            yield Case(nn.RMSNorm(5, eps=0.01), (normal((3, 4, 5)),), {"axes": 1})
        case "GroupNorm":
            for groups in (1, 3):
                images = normal((2, 6, 4, 3))
                yield Case(nn.GroupNorm(groups, 6, eps=0.01), (images,), {"groups": groups})
        case "PReLU":
            one = table.framework in ("flax", "nnx")
            x = normal((3, 5)) if variant != "images" else normal((2, 5, 3, 4))
            yield Case(nn.PReLU(1 if one else 5), (x,))
        case "MultiheadAttention":
            for bias in biases:
                yield Case(
                    nn.MultiheadAttention(8, 2, bias=bias),
                    (normal((4, 3, 8)), normal((5, 3, 8)), normal((5, 3, 8))),
                    {"bias": bias, "heads": 2, "width": 8},
                )
        case "LSTM" | "GRU" | "RNN":
            for bias in biases:
                yield Case(getattr(nn, kind)(3, 4, bias=bias), (normal((5, 2, 3)),), {"bias": bias})
        case "LSTMCell" | "GRUCell" | "RNNCell":
            states = (normal((2, 4)),) * (2 if kind == "LSTMCell" else 1)
            states = tuple(normal(s.shape) for s in states)
            for bias in biases:
                yield Case(
                    getattr(nn, kind)(3, 4, bias=bias), (normal((2, 3)), *states), {"bias": bias}
                )
        case _ if kind.startswith(("BatchNorm", "InstanceNorm")):
            axes = _SPACE[n] if (table.framework, n) != ("dlfs", 1) else ()
            modes = (True, False) if kind.startswith("Batch") else (True,)
            for training in modes:
                more = {} if kind.startswith("Batch") else {"affine": True}
                module = getattr(nn, kind)(4, eps=0.01, momentum=0.25, **more).train(training)
                yield Case(module, (normal((3, 4, *axes)),), {"training": training})
        case _:
            yield from _convolutions(table, n, rng)


def _convolutions(table: Table, n: int, rng: np.random.Generator) -> Iterator[Case]:
    x = rng.standard_normal((2, 4, *_SPACE[n]))
    kernel = _KERNEL[n]
    odd = (3,) * n
    one, two = (1,) * n, (2,) * n
    deep = table.variant == "depthwise"
    plain = {"kernel": kernel, "stride": one, "dilation": one, "groups": 1, "padding": 0}
    told = [{**plain, "bias": True}, {**plain, "bias": False, "stride": two}]
    if table.layer.startswith("ConvTranspose"):
        told.append({**plain, "bias": True, "stride": two, "kernel": odd})
    else:
        told.append({**plain, "bias": True, "kernel": odd, "padding": 1})
        if table.framework != "tf":  # whose CPU has no way back through it
            told.append({**plain, "bias": True, "dilation": two})
        if not deep and table.framework in ("keras", "flax", "nnx"):
            told.append({**plain, "bias": True, "groups": 2})
    if deep:
        told = [{**t, "groups": 4, "m": 2} for t in told]
    for t in told:
        out = 8 if deep else 6
        module = getattr(nn, table.layer)(
            4,
            out,
            t["kernel"],
            stride=t["stride"],
            padding=t["padding"],
            dilation=t["dilation"],
            groups=t["groups"],
            bias=t["bias"],
        )
        yield Case(module, (x,), {**t, "out": out})
