"""Wrong versions of npnet's own layers and optimizers: one mistake each, such as people make."""

import importlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from unittest.mock import patch

import npnet.nn
import npnet.optim


@dataclass(frozen=True)
class Mutant:
    """`edits` turns the source of `layer` into the mistake; `blames` is the quantity to be named.

    Where the mistake shows in one of several quantities, by the configuration, each is right.
    `shared` names the module of npnet.nn to be edited where it is not the layer's own: "_windows".
    """

    layer: str
    mistake: str
    edits: Mapping[str, str] = field(hash=False)
    blames: str | tuple[str, ...] = field(kw_only=True)
    shared: str | None = field(default=None, kw_only=True)

    def build(self) -> Any:
        """The wrong class, compiled from the edited source of the right one."""
        namespace, _, name = self.layer.rpartition(".")
        right = getattr(npnet.optim if namespace == "optim" else npnet.nn, name)
        own = importlib.import_module(right.__module__)
        if self.shared is None:
            return getattr(self._compiled(own, self.edits), name)
        original = importlib.import_module(f"npnet.nn.{self.shared}")
        wrong = self._compiled(original, self.edits)
        with (
            patch.dict(sys.modules, {original.__name__: wrong}),
            patch.object(npnet.nn, self.shared, wrong),
        ):
            return getattr(self._compiled(own, {}), name)

    def _compiled(self, original: ModuleType, edits: Mapping[str, str]) -> ModuleType:
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
