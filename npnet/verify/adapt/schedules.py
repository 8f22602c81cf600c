"""Adapter for learning-rate schedules: a function of the configuration and the steps."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npnet.contract import Forward, Grads
from npnet.verify.adapt.wiring import Adapted, Takes, places
from npnet.verify.case import Case


def schedule(f: Callable[..., Any]) -> Adapted:
    """f(config, steps) -> the rates of steps 0 to steps - 1; (rates, momenta) with momenta.

    config: the arguments of torch's scheduler by name, `lr` in the place of its optimizer. For
    ReduceLROnPlateau, f has an argument `metrics` and gets one metric for each step.
    """
    takes_metrics = "metrics" in Takes.of(f).names

    def run(case: Case) -> Forward:
        more = {"metrics": list(case.kwargs["metrics"])} if takes_metrics else {}
        found = f(dict(case.config), case.kwargs["steps"], **more)
        two = case.config.get("cycle_momentum") and len(found) == 2
        y = tuple(map(_rates, found)) if two else _rates(found)
        return Forward(y, lambda dy: Grads(()))

    return Adapted(run, f, places(f, f))


def _rates(values: Any) -> Any:
    """Numbers as an array; anything else as it is, to be judged."""
    return np.asarray(values, np.float64) if isinstance(values, list | tuple) else values
