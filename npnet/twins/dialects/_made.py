"""How a dialect is made: another configuration, another module or optimizer, other axis orders.

mypy follows no base class that is a variable (misc, valid-type), and torch's step takes a closure
that no dialect does (override): these two reasons stand behind every type: ignore of the package.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from npnet.twins import SPECS
from npnet.twins.optimizer_spec import optimizer_spec
from npnet.twins.spec import spec
from npnet.verify.case import Config, Example
from npnet.verify.dialect import Dialect, Layout
from npnet.verify.precision import Precision
from npnet.verify.spec import Answer, Expected

Change = Callable[[Config, Example], Config]


@dataclass(frozen=True)
class Naming:
    """What a dialect is called, where it is at home, and what it does."""

    name: str
    origin: str
    text: str

    def configured(self, twin: str, change: Change, of: str | None = None) -> Dialect:
        """The twin, or the twin `of`, under a changed configuration, groups of it too."""
        asked = SPECS[of or twin]

        def answer(example: Example, precision: Precision, single: bool = False) -> Answer:
            kwargs = dict(example.kwargs)
            if "groups" in kwargs:
                kwargs["groups"] = tuple(change(group, example) for group in kwargs["groups"])
            changed = replace(example, config=change(example.config, example), kwargs=kwargs)
            found = asked.answer(changed, precision, single)
            example.outputs = changed.outputs
            return found

        return self._of(twin, answer)

    def restated(self, twin: str, module: type[nn.Module], **how: Any) -> Dialect:
        """A module with the twin's arguments and state; `how` is as of the twin's spec."""
        return self._of(twin, spec(module, **how)(SPECS[twin].draw).answer)

    def stepped(self, twin: str, optimizer: type[torch.optim.Optimizer]) -> Dialect:
        """An optimizer with the twin's arguments, in operations that the oracle knows."""
        drawn = SPECS[f"optim.{twin}"]
        made = optimizer_spec(optimizer)(lambda pick: dict(drawn.draw(pick)[0]))
        return self._of(drawn.name, made.answer)

    def moved(self, twin: str, images: str | None = None, **state: str) -> Dialect:
        """The twin in other axis orders."""
        return self._of(twin, SPECS[twin].answer, Layout(images, state))

    def without(self, dialect: Dialect, silent: Callable[[str, Config], bool]) -> Dialect:
        """The dialect, of which these quantities are not judged: it does not have them."""

        def answer(example: Example, precision: Precision, single: bool = False) -> Answer:
            found = dialect.answer(example, precision, single)
            expected = {
                name: _anything(e) if silent(name, example.config) else e
                for name, e in found.expected.items()
            }
            return replace(found, expected=expected)

        return self._of(dialect.twin, answer)

    def _of(
        self, twin: str, answer: Callable[..., Answer], layout: Layout | None = None
    ) -> Dialect:
        return Dialect(self.name, twin, self.origin, self.text, answer, layout)


def _anything(e: Expected) -> Expected:
    return replace(e, error=np.full(e.value.shape, np.inf), required=False)


def setting(**values: Any) -> Change:
    """The configuration with these arguments in the place of its own."""
    return lambda config, example: {**config, **values}
