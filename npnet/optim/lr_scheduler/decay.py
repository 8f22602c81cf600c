"""Schedules whose rate is the initial one times a factor of the step."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from npnet.contract import ConfigError


@dataclass(frozen=True)
class LambdaLR:
    """rate(t) = lr · lr_lambda(t).

    Twin: torch.optim.lr_scheduler.LambdaLR, with one function for all parameter groups.
    """

    lr: float
    lr_lambda: Callable[[int], float]

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        return self.lr * self.lr_lambda(step)

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step, whatever the one before was."""
        return self(step)


@dataclass(frozen=True)
class MultiplicativeLR:
    """rate(t) = rate(t - 1) · lr_lambda(t), and rate(0) = lr.

    lr_lambda is asked from step 1 on: of step 0 it makes no difference.

    Twin: torch.optim.lr_scheduler.MultiplicativeLR, with one function for all parameter groups.
    """

    lr: float
    lr_lambda: Callable[[int], float]

    def __call__(self, step: int) -> float:
        """The rate of a step; takes a time in proportion to it."""
        rate = self.lr
        for t in range(1, step + 1):
            rate *= self.lr_lambda(t)
        return rate

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step from that of the step before."""
        return rate * self.lr_lambda(step) if step else rate


@dataclass(frozen=True)
class StepLR:
    """rate(t) = lr · gamma^⌊t / step_size⌋.

    Raises ConfigError.
    Twin: torch.optim.lr_scheduler.StepLR.
    """

    lr: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        if self.step_size < 1:
            raise ConfigError(f"StepLR needs step_size >= 1, but got {self.step_size}.")

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        return float(self.lr * self.gamma ** (step // self.step_size))

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step from that of the step before."""
        return rate * self.gamma if step and step % self.step_size == 0 else rate


@dataclass(frozen=True)
class MultiStepLR:
    """rate(t) = lr · gamma^(number of milestones up to t, t included).

    A milestone that is named twice counts twice.

    Twin: torch.optim.lr_scheduler.MultiStepLR.
    """

    lr: float
    milestones: tuple[int, ...]
    gamma: float = 0.1

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        return float(self.lr * self.gamma ** bisect_right(sorted(self.milestones), step))

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step from that of the step before."""
        return float(rate * self.gamma ** tuple(self.milestones).count(step))


@dataclass(frozen=True)
class ConstantLR:
    """rate(t) = lr · factor before total_iters, and lr from then on.

    Raises ConfigError.
    Twin: torch.optim.lr_scheduler.ConstantLR.
    """

    lr: float
    factor: float = 1.0 / 3
    total_iters: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.factor <= 1:
            raise ConfigError(f"ConstantLR needs 0 <= factor <= 1, but got {self.factor}.")

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        return self.lr * self.factor if step < self.total_iters else self.lr

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step from that of the step before."""
        if step == 0:
            return rate * self.factor
        return rate / self.factor if step == self.total_iters else rate


@dataclass(frozen=True)
class LinearLR:
    """rate(t) = lr · (start_factor + (end_factor - start_factor) · min(t / total_iters, 1)).

    Raises ConfigError.
    Twin: torch.optim.lr_scheduler.LinearLR.
    """

    lr: float
    start_factor: float = 1.0 / 3
    end_factor: float = 1.0
    total_iters: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.start_factor <= 1 or not 0 <= self.end_factor <= 1:
            raise ConfigError(
                "LinearLR needs 0 < start_factor <= 1 and 0 <= end_factor <= 1, but got "
                f"start_factor={self.start_factor} and end_factor={self.end_factor}."
            )

    def _factor(self, step: int) -> float:
        rise = self.end_factor - self.start_factor
        return self.start_factor + rise * min(step, self.total_iters) / self.total_iters

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        return self.lr * self._factor(step)

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step from that of the step before."""
        if step == 0:
            return rate * self.start_factor
        if step > self.total_iters:
            return rate
        return rate * (self._factor(step) / self._factor(step - 1))


@dataclass(frozen=True)
class ExponentialLR:
    """rate(t) = lr · gamma^t.

    Twin: torch.optim.lr_scheduler.ExponentialLR.
    """

    lr: float
    gamma: float

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        return float(self.lr * self.gamma**step)

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step from that of the step before."""
        return rate * self.gamma if step else rate


@dataclass(frozen=True)
class PolynomialLR:
    """rate(t) = lr · (1 - min(t, total_iters) / total_iters)^power.

    Raises ConfigError.
    Twin: torch.optim.lr_scheduler.PolynomialLR.
    """

    lr: float
    total_iters: int = 5
    power: float = 1.0

    def __post_init__(self) -> None:
        if self.total_iters < 1:
            raise ConfigError(f"PolynomialLR needs total_iters >= 1, but got {self.total_iters}.")

    def _left(self, step: int) -> float:
        return 1.0 - min(step, self.total_iters) / self.total_iters

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        return float(self.lr * self._left(step) ** self.power)

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step from that of the step before."""
        if step == 0 or step > self.total_iters:
            return rate
        return float(rate * (self._left(step) / self._left(step - 1)) ** self.power)
