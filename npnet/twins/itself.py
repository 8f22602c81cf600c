"""torch's own layers, optimizers, schedules and operations, as what a question is put to."""

from collections.abc import Callable
from typing import Any

import torch

from npnet.contract import Forward, Grads
from npnet.twins.autograd import MODULES
from npnet.twins.function import torch_function
from npnet.verify.case import Case, Example
from npnet.verify.precision import PRECISIONS
from npnet.verify.targets import specs


def torch_class(name: str) -> type:
    """torch's own class of a layer, an optimizer or a schedule; the module of an operation."""
    package, _, own = name.rpartition(".")
    if package == "autograd":
        return MODULES[name]
    places = {"": torch.nn, "optim": torch.optim, "lr_scheduler": torch.optim.lr_scheduler}
    found: type = getattr(places[package], own)
    return found


def torch_itself(name: str) -> Callable[[Any], Any]:
    """torch as a candidate of its own twin."""
    return _rates(name) if specs()[name].schedule else torch_function(torch_class(name))


def _rates(name: str) -> Callable[[Case], Forward]:
    """The answer of the spec, which is torch's own."""

    def ask(case: Case) -> Forward:
        example = Example(name, case.config, {}, 1, ("normal",), kwargs=case.kwargs)
        found = specs()[name].answer(example, PRECISIONS["float64"]).expected
        ys = tuple(e.value[0] for e in found.values())
        return Forward(ys if len(ys) > 1 else ys[0], lambda dy: Grads(()))

    return ask
