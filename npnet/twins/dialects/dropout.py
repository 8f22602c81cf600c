"""Dialects of dropout: where what is dropped is made up for."""

from typing import Any

import torch
from torch import nn

from npnet.twins.dialects._made import Naming
from npnet.verify.case import Config

Tensor = torch.Tensor


def _unscaled(base: type[nn.Module], keeps: bool) -> type[nn.Module]:
    class Unscaled(base):  # type: ignore[misc, valid-type]  # a base that is a variable
        """Training: x where it is kept. Evaluation: x, or x (1 - p)."""

        def forward(self, x: Tensor) -> Tensor:
            if not self.training:
                return x if keeps else x * (1 - self.p)
            kept = super().forward(torch.ones_like(x).detach())
            return torch.where(kept > 0, x, 0.0)

    return Unscaled


def _one_by_one(config: Config) -> bool:
    return False


_HOW: dict[str, Any] = {"batched": _one_by_one}

FAMILY = tuple(
    dialect
    for base in (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
    for dialect in (
        Naming(
            "evaluation-scales",
            "Srivastava et al. (2014), JMLR 15",
            "what is dropped is made up for in evaluation, by 1 - p; torch does it in training, by "
            "1 / (1 - p)",
        ).restated(base.__name__, _unscaled(base, keeps=False), **_HOW),
        Naming(
            "unscaled",
            "hand-written code",
            "what is dropped is never made up for; torch does it in training, by 1 / (1 - p)",
        ).restated(base.__name__, _unscaled(base, keeps=True), **_HOW),
    )
)
