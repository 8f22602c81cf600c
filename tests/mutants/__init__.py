"""Wrong versions of npnet's own layers and optimizers: one mistake each, such as people make."""

import importlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import npnet.nn
import npnet.optim


@dataclass(frozen=True)
class Mutant:
    """`edits` turns the source of `layer` into the mistake; `blames` is the quantity to be named.

    Where the mistake shows in one of several quantities, by the configuration, each is right.
    `module` is the module to edit where that is one that the layer's own imports from.
    """

    layer: str
    mistake: str
    edits: Mapping[str, str] = field(hash=False)
    blames: str | tuple[str, ...] = field(kw_only=True)
    module: str | None = field(default=None, kw_only=True)

    def build(self) -> Any:
        """The wrong class, compiled from the edited source of the right one."""
        namespace, _, name = self.layer.rpartition(".")
        right = getattr(npnet.optim if namespace == "optim" else npnet.nn, name)
        home = importlib.import_module(right.__module__)
        source = inspect.getsource(home)
        if self.module is None:
            return getattr(self._compiled(home, self._edited(source, home)), name)
        shared = importlib.import_module(self.module)
        wrong = self._compiled(shared, self._edited(inspect.getsource(shared), shared))
        redirected = source.replace(f"from {self.module} import", f"from {wrong.__name__} import")
        if redirected == source:
            raise LookupError(f"{home.__file__} imports nothing from {self.module}")
        return getattr(self._compiled(home, redirected), name)

    def _edited(self, source: str, original: ModuleType) -> str:
        for old, new in self.edits.items():
            if source.count(old) != 1:
                raise LookupError(
                    f"{self.layer}, {self.mistake!r}: the text to edit must occur once in "
                    f"{original.__file__}, but occurs {source.count(old)} times:\n{old}"
                )
            source = source.replace(old, new)
        return source

    def _compiled(self, original: ModuleType, source: str) -> ModuleType:
        module = ModuleType(f"{original.__name__}__mutant")
        module.__file__ = original.__file__
        # dataclasses look their module up by name while they are built
        sys.modules[module.__name__] = module
        exec(compile(source, f"<mutant of {self.layer}>", "exec"), vars(module))
        return module
