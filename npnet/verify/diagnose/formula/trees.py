"""Expressions, what one might have been instead, and the names that were at hand."""

import ast
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

Tree = ast.expr


Kind = tuple[Any, ...]


def kind_of(value: Any) -> Kind:
    """What a variable holds: two of one kind may be taken for each other."""
    if isinstance(value, np.ndarray):
        return "array", value.dtype.kind, value.shape
    if isinstance(value, tuple) and all(isinstance(n, int) for n in value):
        return "integers", len(value)
    return (type(value).__name__,)


@dataclass(frozen=True)
class Scope:
    """The names that an expression might have used instead.

    variables: of the function, with what they hold
    functions: of the module, by the number of parameters
    options: attributes of self, with what they hold
    items: what is looked up by name; keys: the names of these
    config: the names of the options
    """

    variables: Mapping[str, Kind]
    functions: Mapping[int, Sequence[str]]
    options: Mapping[str, Kind]
    keys: Sequence[str]
    config: frozenset[str]
    items: Set[str]

    def kind(self, tree: Tree, kind: str) -> str:
        """What it is to leave an operand out: an option ignored, or else a term or a factor."""
        last = tree.attr if isinstance(tree, ast.Attribute) else getattr(tree, "id", "")
        if last in self.config:
            return "option"
        names = (n.id for n in ast.walk(tree) if isinstance(n, ast.Name))
        arrays = any(self.variables.get(n, ("",))[0] == "array" for n in names)
        return "axis factor" if arrays and kind == "factor" else kind


@dataclass(frozen=True)
class Other:
    """An expression in place of another: its kind, what was done, and how far-fetched that is.

    about: what stands for {} in the sentence
    """

    tree: Tree
    kind: str
    what: str
    cost: float = 0.0
    about: Tree | None = None

    @property
    def text(self) -> str:
        """What was done, as a sentence."""
        return self.what if self.about is None else self.what.format(name(self.about))


def name(tree: Tree) -> str:
    """An expression as it stands in a sentence."""
    text = ast.unparse(tree)
    return f"`{text}`" if len(text) <= _LONG else "a part"


_LONG = 48


def of(a: Tree, op: ast.operator, b: Tree) -> Tree:
    """a op b."""
    return ast.BinOp(a, op, b)


def call(function: str, a: Tree) -> Tree:
    """A call of one argument."""
    return ast.Call(ast.parse(function, mode="eval").body, [a], [])


def with_args(node: ast.Call, args: list[Tree]) -> Tree:
    """The call with other arguments."""
    return ast.Call(node.func, args, node.keywords)


def transposed(a: Tree) -> Tree:
    """a.T."""
    return ast.Attribute(a, "T", ast.Load())


def last_name(node: Tree) -> str:
    """The last part of a dotted name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def renamed(node: Tree, other: str) -> Tree:
    """A dotted name with another last part."""
    if isinstance(node, ast.Attribute):
        return ast.Attribute(node.value, other, ast.Load())
    return ast.Name(other, ast.Load())
