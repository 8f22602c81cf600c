"""Wrong versions of npnet's own layers and optimizers: one mistake each, such as people make."""

import ast
import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import npnet.autograd
import npnet.nn
import npnet.optim


@dataclass(frozen=True)
class Mutant:
    """`edits` turns the source of `layer` into the mistake; `blames` is the quantity to be named.

    The text to edit stands in the module that defines the layer, in a private one beside it that
    it imports from, or in `module`; that of an operation of a tensor in any of npnet.autograd's.
    Where the mistake shows in one of several quantities, by the
    configuration, each is right.
    """

    layer: str
    mistake: str
    edits: Mapping[str, str] = field(hash=False)
    blames: str | tuple[str, ...] = field(kw_only=True)
    module: str | None = field(default=None, kw_only=True)

    def build(self) -> Any:
        """The wrong class, or method, compiled from the edited source of the right one."""
        original, named = self._modules()
        wrong: Any = edited(original, self.edits, f"{self.layer}, {self.mistake!r}", named)
        namespace, _, name = self.layer.rpartition(".")
        return getattr(wrong.Tensor if namespace == "autograd" else wrong, name)

    def places(self) -> frozenset[tuple[str, int]]:
        """Where the statements begin that are edited: file, as npnet/nn/linear.py, and line."""
        original, named = self._modules()
        found: set[tuple[str, int]] = set()
        for old in self.edits:
            for m, source in _sources(original, named).items():
                if old in source:
                    first = source[: source.index(old)].count("\n") + 1
                    last = first + old.count("\n")
                    file = "/".join(m.__name__.split(".")) + ".py"
                    found |= {(file, n) for n in _statements(source, first, last)}
                    break
        return frozenset(found)

    def _modules(self) -> tuple[ModuleType, list[ModuleType]]:
        namespace, _, name = self.layer.rpartition(".")
        right = getattr(_PLACES.get(namespace, npnet.nn), name)
        original = importlib.import_module(right.__module__)
        named = [self.module] if self.module else _BESIDE.get(namespace, [])
        return original, [importlib.import_module(m) for m in named]


_PLACES = {
    "optim": npnet.optim,
    "lr_scheduler": npnet.optim.lr_scheduler,
    "autograd": npnet.autograd.Tensor,
}
_BESIDE = {"autograd": ["npnet.autograd.operations", "npnet.autograd.graph"]}


def _statements(source: str, first: int, last: int) -> set[int]:
    """The first lines of the innermost statements that stand in some lines."""
    found = set()
    for n in range(first, last + 1):
        around = [
            s for s in ast.walk(ast.parse(source))
            if isinstance(s, ast.stmt) and s.lineno <= n <= (s.end_lineno or s.lineno)
        ]  # fmt: skip
        if around:
            found.add(min(around, key=lambda s: (s.end_lineno or 0) - s.lineno).lineno)
    return found


def _sources(original: ModuleType, named: Sequence[ModuleType]) -> dict[ModuleType, str]:
    return {m: inspect.getsource(m) for m in (*named, original, *_private(original))}


def edited(
    original: ModuleType, edits: Mapping[str, str], what: str, named: Sequence[ModuleType] = ()
) -> ModuleType:
    """A module compiled from another one's source after edits, in what it imports too."""
    sources = _sources(original, named)
    changed = {original}
    for old, new in edits.items():
        place = next((m for m, source in sources.items() if old in source), original)
        count = sources[place].count(old)
        if count != 1:
            raise LookupError(
                f"{what}: the text to edit must occur once in {place.__file__}, but occurs "
                f"{count} times:\n{old}"
            )
        sources[place] = sources[place].replace(old, new)
        changed.add(place)
    wrong: dict[str, ModuleType] = {}
    for m in sorted(changed, key=lambda m: m is original):  # what it imports comes first
        wrong[m.__name__] = _compiled(m, sources[m], wrong, what)
    return wrong[original.__name__]


def _compiled(
    original: ModuleType, source: str, imported: Mapping[str, ModuleType], what: str
) -> ModuleType:
    """A module of this source, which imports these modules in the place of the right ones."""
    module = ModuleType(f"{original.__name__}__mutant")
    module.__file__ = original.__file__
    # dataclasses look their module up by name while they are built
    sys.modules[module.__name__] = module
    right = {name: sys.modules[name] for name in imported}
    _put(imported)
    try:
        exec(compile(source, f"<mutant: {what}>", "exec"), vars(module))
    finally:
        _put(right)
    return module


def _put(modules: Mapping[str, ModuleType]) -> None:
    """Where an import looks: by the whole name, and by the last part in its package."""
    for name, module in modules.items():
        package, _, last = name.rpartition(".")
        sys.modules[name] = module
        setattr(sys.modules[package], last, module)


def _private(module: ModuleType) -> list[ModuleType]:
    """The private modules beside it that a module of npnet imports from."""
    package = module.__name__.rpartition(".")[0]
    names = {getattr(value, "__module__", None) for value in vars(module).values()}
    return [sys.modules[n] for n in sorted(filter(None, names)) if n.startswith(f"{package}._")]
