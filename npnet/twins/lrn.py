"""Twins of the local response normalisations."""

from typing import Any

import torch
from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.draw import Values
from npnet.verify.spec import Drawn

Tensor = torch.Tensor


def _options(pick: Pick) -> dict[str, Any]:
    return {
        "alpha": pick.option("alpha", 0.25, 2.0**-10, 1.0, 8.0),
        "beta": pick.option("beta", 0.75, 0.5, 1.0, 2.0),
        "k": pick.option("k", 1.0, 2.0, 0.5),
    }


def _shape(pick: Pick, rests: tuple[tuple[int, ...], ...]) -> Values:
    batch = pick.option("batch", 2, 1, 0, 3)
    channels = pick.choose("channels", (5, 3, 1, 4, 7, 2, 10))
    return pick.values("x", (batch, channels, *pick.option("rest", *rests)))


_ONE: dict[str, Any] = {"alpha": 1.0, "beta": 1.0, "k": 1.0}


@spec(
    nn.LocalResponseNorm,
    claims=(
        Claim(
            "alpha is divided by the size of the window, at the edges too.",
            lambda ask: same(ask([[[2.0]]], size=4, **_ONE).y, [[[1.0]]]),
        ),
        Claim(
            "A window of even size reaches further down than up: of size 2, to c - 1.",
            lambda ask: same(ask([[[2.0], [4.0]]], size=2, **_ONE).y, [[[2 / 3], [4 / 11]]]),
        ),
        Claim(
            "The window is over channels, at every position by itself.",
            lambda ask: same(
                ask([[[2.0, 0.0], [0.0, 4.0]]], size=1, **_ONE).y,
                [[[2 / 5, 0.0], [0.0, 4 / 17]]],
            ),
        ),
        Claim(
            "k is not divided by anything, and beta is the exponent of the whole sum.",
            lambda ask: same(ask([[[2.0]]], size=1, alpha=3.0, beta=0.5, k=4.0).y, [[[0.5]]]),
        ),
    ),
)
def LocalResponseNorm(pick: Pick) -> Drawn:
    config = {"size": pick.option("size", 3, 2, 1, 4, 5, 9), **_options(pick)}
    return config, (_shape(pick, ((3,), (2, 2), (1,), (2, 1, 2), (1, 2, 1, 2))),)


class _CrossMap(torch.autograd.Function):
    """torch's running sums and its gradient, without writing into memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        r, channels = (size - 1) // 2, x.shape[1]
        squares = x * x
        running = squares[:, : r + 1].sum(1)
        sums = [running]
        for c in range(1, channels):
            if c + r < channels:
                running = running + squares[:, c + r]
            if c > r + 1:  # so that channel 0 is never taken out
                running = running - squares[:, c - r - 1]
            sums.append(running)
        scale = torch.stack(sums, 1) * (alpha / size) + k
        y = scale.pow(-beta) * x
        ctx.save_for_backward(x, y, scale)
        ctx.options = size, alpha, beta
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, y, scale = ctx.saved_tensors
        size, alpha, beta = ctx.options
        below, above, channels = (size + 1) // 2, size // 2 - 1, x.shape[1]
        ratio = dy * y / scale
        running = ratio[:, :above].sum(1)
        sums = []
        for c in range(channels):
            if c + above < channels:
                running = running + ratio[:, c + above]
            sums.append(running)
            if c >= below:
                running = running - ratio[:, c - below]
        straight = scale.pow(-beta) * dy
        across = torch.stack(sums, 1) * x * (2 * alpha * beta / size)
        return straight - across, None, None, None, None


class _CrossMapLRN2d(nn.CrossMapLRN2d):
    """torch's module in operations that return new tensors."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = _CrossMap.apply(x, self.size, self.alpha, self.beta, self.k)
        return y


@spec(
    nn.CrossMapLRN2d,
    restated=_CrossMapLRN2d,
    batched=lambda config: False,
    claims=(
        Claim(
            "Every window holds channel 0, whose square torch never takes out of its running sum.",
            lambda ask: same(
                ask([[[[2.0]], [[0.0]], [[0.0]], [[3.0]]]], size=3, **{**_ONE, "alpha": 3.0}).y,
                [[[[2 / 5]], [[0.0]], [[0.0]], [[3 / 14]]]],
            ),
        ),
        Claim(
            "alpha is divided by the size of the window, at the edges too; k is not.",
            lambda ask: same(
                ask([[[[2.0]]]], size=4, **{**_ONE, "k": 3.0}).y, [[[[2 / (3.0 + 1.0)]]]]
            ),
        ),
        Claim(
            "Its gradient is not the derivative: that of size 3 sums over c - 2, c - 1 and c.",
            lambda ask: same(
                ask(
                    [[[[1.0]], [[1.0]]]],
                    dy=[[[[0.0]], [[1.0]]]],
                    size=3,
                    **{**_ONE, "alpha": 3.0},
                ).dx,
                [[[[0.0]], [[1 / 3 - 2 / 9]]]],
            ),
        ),
    ),
)
def CrossMapLRN2d(pick: Pick) -> Drawn:
    # size=1 has no gradient in torch: "start (1) + length (3) exceeds dimension size (3)"
    config = {"size": pick.option("size", 3, 2, 4, 5, 9), **_options(pick)}
    return config, (_shape(pick, ((2, 2), (1, 1), (1, 3))),)
