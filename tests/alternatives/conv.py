"""Convolution one output pixel at a time, on an image that is padded for real."""

import itertools
from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State

_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _both(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


@dataclass(frozen=True)
class Conv2d(nn.Conv2d):
    def _pads(self) -> list[tuple[int, int]]:
        if not isinstance(self.padding, str):
            return [(p, p) for p in _both(self.padding)]
        kernel, dilation, same = (
            _both(self.kernel_size),
            _both(self.dilation),
            self.padding == "same",
        )
        totals = [same * d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]

    def _sources(self, n: int, pads: tuple[int, int]) -> list[int | None]:
        """For each pixel of the padded axis, which pixel it is a copy of."""
        if self.padding_mode == "zeros":
            return [None] * pads[0] + [*range(n)] + [None] * pads[1]
        copies: list[int] = np.pad(np.arange(n), pads, _MODES[self.padding_mode]).tolist()
        return [*copies]

    def __call__(self, state: State, x: Array) -> Forward:
        images = x.reshape(-1, *x.shape[-3:]) if x.size else x.reshape(0, *x.shape[-3:])
        sources = map(self._sources, x.shape[-2:], self._pads())
        pixels = [*itertools.product(*map(enumerate, sources))]
        N, C, O, G = len(images), self.in_channels, self.out_channels, self.groups
        W = state["weight"].reshape(G, O // G, C // G, *_both(self.kernel_size))

        size = [n + sum(p) for n, p in zip(x.shape[-2:], self._pads(), strict=True)]
        padded = np.zeros((N, C, *size), x.dtype)
        for (i, of_i), (j, of_j) in pixels:
            if of_i is not None and of_j is not None:
                padded[:, :, i, j] = images[:, :, of_i, of_j]
        padded = padded.reshape(N, G, C // G, *size)

        geometry = zip(
            size, _both(self.kernel_size), _both(self.stride), _both(self.dilation), strict=True
        )
        starts = [
            [slice(i, i + d * (k - 1) + 1, d) for i in range(0, n - d * (k - 1), s)]
            for n, k, s, d in geometry
        ]
        y = np.empty((N, O, len(starts[0]), len(starts[1])), x.dtype)
        for i, j in np.ndindex(*y.shape[2:]):
            window = padded[..., starts[0][i], starts[1][j]]
            y[:, :, i, j] = np.einsum("ngckl,gockl->ngo", window, W).reshape(N, O)
            if self.bias:
                y[:, :, i, j] += state["bias"]

        def vjp(dy: Array) -> Grads:
            dy = dy.reshape(y.shape)
            dW, dpadded, dx = np.zeros_like(W), np.zeros_like(padded), np.zeros_like(images)
            for i, j in np.ndindex(*y.shape[2:]):
                g, at = dy[:, :, i, j].reshape(N, G, O // G), (..., starts[0][i], starts[1][j])
                dW += np.einsum("ngo,ngckl->gockl", g, padded[at])
                dpadded[at] += np.einsum("ngo,gockl->ngckl", g, W)
            dpadded = dpadded.reshape(N, C, *size)
            for (i, of_i), (j, of_j) in pixels:
                if of_i is not None and of_j is not None:
                    dx[:, :, of_i, of_j] += dpadded[:, :, i, j]
            params = {"weight": dW.reshape(state["weight"].shape)}
            if self.bias:
                params["bias"] = np.einsum("noij->o", dy)
            return Grads((dx.reshape(x.shape),), params)

        return Forward(y.reshape(*x.shape[:-3], *y.shape[1:]), vjp)


ALTERNATIVES = {"Conv2d": Conv2d}
