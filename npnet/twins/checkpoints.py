"""Files that torch writes, read with weights_only=True and nothing else."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from npnet.contract import Array, ConfigError

_UNDER = ("state_dict", "model_state_dict", "model")
_BITS = [("bfloat16", "<u2")]


def load(path: Path, data: bytes) -> dict[str, Array]:
    """The tensors of a file, nested names joined by dots; bfloat16 as its bits.

    Raises ConfigError, also for what only a pickle could hold.
    """
    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ConfigError(
            f"{path} needs to hold tensors only, but holds other objects, whose loading could run "
            "any code. Write torch.save(module.state_dict(), path), and convert that."
        ) from None
    except Exception as error:
        said = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"{path} cannot be read as a file of torch ({said}).") from None
    if isinstance(found, Mapping):
        under = [n for n in _UNDER if isinstance(found.get(n), Mapping)]
        if len(under) == 1:
            found = found[under[0]]
    named: dict[str, Array] = {}
    _collect("", found, named, path)
    return named


def _collect(name: str, value: Any, named: dict[str, Array], path: Path) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _collect(f"{name}.{key}" if name else str(key), inner, named, path)
    elif isinstance(value, torch.Tensor):
        if name in named:
            raise ConfigError(
                f"{path} needs names of their own for its tensors, but two are {name!r}, one of "
                "them in a mapping inside. Write one flat state_dict."
            )
        named[name] = _array_of(name, value, path)
    else:
        raise ConfigError(
            f"{path} needs to hold a state_dict, but {name or 'it'} is a {type(value).__name__}. "
            "Write torch.save(module.state_dict(), path)."
        )


def _array_of(name: str, t: torch.Tensor, path: Path) -> Array:
    """A tensor's numbers. Raises ConfigError for a kind of tensor that NumPy does not have."""
    kind, fix = str(t.dtype), f"{name}.float()"
    if t.is_meta:
        kind, fix = "meta, a shape without numbers", "the state_dict of a module that is loaded"
    elif t.is_quantized:
        kind, fix = "quantized", f"{name}.dequantize()"
    elif t.layout != torch.strided:
        kind, fix = "sparse", f"{name}.to_dense()"
    else:
        try:
            return array(t)
        except (TypeError, RuntimeError, NotImplementedError):
            pass
    raise ConfigError(
        f"{path} needs dense tensors of numbers that NumPy has, but {name!r} is {kind}. Save "
        f"{fix} instead."
    )


def array(t: torch.Tensor) -> Array:
    """A tensor's numbers; the bits of a bfloat16."""
    t = t.detach().cpu().contiguous()
    if t.dtype == torch.bfloat16:
        return t.view(torch.int16).numpy().view(_BITS).copy()
    return t.numpy().copy()


def tensor(a: Array) -> torch.Tensor:
    """The tensor of an array, or of the bits of a bfloat16."""
    if a.dtype == _BITS:
        bits = np.array(a["bfloat16"], order="C").view(np.int16)
        return torch.from_numpy(bits).view(torch.bfloat16)
    return torch.from_numpy(np.array(a, order="C"))


def dumped(tensors: Mapping[str, Array]) -> bytes:
    """What torch.save writes of a state_dict."""
    buffer = io.BytesIO()
    torch.save({name: tensor(a) for name, a in tensors.items()}, buffer)
    return buffer.getvalue()
