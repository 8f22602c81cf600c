"""Operations that only move elements: views, copies, gathers, padding with constants, creations.

They pass through: what moves the values moves the errors. A view of a pair shares the memory of
both, so that an update in place reaches the whole.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from npnet.twins.oracle.bounded import (
    Bounded,
    Tensor,
    Undecided,
    overload,
    parts,
    rule,
    setting,
    value_of,
)

aten = torch.ops.aten
Move = Callable[..., Any]

# A tensor's own method costs half of what the operation called by its overload does.
VIEWS: dict[str, Move] = {
    "view": torch.Tensor.view,
    "reshape": torch.Tensor.reshape,
    "t": torch.Tensor.t,
    "transpose.int": torch.Tensor.transpose,
    "permute": torch.Tensor.permute,
    "detach": lambda x: x,
    "alias": lambda x: x,
    "unsqueeze": torch.Tensor.unsqueeze,
    "squeeze": torch.Tensor.squeeze,
    "squeeze.dim": torch.Tensor.squeeze,
    "squeeze.dims": torch.Tensor.squeeze,
    "select.int": torch.Tensor.select,
    "expand": torch.Tensor.expand,
    "slice.Tensor": aten.slice.Tensor,
    "_reshape_alias": aten._reshape_alias.default,
    "as_strided": aten.as_strided.default,
    "diagonal": torch.Tensor.diagonal,
    "unfold": torch.Tensor.unfold,
    "movedim.int": torch.Tensor.movedim,
}
SPLITS: dict[str, Move] = {
    "split.Tensor": torch.Tensor.split,
    "split_with_sizes": torch.Tensor.split_with_sizes,
    "unbind.int": torch.Tensor.unbind,
    "chunk": torch.Tensor.chunk,
}
# The name says that nobody looks at the whole again: its parts need not know of each other.
UNSAFE_SPLITS: dict[str, Move] = {
    "unsafe_split.Tensor": torch.Tensor.split,
    "unsafe_split_with_sizes": torch.Tensor.split_with_sizes,
    "unsafe_chunk": torch.Tensor.chunk,
}
COPIES = (
    "clone", "contiguous", "flip", "roll", "repeat", "index_select", "gather", "index.Tensor",
    "take", "unfold_copy",
    "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d",
    "replication_pad2d", "replication_pad3d", "im2col", "tril", "triu", "view_copy", "expand_copy",
    "permute_copy", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "repeat_interleave",
    "repeat_interleave.self_int", "masked_select", "rot90", "diag_embed",
    "max_unpool2d", "max_unpool3d",
)  # fmt: skip


def view(move: Move) -> Move:
    """The rule of an operation whose result shares the memory of its operand."""

    def apply(x: Bounded, *args: Any, **kwargs: Any) -> Bounded:
        error = x.error
        if error is None:
            result = Bounded(move(x.value, *args, **kwargs), None, x if x.root is None else x.root)
        else:
            result = Bounded(move(x.value, *args, **kwargs), move(error, *args, **kwargs))
        if x.terms:
            result.is_sum_like(x, lambda mass: move(mass, *args, **kwargs))
        if x.extreme:
            result.extreme = True
        return result

    return apply


def split(move: Move, apart: bool = False) -> Move:
    """The rule of an operation that returns several views; apart: of what is given up."""

    def apply(x: Bounded, *args: Any, **kwargs: Any) -> list[Bounded]:
        values, error = move(x.value, *args, **kwargs), x.error
        if error is None:
            root = None if apart else x if x.root is None else x.root
            return [Bounded(v, None, root) for v in values]
        found = [Bounded(v, e) for v, e in zip(values, move(error, *args, **kwargs), strict=True)]
        if x.terms:
            for part, mass in zip(found, move(x.mass, *args, **kwargs), strict=True):
                part.is_sum_of(x.terms, mass)
        return found

    return apply


def copying(move: Move) -> Move:
    """The rule of an operation whose result is made of copies of elements, or zeros."""

    def apply(x: Any, *args: Any, **kwargs: Any) -> Bounded:
        args = tuple(value_of(a) for a in args)
        value, error = parts(x)
        result = Bounded(
            move(value, *args, **kwargs), None if error is None else move(error, *args, **kwargs)
        )
        if x.terms:
            result.is_sum_like(x, lambda mass: move(mass, *args, **kwargs))
        return result

    return apply


for _name, _move in VIEWS.items():
    rule(_name)(view(_move))
for _name, _move in SPLITS.items():
    rule(_name)(split(_move))
for _name, _move in UNSAFE_SPLITS.items():
    rule(_name)(split(_move, apart=True))
for _name in COPIES:
    rule(_name)(copying(overload(_name)))
rule("_unsafe_view")(copying(torch.Tensor.view))


def scattering(move: Move) -> Move:
    """The rule of the gradient of a part: zeros elsewhere, where other uses add theirs."""
    copy = copying(move)

    def apply(*args: Any, **kwargs: Any) -> Bounded:
        result: Bounded = copy(*args, **kwargs)
        result.scattered = True
        return result

    return apply


for _name in ("slice_backward", "select_backward", "diagonal_backward"):
    rule(_name)(scattering(overload(_name)))


@rule("squeeze_", "squeeze_.dim", "squeeze_.dims")
def squeeze_(x: Bounded, *dims: Any) -> Bounded:
    """Drop axes of length 1, of the wrapper too."""
    return _reshaped_in_place(x, aten.squeeze_, x.value.squeeze(*dims), dims)


@rule("unsqueeze_")
def unsqueeze_(x: Bounded, dim: int) -> Bounded:
    """Insert an axis of length 1, in the wrapper too."""
    return _reshaped_in_place(x, aten.unsqueeze_, x.value.unsqueeze(dim), (dim,))


@rule("transpose_", "t_")
def transpose_(x: Bounded, *dims: int) -> Bounded:
    """Exchange two axes, of the wrapper too."""
    dims = dims or (0, min(1, x.value.dim() - 1))
    return _reshaped_in_place(x, aten.transpose_, x.value.transpose(*dims), dims)


def _reshaped_in_place(x: Bounded, operation: Any, value: Tensor, args: Sequence[Any]) -> Bounded:
    error = x.error
    with torch._C._DisableTorchDispatch():
        operation(x, *args)
    x.value = value
    if error is not None:
        x.own_error = error.as_strided(value.size(), value.stride(), error.storage_offset())
    return x


@rule("cat")
def cat(tensors: Sequence[Any], dim: int = 0) -> Bounded:
    """One after the other."""
    return _joined(torch.cat, tensors, dim)


@rule("stack")
def stack(tensors: Sequence[Any], dim: int = 0) -> Bounded:
    """Along a new axis."""
    return _joined(torch.stack, tensors, dim)


def _joined(join: Move, tensors: Sequence[Any], dim: int) -> Bounded:
    pairs = [parts(t) for t in tensors]
    value = join([v for v, _ in pairs], dim)
    if all(e is None for _, e in pairs):
        return Bounded(value)
    return Bounded(value, join([torch.zeros_like(v) if e is None else e for v, e in pairs], dim))


@rule("constant_pad_nd")
def constant_pad(x: Bounded, pad: Sequence[int], value: float = 0) -> Bounded:
    """Padding with an exact number."""
    inner, error = parts(x)
    padded = None if error is None else aten.constant_pad_nd.default(error, pad)
    return Bounded(aten.constant_pad_nd.default(inner, pad, value), padded)


def copied(x: Any) -> Bounded:
    """A pair of its own."""
    value, error = parts(x)
    return Bounded(value.clone(), None if error is None else error.clone())


@rule("_to_copy")
def to_copy(x: Bounded, *, dtype: Any = None, **kwargs: Any) -> Any:
    """A copy; every floating-point type stays float64, for the precision is the setting's."""
    if dtype is None or dtype.is_floating_point:
        return copied(x)
    return x.value.to(dtype)


@rule("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar")
def where(condition: Any, a: Any, b: Any) -> Bounded:
    """a where the condition holds, b elsewhere, either where the condition is in doubt."""
    va, ea = parts(a)
    vb, eb = parts(b)
    mask = value_of(condition)
    value = torch.where(mask, va, vb)
    doubt = condition.error if type(condition) is Bounded else None
    if ea is None and eb is None and doubt is None:
        return Bounded(value if value.dtype is torch.float64 else value.to(torch.float64))
    zero = torch.zeros((), dtype=torch.float64)
    ea, eb = zero if ea is None else ea, zero if eb is None else eb
    error = torch.where(mask, ea, eb)
    if doubt is not None:
        # the value of the other branch, with its error
        error = torch.where(doubt, abs(va - vb) + torch.maximum(ea, eb), error)
    return Bounded(value, error.expand(value.shape))


@rule("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(x: Any, mask: Any, number: Any) -> Bounded:
    """The number where the mask holds."""
    return where(mask, number, x)


def _like(create: Move) -> Move:
    def apply(x: Any, *args: Any, dtype: Any = None, **kwargs: Any) -> Any:
        floating = (dtype or x.dtype).is_floating_point
        made = create(value_of(x), *args, dtype=torch.float64 if floating else dtype, **kwargs)
        return Bounded(made) if floating else made

    return apply


for _name in (
    "zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full",
    "new_empty", "new_empty_strided",
):  # fmt: skip
    rule(_name)(_like(overload(_name)))


@rule("_local_scalar_dense")
def item(x: Bounded) -> Any:
    """The number itself; in strict mode, a truth in doubt raises Undecided."""
    if setting().strict and x.value.dtype is torch.bool and x.error is not None and x.error.any():
        raise Undecided
    return x.value.item()


@rule("is_same_size")
def is_same_size(a: Any, b: Any) -> bool:
    """A question about shapes."""
    return bool(a.shape == b.shape)
