"""A layer of npnet with a state, held against the torch module that it is, by derived bounds."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from npnet.contract import Array, ConfigError, Forward, State
from npnet.twins.oracle import ask_module, in_parts
from npnet.verify.candidate import Candidate
from npnet.verify.case import Case, Example, Slot
from npnet.verify.examine import Evidence, Examiner
from npnet.verify.finding import Verdict
from npnet.verify.precision import PRECISIONS, Precision
from npnet.verify.spec import Answer, Spec


@dataclass
class Held:
    """What came of it.

    ratios: of every quantity, in the order of blame, |difference| / bound, the largest seen
    failures: what is wrong, in words
    """

    ratios: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    batches: int = 0

    @property
    def sentence(self) -> str:
        """As it is printed."""
        if self.failures:
            return f"differs: {self.failures[0]}"
        gradients = sum(n.startswith("gradient of ") for n in self.ratios)
        outputs = [n for n in self.ratios if n == "y" or n.startswith("y ")]
        more = len(self.ratios) - gradients - len(outputs)
        told = f"{'y' if len(outputs) == 1 else f'{len(outputs)} outputs'}"
        told += f", {more} buffer{'s' * (more != 1)}" if more else ""
        told += f" and {gradients} gradient{'s' * (gradients != 1)} agree"
        batches = f" on {self.batches} random batches" if self.batches > 1 else ""
        worst = max(self.ratios.values(), default=0.0)
        return f"{told}{batches}, worst err/bound {worst:.2g}"


def held(
    ask: Callable[[State, Sequence[Array]], Forward],
    module: nn.Module,
    state: State,
    inputs: Sequence[Sequence[Array]],
    *,
    seed: int = 0,
    draws: bool = False,
) -> Held:
    """Both sides on every batch of inputs, with cotangents that are drawn.

    ask: (state, inputs) -> Forward; where it draws, `draws` says so, and it is given `rng` besides
    module: torch's, in whatever dtype; the bounds are those of the state's

    Raises ConfigError for what has no bounds.
    """
    dtype = _dtype(state, inputs)
    spec = _spec(module)
    found = Held()
    for k, batch in enumerate(inputs):
        arrays = {f"input {i}": x[np.newaxis] for i, x in enumerate(batch)}
        arrays |= {f"state {n}": np.asarray(a)[np.newaxis] for n, a in state.items()}
        slots = tuple(Slot(f"input {i}") for i in range(len(batch)))
        example = Example(spec.name, {}, arrays, 1, ("normal",), seed + k, slots)
        example.draws = draws
        evidence = Evidence()
        candidate = Candidate(_function(ask, draws), spec.name, spec.name)
        examiner = Examiner(candidate, spec, PRECISIONS[dtype])
        try:
            failures = examiner(example, evidence, protocols=("plain",))
        except (NotImplementedError, RuntimeError) as error:
            said = (str(error).splitlines() or [""])[0]
            raise ConfigError(f"{type(module).__name__} cannot be run: {said}") from error
        found.failures += [f.message for f in failures if f.verdict is not Verdict.UNSTABLE]
        for name in evidence.seen:
            ratio = evidence.ratios.get(name, 0.0)
            found.ratios[name] = max(found.ratios.get(name, 0.0), ratio)
        found.batches += 1
    return found


def only_output(module: nn.Module) -> nn.Module:
    """A recurrent module that returns its output alone, without the last states."""
    kind = type(module)

    def forward(self: Any, *inputs: Any) -> Any:
        return kind.forward(self, *inputs)[0]

    found = copy.deepcopy(module)
    found.__class__ = type(f"Only{kind.__name__}", (kind,), {"forward": forward})
    return found


def _dtype(state: State, inputs: Sequence[Sequence[Array]]) -> str:
    """The format that both sides are asked in."""
    for a in (*state.values(), *(x for batch in inputs for x in batch)):
        if np.asarray(a).dtype.kind == "f":
            return str(a.dtype)
    return "float32"


def _function(ask: Callable[..., Forward], draws: bool) -> Callable[[Case], Forward]:
    def function(case: Case) -> Forward:
        if draws:
            return ask(case.state, case.inputs, rng=case.rng)
        return ask(case.state, case.inputs)

    return function


def _spec(module: nn.Module) -> Spec:
    """The module as what a candidate is held against."""
    double = module.double()

    def answer(example: Example, precision: Precision, single: bool = False) -> Answer:
        with in_parts(double):
            return ask_module(
                double, double, example, precision, single=single, batched=False, mutates=()
            )

    def draw(pick: Any) -> Any:
        raise ConfigError("nothing is drawn of a module that is only held against.")

    return Spec(type(module).__name__, draw, lambda config: {}, answer)
