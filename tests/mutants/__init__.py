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

    def build(self) -> Any:
        """The wrong class, compiled from the edited source of the right one."""
        namespace, _, name = self.layer.rpartition(".")
        packages = {"optim": npnet.optim, "lr_scheduler": npnet.optim.lr_scheduler}
        right = getattr(packages.get(namespace, npnet.nn), name)
        original = importlib.import_module(right.__module__)
        return getattr(edited(original, self.edits, f"{self.layer}, {self.mistake!r}"), name)


def edited(original: ModuleType, edits: Mapping[str, str], what: str) -> ModuleType:
    """A module compiled from another one's source after these edits."""
    source = inspect.getsource(original)
    for old, new in edits.items():
        if source.count(old) != 1:
            raise LookupError(
                f"{what}: the text to edit must occur once in {original.__file__}, but occurs "
                f"{source.count(old)} times:\n{old}"
            )
        source = source.replace(old, new)
    module = ModuleType(f"{original.__name__}__mutant")
    module.__file__ = original.__file__
    # dataclasses look their module up by name while they are built
    sys.modules[module.__name__] = module
    exec(compile(source, f"<mutant: {what}>", "exec"), vars(module))
    return module
