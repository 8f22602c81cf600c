"""Twins of the optimizers that do not go element by element: each value set is asked by itself.

Every hyper-parameter is a dyadic rational, exact in every format, but for Muon's coefficients.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from npnet.contract import SparseGrad
from npnet.twins.optimizer_spec import (
    Gradients,
    Shape,
    optimizer_spec,
    rate,
    skipped,
    small,
)
from npnet.twins.oracle import stepping
from npnet.twins.spec import Claim, Pick, refuses, same
from npnet.verify.case import Config
from npnet.verify.draw import Values
from npnet.verify.precision import Precision


def _spaced(config: Config, precision: Precision) -> Config:
    """eps₁ of None is the spacing at 1 of the format asked, which the twin is not in."""
    eps1, eps2 = config["eps"]
    return {**config, "eps": (2 * precision.u if eps1 is None else eps1, eps2)}


@optimizer_spec(
    torch.optim.Adafactor,
    bounded=stepping.Adafactor,
    together=False,
    told=_spaced,
    shapes=((3,), (), (1,), (2, 3), (4, 1, 2), (33,), (8, 5)),  # of size 0: torch divides by it
    claims=(
        Claim(
            "The rate is at most 1/√t, times the root mean square of the parameter.",
            lambda ask: same(ask.steps([2.0, -2.0], [[1.0, 1.0]], lr=8.0), [[0.0, -4.0]]),
        ),
        Claim(
            "β is 0 in the first step: the averages start with the first gradient.",
            lambda ask: same(ask.steps([1.0], [[0.25]], lr=0.5), [[0.5]]),
        ),
        Claim(
            "Of a matrix v is the product of the averages over rows and over columns, divided by "
            "the mean of the former.",
            lambda ask: same(
                ask.steps(
                    [[1.0, 1.0], [1.0, 1.0]], [[[1.0, 2.0], [2.0, 4.0]]], lr=0.5, eps=(1e-9, 1e-3)
                ),
                [[[0.5, 0.5], [0.5, 0.5]]],
            ),
        ),
        Claim(
            "An update is shortened to a root mean square of d.",
            lambda ask: same(
                ask.steps([1.0], [[1.0], [16.0]], lr=0.125), [[0.875], [0.875 * 0.875]]
            ),
        ),
        Claim(
            "The decay is decoupled, and multiplied by lr, whatever the limited rate.",
            lambda ask: same(ask.steps([4.0], [[0.0]], lr=4.0, weight_decay=0.125), [[2.0]]),
        ),
        skipped(weight_decay=0.125),
    ),
)
def Adafactor(pick: Pick) -> Config:
    return {
        "lr": rate(pick),
        "beta2_decay": pick.option("beta2_decay", -0.75, -0.5, 0.0),
        "eps": pick.option("eps", (None, 2.0**-10), (2.0**-6, 2.0**-10), (2.0**-6, 1.0)),
        "d": pick.option("d", 1.0, 1.5),
        "weight_decay": pick.option("weight_decay", 0.125, 0.0),
        "maximize": pick.option("maximize", True, False),
    }


def _row(place: int, *values: float) -> SparseGrad:
    """The gradient of a vector of two: all these values at one place."""
    return SparseGrad(np.array([[place] * len(values)]), np.array(values), (2,))


def _sparse(pick: Pick, i: int, shape: Shape) -> Callable[[int], Gradients]:
    """Rows, or single elements, some of them more than once; the second gradient may be empty."""
    axes = pick.choose(f"sparse axes {i}", (1, 2) if len(shape) > 1 else (1,))
    places = pick.choose(f"places {i}", (3, 1, 5, 0))

    def of_step(k: int) -> Gradients:
        n = places if k != 2 or pick.choices["places 0"] != 1 else 0
        return {
            f"grad {k} p{i}": Values((n, *shape[axes:])),
            f"indices {k} p{i}": Values((axes, n), "index", high=min(shape[:axes])),
        }

    return of_step


@optimizer_spec(
    torch.optim.SparseAdam,
    bounded=stepping.SparseAdam,
    together=False,
    shapes=((3,), (1,), (4, 2), (2, 3), (5, 1, 2), (33, 2)),
    gradients=_sparse,
    claims=(
        Claim(
            "What the gradient does not name stays, its averages too; what it names twice adds up.",
            lambda ask: same(
                ask.steps(
                    [1.0, 1.0], [_row(1, 1.0, 1.0), _row(0, 4.0)], lr=0.5, betas=(0.0, 0.0), eps=2.0
                ),
                [[1.0, 0.75], [1.0 - 0.5 * 4 / 6, 0.75]],
            ),
        ),
        Claim(
            "Steps are counted by parameter: an element's first may be corrected as a second.",
            lambda ask: same(
                ask.steps(
                    [1.0, 1.0], [_row(0, 1.0), _row(1, 1.0)], lr=1.0, betas=(0.5, 0.0), eps=2.0**-40
                ),
                [[0.0, 1.0], [0.0, 1.0 - 0.5 / 0.75]],
            ),
        ),
        Claim(
            "eps is added to √v before the correction of its bias, other than in Adam.",
            lambda ask: same(
                ask.steps([1.0, 1.0], [_row(0, 1.0)], lr=1.0, betas=(0.0, 0.75), eps=0.5),
                [[0.5, 1.0]],
            ),
        ),
        skipped((4.0, 4.0), _row(0, 1.0)),
    ),
)
def SparseAdam(pick: Pick) -> Config:
    return {
        "lr": rate(pick),
        "betas": pick.option("betas", (0.875, 0.96875), (0.5, 0.9375), (0.0, 0.5)),
        "eps": small(pick),
        "maximize": pick.option("maximize", True, False),
    }


_TURNED = [[[4.0, 0.0]], [[0.0, 4.0]]]


if hasattr(torch.optim, "Muon"):  # newer than torch 2.8

    @optimizer_spec(
        torch.optim.Muon,
        bounded=stepping.Muon,
        together=False,
        shapes=((2, 3), (3, 2), (1, 1), (4, 4), (1, 5), (5, 1), (9, 8)),
        claims=(
            Claim(
                "The step has the same length, whatever the size of the gradient.",
                lambda ask: np.array_equal(
                    ask.steps([[1.0]], [[[2.0]]], lr=0.5), ask.steps([[1.0]], [[[64.0]]], lr=0.5)
                ),
            ),
            Claim(
                "The decay is not scaled by the shape, as the step is, and is 0.1 unless told.",
                lambda ask: same(
                    ask.steps([[1.0], [1.0]], [[[0.0], [0.0]]], lr=0.5), [[[0.95], [0.95]]]
                ),
            ),
            Claim(
                "The step is √(rows / columns) times as long where there are more rows. Anything "
                "but a matrix is refused.",
                lambda ask: (
                    same(
                        ask.steps([[0.0]] * 4, [[[2.0], *[[0.0]] * 3]], lr=0.5)[0][0],
                        2 * ask.steps([[0.0]], [[[2.0]]], lr=0.5)[0][0],
                    )
                    and refuses(lambda: ask.steps([0.0], [[2.0]], lr=0.5))
                ),
            ),
            Claim(
                "The buffer is an average, other than that of SGD, and nesterov is the default.",
                lambda ask: same(
                    ask.steps([[0.0, 0.0]], _TURNED, lr=0.5, momentum=0.5),
                    ask.steps([[0.0, 0.0]], [[[1.0, 0.0]], [[1.0, 6.0]]], lr=0.5, momentum=0.0),
                ),
            ),
            skipped(((4.0,),), ((1.0,),), weight_decay=0.5),
        ),
    )
    def Muon(pick: Pick) -> Config:
        return {
            "lr": rate(pick),
            "weight_decay": pick.option("weight_decay", 0.125, 0.0),
            "momentum": pick.option("momentum", 0.875, 0.5, 0.0),
            "nesterov": pick.option("nesterov", True, False),
            "ns_coefficients": pick.option(
                "ns_coefficients", (3.4445, -4.775, 2.0315), (2.0, -1.5, 0.5)
            ),
            "eps": pick.option("eps", 2.0**-23, 0.5),
            "ns_steps": pick.option("ns_steps", 5, 1, 2, 0),
            "adjust_lr_fn": pick.option("adjust_lr_fn", None, "original", "match_rms_adamw"),
        }


@optimizer_spec(
    torch.optim.LBFGS,
    bounded=stepping.LBFGS,
    together=False,
    shapes=((3,), (1,), (2, 2), (), (5,), (0,)),
    gradients=None,
    claims=(
        Claim(
            "The very first step is lr · min(1, 1/Σ|g|) long: a gradient of 4 moves by lr.",
            lambda ask: same(
                ask.minimised([1.0], lambda x: ((2 * x * x).sum(), 4 * x), lr=0.5, max_iter=1),
                [0.5],
            ),
        ),
        Claim(
            "Two iterations find the minimum of a parabola, and lr scales the second too.",
            lambda ask: same(
                ask.minimised(
                    [1.0], lambda x: ((2 * x * x).sum(), 4 * x), lr=0.5, max_iter=2, max_eval=9
                ),
                [0.25],
            ),
        ),
        Claim(
            "A step that starts within tolerance_grad moves nothing.",
            lambda ask: same(
                ask.minimised([1.0], lambda x: ((2 * x * x).sum(), 4 * x), tolerance_grad=4.0),
                [1.0],
            ),
        ),
    ),
)
def LBFGS(pick: Pick) -> Config:
    config: dict[str, Any] = {
        "lr": pick.option("lr", 1.0, 0.125, 0.5),
        "max_iter": pick.option("max_iter", 3, 1, 2, 5),
        "max_eval": pick.option("max_eval", None, 2, 4, 9),
        "tolerance_grad": pick.option("tolerance_grad", 2.0**-20, 0.25),
        "tolerance_change": pick.option("tolerance_change", 2.0**-30, 2.0**-6),
        "history_size": pick.option("history_size", 100, 1, 2),
        "line_search_fn": pick.option("line_search_fn", "strong_wolfe", None),
    }
    return config
