"""Nested tensors, and what is kept of them: pairs of value and error, as arrays."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from npnet.contract import ConfigError, NpnetError
from npnet.twins.oracle import Pair, Way, pair
from npnet.twins.oracle.bounded import Bounded
from npnet.verify.precision import Precision
from npnet.verify.spec import Expected

Tensor = torch.Tensor


@contextmanager
def torch_says(what: str) -> Iterator[None]:
    """What torch raises is told as a matter of what it was asked: ConfigError."""
    try:
        yield
    except NpnetError:
        raise
    except NotImplementedError as error:
        raise ConfigError(
            f"{what} cannot be bounded: {str(error).splitlines()[0]}. Verify its layers one by one."
        ) from error
    except Exception as error:
        said = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"{what} cannot be run: {type(error).__name__}: {said}.") from error


def tensor(x: Any, way: Way) -> Any:
    return way.tensor(x) if isinstance(x, np.ndarray) else x


def value(t: Tensor) -> Tensor:
    return t.value if isinstance(t, Bounded) else t


def kept(t: Tensor) -> Pair:
    value, error = pair(t)
    return value.copy(), None if error is None else error.copy()


def expect(value: Pair, precision: Precision, required: bool = True) -> Expected:
    """A value and its error as what a candidate is held against: one value set."""
    v, e = value
    dtype = np.dtype(precision.name) if v.dtype.kind == "f" else v.dtype
    return Expected(v[np.newaxis], None if e is None else e[np.newaxis], dtype, required=required)


def each(nested: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The same nesting with every tensor replaced."""
    if isinstance(nested, Tensor):
        return function(nested)
    if isinstance(nested, tuple | list):
        return type(nested)(each(x, function) for x in nested)
    return nested


def flat(nested: Any) -> list[Tensor]:
    if isinstance(nested, Tensor):
        return [nested]
    return [t for x in nested for t in flat(x)] if isinstance(nested, tuple | list) else []


def leaves(nested: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(nested, tuple | list):
        for i, x in enumerate(nested):
            yield from leaves(x, f"{name}.{i}")
    else:
        yield name, nested


def arrays(nested: Any) -> Any:
    if isinstance(nested, Tensor):
        return kept(nested)[0]
    if isinstance(nested, tuple | list):
        return tuple(arrays(x) for x in nested)
    return nested
