"""A training run held against torch: which layer diverges first, in which step, and why.

Every step is asked three times:

layer   every call of every layer, the loss and the optimizer by itself, with torch's own numbers:
        what is wrong here is that layer's own fault
step    the network as it is wired, from torch's own state before the step, with torch's layers in
        the place of those that are wrong: what is wrong here lies between the layers
run     the whole run from the first state on, in which everything adds up: what is shown

What is wrong only in the last is lost from one step to the next.
"""

import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, State
from npnet.verify.ask import trace_of
from npnet.verify.candidate import Candidate
from npnet.verify.case import Example, Slot, map_leaves
from npnet.verify.coverage import Coverage
from npnet.verify.environment import environment, one_thread
from npnet.verify.examine import Evidence, Examiner, confirm
from npnet.verify.finding import (
    BROKEN,
    Explanation,
    Finding,
    LayerResult,
    Outcome,
    Report,
    Step,
    Trace,
    Verdict,
    inherited,
)
from npnet.verify.judge import Failure
from npnet.verify.precision import PRECISIONS
from npnet.verify.settings import Settings, Tell
from npnet.verify.shrink import shrink
from npnet.verify.spec import Spec
from npnet.verify.targets import own_function, specs
from npnet.verify.trial import Trial, identity
from npnet.verify.whole import wiring
from npnet.verify.whole.margins import Margin, margins
from npnet.verify.whole.network import (
    Network,
    as_batches,
    check_layers,
    function,
    network,
    places,
)
from npnet.verify.whole.running import BrokeError, Runner
from npnet.verify.whole.trace import (
    LOSS,
    NETWORK,
    OPTIMIZER,
    WIRING,
    Call,
    OwnStep,
    Place,
    TwinStep,
)

Rates = Sequence[float] | Callable[[int], float] | None
_SHRINK_SECONDS = 1.0
_LARGE = 4096  # numbers of a case, beyond which it is not made simpler number by number


def model(
    candidate: Any,
    module: Any,
    batches: Any,
    optimizer: Any = None,
    *,
    loss: Any = None,
    lr: Rates = None,
    steps: int | None = None,
    dtypes: Sequence[str] = ("float64", "float32"),
    seed: int = 0,
    on_event: Tell | None = None,
) -> Report:
    """Hold a training run of a network against the same run of a torch module.

    candidate: a npnet.train.Model, layers in a list or by the names of the module's, a
        npnet.verify.Network of these, or a function of a Case that is the whole network
    module: the torch.nn.Module that it claims to be; its state is where both begin
    batches: (x, target) for every step, arrays or tensors; the last one is the loss's
    optimizer: of torch.optim over the module's parameters, or of npnet.optim; by default the
        candidate's own
    loss: a module of torch, as nn.CrossEntropyLoss(); by default the twin of the candidate's own;
        without one the module returns the loss
    lr: the learning rate of every step, or a function of the step, from 0, as schedules are
    steps: of the batches, how many; all by default
    seed: of what layers draw

    Raises ConfigError where the two cannot be held together: other names, other shapes.
    """
    asked = Training(candidate, module, batches, optimizer, loss=loss, lr=lr, steps=steps)
    return asked.verify(dtypes=dtypes, seed=seed, on_event=on_event)


@dataclass(frozen=True)
class Training:
    """What `model` is asked, as a value: for a file that `npnet trace` reads.

    The fields are the arguments of `model`; module may be a function without arguments that
    builds it, and batches one that returns them.
    """

    candidate: Any
    module: Any
    batches: Any
    optimizer: Any = None
    loss: Any = None
    lr: Rates = None
    steps: int | None = None

    def verify(
        self,
        *,
        dtypes: Sequence[str] = ("float64", "float32"),
        seed: int = 0,
        on_event: Tell | None = None,
    ) -> Report:
        """Hold the run against torch's."""
        return self._run(seed).report(dtypes, on_event or (lambda event: None))

    def _run(self, seed: int) -> "_Run":
        module = self.module() if inspect.isfunction(self.module) else self.module
        batches = self.batches() if inspect.isfunction(self.batches) else self.batches
        optimizer = self.optimizer
        if inspect.isfunction(optimizer):
            optimizer = optimizer(module.parameters())
        return _Run(
            self.candidate, module, batches, optimizer, self.loss, self.lr, self.steps, seed
        )


@dataclass
class _Fault:
    """A divergence with the layer that is to blame."""

    place: Place
    failure: Failure
    step: int  # from 0
    kind: str  # the class of the layer
    how: str = "plain"  # it was asked: by itself, as "wiring", as "carried"
    steps: list[int] = field(default_factory=list)  # in which it is seen
    example: Example | None = None
    candidate: Candidate | None = None
    spec: Spec | None = None
    explanation: Explanation | None = None


class _Run:
    """One candidate network and its twin."""

    def __init__(
        self,
        candidate: Any,
        module: Any,
        batches: Any,
        optimizer: Any,
        loss: Any,
        lr: Rates,
        steps: int | None,
        seed: int,
    ) -> None:
        try:
            twins = import_module("npnet.twins.network")
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ConfigError(
                "a network is held against torch, which is not installed. Install it with: "
                "pip install 'npnet[torch]'"
            ) from None
        specs()
        one_thread()
        self.network = network(candidate)
        optimizer = getattr(candidate, "optimizer", None) if optimizer is None else optimizer
        if optimizer is None:
            raise ConfigError(
                "verify.model needs an optimizer: of torch.optim over the module's parameters, or "
                "of npnet.optim, as optim.SGD(lr=0.1)."
            )
        if loss is None and self.network.loss is not None:
            loss = twins.twin_of_loss(self.network.loss)
        names = list(self.network.layers) if self.network.layers else None
        self.twin = twins.TorchNetwork(module, loss, optimizer, names)
        if names is not None:
            check_layers(names, twins.names_of(module), self.twin.trainable)
        self.batches = as_batches(batches, steps)
        self.seeds = [int(s) for s in np.random.default_rng(seed).integers(0, 2**32, self.steps)]
        self.rates = self._rates(lr)
        self.seed = seed
        self.kinds = {name: self.twin.kind(name) for name in self.twin.layers}
        if self.twin.loss is not None:
            self.kinds[LOSS] = self.twin.kind(LOSS)
        self.kinds[OPTIMIZER] = self.twin.optimizer.name
        self.runner = self._runner()

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.batches)

    def _rates(self, lr: Rates) -> list[float]:
        own = self.twin.optimizer.config["lr"]
        if lr is None:
            return [own] * self.steps
        rates = [float(lr(k)) for k in range(self.steps)] if callable(lr) else list(lr)
        if len(rates) < self.steps:
            raise ConfigError(
                f"lr must have a rate for each of {self.steps} steps, but has {len(rates)}."
            )
        return rates[: self.steps]

    def _runner(self) -> Runner:
        own, twin = self.network, self.twin
        loss = own.loss
        if loss is not None:
            ask_loss = function(loss, "the loss")
        elif twin.loss is None or own.has_loss:
            ask_loss = None
        else:
            ask_loss = self._own_twin(LOSS)
        named = {n: function(layer, f"layer {n!r}") for n, layer in own.layers.items()}
        return Runner(
            layers=named,
            wiring=own.forward,
            whole=own.whole,
            has_loss=own.has_loss,
            loss=ask_loss,
            optimizer=own_function(twin.optimizer.name)
            if own.optimizer is None
            else function(own.optimizer, "the optimizer"),
            configs={n: twin.config(n) for n in (*twin.layers, *([LOSS] if twin.loss else []))},
            local={n: twin.local_state(n) for n in twin.layers},
            trainable=twin.trainable,
            optimizer_config=twin.optimizer.config,
            groups=twin.optimizer.groups,
            draws=twin.draws,
        )

    def _own_twin(self, layer: str) -> Any:
        """npnet's own layer in the place of one that the candidate does not have."""
        found = own_function(self.twin.kind(layer))
        return self.twin.candidate(layer) if found is None else found

    # ---- the report ----------------------------------------------------------------------------

    def report(self, dtypes: Sequence[str], tell: Tell) -> Report:
        """Every dtype, one after the other."""
        started = time.monotonic()
        asked = Settings(dtypes=tuple(dtypes), seed=self.seed, isolated=False)
        facts = {**environment()}
        tell(
            {
                "event": "run",
                "candidates": [name or NETWORK for name in (*self.kinds, WIRING)],
                "settings": asked,
                "total": len(dtypes) * self.steps,
            }
        )
        report = Report(environment=facts, seed=self.seed)
        outcomes: dict[str, dict[str, Outcome]] = {}
        try:
            for dtype in dtypes:
                one = _InOneFormat(self, dtype, report.findings, tell)
                one.ask()
                for finding in one.findings:
                    report.findings.append(finding)
                    tell({"event": "finding", "finding": finding})
                report.traces.append(one.trace)
                tell({"event": "trace", "trace": one.trace})
                report.not_verified += [w for w in one.unseen if w not in report.not_verified]
                for layer, outcome in one.outcomes().items():
                    outcomes.setdefault(layer, {})[dtype] = outcome
        except KeyboardInterrupt:
            report.not_verified.append("what came after the interruption")
        for layer, by in outcomes.items():
            result = LayerResult(layer, self.kinds.get(layer, ""), by)
            report.layers.append(result)
            tell({"event": "layer", "result": result, "not_verified": []})
        report.seconds = time.monotonic() - started
        return report


class _InOneFormat:
    """The run in one dtype."""

    def __init__(self, run: _Run, dtype: str, before: Sequence[Finding], tell: Tell) -> None:
        self.run, self.dtype, self.tell = run, dtype, tell
        self.precision = PRECISIONS[dtype]
        self.before = list(before)
        self.state = _as(run.twin.state, dtype)
        self.batches = [map_leaves(b, "", lambda _, x: _cast(x, dtype)) for b in run.batches]
        self.evidence: dict[str, Evidence] = {name: Evidence() for name in run.kinds}
        self.faults: list[_Fault] = []
        self.findings: list[Finding] = []
        self.unseen: list[str] = []
        self.asked = 0
        self.wired: dict[str, float] = {}  # of what connects the layers: the worst err/bound

    def ask(self) -> None:
        """Layer by layer, step by step, and the whole run."""
        run = self.run
        twin, seeds, rates = run.twin, run.seeds, run.rates
        states, grads = [], []
        for state, g in twin.trajectory(self.state, self.batches, self.dtype, seeds, rates):
            states.append(_as(state, self.dtype))
            grads.append({n: None if x is None else _cast(x, self.dtype) for n, x in g.items()})
        exact: list[TwinStep] = []
        for k, state in enumerate(states):
            one = twin.step(state, self.batches[k], self.dtype, seeds[k])
            exact.append(one)
            if one.disagreement is not None:
                self._doubt(k, one.disagreement)
            self._layers(k, one)
            self.tell({"event": "example", "layer": run.network.name, "dtype": self.dtype})
        self._optimizer(grads)
        self._between(states, exact)
        self._whole()
        self.findings = self._told()

    # ---- layer by layer ------------------------------------------------------------------------

    def _layers(self, k: int, step: TwinStep) -> None:
        """Every call of every layer, with what torch's own was given."""
        run = self.run
        for call in step.calls:
            path = LOSS if call.name == LOSS else Place(call.name, "").path
            if path == LOSS:
                ask = run.runner.loss
            elif run.runner.whole is None:
                ask = run.runner.layers[path]
            else:
                continue
            if ask is None:
                continue
            kind = run.kinds[path]
            spec = run.twin.spec(path)
            c = Candidate(ask, kind, path or NETWORK, sources=places(ask))
            example = _example(call, spec, run.runner.configs[path], self.dtype, run.seeds[k])
            self._ask_one(k, c, spec, example, path)

    def _ask_one(self, k: int, c: Candidate, spec: Spec, example: Example, path: str) -> None:
        examiner = Examiner(c, spec, self.precision)
        self.asked += 1
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
            self.faults.append(
                _Fault(place, failure, k, self.run.kinds[path], steps=[k], example=example, candidate=c, spec=spec)
            )

    def _known(self, path: str, quantity: str) -> _Fault | None:
        return next((f for f in self.faults if f.place == Place(path, quantity)), None)

    def _optimizer(self, grads: Sequence[Mapping[str, Array | None]]) -> None:
        """All steps of the optimizer, with torch's own gradients."""
        run = self.run
        name = run.twin.optimizer.name
        spec = specs()[name]
        arrays = {f"param {n}": self.state[n][np.newaxis] for n in run.twin.trainable}
        for k, step in enumerate(grads, start=1):
            for n, g in step.items():
                if g is not None:
                    arrays[f"grad {k} {n}"] = g[np.newaxis]
        kwargs: dict[str, Any] = {"lr": tuple(run.rates), "restart": None}
        if run.twin.optimizer.groups:
            kwargs["groups"] = run.twin.optimizer.groups
        config = run.twin.optimizer.config
        example = Example(name, config, arrays, 1, ("normal",), 0, (), kwargs)
        ask = run.runner.optimizer
        c = Candidate(ask, name, OPTIMIZER, sources=places(ask))
        examiner = Examiner(c, spec, self.precision)
        self.asked += 1
        for failure in examiner(example, self.evidence[OPTIMIZER], protocols=("plain",)):
            if failure.worst is not None:
                failure = confirm(examiner, example, failure)
            k = _step_in(failure.quantity)
            place = Place(OPTIMIZER, failure.quantity)
            steps = list(range(k, run.steps))
            self.faults.append(
                _Fault(place, failure, k, name, steps=steps, example=example, candidate=c, spec=spec)
            )

    # ---- step by step --------------------------------------------------------------------------

    def _between(self, states: Sequence[State], exact: Sequence[TwinStep]) -> None:
        """The network as it is wired, with torch's layers in the place of those that are wrong."""
        run = self.run
        repaired = self._repaired()
        for k, (state, want) in enumerate(zip(states, exact, strict=True)):
            try:
                got = repaired.step(state, self.batches[k], run.seeds[k])
            except BrokeError as broke:
                self._broke(k, broke)
                return
            for place, one in self._margins(want, got).items():
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

    def _note_wiring(
        self, k: int, place: Place, one: Margin, want: TwinStep, got: OwnStep
    ) -> None:
        if any(f.example is None and f.step < k for f in self.faults):
            return  # of what lies between the layers, the first is told
        run = self.run
        assert one.failure is not None
        failure = one.failure
        calls: dict[str, int] = {}
        for call in want.calls:
            path = Place(call.name, "").path
            calls[path] = calls.get(path, 0) + 1
        explanation = None
        if run.runner.whole is None:
            explanation = wiring.explained(
                place, got.quantities.get(place), want.quantities, self.precision, calls
            )
        fault = _Fault(place, failure, k, run.kinds.get(place.path, ""), WIRING, [k])
        fault.explanation = explanation
        self.faults.append(fault)

    def _repaired(self) -> Runner:
        """The candidate with torch's own layers where its own are wrong."""
        runner = self.run.runner
        broken = {f.place.path for f in self.faults if f.example is not None}
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
        layered = self.run.runner.whole is None
        return margins(
            want.quantities, got.quantities, got.state, self.precision, layered=layered
        )

    # ---- the whole run -------------------------------------------------------------------------

    def _whole(self) -> None:
        """The run from the first state on, in which every error is handed on."""
        run = self.run
        args = (self.state, self.batches, run.seeds, run.rates)
        want = list(run.twin.run(self.state, self.batches, self.dtype, run.seeds, run.rates))
        got = run.runner.run(*args)
        for k, (w, g) in enumerate(zip(want, got, strict=False), start=1):
            self.tell({"event": "step", "dtype": self.dtype, "step": k, "twin": w, "own": g})
        shown = [self._margins(w, g) for w, g in zip(want, got, strict=False)]
        self.trace = self._traced(shown)
        if not any(f.example is None for f in self.faults):
            if self.faults:
                got = self._repaired().run(*args)
                shown = [self._margins(w, g) for w, g in zip(want, got, strict=False)]
            self._carried(shown)

    def _carried(self, shown: Sequence[Mapping[Place, Margin]]) -> None:
        """What is right in every step by itself, and wrong where one follows the other."""
        for k, step in enumerate(shown):
            for place, one in step.items():
                if one.failure is not None:
                    fault = _Fault(place, one.failure, k, self.run.kinds.get(place.path, ""), "carried", [k])
                    fault.explanation = Explanation(
                        "carried",
                        f"step {k + 1} is right when it begins with torch's own state, and wrong "
                        "after the steps before it: something is kept from one step to the next "
                        "that should not be, or lost (a buffer, a cache, gradients that add up)",
                        1.0,
                        certain=False,
                    )
                    self.faults.append(fault)
                    return

    def _traced(self, shown: Sequence[Mapping[Place, Margin]]) -> Trace:
        own = {(f.place.path, k) for f in self.faults for k in f.steps}
        rows: dict[str, list[Step]] = {
            name: [] for name in self.run.kinds if self._is_shown(name)
        }
        known: list[int] = []
        for k, step in enumerate(shown):
            known.append(sum(m.informative for m in step.values()))
            for name, cells in rows.items():
                here = [(p, m) for p, m in step.items() if p.path == name]
                cells.append(_cell(here, own=(name, k) in own))
        first = known[0] if known else 0
        lost = next((k for k, n in enumerate(known) if 2 * n < first), None)
        return Trace(
            self.dtype,
            len(shown),
            {name: tuple(cells) for name, cells in rows.items()},
            {name: self.run.kinds[name] for name in rows},
            None if lost is None else lost + 1,
        )

    def _is_shown(self, name: str) -> bool:
        """Layers of which a candidate that is one function shows nothing are left out."""
        if self.run.runner.whole is None or name in (LOSS, OPTIMIZER):
            return True
        return any(p.startswith(f"{name}." if name else "") for p in self.run.twin.trainable)

    # ---- findings ------------------------------------------------------------------------------

    def _doubt(self, k: int, message: str) -> None:
        text = f"torch contradicts itself in step {k + 1}: {message}"
        failure = Failure("y", Verdict.ORACLE_DISAGREES, text)
        self.faults.append(_Fault(Place(LOSS, "y"), failure, k, self.run.kinds.get(LOSS, ""), steps=[k]))

    def _broke(self, k: int, broke: BrokeError) -> None:
        if any(f.failure.verdict in BROKEN and f.place.path == broke.layer for f in self.faults):
            return
        failure = Failure("forward", Verdict.CRASH, str(broke), traceback=trace_of(broke.error))
        kind = self.run.kinds.get(broke.layer, "")
        self.faults.append(_Fault(Place(broke.layer, "forward"), failure, k, kind, steps=[k]))

    def _told(self) -> list[Finding]:
        """A finding for every fault, those of one layer under the first of them."""
        found: list[Finding] = []
        leaders: dict[tuple[str, bool], str] = {}
        order = {name: n for n, name in enumerate(self.run.kinds)}
        self.faults.sort(key=lambda f: (f.step, order.get(f.place.path, -1)))
        for fault in self.faults:
            finding = self._finding(fault)
            same = [f for f in self.before if f.layer == finding.layer]
            if inherited(finding, same):
                continue
            key = (fault.place.path, fault.example is None)
            leaders.setdefault(key, finding.id)
            found.append(finding if leaders[key] == finding.id else replace(
                finding, cause=leaders[key]))
        return found + self._insufficient(found)

    def _finding(self, fault: _Fault) -> Finding:
        run, f = self.run, fault.failure
        example = fault.example
        explanations: tuple[Explanation, ...] = ()
        comparison, worst, wrong, size, message = (
            f.comparison, f.worst, f.wrong, f.size, f.message)
        if fault.explanation is not None:
            explanations = (fault.explanation,)
        c = fault.candidate or Candidate(lambda case: None, fault.kind, fault.place.path)
        probe = f.comparison
        if example is not None and f.worst is not None and fault.spec is not None:
            assert fault.candidate is not None
            fewer, smaller, again = _smaller(
                fault.candidate, fault.spec, self.precision, example, f
            )
            comparison, worst = again.comparison, again.worst
            wrong, size, message = again.wrong, again.size, again.message
            example = smaller
        name, quantity, twin = fault.place.path or NETWORK, fault.place.quantity, fault.kind
        if fault.how != "plain":
            name, quantity, twin = WIRING, str(fault.place), ""
        known = fault.spec is not None and fault.spec.name in specs()
        evidence = self.evidence.get(fault.place.path, Evidence())
        broken = {x.place.quantity for x in self.faults if x.place.path == fault.place.path}
        finding = Finding(
            id=identity(replace(c, name=name), quantity, self.dtype, example),
            layer=name,
            twin=twin,
            quantity=quantity,
            verdict=f.verdict,
            dtype=self.dtype,
            device="cpu",
            message=message,
            protocol=fault.how,
            case=example if known else None,
            smallest=comparison if known else None,
            probe=probe,
            worst=worst,
            wrong=wrong,
            size=size,
            failed=len(fault.steps),
            asked=run.steps,
            step=fault.step + 1,
            agrees=tuple(q for q in evidence.judged_quantities() if q not in broken)
            if fault.how == "plain"
            else (),
            explanations=explanations,
            source=c.source(fault.place.quantity),
            traceback=f.traceback,
        )
        if fault.example is None or not known or f.worst is None:
            return finding
        return self._diagnosed(fault, finding, fewer)

    def _diagnosed(self, fault: _Fault, finding: Finding, example: Example) -> Finding:
        """With why, as a layer by itself is told."""
        assert fault.candidate is not None and fault.spec is not None
        asked = Settings(dtypes=(self.dtype,), isolated=False)
        trial = Trial(
            fault.candidate, fault.spec, self.dtype, asked, lambda event: None, Coverage(), None
        )
        trial.record.add({}, example, [(finding.quantity, 0)], fault.spec.optimizer)
        (told,) = trial.explained([finding])
        return replace(told, cause="")

    def _insufficient(self, found: Sequence[Finding]) -> list[Finding]:
        """Layers of which nothing was seen: never a PASS; of the others, what was not."""
        if found or self.before:
            return []
        bare = []
        for name, e in self.evidence.items():
            if not e.seen:
                continue
            if not any(e.informative.values()):
                text = f"no quantity of {name or NETWORK} is known well enough to say anything"
                bare.append(
                    Finding(
                        id=f"{name or NETWORK}-insufficient-{self.dtype}",
                        layer=name or NETWORK,
                        twin=self.run.kinds[name],
                        quantity=next(iter(e.seen)),
                        verdict=Verdict.INSUFFICIENT,
                        dtype=self.dtype,
                        device="cpu",
                        message=text,
                    )
                )
                continue
            for quantity, n in e.informative.items():
                if not n and name != OPTIMIZER:
                    self.unseen.append(
                        f"{quantity} of {name or NETWORK} in {self.dtype} (its bound is as large "
                        "as what it bounds)"
                    )
        return bare

    def outcomes(self) -> dict[str, Outcome]:
        """What came of every layer, and of what connects them."""
        found = {}
        for name, e in self.evidence.items():
            verdict = self._verdict(name or NETWORK)
            if e.seen or verdict is not Verdict.PASS:
                found[name or NETWORK] = Outcome(
                    verdict,
                    self.run.steps,
                    0.0,
                    dict(e.ratios),
                    dict(e.informative),
                    dict(e.canaries),
                    e.judged,
                    e.not_judged,
                    tuple(sorted(e.fallbacks)),
                )
        known = dict.fromkeys(self.wired, self.run.steps)
        found[WIRING] = Outcome(
            self._verdict(WIRING), self.run.steps, 0.0, dict(self.wired), known, {}
        )
        return found

    def _verdict(self, name: str) -> Verdict:
        """Of a layer in this dtype; what was wrong in another before is wrong in this one."""
        own = [f for f in (*self.findings, *self.before) if f.layer == name]
        return own[0].verdict if own else Verdict.PASS


# ---- questions -----------------------------------------------------------------------------------


def _example(call: Call, spec: Spec, config: Mapping[str, Any], dtype: str, seed: int) -> Example:
    """A call of a layer as an example of its twin."""
    arrays: dict[str, Array] = {}

    def slot(name: str, x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        arrays[name] = _cast(x, dtype)[np.newaxis]
        return Slot(name)

    inputs = tuple(map_leaves(x, f"input {i}", slot) for i, x in enumerate(call.inputs))
    kwargs = {n: map_leaves(x, f"kwarg {n}", slot) for n, x in call.kwargs.items()}
    for name, a in call.state.items():
        slot(f"state {name}", a)
    told = {
        n: Slot(f"state {n}") if isinstance(v, np.ndarray) and n in call.state else v
        for n, v in config.items()
    }
    outputs = []
    for i, dy in enumerate(call.dys):
        name = "dy" if len(call.dys) == 1 else f"dy {i}"
        outputs.append(None if dy is None else name)
        if dy is not None:
            slot(name, dy)
    draws = spec.draws(config) if spec.name in specs() else False
    return Example(
        spec.name,
        told,
        arrays,
        1,
        ("normal",),
        seed,
        inputs,
        kwargs,
        {},
        draws,
        None,
        tuple(outputs),
    )


def _smaller(
    c: Candidate, spec: Spec, precision: Any, example: Example, failure: Failure
) -> tuple[Example, Example, Failure]:
    """The same divergence on a few rows of the batch, and then with simpler numbers."""
    examiner = Examiner(c, spec, precision)
    best = (example, failure)

    def fails(smaller: Example) -> bool:
        nonlocal best
        try:
            found = examiner(smaller, protocols=("plain",))
        except Exception:  # torch itself takes no batch of that size
            return False
        same = [f for f in found if f.quantity == failure.quantity and f.worst is not None]
        if not same or same[0].verdict is not Verdict.WRONG:
            return False
        best = (smaller, replace(same[0], verdict=failure.verdict))
        return True

    if failure.verdict is not Verdict.WRONG:
        return example, *best
    for rows in _fewer(example):
        if fails(rows):
            break
    here = best[0]
    if sum(a.size for a in here.arrays.values()) <= _LARGE:
        shrink(here.one(0), lambda arrays: fails(here.replaced(arrays)), _SHRINK_SECONDS)
    return here, *best


def _fewer(example: Example) -> Iterator[Example]:
    """The first rows of a batch, where all inputs and cotangents have it as their first axis."""
    rows = [n for n in example.arrays if n.startswith(("input ", "dy")) and example.arrays[n].ndim > 1]
    sizes = {example.arrays[n].shape[1] for n in rows}
    if len(sizes) != 1:
        return
    (size,) = sizes
    n = 1
    while n < size:
        arrays = {k: a[:, :n].copy() if k in rows else a for k, a in example.arrays.items()}
        yield replace(example, arrays=arrays)
        n *= 2


def _cell(here: Sequence[tuple[Place, Margin]], *, own: bool) -> Step:
    """A layer in a step: the worst of what says something, and whether it is its own fault."""
    bad = [(p, m) for p, m in here if m.failure is not None]
    if bad:
        place, worst = max(bad, key=lambda pm: pm[1].ratio)
        return Step("wrong" if own else "inherits", worst.ratio, str(place))
    known = [(p, m) for p, m in here if m.informative]
    place, worst = max(known or here, key=lambda pm: pm[1].ratio, default=(Place("", ""), None))
    if worst is None:
        return Step("unknown", 0.0, "")
    return Step("ok" if known else "unknown", worst.ratio, str(place))


def _step_in(quantity: str) -> int:
    """The step, from 0, of "params after step 3: w"."""
    _, _, rest = quantity.partition("after step ")
    number = rest.partition(":")[0]
    return int(number) - 1 if number.isdigit() else 0


def _cast(x: Any, dtype: str) -> Any:
    return x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x


def _as(state: State, dtype: str) -> dict[str, Array]:
    return {name: _cast(a, dtype) for name, a in state.items()}


__all__ = ["Network", "model"]
