"""One training run in one dtype, asked three times: by layer, by step, and as a whole."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from npnet.contract import Array, State
from npnet.verify.ask import trace_of
from npnet.verify.candidate import Candidate
from npnet.verify.case import Example, leaves, map_leaves
from npnet.verify.examine import Evidence, Examiner, confirm
from npnet.verify.finding import BROKEN, Trace, Verdict
from npnet.verify.judge import Failure
from npnet.verify.precision import PRECISIONS
from npnet.verify.settings import Tell
from npnet.verify.spec import Spec
from npnet.verify.targets import own_function, specs
from npnet.verify.whole import wiring
from npnet.verify.whole.constants import either, optional
from npnet.verify.whole.faults import Fault
from npnet.verify.whole.margins import Margin, margins
from npnet.verify.whole.network import Function, places
from npnet.verify.whole.questions import cast, example_of, in_format
from npnet.verify.whole.running import BrokeError, Runner
from npnet.verify.whole.table import Table, step_in
from npnet.verify.whole.trace import (
    CARRIED,
    LOSS,
    NETWORK,
    OPTIMIZER,
    WIRING,
    Call,
    OwnStep,
    Place,
    TwinStep,
    path_of,
)


@dataclass(frozen=True)
class Asked:
    """A training run that is to be held against torch's.

    twin: a npnet.twins.whole.TorchNetwork
    kinds: the class of every layer, of the loss and the optimizer, in the order of the pass
    """

    name: str
    twin: Any
    runner: Runner
    kinds: Mapping[str, str]
    batches: Sequence[tuple[Any, ...]]
    seeds: Sequence[int]
    rates: Sequence[float]

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.batches)


class InOneFormat:
    """The run in one dtype: what is wrong in it, what was seen of every layer, and the trace."""

    trace: Trace

    def __init__(self, run: Asked, dtype: str, tell: Tell) -> None:
        self.run, self.dtype, self.tell = run, dtype, tell
        self.precision = PRECISIONS[dtype]
        self.state = in_format(run.twin.state, dtype)
        configs = {
            n: {name: cast(value, dtype) for name, value in config.items()}
            for n, config in run.runner.configs.items()
        }
        self.runner = replace(run.runner, configs=configs)
        self.random: set[str] = set()  # layers that draw numbers of their own
        self.states: list[State] = []  # torch's own, before every step
        self.batches = [map_leaves(b, "", lambda _, x: cast(x, dtype)) for b in run.batches]
        self.evidence: dict[str, Evidence] = {name: Evidence() for name in run.kinds}
        self.asked: set[str] = set()  # the layers that were asked by themselves
        self.faults: list[Fault] = []
        self.wired: dict[str, float] = {}  # of what connects the layers: the worst err/bound
        self.fresh: dict[int, dict[Place, Margin]] = {}  # of every step from torch's own state

    def ask(self) -> None:
        """Layer by layer, step by step, and the whole run."""
        run = self.run
        twin, seeds, rates = run.twin, run.seeds, run.rates
        states = self.states
        grads: list[Mapping[str, Array | None]] = []
        for state, g in twin.trajectory(self.state, self.batches, self.dtype, seeds, rates):
            states.append(in_format(state, self.dtype))
            grads.append({n: None if x is None else cast(x, self.dtype) for n, x in g.items()})
        exact: list[TwinStep] = []
        for k, state in enumerate(states):
            one = twin.step(state, self.batches[k], self.dtype, seeds[k])
            exact.append(one)
            if one.disagreement is not None:
                self._doubt(k, one.disagreement)
            self._layers(k, one)
            self.tell({"event": "example", "layer": run.name, "dtype": self.dtype})
        self._optimizer(grads)
        self._between(states, exact)
        self._whole()

    # ---- layer by layer ------------------------------------------------------------------------

    def _layers(self, k: int, step: TwinStep) -> None:
        """Every call of every layer, with what torch's own was given."""
        run = self.run
        for call in step.calls:
            path = path_of(call.name)
            if path == LOSS:
                ask = self.runner.loss if self.runner.has_own_loss else None
            else:
                ask = self.runner.layers.get(path)
            if ask is None:
                continue
            spec = run.twin.spec(path)
            known = spec.name in specs()
            config, seed = self.runner.configs[path], run.seeds[k]
            example = example_of(call, spec, config, self.dtype, seed, known=known)
            spec = either(optional(spec, _not_needed(step, call)))
            c = Candidate(ask, run.kinds[path], path or NETWORK, sources=places(ask))
            self._ask_one(k, c, spec, example, path)
        if self.runner.whole is not None:
            self._contract(k, step, self.runner.whole)

    def _contract(self, k: int, step: TwinStep, whole: Function) -> None:
        """Whether a network that is one function does what no layer may; its numbers come later."""
        run, batch, state = self.run, self.batches[k], self.states[k]
        if self.runner.has_loss and run.twin.loss is not None:
            spec, call = run.twin.with_loss(batch, state)
        else:
            spec, call = run.twin.whole(step, batch, state)
        inputs = [n for i, x in enumerate(call.inputs) for n, _ in leaves(x, f"input {i}")]
        spec = either(optional(spec, inputs))
        example = example_of(call, spec, {"training": True}, self.dtype, run.seeds[k], known=False)
        example.draws = run.twin.draws
        c = Candidate(whole, "", NETWORK, sources=places(whole))
        for failure in Examiner(c, spec, self.precision)(example, protocols=("plain",)):
            if failure.verdict in BROKEN | {Verdict.CONTRACT}:
                known = self._known(NETWORK, failure.quantity)
                if known is None:
                    place = Place(NETWORK, failure.quantity)
                    self.faults.append(Fault(place, failure, k, "", steps=[k]))
                elif k not in known.steps:
                    known.steps.append(k)

    def _ask_one(self, k: int, c: Candidate, spec: Spec, example: Example, path: str) -> None:
        examiner = Examiner(c, spec, self.precision)
        self.asked.add(path)
        if example.draws and spec.reads_mask and path not in self.random:
            same = Examiner(c, replace(spec, reads_mask=False), self.precision)
            differs = any(f.worst is not None for f in same(example, protocols=("plain",)))
            if differs and not examiner(example, protocols=("plain",)):
                self.random.add(path)
        for failure in examiner(example, self.evidence[path], protocols=("plain",)):
            known = self._known(path, failure.quantity)
            if known is not None:
                if k not in known.steps:
                    known.steps.append(k)
                continue
            if failure.worst is not None:
                if examiner.overflows(example, 0):
                    continue
                failure = confirm(examiner, example, failure)
            place = Place(path, failure.quantity)
            self.faults.append(Fault(place, failure, k, c.twin, "plain", [k], example, c, spec))

    def _known(self, path: str, quantity: str) -> Fault | None:
        return next((f for f in self.faults if f.place == Place(path, quantity)), None)

    def _optimizer(self, grads: Sequence[Mapping[str, Array | None]]) -> None:
        """All steps of the optimizer, with torch's own gradients."""
        run = self.run
        name = run.twin.optimizer.name
        spec = either(specs()[name])
        arrays = {f"param {n}": self.state[n][np.newaxis] for n in run.twin.stepped}
        for k, step in enumerate(grads, start=1):
            for n, g in step.items():
                if g is not None and n in run.twin.stepped:
                    arrays[f"grad {k} {n}"] = g[np.newaxis]
        kwargs: dict[str, Any] = {"lr": tuple(run.rates), "restart": None}
        if run.twin.optimizer.groups:
            kwargs["groups"] = run.twin.optimizer.groups
        config = run.twin.optimizer.config
        example = Example(name, config, arrays, 1, ("normal",), 0, (), kwargs)
        ask = self.runner.optimizer
        c = Candidate(ask, name, OPTIMIZER, sources=places(ask))
        examiner = Examiner(c, spec, self.precision)
        self.asked.add(OPTIMIZER)
        for failure in examiner(example, self.evidence[OPTIMIZER], protocols=("plain",)):
            if failure.worst is not None:
                failure = confirm(examiner, example, failure)
            k = step_in(failure.quantity)
            place = Place(OPTIMIZER, failure.quantity)
            steps = list(range(k, run.steps))
            self.faults.append(Fault(place, failure, k, name, "plain", steps, example, c, spec))

    # ---- step by step --------------------------------------------------------------------------

    def _between(self, states: Sequence[State], exact: Sequence[TwinStep]) -> None:
        """The network as it is wired, with torch's layers in the place of those that are wrong."""
        run = self.run
        repaired = self._repaired()
        self.fresh = {}
        for k, (state, want) in enumerate(zip(states, exact, strict=True)):
            try:
                got = repaired.step(state, self.batches[k], run.seeds[k])
            except BrokeError as broke:
                self._broke(k, broke)
                continue
            found = self._margins(want, got)
            self.fresh[k] = found
            for place, one in found.items():
                if one.failure is None:
                    if one.informative:
                        self.wired[str(place)] = max(one.ratio, self.wired.get(str(place), 0.0))
                    continue
                known = self._known(place.layer, place.quantity)
                if known is None:
                    self._note_wiring(k, place, one, want, got)
                elif k not in known.steps:
                    known.steps.append(k)
                break

    def _note_wiring(self, k: int, place: Place, one: Margin, want: TwinStep, got: OwnStep) -> None:
        if any(f.example is None and f.step < k for f in self.faults):
            return  # of what lies between the layers, the first is told
        assert one.failure is not None
        layered = self.runner.whole is None
        if layered:
            calls = Counter(path_of(call.name) for call in want.calls)
            why = wiring.explained(place, got.quantities, want.quantities, self.precision, calls)
        else:
            why = wiring.of_a_whole(place, self._margins(want, got))
        kind = self.run.kinds.get(place.path, "")
        how = WIRING if layered else "plain"
        self.faults.append(Fault(place, one.failure, k, kind, how, [k], explanation=why))

    def _repaired(self) -> Runner:
        """The candidate with torch's own layers where its own are wrong, or draw by themselves."""
        runner = self.runner
        broken = {f.place.path for f in self.faults if f.example is not None} | self.random
        layers = {
            name: self.run.twin.candidate(name) if name in broken else ask
            for name, ask in runner.layers.items()
        }
        loss = self.run.twin.candidate(LOSS) if LOSS in broken else runner.loss
        optimizer = runner.optimizer
        if OPTIMIZER in broken:
            own = own_function(self.run.twin.optimizer.name)
            assert own is not None
            optimizer = own
        return replace(runner, layers=layers, loss=loss, optimizer=optimizer)

    def _margins(self, want: TwinStep, got: OwnStep) -> dict[Place, Margin]:
        layered = self.runner.whole is None
        return margins(want.quantities, got.quantities, got.state, self.precision, layered=layered)

    # ---- the whole run -------------------------------------------------------------------------

    def _whole(self) -> None:
        """The run from the first state on, in which every error is handed on."""
        run = self.run
        want = list(run.twin.run(self.state, self.batches, self.dtype, run.seeds, run.rates))
        drawing = {n: run.twin.candidate(n) for n in self.random}
        runner = replace(self.runner, layers={**self.runner.layers, **drawing})
        got = self._ran(runner)
        for k, (w, g) in enumerate(zip(want, got, strict=False), start=1):
            self.tell({"event": "step", "dtype": self.dtype, "step": k, "twin": w, "own": g})
        shown = [self._margins(w, g) for w, g in zip(want, got, strict=False)]
        names = [name for name in run.kinds if self._is_shown(name)]
        table = Table(self.precision, self.faults, self.fresh, self.evidence[OPTIMIZER])
        self.trace = table.trace(shown, {name: run.kinds[name] for name in names})
        if not any(f.example is None for f in self.faults):
            if self.faults:
                got = self._ran(self._repaired())
                shown = [self._margins(w, g) for w, g in zip(want, got, strict=False)]
            self._carried(shown)

    def _ran(self, runner: Runner) -> list[OwnStep]:
        """Every step until one breaks down."""
        found: list[OwnStep] = []
        try:
            for one in runner.run(self.state, self.batches, self.run.seeds, self.run.rates):
                found.append(one)
        except BrokeError as broke:
            self._broke(len(found), broke)
        return found

    def _carried(self, shown: Sequence[Mapping[Place, Margin]]) -> None:
        """What is right in every step by itself, and wrong where one follows the other."""
        for k, step in enumerate(shown):
            for place, one in step.items():
                if one.failure is not None:
                    kind = self.run.kinds.get(place.path, "")
                    fault = Fault(place, one.failure, k, kind, CARRIED, [k])
                    fault.explanation = wiring.carried(k)
                    self.faults.append(fault)
                    return

    def _is_shown(self, name: str) -> bool:
        """Layers of which a candidate that is one function shows nothing are left out."""
        if self.runner.whole is None or name in (LOSS, OPTIMIZER):
            return True
        return any(p.startswith(f"{name}." if name else "") for p in self.run.twin.trainable)

    def unseen(self) -> Iterator[str]:
        """Layers of which what connects them to the others shows nothing, and why."""
        for name in sorted(self.random):
            yield (
                f"{name} in the network (it draws numbers of its own: torch's layer stands in its "
                "place there)"
            )
        if self.run.twin.loss is not None and not self.runner.has_own_loss:
            yield "the loss (the candidate has none of its own, nor has npnet)"
        for name in self.run.kinds:
            if name == OPTIMIZER:
                continue
            here = [m for step in self.fresh.values() for p, m in step.items() if p.path == name]
            if here and not any(m.informative or m.exact for m in here):
                yield (
                    f"what leads to {name or NETWORK} in {self.dtype} (the bounds that the layers "
                    "before it add up to are too large)"
                )

    # ---- what breaks down ----------------------------------------------------------------------

    def _doubt(self, k: int, message: str) -> None:
        text = f"torch contradicts itself in step {k + 1}: {message}"
        failure = Failure("y", Verdict.ORACLE_DISAGREES, text)
        self.faults.append(
            Fault(Place(LOSS, "y"), failure, k, self.run.kinds.get(LOSS, ""), steps=[k])
        )

    def _broke(self, k: int, broke: BrokeError) -> None:
        """A breakdown of the network: of a layer that is right by itself, what leads to it."""
        if self.faults:  # which may be why
            return
        path = path_of(broke.layer)
        failure = Failure("forward", Verdict.CRASH, str(broke), traceback=trace_of(broke.error))
        kind = self.run.kinds.get(path, "")
        alone = path in self.asked and path != OPTIMIZER
        place = Place(broke.layer, "input 0" if alone else "forward")
        how = WIRING if alone else "plain"
        fault = Fault(place, failure, k, kind, how, [k])
        if alone:
            fault.explanation = wiring.refused(broke.layer)
        self.faults.append(fault)


def _not_needed(step: TwinStep, call: Call) -> list[str]:
    """The inputs of a call whose gradients nobody takes, as those of the data or the target."""
    inputs = [n for i, x in enumerate(call.inputs) for n, _ in leaves(x, f"input {i}")]
    known = {n: step.quantities.get(Place(call.name, f"gradient of {n}")) for n in inputs}
    return [n for n, e in known.items() if e is None or not e.required]
