"""Averages of parameters over the steps of a training: their mean, or an exponential average."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from npnet.contract import Array, ConfigError, State

Average: TypeAlias = Callable[[Array, Array, int], Array]
"""(average so far, parameter, number of parameters averaged so far) -> average."""


def get_swa_avg_fn() -> Average:
    """a + (p - a) / (n + 1): the mean of all. Twin: torch.optim.swa_utils.get_swa_avg_fn."""
    return lambda a, p, n: a + (p - a) / (n + 1)


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """decay · a + (1 - decay) · p. Raises ConfigError.

    Twin: torch.optim.swa_utils.get_ema_avg_fn.
    """
    if not 0 <= decay <= 1:
        raise ConfigError(f"get_ema_avg_fn needs 0 <= decay <= 1, but got {decay}.")
    return lambda a, p, n: decay * a + (1 - decay) * p


class AveragedState(NamedTuple):
    """The average, what of the model is not averaged, and how many models are in it."""

    params: State
    buffers: State
    n_averaged: int


@dataclass(frozen=True)
class AveragedModel:
    """An average of models, beside the training: the first as it is, others by avg_fn.

    avg_fn(a, p, n) makes the next average of that of n models, a, and of one more, p. None is
    get_swa_avg_fn(), the mean of all: a + (p - a) / (n + 1). use_buffers averages the buffers, too,
    of which integers are cut off behind the point; else the buffers are those of the last model.

    Twin: torch.optim.swa_utils.AveragedModel. Source: Izmailov et al. (2018), arXiv:1803.05407.
    """

    avg_fn: Average | None = None
    use_buffers: bool = False

    def init(self, params: State, buffers: State | None = None) -> AveragedState:
        """No model yet; the shapes are those of this one."""
        return AveragedState(_copied(params), _copied(buffers or {}), 0)

    def update(
        self, params: State, state: AveragedState, buffers: State | None = None
    ) -> AveragedState:
        """The average with one model more."""
        current = _copied(buffers or {})
        if self.use_buffers:
            current |= {
                name: self._averaged(state.buffers[name], b, state.n_averaged)
                for name, b in current.items()
            }
        averaged = {
            name: self._averaged(state.params[name], p, state.n_averaged)
            for name, p in params.items()
        }
        return AveragedState(averaged, current, state.n_averaged + 1)

    def _averaged(self, a: Array, p: Array, n: int) -> Array:
        if n == 0:
            return p.copy()
        return (self.avg_fn or get_swa_avg_fn())(a, p, n).astype(p.dtype, copy=False)


def _copied(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: a.copy() for name, a in arrays.items()}
