"""The dialects of every twin, by the twin's name: one file per family, the commonest first."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from npnet.verify.dialect import Dialect

_ALL: list[Dialect] = [
    dialect
    for module in iter_modules(__path__)
    if not module.name.startswith("_")
    for dialect in import_module(f"{__name__}.{module.name}").FAMILY
]

DIALECTS: Mapping[str, tuple[Dialect, ...]] = {
    twin: tuple(d for d in _ALL if d.twin == twin) for twin in dict.fromkeys(d.twin for d in _ALL)
}
