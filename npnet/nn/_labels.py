"""Labels of classes: what losses over classes share."""

from dataclasses import dataclass

import numpy as np

from npnet.contract import Array, DtypeError, IndexRangeError, ShapeError


@dataclass(frozen=True)
class Labels:
    """The labels of samples: which are in use, where they are, and what they weigh.

    kept: whether a label is in use, which it is unless it is ignore_index
    weight: the weight of the label's class, 0 where it is not in use
    at: the label, with an axis for the classes; 0 where it is not in use
    """

    kept: Array
    weight: Array
    at: Array
    axis: int

    @classmethod
    def of(
        cls,
        loss: object,
        prediction: Array,
        target: Array,
        weight: Array,
        axis: int,
        ignore_index: int,
    ) -> "Labels":
        """The labels of a prediction with the classes along an axis; all in use are classes."""
        shape = prediction.shape[:axis] + prediction.shape[axis + 1 :]
        if target.shape != shape:
            raise ShapeError(
                f"{loss} needs labels of shape {shape} for a prediction of shape "
                f"{prediction.shape}, but got {target.shape}."
            )
        classes = prediction.shape[axis]
        kept: Array = target != ignore_index
        require_labels(loss, target, classes, kept, f", or ignore_index={ignore_index}")
        labels = np.where(kept, target, 0)
        used = np.where(kept, weight[labels], 0)
        return cls(kept, used, np.expand_dims(labels, axis), axis)

    def pick(self, x: Array) -> Array:
        """The element of x at every label; 0 where that is not in use."""
        picked: Array = np.take_along_axis(x, self.at, self.axis).squeeze(self.axis)
        return np.where(self.kept, picked, 0)

    def add(self, dx: Array, d: Array) -> None:
        """Add d to the elements of dx at the labels."""
        there = np.take_along_axis(dx, self.at, self.axis)
        np.put_along_axis(dx, self.at, there + np.expand_dims(d, self.axis), self.axis)


def class_axis(loss: object, prediction: Array) -> int:
    """The axis of the classes: the second, or the only one of a single sample."""
    axis = 0 if prediction.ndim < 2 else 1
    if not prediction.ndim or not prediction.shape[axis]:
        raise ShapeError(
            f"{loss} needs a prediction of shape (C,) or (N, C, *rest) with one class or more, "
            f"but got {prediction.shape}."
        )
    return axis


def require_weights(loss: object, weight: Array, classes: int) -> None:
    """There is a weight for every class."""
    if weight.shape != (classes,):
        raise ShapeError(
            f"{loss} needs a weight for each of the {classes} classes, but got weight of shape "
            f"{weight.shape}."
        )


def require_labels(
    loss: object, target: Array, classes: int, kept: Array, otherwise: str = ""
) -> None:
    """The labels are integers, and those in use are classes."""
    if target.dtype not in (np.int64, np.uint8):
        raise DtypeError(
            f"{loss} needs labels of dtype int64 or uint8, but got {target.dtype}. "
            "You might need target.astype(np.int64)."
        )
    bad = target[kept & ((target < 0) | (target >= classes))]
    if bad.size:
        raise IndexRangeError(
            f"{loss} needs labels from 0 to {classes - 1}{otherwise}, but got {bad[0]}."
        )
