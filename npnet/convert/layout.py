"""Orders of axes with joined ones on both sides: "(g h) i -> i (g h)", "c -> 1 1 c"."""

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TypeAlias

import numpy as np

from npnet.contract import Array, ShapeError

Groups: TypeAlias = tuple[tuple[str, ...], ...]
"""The names that each axis joins, the slowest first; () is an axis of size 1."""


DOTS = "..."


@cache
def sides(layout: str, axes: int | None = None) -> tuple[Groups, Groups]:
    """torch's axes and theirs, "..." written out for an array of so many axes on either side."""
    before, _, after = layout.partition("->")
    found = _groups(before), _groups(after)
    if axes is None or (DOTS,) not in found[0]:
        return found
    more = tuple((f"{DOTS}{i}",) for i in range(axes - len(found[0]) + 1))
    one, other = (
        tuple(g for group in side for g in (more if group == (DOTS,) else (group,)))
        for side in found
    )
    return one, other


def _groups(side: str) -> Groups:
    found = re.findall(r"\(([^)]*)\)|(\S+)", side)
    return tuple(() if one == "1" else tuple((joined or one).split()) for joined, one in found)


def names(groups: Groups) -> list[str]:
    """All names of one side, in order."""
    return [name for group in groups for name in group]


def sizes(shape: Sequence[int], groups: Groups, known: Mapping[str, int]) -> dict[str, int]:
    """The size of every named axis. Raises ShapeError where the shape has none that fit."""
    found = dict(known)
    if len(shape) != len(groups):
        raise ShapeError(f"it needs {len(groups)} axes, but has {len(shape)}: {tuple(shape)}")
    for size, group in zip(shape, groups, strict=True):
        open_ = [name for name in group if name not in found]
        fixed = math.prod(found[name] for name in group if name in found)
        if len(open_) > 1:
            raise ShapeError(f"how long {' and '.join(open_)} are is not known")
        if open_ and fixed and size % fixed == 0:
            found[open_[0]] = size // fixed
        elif open_ or size != fixed:
            raise ShapeError(
                f"the axis {' '.join(group) or '1'} needs {'a multiple of ' * bool(open_)}{fixed}, "
                f"but is {size}"
            )
    return found


def apart(a: Array, groups: Groups, found: Mapping[str, int]) -> Array:
    """The array with an axis for every name."""
    return a.reshape([found[name] for name in names(groups)])


def joined(a: Array, groups: Groups, found: Mapping[str, int]) -> Array:
    """The array with an axis for every group of names."""
    return a.reshape([math.prod(found[name] for name in group) for group in groups])


def turned(a: Array, now: Sequence[str], then: Sequence[str]) -> Array:
    """The array with its named axes in another order."""
    return np.transpose(a, [list(now).index(name) for name in then])
