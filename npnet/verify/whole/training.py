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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from npnet.contract import ConfigError
from npnet.verify.candidate import Candidate
from npnet.verify.environment import environment, one_thread
from npnet.verify.finding import LayerResult, Outcome, Report
from npnet.verify.settings import Settings, Tell
from npnet.verify.targets import nearest, own_function
from npnet.verify.whole.asking import Asked, InOneFormat
from npnet.verify.whole.faults import Telling, insufficient
from npnet.verify.whole.network import (
    Network,
    as_batches,
    check_layers,
    function,
    network,
    places,
    stepping,
)
from npnet.verify.whole.running import Runner
from npnet.verify.whole.trace import LOSS, NETWORK, OPTIMIZER, WIRING

Rates = float | Sequence[float] | Callable[[int], float] | None


def model(
    candidate: Any,
    module: Any,
    batches: Any,
    optimizer: Any = None,
    *,
    loss: Any = None,
    lr: Rates = None,
    clip_value: float | None = None,
    clip_norm: float | None = None,
    steps: int | None = None,
    dtypes: Sequence[str] = ("float64", "float32"),
    seed: int = 0,
    on_event: Tell | None = None,
) -> Report:
    """Hold a training run of a network against the same run of a torch module.

    candidate: a npnet.train.Model, layers in a list or by the names of the module's, a
        npnet.verify.Network of these, or a function of a Case that is the whole network
    module: the torch.nn.Module that it claims to be; its state is where both begin. None: made of
        the candidate's layers, where they are npnet's own and follow one another
    batches: (x, target) for every step, arrays or tensors; the last one is the loss's
    optimizer: of torch.optim over the module's parameters, or of npnet.optim; by default the
        candidate's own
    loss: a module of torch, as nn.CrossEntropyLoss(); by default the twin of the candidate's own;
        without one the module returns the loss
    lr: the learning rate of every step, or a function of the step, from 0, as schedules are
    clip_value, clip_norm: what every gradient, and then the norm of all together, is cut down to,
        as torch.nn.utils has it
    steps: of the batches, how many; all by default
    seed: of what layers draw

    Raises ConfigError where the two cannot be held together: other names, other shapes.
    """
    asked = TrainingRun(
        candidate, module, batches, optimizer, loss, lr, clip_value, clip_norm, steps
    )
    return asked.verify(dtypes=dtypes, seed=seed, on_event=on_event)


@dataclass(frozen=True)
class TrainingRun:
    """What `model` is asked, as a value: for a file that `npnet trace` reads.

    The fields are the arguments of `model`; module may be a function without arguments that
    builds it, and batches one that returns them. target: where it stands, as "nets.py::net".
    """

    candidate: Any
    module: Any
    batches: Any
    optimizer: Any = None
    loss: Any = None
    lr: Rates = None
    clip_value: float | None = None
    clip_norm: float | None = None
    steps: int | None = None
    target: str = ""

    def verify(
        self,
        *,
        dtypes: Sequence[str] = ("float64", "float32"),
        seed: int = 0,
        on_event: Tell | None = None,
    ) -> Report:
        """Hold the run against torch's."""
        run = _asked(self, seed)
        return _report(run, self.target, dtypes, seed, on_event or (lambda event: None))


INTERRUPTED = "what came after the interruption"


def _asked(training: TrainingRun, seed: int) -> Asked:
    """A training run with its twin. Raises ConfigError where the two cannot be held together."""
    batches = training.batches
    if inspect.isfunction(batches):
        try:
            batches = batches()
        except Exception as error:
            raise ConfigError(f"batches() raised {type(error).__name__}: {error}") from error
    if training.steps is not None and training.steps < 1:
        raise ConfigError(f"steps must be at least 1, but is {training.steps}.")
    for name in ("clip_value", "clip_norm"):
        limit = getattr(training, name)
        if limit is not None and not limit > 0:
            raise ConfigError(f"{name} must be more than 0, but is {limit}.")
    own = network(training.candidate)
    twin = _twin(training, own)
    found = as_batches(batches, training.steps)
    kinds = {name: twin.kind(name) for name in twin.layers}
    runner = _runner(own, twin)
    if twin.loss is not None and runner.has_own_loss:
        kinds[LOSS] = twin.kind(LOSS)
    kinds[OPTIMIZER] = twin.optimizer.name
    rates = _rates(_lr(training), twin.optimizer.config["lr"], len(found))
    twin.optimizer.begin_with(rates[0])
    return Asked(
        name=own.name,
        twin=twin,
        runner=runner,
        kinds=kinds,
        batches=found,
        seeds=[int(s) for s in np.random.default_rng(seed).integers(0, 2**32, len(found))],
        rates=rates,
    )


def _module(training: TrainingRun, own: Network, twins: Any) -> Any:
    """The torch module that both begin with."""
    if inspect.isfunction(training.module):
        return training.module()
    if training.module is not None:
        return training.module
    if own.forward is not None or own.whole is not None:
        raise ConfigError(
            "the module can be left out only where layers follow one another, but this network has "
            "a wiring of its own. Give the torch.nn.Module that it claims to be."
        )
    return twins.twin_of_layers(own.layers, getattr(training.candidate, "state", None))


def _twin(training: TrainingRun, own: Network) -> Any:
    """The TorchNetwork of a training run."""
    try:
        twins = import_module("npnet.twins.whole")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError(
            "a network is held against torch, which is not installed. Install it with: "
            "pip install 'npnet[torch]'"
        ) from None
    one_thread()
    module = _module(training, own, twins)
    optimizer = training.optimizer
    if inspect.isfunction(optimizer):
        optimizer = optimizer(module.parameters())
    if optimizer is None:
        optimizer = getattr(training.candidate, "optimizer", None)
    if optimizer is None:
        raise ConfigError(
            "verify.model needs an optimizer: of torch.optim over the module's parameters, or of "
            "npnet.optim, as optim.SGD(lr=0.1)."
        )
    loss = training.loss
    if loss is None and own.loss is not None:
        loss = twins.twin_of_loss(own.loss)
    names = list(own.layers) or None
    value, norm = (_of_either(training, name) for name in ("clip_value", "clip_norm"))
    twin = twins.TorchNetwork(module, loss, optimizer, names, clip_value=value, clip_norm=norm)
    if names is not None:
        check_layers(names, twins.names_of(module), twin.trainable)
    return twin


def _lr(training: TrainingRun) -> Rates:
    """The rates, or else the schedule of a Model that counts steps."""
    schedule = getattr(training.candidate, "schedule", None)
    if training.lr is not None or schedule is None:
        return training.lr
    if getattr(training.candidate, "schedule_by", "step") != "step" or not callable(schedule):
        raise ConfigError(
            "the candidate's schedule goes by epochs or by what is to be improved, which a row of "
            "batches does not have. Give lr=, a rate for every step."
        )
    found: Rates = schedule
    return found


def _of_either(training: TrainingRun, name: str) -> Any:
    """What the training says, or else the candidate where it is a Model."""
    own = getattr(training, name)
    return getattr(training.candidate, name, None) if own is None else own


def _rates(lr: Rates, own: float, steps: int) -> list[float]:
    """The learning rate of every step."""
    if lr is None or isinstance(lr, int | float):
        return [own if lr is None else float(lr)] * steps
    try:
        found = (lr(k) for k in range(steps)) if callable(lr) else lr
        rates = [float(rate) for rate in found]
    except (TypeError, ValueError) as error:
        raise ConfigError(
            "lr must be a number, numbers, or a function of the step from 0, as the schedules of "
            f"npnet.optim.lr_scheduler are, but is {lr!r} ({error})."
        ) from None
    if len(rates) < steps:
        raise ConfigError(f"lr must have a rate for each of {steps} steps, but has {len(rates)}.")
    return rates[:steps]


def _runner(own: Network, twin: Any) -> Runner:
    """The candidate's network, ready to run; npnet's own loss and optimizer where it has none."""
    ask_loss, has_own_loss = None, True
    if own.loss is not None:
        ask_loss = function(own.loss, "the loss")
    elif twin.loss is not None and not own.has_loss:
        ask_loss = own_function(twin.kind(LOSS))
        has_own_loss = ask_loss is not None
        ask_loss = ask_loss or twin.candidate(LOSS)
    own_optimizer = own_function(twin.optimizer.name)
    assert own_optimizer is not None
    return Runner(
        layers={n: function(layer, f"layer {n!r}") for n, layer in own.layers.items()},
        wiring=own.forward,
        whole=own.whole,
        has_loss=own.has_loss,
        loss=ask_loss,
        has_own_loss=has_own_loss,
        optimizer=own_optimizer if own.optimizer is None else stepping(own.optimizer),
        configs={n: twin.config(n) for n in (*twin.layers, *([LOSS] if twin.loss else []))},
        local={n: twin.local_state(n) for n in twin.layers},
        owners={name: twin.owner(name) for name in twin.state},
        trainable=twin.trainable,
        optimized=twin.stepped,
        optimizer_config=twin.optimizer.config,
        groups=twin.optimizer.groups,
        clip=_clip(own, twin),
        draws=twin.draws,
    )


def _clip(own: Network, twin: Any) -> Any:
    """How the candidate's gradients are clipped, where torch's are."""
    value, norm = twin.clip_value, twin.clip_norm
    if value is None and norm is None:
        if own.clip is not None:
            raise ConfigError(
                "the candidate clips its gradients, and torch would not. Give clip_norm= or "
                "clip_value=."
            )
        return None
    if own.clip is not None:
        return own.clip
    optim = import_module("npnet.optim")

    def clip(grads: Any) -> Any:
        if value is not None:
            grads = optim.clip_grad_value(grads, value)
        return grads if norm is None else optim.clip_grad_norm(grads, norm)[0]

    return clip


def part_of(training: TrainingRun, layer: str) -> Candidate:
    """A layer of a training run, its loss or its optimizer, as a candidate by itself.

    Raises ConfigError where there is none of that name.
    """
    run = _asked(training, 0)
    parts = {name or NETWORK: ask for name, ask in run.runner.layers.items()}
    parts[OPTIMIZER] = run.runner.optimizer
    if run.runner.loss is not None:
        parts[LOSS] = run.runner.loss
    if layer not in parts:
        raise ConfigError(f"the run has no layer {layer!r}.{nearest(layer, list(parts))}")
    kind = run.kinds.get("" if layer == NETWORK else layer, "")
    return Candidate(parts[layer], kind, layer, sources=places(parts[layer]))


def _report(run: Asked, target: str, dtypes: Sequence[str], seed: int, tell: Tell) -> Report:
    """Every dtype, one after the other; told as it happens."""
    started = time.monotonic()
    if isinstance(dtypes, str) or not dtypes:
        raise ConfigError(f'dtypes must be formats, as ("float64",), but is {dtypes!r}.')
    asked = Settings(dtypes=tuple(dtypes), seed=seed, isolated=False)
    whole = WIRING if run.runner.whole is None else NETWORK
    tell(
        {
            "event": "run",
            "candidates": [name or NETWORK for name in (*run.kinds, whole)],
            "settings": asked,
            "total": len(dtypes) * run.steps,
        }
    )
    report = Report(environment=environment(), seed=seed)
    outcomes: dict[str, dict[str, Outcome]] = {}
    blind: dict[str, list[str]] = {}
    for dtype in dtypes:
        one = InOneFormat(run, dtype, tell)
        interrupted = False
        try:
            one.ask()
        except KeyboardInterrupt:  # what was found until now is told all the same
            interrupted = True
            report.not_verified.append(INTERRUPTED)
        telling = Telling(dtype, run.kinds, run.steps, one.evidence, report.findings, target)
        found = []
        for finding in telling.findings(one.faults, shrunk=not interrupted):
            found.append(finding)
            tell({"event": "finding", "finding": finding})
        if not interrupted and not found and not report.findings:
            report.not_verified += [*telling.unseen(), *one.unseen()]
        for layer in sorted(telling.blind(one.asked) - {f.place.path for f in one.faults}):
            blind.setdefault(layer, []).append(dtype)
        for layer, outcome in telling.outcomes(found, whole, one.wired).items():
            outcomes.setdefault(layer, {})[dtype] = outcome
        report.findings += found
        if interrupted:
            break
        report.traces.append(one.trace)
        tell({"event": "trace", "trace": one.trace})
    for layer, formats in blind.items():
        if len(formats) < len(dtypes):
            known = f"{layer or NETWORK} in {formats[0]} (its bounds are as large as its numbers)"
            report.not_verified.append(known)
            continue
        finding = insufficient(layer, run.kinds[layer], formats)
        report.findings.append(finding)
        tell({"event": "finding", "finding": finding})
    for layer, by in outcomes.items():
        result = LayerResult(layer, run.kinds.get(layer, ""), by)
        report.layers.append(result)
        tell({"event": "layer", "result": result, "not_verified": []})
    report.seconds = time.monotonic() - started
    return report
