"""Dialects of the normalisations."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from npnet.twins.dialects._made import Naming, setting
from npnet.verify.case import Config, Example

_BATCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_INSTANCE = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


def _turned(config: Config, example: Example) -> Config:
    m = config["momentum"]
    return {**config, "momentum": None if m is None else 1 - m}


def _biased(base: type[nn.Module], keeps: bool) -> type[nn.Module]:
    class Biased(base):  # type: ignore[misc, valid-type]  # a base that is a variable
        """Running statistics with the biased variance; momentum is what is kept, or what is new."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not (self.training and self.track_running_stats and x.numel()):
                found: torch.Tensor = super().forward(x)
                return found
            seen = self.num_batches_tracked + 1
            m = 1 / float(seen) if self.momentum is None else self.momentum
            new = 1 - m if keeps else m
            axes = [i for i in range(x.dim()) if i != 1]
            for name, value in (
                ("running_mean", x.mean(axes)),
                ("running_var", x.var(axes, correction=0)),
            ):
                self._buffers[name] = (1 - new) * self._buffers[name] + new * value
            self._buffers["num_batches_tracked"] = seen
            return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)

    return Biased


def _batched(config: Config) -> bool:
    return config["momentum"] is not None


_HOW: dict[str, Any] = {"batched": _batched}
_KEPT = Naming(
    "tensorflow",
    "TensorFlow, Caffe",
    "momentum is the share that is kept: running ← momentum · running + (1 - momentum) · new; "
    "torch's is the share of the new batch",
)
_BIASED = Naming(
    "biased-variance",
    "Flax, NumPy's var",
    "the running variance is of biased ones (÷ n); torch's is of unbiased ones (÷ (n - 1))",
)
_KERAS = Naming("keras", "Keras 3", f"{_KEPT.text}; {_BIASED.text}")
_EPS = Naming("eps-1e-3", "Keras", "eps is 1e-3 whatever is asked; torch's is 1e-5 unless told")


def _unknown(quantity: str, config: Config) -> bool:
    """Running statistics with momentum=None, which is known to torch only."""
    return config["momentum"] is None and quantity.startswith("next running")


FAMILY = (
    *(
        dialect
        for base in _BATCH
        for dialect in (
            _KEPT.without(_KEPT.configured(base.__name__, _turned), _unknown),
            _BIASED.restated(base.__name__, _biased(base, keeps=False), **_HOW),
            _KERAS.without(
                _KERAS.restated(base.__name__, _biased(base, keeps=True), **_HOW), _unknown
            ),
        )
    ),
    *(_KEPT.without(_KEPT.configured(base.__name__, _turned), _unknown) for base in _INSTANCE),
    *(
        _EPS.configured(base.__name__, setting(eps=1e-3))
        for base in (*_BATCH, *_INSTANCE, nn.LayerNorm, nn.GroupNorm)
    ),
)
