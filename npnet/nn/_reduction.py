"""What all losses share: their reduction, and what they ask of shapes and dtypes.

The last step of a loss is its reduction: "none" leaves the losses alone, "sum" adds them, "mean"
divides their sum by a number n, which is nan for an empty sum. The deprecated size_average and
reduce overrule it as in torch: where one of them is given, reduce=False means "none", else
size_average=False means "sum", else "mean".
"""

from dataclasses import dataclass

import numpy as np

from npnet.contract import Array, ConfigError, DtypeError, ShapeError, State

REDUCTIONS = ("none", "mean", "sum")


@dataclass(frozen=True)
class Reduction:
    """What becomes of the losses, and of the gradient on its way back."""

    name: str

    @classmethod
    def of(
        cls,
        size_average: bool | None,
        reduce: bool | None,
        name: str,
        known: tuple[str, ...] = REDUCTIONS,
    ) -> "Reduction":
        """The reduction that the three arguments of a loss amount to."""
        if name not in known:
            raise ConfigError(
                f"a loss needs reduction={', '.join(map(repr, known[:-1]))} or {known[-1]!r}, but "
                f"got {name!r}."
            )
        if size_average is None and reduce is None:
            return cls(name)
        if reduce is False:
            return cls("none")
        return cls("sum" if size_average is False else "mean")

    def __call__(self, losses: Array, n: float) -> Array:
        """The losses as they are, their sum, or that divided by n."""
        if self.name == "none":
            return losses
        return self._divided(losses.sum(), n)

    def back(self, dy: Array, n: float) -> Array:
        """dL/dlosses, which is one number for all of them where they were added up."""
        return self._divided(dy, n)

    def _divided(self, total: Array, n: float) -> Array:
        if self.name in ("none", "sum"):
            return total
        with np.errstate(divide="ignore", invalid="ignore"):  # an empty mean is nan
            quotient: Array = total / n
        return quotient


def summed_to(shape: tuple[int, ...], d: Array) -> Array:
    """The gradient of an array of this shape that was broadcast to the shape of d."""
    if d.shape == shape:
        return d
    d = d.sum(tuple(range(d.ndim - len(shape))))
    stretched = tuple(i for i, size in enumerate(shape) if size == 1)
    dx: Array = d.sum(stretched, keepdims=True)
    return dx


def is_counted(target: Array) -> bool:
    """Whether a target consists of integers, which have no gradient."""
    return bool(np.issubdtype(target.dtype, np.integer))


def require_broadcast(loss: object, **arrays: Array) -> tuple[int, ...]:
    """The common shape of arrays, which broadcast."""
    try:
        return np.broadcast_shapes(*(a.shape for a in arrays.values()))
    except ValueError:
        shapes = ", ".join(str(a.shape) for a in arrays.values())
        raise ShapeError(
            f"{loss} needs {' and '.join(arrays)} of shapes that broadcast, but got {shapes}."
        ) from None


def require_broadcast_to(loss: object, shape: tuple[int, ...], others: State) -> None:
    """Every one of the others broadcasts to a shape."""
    for name, a in others.items():
        pairs = zip(reversed(a.shape), reversed(shape), strict=False)
        if a.ndim > len(shape) or not all(n in (1, m) for n, m in pairs):
            raise ShapeError(
                f"{loss} needs {name} of a shape that broadcasts to {shape}, but got {a.shape}."
            )


def require_axes(loss: object, **arrays: Array) -> None:
    """All arrays have the same number of axes: torch broadcasts no missing ones here."""
    if len({a.ndim for a in arrays.values()}) > 1:
        shapes = ", ".join(str(a.shape) for a in arrays.values())
        raise ShapeError(
            f"{loss} needs {' and '.join(arrays)} with the same number of axes, but got {shapes}. "
            "You might need x[np.newaxis]."
        )


def require_one_dtype(loss: object, prediction: Array, others: State) -> None:
    """prediction has a floating dtype, and the others have the same."""
    if not np.issubdtype(prediction.dtype, np.floating):
        raise DtypeError(
            f"{loss} needs prediction of a floating dtype, but got {prediction.dtype}. "
            "You might need prediction.astype(np.float32)."
        )
    for name, a in others.items():
        if a.dtype != prediction.dtype:
            raise DtypeError(
                f"{loss} needs {name} in the dtype of prediction, {prediction.dtype}, but got "
                f"{a.dtype}. You might need {name}.astype({prediction.dtype})."
            )


def in_dtype_of(loss: object, prediction: Array, target: Array) -> Array:
    """The target in the dtype of a prediction: it has that already, or consists of integers."""
    require_one_dtype(loss, prediction, {} if is_counted(target) else {"target": target})
    return target.astype(prediction.dtype, copy=False)
