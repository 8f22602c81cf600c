"""Dropout by selection in place of multiplication."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


@dataclass(frozen=True)
class Dropout(nn.Dropout):
    def __call__(
        self, state: State, x: Array, *, rng: np.random.Generator | None = None
    ) -> Forward:
        if not self.training or self.p == 0:
            return Forward(x.copy(), lambda dy: Grads((dy.copy(),)))
        if self.p == 1:
            return Forward(np.zeros_like(x), lambda dy: Grads((np.zeros_like(dy),)))
        assert rng is not None
        kept = rng.random(x.shape) >= self.p

        def select(v: Array) -> Array:
            return np.where(kept, v / (1 - self.p), np.zeros_like(v))

        return Forward(select(x), lambda dy: Grads((select(dy),)))


ALTERNATIVES = {"Dropout": Dropout}
