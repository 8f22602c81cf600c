"""Axis orders: "o i -> i o" turns an array of torch's into somebody else's, and back again."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from npnet.contract import Array, ConfigError

DOTS = "..."
_FORM = (
    'A layout reads "torch\'s axes -> your axes", as in "o i -> i o", "n c h w -> n h w c", '
    '"o -> 1 o" (an axis of size 1) or "... i -> (...) i" (axes joined into one).'
)
_TOKEN = re.compile(r"\s*(\.\.\.|[A-Za-z_]\w*|1|[()])")

Sizes = Mapping[str, int]
"""The size of every named axis; the axes of "..." are called "...0", "...1" and so on."""


@dataclass(frozen=True)
class Axes:
    """An array's axes on torch's side (`theirs`) and on the candidate's (`mine`).

    A tuple among mine is one axis that joins several, in row-major order; () is an axis of size 1.
    """

    text: str
    theirs: tuple[str, ...]
    mine: tuple[str | tuple[str, ...], ...]

    @classmethod
    def parse(cls, text: str) -> "Axes":
        """Read "o i -> i o"; ConfigError for anything else."""
        before, arrow, after = text.partition("->")
        if not arrow or "->" in after:
            raise ConfigError(f"the layout {text!r} needs one arrow. {_FORM}")
        theirs = tuple(_tokens(before, text))
        if {"1", "(", ")"} & set(theirs):
            raise ConfigError(
                f"the layout {text!r} has 1 or parentheses left of the arrow, where torch's axes "
                f"stand, each with a name. {_FORM}"
            )
        mine = tuple(_groups(_tokens(after, text), text))
        named = [name for axis in mine for name in ([axis] if isinstance(axis, str) else axis)]
        for names in (theirs, named):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ConfigError(f"the layout {text!r} names {', '.join(twice)} twice. {_FORM}")
        if set(theirs) != set(named):
            alone = " ".join(sorted(set(theirs) ^ set(named)))
            raise ConfigError(
                f"the layout {text!r} must name the same axes on both sides, but {alone} stands on "
                f"one only. {_FORM}"
            )
        return cls(text, theirs, mine)

    def sizes(self, shape: Sequence[int], what: str = "the array") -> dict[str, int]:
        """The size of every axis of an array of torch's; ConfigError for another number of axes."""
        dots = DOTS in self.theirs
        more = len(shape) - len(self.theirs) + dots
        if more < 0 or (more and not dots):
            least = "at least " if dots else ""
            raise ConfigError(
                f"the layout {self.text!r} is for {least}{len(self.theirs) - dots} axes, but "
                f"{what} has {len(shape)}: shape {tuple(shape)}. Give it another layout, or leave "
                "such cases out with only=."
            )
        return dict(zip(_expand(self.theirs, more), shape, strict=True))

    def count(self, sizes: Sizes) -> int:
        """The number of my axes."""
        return len(self._groups(_count(sizes)))

    def to_mine(self, a: Array, what: str = "the array") -> Array:
        """torch's array with my axes: a view wherever no axes are joined."""
        sizes = self.sizes(a.shape, what)
        names, groups = list(sizes), self._groups(_count(sizes))
        turned = a.transpose([names.index(name) for group in groups for name in group])
        if all(len(group) == 1 for group in groups):
            return turned
        return turned.reshape([math.prod(sizes[name] for name in group) for group in groups])

    def to_theirs(self, a: Any, sizes: Sizes) -> Any:
        """My array with torch's axes; joined axes are taken apart by `sizes`.

        What does not have my axes is returned as it is: the verdict on its shape is the engine's.
        """
        groups = self._groups(_count(sizes))
        if not hasattr(a, "transpose") or a.ndim != len(groups):
            return a
        shape: list[int] = []
        for size, group in zip(a.shape, groups, strict=True):
            unknown = [name for name in group if name not in sizes]
            if unknown and len(group) > 1:
                raise ConfigError(
                    f"the layout {self.text!r} joins {' '.join(group)}, but no input says how "
                    f"large {unknown[0]} is. Name the axes as in the layout of an input."
                )
            parts = [size] if len(group) == 1 else [sizes[name] for name in group]
            if math.prod(parts) != size:
                return a
            shape += parts
        found = [name for group in groups for name in group]
        names = _expand(self.theirs, _count(sizes))
        return a.reshape(shape).transpose([found.index(name) for name in names])

    def _groups(self, dots: int) -> list[tuple[str, ...]]:
        """The names that each of my axes joins, "..." written out."""
        found: list[tuple[str, ...]] = []
        for axis in self.mine:
            if isinstance(axis, str):
                found += [(name,) for name in _expand([axis], dots)]
            else:
                found.append(tuple(_expand(axis, dots)))
        return found


def _expand(names: Sequence[str], dots: int) -> list[str]:
    return [
        each
        for name in names
        for each in ([f"{DOTS}{i}" for i in range(dots)] if name == DOTS else [name])
    ]


def _count(sizes: Sizes) -> int:
    return sum(name.startswith(DOTS) for name in sizes)


def _tokens(side: str, text: str) -> list[str]:
    found, rest = [], side.rstrip()
    while rest:
        match = _TOKEN.match(rest)
        if match is None:
            raise ConfigError(f"the layout {text!r} cannot be read at {rest.strip()!r}. {_FORM}")
        found.append(match[1])
        rest = rest[match.end() :]
    return found


def _groups(tokens: Sequence[str], text: str) -> list[str | tuple[str, ...]]:
    found: list[str | tuple[str, ...]] = []
    inside: list[str] | None = None
    for token in tokens:
        if (token == "(") == (inside is not None) and token in "()":
            raise ConfigError(f"the parentheses of the layout {text!r} do not match. {_FORM}")
        if token == "(":
            inside = []
        elif token == ")":
            found.append(tuple(inside or ()))
            inside = None
        elif inside is not None:
            inside += [token] if token != "1" else []
        else:
            found.append(token if token != "1" else ())
    if inside is not None:
        raise ConfigError(f"the parentheses of the layout {text!r} do not match. {_FORM}")
    return found
