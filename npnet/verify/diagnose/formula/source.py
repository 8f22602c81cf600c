"""npnet's own source: which functions run for an example, and how one runs after a change."""

import __future__

import ast
import builtins
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, TypeGuard

import numpy as np

from npnet.verify import replies
from npnet.verify.diagnose.formula.slips import MARK, Slip, marks, slips
from npnet.verify.diagnose.formula.trees import Kind, Scope, kind_of
from npnet.verify.finding import Source

_PACKAGE = Path(__file__).parents[3]
_FORMULAS = tuple(f"{_PACKAGE / part}/" for part in ("nn", "optim"))
_PLUMBING = ("_guards.py", "_blocks.py", "groups.py", "state.py")
_CHECKS = ("check", "require", "__post_init__", "_is_")
_NO_VALUES = ("self", "cls", "state", "rng")

Lines = Mapping[str, set[int]]
"""Line numbers by file."""


@dataclass(frozen=True, eq=False)
class Change:
    """A slip in a function of npnet."""

    slip: Slip
    function: FunctionType
    tree: ast.Module

    @contextmanager
    def made(self) -> Iterator[bool]:
        """While the function runs with the slip; False where that is no Python."""
        right = self.function.__code__
        self.slip.swap()
        try:
            wrong = _compiled(self.tree, right)
        finally:
            self.slip.swap()
        if wrong is None:
            yield False
            return
        self.function.__code__ = wrong
        try:
            yield True
        finally:
            self.function.__code__ = right

    @property
    def cost(self) -> float:
        """How far-fetched it is; what layers share is less likely than a layer's own lines."""
        shared = Path(self.function.__code__.co_filename).name.startswith("_")
        return self.slip.cost + 0.04 * shared

    @cached_property
    def source(self) -> Source:
        """Where in npnet it is."""
        code = self.function.__code__
        file = Path(code.co_filename).relative_to(_PACKAGE.parent).as_posix()
        return Source(file, self.slip.line, code.co_qualname)

    @cached_property
    def text(self) -> str:
        """What the candidate does, as a sentence."""
        what, old, new = self.slip.told()
        place = f"{self.source.file}, line {self.source.line}"
        return f"{what}: the numbers are those of `{new}` in place of `{old}` ({place})"


# ---- what runs ----------------------------------------------------------------------------------


@dataclass
class Ran:
    """What of npnet's formulas ran: lines by file in either pass, and what the variables held.

    kinds: by file and first line of the function
    """

    forward: dict[str, set[int]] = field(default_factory=dict)
    backward: dict[str, set[int]] = field(default_factory=dict)
    kinds: dict[tuple[str, int], dict[str, Kind]] = field(default_factory=dict)

    @property
    def both(self) -> Lines:
        """The lines of both passes."""
        files = [*self.forward, *self.backward]
        return {f: self.forward.get(f, set()) | self.backward.get(f, set()) for f in files}


def traced(run: Callable[[], Any]) -> Ran:
    """Run, and take note."""
    ran = Ran()
    lines = ran.forward

    def local(frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        if event == "line":
            lines[code.co_filename].add(frame.f_lineno)
        elif event == "return":
            kinds = ran.kinds.setdefault((code.co_filename, code.co_firstlineno), {})
            kinds |= {name: kind_of(value) for name, value in frame.f_locals.items()}
            options = getattr(frame.f_locals.get("self"), "__dict__", {})
            kinds |= {f"self.{name}": kind_of(value) for name, value in options.items()}
        return local

    def called(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal lines
        file, function = frame.f_code.co_filename, frame.f_code.co_name
        if file == replies.__file__ and function == replies.call_vjp.__name__:
            lines = ran.backward
        if not file.startswith(_FORMULAS) or file.endswith(_PLUMBING):
            return None
        if function.lstrip("_").startswith(_CHECKS):
            return None
        lines.setdefault(file, set())
        return local

    before = sys.gettrace()
    sys.settrace(called)
    try:
        run()
    finally:
        sys.settrace(before)
    return ran


def changes(lines: Lines, ran: Ran, config: frozenset[str]) -> Iterator[Change]:
    """The slips in these lines; config: the names of the options."""
    for function, node, tree, scope, own in _functions_of(lines, ran, config):
        for slip in slips(node, own, scope):
            yield Change(slip, function, tree)


def marked(lines: Lines, ran: Ran) -> Iterator[Change]:
    """The values of the statements in these lines, each changed by some amount."""
    for function, node, tree, _, own in _functions_of(lines, ran):
        for slip in marks(node, own):
            yield Change(slip, function, tree)


@contextmanager
def marking() -> Iterator[list[bool]]:
    """While values that are marked come out changed; what is yielded is filled by those."""
    hit: list[bool] = []

    def off(value: Any) -> Any:
        if isinstance(value, np.ndarray | np.floating) and value.dtype.kind == "f":
            hit.append(True)
            uneven = 1.25 + 0.5 * np.sin(np.arange(value.size)).reshape(value.shape)
            return (value * uneven + 0.25 * np.cos(uneven)).astype(value.dtype)
        if type(value) is float:
            hit.append(True)
            return 1.37 * value + 0.11
        if type(value) in (tuple, list):
            return type(value)(map(off, value))
        if type(value) is dict:
            return {name: off(v) for name, v in value.items()}
        return value

    setattr(builtins, MARK, off)
    try:
        yield hit
    finally:
        delattr(builtins, MARK)


# ---- functions and their trees -------------------------------------------------------------------


def _functions_of(
    lines: Lines, ran: Ran, config: frozenset[str] = frozenset()
) -> Iterator[tuple[FunctionType, ast.FunctionDef, ast.Module, Scope, frozenset[int]]]:
    """The functions that have lines here, with their trees, names, and the lines."""
    for file in lines:
        module = next((m for m in list(sys.modules.values()) if _file(m) == file), None)
        if module is None:
            continue
        source = _parsed(file)
        arity: dict[int, list[str]] = {}
        for name, f in vars(module).items():
            if isinstance(f, FunctionType):
                arity.setdefault(f.__code__.co_argcount, []).append(name)
        for owner, node in _definitions(source):
            function = _live(module, owner, node)
            inside = range(node.lineno, (node.end_lineno or 0) + 1)
            own = frozenset(lines[file] & set(inside))
            if function is None or not own:
                continue
            kinds: dict[str, Kind] = {}
            for (where, line), held in ran.kinds.items():
                kinds |= held if where == file and line in inside else {}
            bare = ast.FunctionDef(node.name, node.args, node.body, [], node.returns)
            tree = ast.Module([ast.copy_location(bare, node)], [])
            kinds = _constants(module) | kinds
            yield function, bare, tree, _scope(node, kinds, arity, config), own


def _file(m: ModuleType) -> str | None:
    return getattr(m, "__file__", None) if m.__name__.startswith("npnet.") else None


@cache
def _parsed(file: str) -> ast.Module:
    return ast.parse(Path(file).read_text("utf-8"))


def _definitions(source: ast.Module) -> Iterator[tuple[str | None, ast.FunctionDef]]:
    """The functions of a module, and the methods of its classes with the class."""
    for node in source.body:
        if isinstance(node, ast.FunctionDef):
            yield None, node
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    yield node.name, method


def _live(module: ModuleType, owner: str | None, node: ast.FunctionDef) -> FunctionType | None:
    """The function that a definition has become; None where it cannot be changed alone."""
    if owner is None:
        found = getattr(module, node.name, None)
    else:
        found = vars(getattr(module, owner, object)).get(node.name)
    found = getattr(found, "__func__", getattr(found, "fget", found))
    if hasattr(found, "cache_clear") or found is None:
        return None
    found = inspect.unwrap(found)
    if not isinstance(found, FunctionType) or found.__code__.co_freevars:
        return None
    return found


def _constants(module: ModuleType) -> dict[str, Kind]:
    """The numbers of a module."""
    return {n: kind_of(x) for n, x in vars(module).items() if type(x) is float}


def _scope(
    node: ast.FunctionDef, kinds: Mapping[str, Kind], arity: Any, config: frozenset[str]
) -> Scope:
    """What a function has at hand, as it was when it ran."""
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    names |= {a.arg for a in ast.walk(node) if isinstance(a, ast.arg)}
    held = {n: k for n, k in kinds.items() if n in names and n not in _NO_VALUES}
    options = {n.removeprefix("self."): k for n, k in kinds.items() if n.startswith("self.")}
    keys = [n.slice.value for n in ast.walk(node) if _is_item(n)]
    items = [ast.unparse(n) for n in ast.walk(node) if _is_item(n)]
    return Scope(held, arity, options, list(dict.fromkeys(keys)), config, set(items))


def _is_item(n: ast.AST) -> TypeGuard[Any]:
    """Whether it is something looked up by name."""
    if not isinstance(n, ast.Subscript) or not isinstance(n.ctx, ast.Load):
        return False
    return isinstance(n.slice, ast.Constant) and isinstance(n.slice.value, str)


def _compiled(tree: ast.Module, right: CodeType) -> CodeType | None:
    """The code of the one function of a module; None where that is no Python."""
    flags = right.co_flags & __future__.annotations.compiler_flag
    try:
        module = compile(tree, right.co_filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, TypeError):
        return None
    code = next((c for c in module.co_consts if isinstance(c, CodeType)), None)
    return code if code is not None and not code.co_freevars else None
