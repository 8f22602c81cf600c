"""A tensor of (value, error) pairs that runs under torch's own autograd.

`value` is what torch computes in float64; `error` bounds how far a correct implementation in the
candidate's precision may be from the exact result. Every aten operation of a twin's forward and
backward pass arrives in `__torch_dispatch__`, finds its rule and yields a new pair: the formulas
are torch's, only the propagation of the bounds is ours. An error of None means exact; an operation
on exact operands then costs little more than the operation itself.

The rules are in `npnet.twins.oracle.rules`, one file per kind of operation.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch._decomp import decomposition_table

from npnet.verify.precision import PRECISIONS, Precision

Tensor = torch.Tensor
Rule = Callable[..., Any]
R = TypeVar("R", bound=Rule)


@dataclass
class Setting:
    """What the rules need to know beside their operands."""

    precision: Precision = PRECISIONS["float64"]
    rng: np.random.Generator | None = None  # where random operations take their masks from
    watching: bool = False
    poles: bool = False  # whether 1/0 or log 0 was met, exactly: then infinity is no overflow
    either: bool = False  # whether an exact tie may go either way: versions of torch differ there
    largest: float = 0.0  # the largest |value| + error of all intermediates, while watching
    strict: bool = False  # whether a branch that is in doubt raises Undecided
    fallbacks: set[str] = field(default_factory=set)  # operations that had no rule of their own


class Undecided(Exception):
    """A program branches on a comparison of computed numbers that may go either way."""


_setting = Setting()


def setting() -> Setting:
    """The setting in force."""
    return _setting


@contextmanager
def using(new: Setting) -> Iterator[Setting]:
    """Run a block under another setting."""
    global _setting
    old, _setting = _setting, new
    try:
        yield new
    finally:
        _setting = old


class Bounded(torch.Tensor):
    """The pair (value, error); to torch an ordinary float64 tensor.

    `value` and `error` have the same shape and strides; two pairs share the memory of their errors
    exactly where they share the memory of their values (views), so that updates in place reach all.
    A comparison of inexact operands is a Bounded of booleans: its error says where it may be wrong.
    """

    value: Tensor
    own_error: Tensor | None
    root: "Bounded | None"  # of a view of an exact pair: whose error it takes if there ever is one
    terms: int = 0  # of a fresh sum
    own_mass: Tensor | None = None  # u · the sum of the magnitudes summed; None: error / terms
    scattered: bool = False  # whether it is one use of a tensor, to which that of others is added
    extreme: bool = False  # the largest or smallest of several: equal to one of them for certain

    # torch's hooks for subclasses are untyped, and typed otherwise than they are called
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # untyped

    @staticmethod
    def __new__(  # noqa: D102  # the class says it
        cls, value: Tensor, error: Tensor | None = None, root: "Bounded | None" = None
    ) -> "Bounded":
        strides = value.stride()
        pair: Bounded = torch.Tensor._make_wrapper_subclass(
            cls,
            value.size(),
            strides,
            value.storage_offset(),
            dtype=value.dtype,
            device=value.device,
        )
        pair.value = value
        pair.own_error = (
            error if error is None or error.stride() == strides else _laid_out(error, value)
        )
        pair.root = root
        return pair

    @property
    def error(self) -> Tensor | None:
        """The error; None where the value is exact."""
        if self.own_error is None and self.root is not None and self.root.own_error is not None:
            root, value = self.root, self.value
            offset = value.storage_offset() - root.value.storage_offset()
            self.own_error = self.root.own_error.as_strided(value.size(), value.stride(), offset)
        return self.own_error

    @property
    def mass(self) -> Tensor:
        """What one rounding more of every term of a fresh sum adds to its error."""
        return self.own_mass if self.own_mass is not None else error_of(self) / self.terms

    def is_sum_of(self, terms: int, mass: Tensor | None = None) -> "Bounded":
        """Itself, as a fresh sum."""
        self.terms, self.own_mass = terms, mass
        return self

    def is_sum_like(self, source: "Bounded", move: Callable[[Tensor], Tensor]) -> "Bounded":
        """Itself, as a fresh sum where the source is one whose elements were moved or scaled."""
        mass = source.own_mass
        return self.is_sum_of(source.terms, None if mass is None else move(mass))

    def set_error(self, error: Tensor | None) -> None:
        """Put a new error in the place of the old one, in every pair that shares the memory."""
        if self.error is None:
            if error is None:
                return
            root = self if self.root is None else self.root
            root.own_error = _zeros_laid_out(root.value)
        old = self.error
        assert old is not None
        if error is None:
            old.zero_()
        else:
            old.copy_(error)

    def add_(self, other: Any, *, alpha: Any = 1) -> "Bounded":
        """In place; torch would read the number off a bounded alpha, and lose its error."""
        if isinstance(alpha, Bounded):
            other, alpha = other * alpha, 1
        super().add_(other, alpha=alpha)
        return self

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]  # untyped
        return f"Bounded(value={self.value}, error={self.error})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # untyped
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        rule = RULES.get(func)
        if rule is None:
            rule = _without_rule(func)
        return rule(*args, **kwargs) if kwargs else rule(*args)


def _laid_out(error: Tensor, value: Tensor) -> Tensor:
    """The error with the strides of the value (an expanded value has none to take over)."""
    if 0 in value.stride():
        return error
    return torch.empty_strided(value.size(), value.stride(), dtype=error.dtype).copy_(error)


def _zeros_laid_out(value: Tensor) -> Tensor:
    """Zeros with the shape and strides of the value, gaps between its rows included."""
    length = 1 + sum(s * (n - 1) for n, s in zip(value.size(), value.stride(), strict=True))
    return torch.zeros(max(length, 0), dtype=value.dtype).as_strided(value.size(), value.stride())


RULES: dict[Any, Rule] = {}


def overload(name: str) -> Any:
    """The aten operation `add.Tensor`, or None where this torch has none of that name."""
    packet, _, variant = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet, None), variant or "default", None)


def rule(*names: str) -> Callable[[R], R]:
    """Register a function as the rule of the aten operations named."""

    def register(function: R) -> R:
        for name in names:
            found = overload(name)
            if found is not None:
                RULES[found] = function
        return function

    return register


def parts(x: Any) -> tuple[Any, Tensor | None]:
    """(value, error) of an operand in float64: a Bounded, an exact tensor or a number."""
    if type(x) is Bounded:
        if x.value.dtype is not torch.float64:
            return x.value.to(torch.float64), None if x.error is None else x.error.to(torch.float64)
        return x.value, x.error
    if isinstance(x, torch.Tensor):
        return (x if x.dtype is torch.float64 else x.to(torch.float64)), None
    return x, None


def value_of(x: Any) -> Any:
    """The value of a Bounded; anything else as it is."""
    return x.value if isinstance(x, Bounded) else x


def error_of(x: Bounded) -> Tensor:
    """The error of a Bounded as a tensor, zeros where it is exact."""
    return torch.zeros_like(x.value) if x.error is None else x.error


def magnitude(value: Tensor, error: Tensor | None) -> Tensor:
    """|value| + error: the largest that the quantity can be."""
    return value.abs() if error is None else value.abs() + error


def plus(*errors: Tensor | float | None) -> Any:
    """The sum of errors, of which None is zero; None if all are."""
    total: Any = None
    for e in errors:
        if e is not None:
            total = e if total is None else total + e
    return total


def rounded(
    value: Tensor, error: Tensor | None, roundings: float = 1.0, underflow: bool = True
) -> Bounded:
    """The pair after `roundings` final roundings of the result, relative to its magnitude.

    `underflow` adds the smallest normal number: what a product or quotient loses when it leaves the
    normal range. A sum or difference loses nothing there.
    """
    p = _setting.precision
    if not roundings and not underflow:
        return finished(value, error)
    e = value.abs()
    e.mul_(roundings * p.u)
    if error is not None:
        e.add_(error, alpha=1.0 + roundings * p.u)
    if underflow:
        e.add_(p.eta)
    return finished(value, e, error is not None)


def finished(value: Tensor, error: Tensor | None, inherited: bool = True) -> Bounded:
    """The pair, watched; an error of 0 · inf (only an inherited one can be that) becomes inf."""
    if error is not None and inherited:
        error.nan_to_num_(nan=torch.inf, posinf=torch.inf)
    if _setting.watching:
        watch(value if error is None else magnitude(value, error))
    return Bounded(value, error)


def watch(size: Tensor) -> None:
    """Note the largest magnitude of an intermediate result."""
    if size.numel():
        largest = float(size.max())
        if not largest < torch.inf:
            most = 0.0 if _setting.poles else torch.inf
            largest = float(size.nan_to_num(nan=0.0, posinf=most).max())
        _setting.largest = max(_setting.largest, abs(largest))


def note_pole(value: Any, error: Tensor | None) -> None:
    """Note, while watching, whether a divisor or the like is exactly 0."""
    if _setting.watching and not _setting.poles and isinstance(value, torch.Tensor):
        lost = 64.0 * _setting.precision.eta  # what underflow adds
        pole = value == 0 if error is None else (value == 0) & (error <= lost)
        _setting.poles = bool(pole.any())


def close_to(z: Any, threshold: Any) -> Tensor | None:
    """Where a computed z may be on either side of the threshold; None if nowhere (z is exact)."""
    value, error = parts(z)
    if error is None:
        return None
    near: Tensor = (value - threshold).abs() <= _setting.precision.k * error
    return near & (error > 0)


def _without_rule(func: Any) -> Rule:
    """In place: the rule of the functional operation. Else torch's decomposition, and say so."""
    name = func._schema.name.removeprefix("aten::")
    variant = func._overloadname
    if name.endswith("_") and not name.endswith("__"):
        functional = overload(f"{name[:-1]}.{variant}")
        if functional in RULES:
            RULES[func] = in_place(RULES[functional])
            return RULES[func]
    if func._can_decompose():  # into its parts, which is what it is
        RULES[func] = func.decompose
        return RULES[func]
    if func in decomposition_table:
        _setting.fallbacks.add(str(func))
        return decomposition_table[func]
    raise NotImplementedError(
        f"the oracle has no rule for {func}, and torch no decomposition of it; "
        "add a rule to npnet/twins/oracle/rules"
    )


def in_place(functional: Rule) -> Rule:
    """The rule of `op_` from the rule of `op`."""

    def update(target: Any, *args: Any, **kwargs: Any) -> Any:
        new = functional(target, *args, **kwargs)
        overwrite(target, *parts(new))
        if type(new) is Bounded and new.terms:
            target.is_sum_like(new, lambda mass: mass)
        return target

    return update


def overwrite(target: Any, value: Any, error: Tensor | None) -> None:
    """Put the pair where the target is, in memory."""
    if type(target) is Bounded:
        target.value.copy_(value)
        target.set_error(error)
        target.is_sum_of(0)
    elif error is None:
        target.copy_(value)
    else:
        raise NotImplementedError(
            f"an exact tensor of shape {tuple(target.shape)} was to be updated with an inexact "
            "one; wrap it in Bounded before the call"
        )
