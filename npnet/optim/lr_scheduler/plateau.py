"""A schedule that looks at what is to be improved."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from npnet.contract import ConfigError


class PlateauState(NamedTuple):
    """The rate, the best metric so far, the steps without a better one, those left to cool down."""

    lr: float
    best: float
    num_bad_epochs: int = 0
    cooldown_counter: int = 0


@dataclass(frozen=True)
class ReduceLROnPlateau:
    """rate ← max(rate · factor, min_lr) where the metric has not improved for patience steps.

    Better is, by mode and threshold_mode: below best · (1 - threshold) ("min", "rel"), below
    best - threshold ("min", "abs"), above best · (1 + threshold) ("max", "rel"), above
    best + threshold ("max", "abs"). The rate is lr at first. It falls at the step number
    patience + 1 without a better metric; for cooldown steps after that none is counted. A change of
    eps or less is not made.

    Raises ConfigError.
    Twin: torch.optim.lr_scheduler.ReduceLROnPlateau.
    """

    lr: float
    mode: str = "min"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float = 0.0
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if self.factor >= 1:
            raise ConfigError(f"ReduceLROnPlateau needs factor < 1, but got {self.factor}.")
        if self.mode not in ("min", "max") or self.threshold_mode not in ("rel", "abs"):
            raise ConfigError(
                "ReduceLROnPlateau needs mode 'min' or 'max' and threshold_mode 'rel' or 'abs', "
                f"but got {self.mode!r} and {self.threshold_mode!r}."
            )

    def init(self) -> PlateauState:
        """The state before the first metric."""
        return PlateauState(self.lr, math.inf if self.mode == "min" else -math.inf)

    def step(self, metric: float, state: PlateauState) -> PlateauState:
        """The state, and with it the rate, after a metric."""
        rate, best, bad, cooldown = state
        metric = float(metric)
        if self._better(metric, best):
            best, bad = metric, 0
        else:
            bad += 1
        if cooldown > 0:
            cooldown, bad = cooldown - 1, 0
        if bad > self.patience:
            lower = max(rate * self.factor, self.min_lr)
            rate = lower if rate - lower > self.eps else rate
            cooldown, bad = self.cooldown, 0
        return PlateauState(rate, best, bad, cooldown)

    def _better(self, metric: float, best: float) -> bool:
        sign = -1.0 if self.mode == "min" else 1.0
        if self.threshold_mode == "rel":
            goal = best * (1.0 + sign * self.threshold)
        else:
            goal = best + sign * self.threshold
        return metric < goal if self.mode == "min" else metric > goal
