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
    """

    layer: str
    mistake: str
    edits: Mapping[str, str] = field(hash=False)
    blames: str | tuple[str, ...] = field(kw_only=True)
    module: str | None = field(default=None, kw_only=True)  # that is edited, if not the layer's own

    def build(self) -> Any:
        """The wrong class, compiled from the edited source of the right one."""
        namespace, _, name = self.layer.rpartition(".")
        right = getattr(npnet.optim if namespace == "optim" else npnet.nn, name)
        own = importlib.import_module(right.__module__)
        if self.module is None:
            return getattr(self._compiled(own, self.edits), name)
        shared = importlib.import_module(self.module)
        wrong, layers = self._compiled(shared, self.edits), self._compiled(own, {})
        for key, value in vars(own).items():  # what the layer's module imports of the other
            if not key.startswith("__") and vars(shared).get(key) is value:
                setattr(layers, key, getattr(wrong, key))
        return getattr(layers, name)

    def _compiled(self, original: ModuleType, edits: Mapping[str, str]) -> ModuleType:
        """A copy of a module with an edited source."""
        source = inspect.getsource(original)
        for old, new in edits.items():
            if source.count(old) != 1:
                raise LookupError(
                    f"{self.layer}, {self.mistake!r}: the text to edit must occur once in "
                    f"{original.__file__}, but occurs {source.count(old)} times:\n{old}"
                )
            source = source.replace(old, new)
        module = ModuleType(f"{original.__name__}__mutant")
        module.__file__ = original.__file__
        # dataclasses look their module up by name while they are built
        sys.modules[module.__name__] = module
        exec(compile(source, f"<mutant of {self.layer}>", "exec"), vars(module))
        return module
