"""The plainest question that a spec can draw."""

import inspect
from collections.abc import Mapping
from typing import Any

from hypothesis import find
from hypothesis import strategies as st

from npnet.verify.draw import Pick, Values
from npnet.verify.spec import Spec
from npnet.verify.targets import own_class


class _Plainest(Pick):
    """Picks the defaults of npnet's own class, the first of values that are named, small sizes."""

    _SIZES = (3, 4, 2)

    def __init__(self, defaults: Mapping[str, Any]) -> None:
        super().__init__(None, {})  # type: ignore[arg-type]  # nothing is drawn
        self._defaults = defaults
        self._sizes = 0

    def __call__(self, name: str, strategy: st.SearchStrategy[Any]) -> Any:
        """The simplest of what a strategy draws."""
        known = name in self._defaults
        value = self._defaults[name] if known else find(strategy, lambda _: True)
        self.choices[name] = value
        return value

    def choose(self, name: str, values: tuple[Any, ...]) -> Any:
        """The default; where that is None and the twin is never asked it, the first value."""
        default = self._defaults.get(name)
        plain = default is not None or (name in self._defaults and None in values)
        value = self.choices[name] = default if plain else values[0]
        return value

    def size(self, name: str) -> int:
        """3, 4, 2: axes that differ are told apart."""
        value = self.choices[name] = self._SIZES[self._sizes % len(self._SIZES)]
        self._sizes += 1
        return value

    def batch(self, name: str = "batch") -> tuple[int, ...]:
        """A batch of two."""
        self.choices[name] = (2,)
        return (2,)


def _defaults(name: str) -> dict[str, Any]:
    parameters = inspect.signature(own_class(name)).parameters.values()
    found = {p.name: p.default for p in parameters if p.default is not p.empty}
    if "dropout" in found:  # inside of other layers: without it both sides compute the same
        found["dropout"] = 0.0
    return found


def drawn(name: str, spec: Spec) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """config, inputs, kwargs: with defaults, small sizes, Values in the place of arrays."""
    config, inputs, *rest = spec.draw(_Plainest(_defaults(name)))
    return dict(config), inputs, dict(rest[0]) if rest else {}


def spoken(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that are not the default's."""
    parameters = inspect.signature(own_class(name)).parameters
    return {
        n: v
        for n, v in config.items()
        if n == "layers" or isinstance(v, Values) or parameters[n].default != v
    }
