"""The oracle for optimizers: torch's own steps in float64, with a bound beside every parameter."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from npnet.contract import Array, SparseGrad
from npnet.twins.oracle import Pair, Way, compare, pair, plainly
from npnet.twins.oracle.bounded import Setting, Undecided, using
from npnet.verify.case import Config, Example, gradient
from npnet.verify.objective import objective
from npnet.verify.precision import PRECISIONS, Precision
from npnet.verify.spec import Answer, Expected

Tensor = torch.Tensor
Factory = Callable[..., torch.optim.Optimizer]


@dataclass(frozen=True)
class OptimizerTwin:
    """How an optimizer is asked.

    build: torch's own, from parameters (or groups of them) and a configuration
    bounded: what stands for it on bounded tensors; torch's own wherever its numbers are tensors
    together: no element of a result depends on others, so that the value sets are stacked in the
        parameters themselves, and asked in one go
    told: the configuration as the twin gets it, in a precision
    """

    build: Factory
    bounded: Factory
    together: bool = True
    told: Callable[[Config, Precision], Config] = lambda config, precision: config

    def answer(self, example: Example, precision: Precision, single: bool = False) -> Answer:
        """What the optimizer does to the parameters, step by step.

        Where a program's branch is in doubt, nothing is said of what comes after.
        """
        ours = Setting(precision, watching=single, strict=True)
        config, groups = self._as_told(example, precision)
        sets: Sequence[int | None] = [None] if self.together else range(example.sets)
        plain, bounded = [], []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sparse tensors, that nobody checks them
            for s in sets:
                exact = dict(_steps(self.build, example, config, groups, Way(False), s))
                found: dict[str, Pair] = {}
                with using(ours), suppress(Undecided):
                    for name, value in _steps(self.bounded, example, config, groups, Way(True), s):
                        found[name] = value
                unknown = {n: (v, np.full(v.shape, np.inf)) for n, (v, _) in exact.items()}
                plain.append(exact)
                bounded.append({n: found.get(n, unknown[n]) for n in exact})
        expected = _expected(bounded, example, precision, self.together)
        disagreement = compare(
            expected, _expected(plain, example, precision, self.together), precision
        )
        largest = ours.largest if single else None
        return Answer(expected, largest, disagreement, frozenset(ours.fallbacks))

    def values(self, example: Example, dtype: str, device: str, exact: bool) -> dict[str, Array]:
        """torch's own numbers in this format, without bounds."""
        precision = PRECISIONS[dtype]
        config, groups = self._as_told(example, precision)
        way = plainly("float64" if exact else dtype, device)
        parts = [
            dict(_steps(self.build, example, config, groups, way, s)) for s in range(example.sets)
        ]
        return {n: e.value for n, e in _expected(parts, example, precision, False).items()}

    def _as_told(self, example: Example, precision: Precision) -> tuple[Config, Sequence[Config]]:
        """The configuration and the groups as the twin gets them."""
        groups = []
        for group in example.kwargs.get("groups", ()):
            told = self.told({**example.config, **group}, precision)
            groups.append({name: told[name] for name in group})
        return self.told(example.config, precision), groups


def _expected(
    parts: Sequence[Mapping[str, Pair]], example: Example, precision: Precision, together: bool
) -> dict[str, Expected]:
    """The value sets stacked; of the state, what all of them have in the same shape."""
    found = {}
    dtype = np.dtype(precision.name)
    for name, (first, _) in parts[0].items():
        if not all(name in part and part[name][0].shape == first.shape for part in parts):
            continue
        number = name.startswith("state ") and first.ndim == 0
        if together:
            value, error = parts[0][name]
            if number:  # a step count is one number for all value sets
                value = np.full(example.sets, value)
                error = None if error is None else np.full(example.sets, error)
        else:
            value = np.stack([part[name][0] for part in parts])
            errors = [part[name][1] for part in parts]
            error = None
            if any(e is not None for e in errors):
                zeros = np.zeros(first.shape)
                error = np.stack([zeros if e is None else e for e in errors])
        state = name.startswith("state ")
        found[name] = Expected(value, error, None if number else dtype, required=not state)
    return found


def _steps(
    factory: Factory,
    example: Example,
    config: Config,
    groups: Sequence[Config],
    way: Way,
    s: int | None,
) -> Iterator[tuple[str, Pair]]:
    """Every parameter and every entry of the state after every step, for value set s or for all."""
    arrays = example.arrays if s is None else example.one(s)
    names = [n.removeprefix("param ") for n in arrays if n.startswith("param ")]
    params = {n: nn.Parameter(way.tensor(arrays[f"param {n}"])) for n in names}
    rates = example.kwargs["lr"]
    optimizer: Any = factory(param_groups(params, groups), **config)
    base = [group["lr"] for group in optimizer.param_groups]
    closure = _closure(params, example, arrays, way)
    for k, lr in enumerate(rates, start=1):
        for group, rate in zip(optimizer.param_groups, base, strict=True):
            group["lr"] = lr if rate == rates[0] else rate * (lr / rates[0])
        if closure is None:
            for name, p in params.items():
                _give(optimizer, p, gradient(arrays, k, name), way)
            optimizer.step()
        else:
            optimizer.step(closure)
        for name, p in params.items():
            yield f"params after step {k}: {name}", _copy(p)
        for name, p in params.items():
            for key, value in optimizer.state.get(p, {}).items():
                if isinstance(value, Tensor | int):
                    yield f"state {key} after step {k}: {name}", _copy(value)
        if k == example.kwargs["restart"]:
            saved = optimizer.state_dict()
            params = {n: nn.Parameter(p.detach().clone()) for n, p in params.items()}
            optimizer = factory(param_groups(params, groups), **config)
            optimizer.load_state_dict(saved)
            closure = _closure(params, example, arrays, way)


def param_groups(params: Mapping[str, Tensor], groups: Sequence[Mapping[str, Any]]) -> list[Any]:
    """torch's param_groups of groups that name their parameters; without groups, all of these."""
    if not groups:
        return list(params.values())
    return [{**group, "params": [params[name] for name in group["params"]]} for group in groups]


def _give(optimizer: Any, p: Tensor, g: Array | SparseGrad | None, way: Way) -> None:
    """Set the gradient; a sparse one is dense among bounded tensors, its places told beside it."""
    if not isinstance(g, SparseGrad):
        p.grad = None if g is None else way.tensor(g)
        return
    indices, values = way.tensor(g.indices), way.tensor(g.values)
    if not way.bounded:
        p.grad = torch.sparse_coo_tensor(indices, values, g.shape)
        return
    here = tuple(indices)
    p.grad = torch.zeros_like(p).index_put(here, values, accumulate=True)
    optimizer.places[p] = torch.zeros(g.shape, dtype=torch.bool).index_put(here, torch.tensor(True))


def _closure(
    params: Mapping[str, Tensor], example: Example, arrays: Mapping[str, Array], way: Way
) -> Callable[[], Tensor] | None:
    if "valley" not in example.kwargs:
        return None
    curvature, centre = (
        {name: way.tensor(arrays[f"{kind} {name}"]) for name in params}
        for kind in ("curvature", "centre")
    )

    def closure() -> Tensor:
        with torch.no_grad():
            now = {name: p.detach() for name, p in params.items()}
            loss, grads = objective(now, curvature, centre, example.kwargs["valley"])
        for name, p in params.items():
            p.grad = grads[name]
        found: Tensor = loss
        return found

    return closure


def _copy(t: Tensor | int) -> Pair:
    if isinstance(t, int):
        return np.array(t, np.float64), None
    value, error = pair(t)
    if value.ndim == 0:  # numbers may be float32
        value = value.astype(np.float64)
    return value.copy(), None if error is None else error.copy()
