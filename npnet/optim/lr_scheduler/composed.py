"""Schedules made of others: one after the other, or all at a time."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from npnet.contract import ConfigError
from npnet.optim.lr_scheduler.decay import MultiplicativeLR


class Schedule(Protocol):
    """A pure function of the step."""

    @property
    def lr(self) -> float:
        """The rate before the schedule."""
        ...

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        ...

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step from that of the step before."""
        ...


@dataclass(frozen=True)
class SequentialLR:
    """rate(t) = schedulers[i](t - milestones[i - 1]) from milestones[i - 1] on.

    Every schedule begins anew at its milestone, from its own lr; a MultiplicativeLR goes on from
    the rate that it finds, and multiplies by lr_lambda(0) there.

    Raises ConfigError, also for a composed schedule in another place than the first, as torch does
    at its milestone.
    Twin: torch.optim.lr_scheduler.SequentialLR.
    """

    schedulers: tuple[Schedule, ...]
    milestones: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.milestones) != len(self.schedulers) - 1:
            raise ConfigError(
                "SequentialLR needs one milestone less than schedulers, but got "
                f"{len(self.milestones)} and {len(self.schedulers)}."
            )
        if any(isinstance(s, SequentialLR | ChainedScheduler) for s in self.schedulers[1:]):
            raise ConfigError(
                "SequentialLR needs a composed schedule to come first, but got "
                f"{[type(s).__name__ for s in self.schedulers]}."
            )

    @property
    def lr(self) -> float:
        """The rate before the schedule."""
        return self.schedulers[0].lr

    def __call__(self, step: int) -> float:
        """The rate of a step; takes a time in proportion to it."""
        return _followed(self, step)

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step from that of the step before."""
        i = bisect_right(self.milestones, step)
        schedule, since = self.schedulers[i], step - (self.milestones[i - 1] if i else 0)
        if i and since == 0:
            if isinstance(schedule, MultiplicativeLR):
                return rate * schedule.lr_lambda(0)
            return schedule(0)
        return schedule.follow(since, rate)


@dataclass(frozen=True)
class ChainedScheduler:
    """rate(t) = sₙ.follow(t, … s₁.follow(t, rate(t - 1))): every schedule changes the rate in turn.

    s₁ … sₙ are schedulers. Those that multiply the rate (Step, MultiStep, Constant, Linear,
    Exponential, Polynomial, Multiplicative) multiply each other; one that sets it (Lambda, Cyclic,
    OneCycle, the one with warm restarts) undoes what came before it.

    Raises ConfigError.
    Twin: torch.optim.lr_scheduler.ChainedScheduler.
    """

    schedulers: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        if not self.schedulers:
            raise ConfigError("ChainedScheduler needs one schedule or more, but got none.")

    @property
    def lr(self) -> float:
        """The rate before the schedule."""
        return self.schedulers[0].lr

    def __call__(self, step: int) -> float:
        """The rate of a step; takes a time in proportion to it."""
        return _followed(self, step)

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step from that of the step before."""
        for schedule in self.schedulers:
            rate = schedule.follow(step, rate)
        return rate


_Composed: TypeAlias = SequentialLR | ChainedScheduler


def _followed(schedule: _Composed, step: int) -> float:
    rate = schedule.lr
    for t in range(step + 1):
        rate = schedule.follow(t, rate)
    return rate
