"""Schedules that go up and down: cosines, triangles, one cycle of both rate and momentum."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from npnet.contract import ConfigError


@dataclass(frozen=True)
class CosineAnnealingLR:
    """rate(t) = eta_min + (lr - eta_min) (1 + cos(π t / T_max)) / 2.

    Behind T_max the rate rises again, with the cosine: it does not stay at eta_min.

    Raises ConfigError.
    Twin: torch.optim.lr_scheduler.CosineAnnealingLR. Source: Loshchilov & Hutter (2017),
    arXiv:1608.03983, without its restarts.
    """

    lr: float
    T_max: int
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        if self.T_max < 1:
            raise ConfigError(f"CosineAnnealingLR needs T_max >= 1, but got {self.T_max}.")

    def _height(self, step: int) -> float:
        return (1 + math.cos(math.pi * step / self.T_max)) / 2

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        return self.eta_min + (self.lr - self.eta_min) * self._height(step)

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step from that of the step before."""
        if step == 0:
            return rate
        if (step - 1 - self.T_max) % (2 * self.T_max) == 0:  # behind a valley, of height 0
            return rate + (self.lr - self.eta_min) * (1 - math.cos(math.pi / self.T_max)) / 2
        return self._height(step) / self._height(step - 1) * (rate - self.eta_min) + self.eta_min


@dataclass(frozen=True)
class CosineAnnealingWarmRestarts:
    """rate(t) = eta_min + (lr - eta_min) (1 + cos(π T_cur / T_i)) / 2.

    T_cur counts the steps since the last restart; the first period has T_0 steps, and every other
    one T_mult times those of the period before.

    Raises ConfigError.
    Twin: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts. Source: Loshchilov & Hutter (2017),
    arXiv:1608.03983.
    """

    lr: float
    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        if self.T_0 < 1 or self.T_mult < 1:
            raise ConfigError(
                "CosineAnnealingWarmRestarts needs T_0 >= 1 and T_mult >= 1, but got "
                f"T_0={self.T_0} and T_mult={self.T_mult}."
            )

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        since, period = step, self.T_0
        if self.T_mult == 1:
            since %= period
        while since >= period:
            since, period = since - period, period * self.T_mult
        height = (1 + math.cos(math.pi * since / period)) / 2
        return self.eta_min + (self.lr - self.eta_min) * height

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step, whatever the one before was."""
        return self(step)


@dataclass(frozen=True)
class CyclicLR:
    """rate(t) = base_lr + (max_lr - base_lr) · tent(t) · scale.

    tent rises from 0 to 1 in step_size_up steps and falls to 0 in step_size_down (None: as many).
    scale, by mode: 1 ("triangular"), 2^(1 - cycle) ("triangular2", cycle counts from 1), gamma^t
    ("exp_range"); or scale_fn of the cycle or of the step (scale_mode "cycle" or "iterations").

    With cycle_momentum, momentum(t) = max_momentum - (max_momentum - base_momentum) · tent · scale:
    it falls while the rate rises. There is no lr: base_lr is the lowest rate, and the first.

    Raises ConfigError.
    Twin: torch.optim.lr_scheduler.CyclicLR. Source: Smith (2017), arXiv:1506.01186.
    """

    base_lr: float
    max_lr: float
    step_size_up: int = 2000
    step_size_down: int | None = None
    mode: str = "triangular"
    gamma: float = 1.0
    scale_fn: Callable[[float], float] | None = None
    scale_mode: str = "cycle"
    cycle_momentum: bool = True
    base_momentum: float = 0.8
    max_momentum: float = 0.9

    def __post_init__(self) -> None:
        if self.scale_fn is None and self.mode not in ("triangular", "triangular2", "exp_range"):
            raise ConfigError(
                "CyclicLR needs mode 'triangular', 'triangular2' or 'exp_range', or a scale_fn, "
                f"but got mode={self.mode!r}."
            )

    @property
    def lr(self) -> float:
        """The first rate."""
        return self.base_lr

    def _scaled_tent(self, step: int) -> float:
        up = float(self.step_size_up)
        total = up + (up if self.step_size_down is None else self.step_size_down)
        cycle = math.floor(1 + step / total)
        x, top = 1 + step / total - cycle, up / total
        tent = x / top if x <= top else (x - 1) / (top - 1)
        if self.scale_fn is not None:
            return tent * self.scale_fn(cycle if self.scale_mode == "cycle" else step)
        if self.mode == "triangular":
            return tent
        return float(
            tent * (2.0 ** (1 - cycle) if self.mode == "triangular2" else self.gamma**step)
        )

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        return self.base_lr + (self.max_lr - self.base_lr) * self._scaled_tent(step)

    def momentum(self, step: int) -> float | None:
        """The momentum (or β₁) of a step; None where it is left alone."""
        if not self.cycle_momentum:
            return None
        fall = (self.max_momentum - self.base_momentum) * self._scaled_tent(step)
        return self.max_momentum - fall

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step, whatever the one before was."""
        return self(step)


@dataclass(frozen=True)
class OneCycleLR:
    """From max_lr / div_factor up to max_lr, then down to that first rate / final_div_factor.

    The number of steps is total_steps, or epochs · steps_per_epoch; the rise takes the part
    pct_start of them. three_phase: down to the first rate as fast as it rose, and only then to the
    last one. With cycle_momentum the momentum goes from max_momentum down to base_momentum and
    back.

    Where a phase leads from u to v, the rate is v + (u - v) (1 + cos πq) / 2 after the part q of it
    with anneal_strategy="cos", u + (v - u) q with "linear". The rise ends at
    pct_start · total_steps - 1, which need not be a whole step, three_phase's fall at
    2 · pct_start · total_steps - 2, and all at total_steps - 1.

    Raises ConfigError, for a step behind the last one too.
    Twin: torch.optim.lr_scheduler.OneCycleLR. Source: Smith & Topin (2018), arXiv:1708.07120,
    which has three phases.
    """

    max_lr: float
    total_steps: int | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    cycle_momentum: bool = True
    base_momentum: float = 0.85
    max_momentum: float = 0.95
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __post_init__(self) -> None:
        if self._steps is None or self._steps < 1:
            raise ConfigError(
                "OneCycleLR needs total_steps >= 1, or epochs and steps_per_epoch, but got "
                f"total_steps={self.total_steps}, epochs={self.epochs} and "
                f"steps_per_epoch={self.steps_per_epoch}."
            )
        if not 0 <= self.pct_start <= 1:
            raise ConfigError(f"OneCycleLR needs 0 <= pct_start <= 1, but got {self.pct_start}.")
        if self.anneal_strategy not in ("cos", "linear"):
            raise ConfigError(
                "OneCycleLR needs anneal_strategy 'cos' or 'linear', but got "
                f"{self.anneal_strategy!r}."
            )

    @property
    def _steps(self) -> int | None:
        if self.total_steps is not None:
            return self.total_steps
        if self.epochs is None or self.steps_per_epoch is None:
            return None
        return self.epochs * self.steps_per_epoch

    @property
    def lr(self) -> float:
        """The first rate."""
        return self.max_lr / self.div_factor

    def _phases(self) -> list[tuple[float, float, float, float, float]]:
        """(last step, first and last rate, first and last momentum) of every phase."""
        n = self._steps or 0
        first, top, last = self.lr, self.max_lr, self.lr / self.final_div_factor
        high, low = self.max_momentum, self.base_momentum
        rise = (float(self.pct_start * n) - 1, first, top, high, low)
        if not self.three_phase:
            return [rise, (n - 1, top, last, low, high)]
        fall = (float(2 * self.pct_start * n) - 2, top, first, low, high)
        return [rise, fall, (n - 1, first, last, high, high)]

    def _at(self, step: int) -> tuple[float, float]:
        """The rate and the momentum of a step."""
        if step > (self._steps or 0):
            raise ConfigError(f"OneCycleLR has {self._steps} steps, but was asked for step {step}.")
        begin, (*early, phase) = 0.0, self._phases()
        for candidate in early:
            if step <= candidate[0]:
                phase = candidate
                break
            begin = candidate[0]
        end, first, last, low, high = phase
        part = (step - begin) / (end - begin)
        return self._between(first, last, part), self._between(low, high, part)

    def _between(self, start: float, end: float, part: float) -> float:
        if self.anneal_strategy == "cos":
            return end + (start - end) / 2 * (math.cos(math.pi * part) + 1)
        return (end - start) * part + start

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        return self._at(step)[0]

    def momentum(self, step: int) -> float | None:
        """The momentum (or β₁) of a step; None where it is left alone."""
        return self._at(step)[1] if self.cycle_momentum else None

    def follow(self, step: int, rate: float) -> float:
        """The rate of a step, whatever the one before was."""
        return self(step)
