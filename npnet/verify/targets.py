"""From what a user names to candidates: npnet's own layers, files, modules. Meets twins by name."""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from npnet.contract import ConfigError, Forward, Grads
from npnet.verify.candidate import Candidate, sources
from npnet.verify.case import Case, LayerConfig, OptimizerCase, map_leaves
from npnet.verify.dialect import Dialect
from npnet.verify.finding import Finding, Source, Verdict
from npnet.verify.spec import Spec

Twins = Mapping[str, Spec]
"""What candidates are held against, by name."""


def specs(device: str = "cpu", reference: str = "reference") -> Twins:
    """Every twin by name, as it answers on a device. Loaded by name and on demand: the engine does
    not know torch.

    device: "cpu"; "cuda": what the CPU says, and the GPU besides; "recorded": what torch said on
        the CPU when it was asked for the files in the folder `reference`; "recorded:cuda"

    Raises ConfigError where torch is needed and not installed, or nothing is recorded.
    """
    kind, _, where = device.partition(":")
    if kind == "recorded":
        recorded = importlib.import_module("npnet.verify.recorded")
        found: Twins = recorded.recorded_specs(Path(reference), where or "cpu")
        return found
    try:
        twins = importlib.import_module("npnet.twins")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError(
            "holding code against its twin needs torch, which is not installed. Install it with: "
            "pip install 'npnet[torch]', or hold it against recorded answers: --device recorded"
        ) from None
    answering: Twins = twins.SPECS
    if device != "cpu":
        answering = importlib.import_module("npnet.twins.beside").beside(device, answering)
    return answering


def dialects(twin: str) -> tuple[Dialect, ...]:
    """Every known dialect of a twin, loaded on demand as the twins are."""
    found: Mapping[str, tuple[Dialect, ...]] = importlib.import_module(
        "npnet.twins.dialects"
    ).DIALECTS
    return found.get(twin, ())


def held(c: Candidate, twins: Twins | None = None) -> tuple[Candidate, Spec]:
    """The candidate as it is asked, and what it is held against: its twin, or a dialect of it.

    Raises ConfigError where there is no such dialect.
    """
    spec = (specs() if twins is None else twins)[c.twin]
    if c.dialect is None:
        return c, spec
    if spec.recorded is not None:
        raise ConfigError(
            f"candidate {c.name!r} declares the dialect {c.dialect!r}, but what is recorded is "
            "torch's own convention. Hold it against torch itself: --device cpu."
        )
    known = {d.name: d for d in dialects(c.twin)}
    if c.dialect not in known:
        names = f"It has {', '.join(map(repr, known))}." if known else "It has none."
        raise ConfigError(
            f"candidate {c.name!r} declares the dialect {c.dialect!r}, which {c.twin} does not "
            f"have. {names}"
        )
    return known[c.dialect].held(c, spec)


def own_names(twins: Twins | None = None) -> list[str]:
    """npnet's own layers and optimizers that have a twin, in the order of the twins."""
    return [name for name in (specs() if twins is None else twins) if own_class(name) is not None]


def native(name: str, layer: Any = None) -> Candidate:
    """npnet's own layer or optimizer as a candidate; `layer` may be another class of its contract.

    The configuration is the dataclass, the state is the state.
    """
    cls = layer or own_class(name)
    if cls is None:
        raise ConfigError(f"npnet has no layer {name!r}.{nearest(name, own_names())}")
    function = _KINDS[name.rpartition(".")[0]](cls)
    found = sources(cls, cls)
    return Candidate(function, name, name, sources=found, target=name)


def own_function(name: str) -> Callable[[Any], Any] | None:
    """What asks npnet's own layer, optimizer or schedule of this name; None where it has none."""
    cls = own_class(name)
    return None if cls is None else _KINDS[name.rpartition(".")[0]](cls)


def build(layer: str, config: Mapping[str, Any]) -> Any:
    """A layer or a schedule from its configuration, those inside the configuration included."""
    return _construct(own_class(layer), config)


def _construct(cls: Any, config: Mapping[str, Any]) -> Any:
    kwargs = {name: _argument(value) for name, value in config.items()}
    return cls(*kwargs.pop("layers", ()), **kwargs)


def layer_class(name: str) -> Any | None:
    """The layer of npnet.nn with this name, or None."""
    found = getattr(importlib.import_module("npnet.nn"), name, None)
    return found if isinstance(found, type) else None


def layer_config(layer: Any) -> LayerConfig:
    """What `build` builds this layer of again."""

    def argument(value: Any) -> Any:
        if is_dataclass(value):
            return layer_config(value)
        return tuple(argument(v) for v in value) if isinstance(value, tuple) else value

    if not is_dataclass(layer):
        raise ConfigError(f"a layer must be one of npnet.nn, but is {layer!r}.")
    name = type(layer).__name__
    return LayerConfig(name, {f.name: argument(getattr(layer, f.name)) for f in fields(layer)})


def _argument(value: Any) -> Any:
    if isinstance(value, LayerConfig):
        return build(value.layer, value.config)
    if isinstance(value, tuple):
        return tuple(_argument(v) for v in value)
    return value


def _layer(cls: Any) -> Callable[[Case], Forward]:
    takes_rng = "rng" in inspect.signature(cls.__call__).parameters

    def call(case: Case) -> Forward:
        kwargs = dict(case.kwargs)
        if takes_rng:
            kwargs["rng"] = case.rng
        forward: Forward = _construct(cls, case.config)(case.state, *case.inputs, **kwargs)
        return forward

    return call


def _optimizer(cls: Any) -> Callable[[OptimizerCase], Any]:
    optim = importlib.import_module("npnet.optim")

    def steps(case: OptimizerCase) -> list[Any]:
        optimizer = cls(**case.config)
        if case.groups:
            optimizer = optim.Groups(optimizer, case.groups)
        params, state = case.params, optimizer.init(case.params)
        found = []
        for k, (grads, lr) in enumerate(zip(case.grads, case.lr, strict=True), start=1):
            given = grads if case.closure is None else case.closure
            params, state = optim.with_lr(optimizer, lr).step(params, given, state)
            found.append((params, state._asdict()))
            if k == case.restart:
                saved = optim.state_dict(state)
                state = optim.load_state_dict(optimizer, params, saved)
        return found

    return steps


def _schedule(cls: Any) -> Callable[[Case], Forward]:
    """Rates, and momenta where the schedule has them, of the first steps, as outputs of a layer."""

    def call(case: Case) -> Forward:
        schedule, steps = _construct(cls, case.config), range(case.kwargs["steps"])
        if "metrics" in case.kwargs:
            state, rates = schedule.init(), []
            for metric in case.kwargs["metrics"]:
                state = schedule.step(metric, state)
                rates.append(state.lr)
        else:
            rates = [schedule(step) for step in steps]
        y: Any = np.array(rates, np.float64)
        if case.config.get("cycle_momentum"):
            y = (y, np.array([schedule.momentum(step) for step in steps], np.float64))
        return Forward(y, lambda dy: Grads(()))

    return call


def _operation(method: Any) -> Callable[[Case], Forward]:
    """A method of npnet.autograd.Tensor, as it is called: on leaves, and back along the record.

    The first dy goes back along the record of the call itself, every other along one of its own.
    """
    tensor = method.__globals__["Tensor"]
    parameters = inspect.signature(method).parameters.values()
    spread = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]

    def leaf(_: str, x: Any) -> Any:
        real = isinstance(x, np.ndarray | np.generic) and x.dtype.kind == "f"
        return tensor(x, requires_grad=True) if real else x

    def call(case: Case) -> Forward:
        def recorded() -> tuple[tuple[Any, ...], Any]:
            leaves = map_leaves(case.inputs, "input", leaf)
            options = {**case.config, **case.kwargs}
            more = [x for name in spread for x in options.pop(name, ())]
            return leaves, method(*leaves, *more, **options)

        first = recorded()
        waiting = [first]

        def vjp(dy: Any) -> Grads:
            leaves, y = waiting.pop() if waiting else recorded()
            y.backward(dy)
            grads = map_leaves(leaves, "input", lambda _, x: getattr(x, "grad", None))
            return Grads(grads)

        return Forward(first[1].data, vjp)

    return call


_KINDS: dict[str, Callable[[Any], Callable[[Any], Any]]] = {
    "": _layer,
    "optim": _optimizer,
    "lr_scheduler": _schedule,
    "autograd": _operation,
}
_PACKAGES = {
    "": "npnet.nn",
    "optim": "npnet.optim",
    "lr_scheduler": "npnet.optim.lr_scheduler",
    "autograd": "npnet.autograd",
}


def own_class(name: str) -> Any:
    """The class of this name; of an operation, the method of the tensor."""
    package, _, own = name.rpartition(".")
    if package not in _PACKAGES:
        return None
    place: Any = importlib.import_module(_PACKAGES[package])
    return getattr(place.Tensor if package == "autograd" else place, own, None)


# ---- what a user names --------------------------------------------------------------------------


def resolve(target: Any, twins: Twins | None = None) -> tuple[list[Candidate], list[Finding]]:
    """The candidates of a target or of several, and a finding for each that cannot be loaded.

    twins: what they are held against; torch's by default
    """
    twins = specs() if twins is None else twins
    if target is None:
        return [native(name) for name in own_names(twins)], []
    if isinstance(target, Candidate):
        check_twin(target, twins)
        return [target], []
    if isinstance(target, str):
        return _named(target, twins)
    if isinstance(target, Sequence):
        found: list[Candidate] = []
        broken: list[Finding] = []
        for one in target:
            candidates, failures = resolve(one, twins)
            found += [c for c in candidates if c not in found]
            broken += failures
        return found, broken
    raise ConfigError(
        f"a target must be a candidate or a name, but is {target!r}. "
        'You might need @candidate("Linear") on your function.'
    )


def load(target: str) -> list[Candidate]:
    """The candidates of a file or a module, without a look at their twins (and without torch)."""
    place, name, is_file = parted(target)
    of = _of_file if is_file else _of_module
    found, broken = of(target, place, name, None)
    if broken:
        raise ConfigError(broken[0].message)
    return found


def check_twin(c: Candidate, twins: Twins) -> None:
    """Raise ConfigError unless the candidate's twin exists, and its dialect where it has one."""
    if c.twin not in twins:
        raise ConfigError(
            f"candidate {c.name!r} claims to be {c.twin!r}, which has no spec."
            f"{nearest(c.twin, list(twins))}"
        )
    if c.dialect is not None:
        held(c, twins)


def parted(target: str) -> tuple[str, str, bool]:
    """The file or the module of a target, the name in it, and whether it is a file."""
    path, _, name = target.partition("::")
    if path.endswith(".py") or "/" in path:
        return path, name, True
    module, _, name = target.partition(":")
    return module, name, False


def _named(target: str, twins: Twins) -> tuple[list[Candidate], list[Finding]]:
    place, name, is_file = parted(target)
    if is_file:
        return _of_file(target, place, name, twins)
    if ":" in target or _is_module(target):
        return _of_module(target, place, name, twins)
    names = own_names(twins)
    found = [n for n in names if fnmatchcase(n, target) or fnmatchcase(n.lower(), target.lower())]
    if not found:
        raise ConfigError(
            f"there is no layer {target!r}.{nearest(target, names)} "
            "A file of candidates is named as mylayers.py, a module as package.module:name."
        )
    return [native(n) for n in found], []


def _is_module(target: str) -> bool:
    if target.partition(".")[0] in _PACKAGES or "." not in target:
        return False
    try:
        return importlib.util.find_spec(target) is not None
    except (ImportError, ValueError):
        return False


def _of_file(
    target: str, path: str, name: str, twins: Twins | None
) -> tuple[list[Candidate], list[Finding]]:
    location = _location(path)
    try:
        module = _loaded(location)
    except (Exception, SystemExit) as error:
        return [], [_unloadable(target, path, error)]
    return _of_namespace(module, path, "::", name, twins)


def _location(path: str) -> ModuleSpec:
    """Where a file's module is. Raises ConfigError where there is no such Python file."""
    file = Path(path)
    if not file.is_file():
        near = get_close_matches(file.name, [p.name for p in Path(file.parent).glob("*.py")], 1)
        hint = f" Did you mean {file.parent / near[0]}?" if near else ""
        raise ConfigError(f"there is no file {path}.{hint}")
    found = importlib.util.spec_from_file_location(f"npnet_candidates_{file.stem}", file)
    if found is None:
        raise ConfigError(f"{path} is not a Python file.")
    return found


def _loaded(location: ModuleSpec) -> ModuleType:
    """The module of a file, run with its own folder to import from; raises what it raises."""
    assert location.loader is not None
    assert location.origin is not None
    module = importlib.util.module_from_spec(location)
    sys.modules[location.name] = module
    here = str(Path(location.origin).resolve().parent)
    sys.path.insert(0, here)
    try:
        location.loader.exec_module(module)
    finally:
        sys.path.remove(here)
    return module


def object_of(target: str, kind: type) -> tuple[Any, str]:
    """The one object of a class in a file or a module, and the target with its name.

    target: "nets.py", "nets.py::small", "package.nets:small"

    Raises ConfigError where there is none, or several and none is named; what the code raises.
    """
    return found_in(target, lambda value: isinstance(value, kind), f"npnet.verify.{kind.__name__}")


def found_in(target: str, is_one: Callable[[Any], bool], what: str) -> tuple[Any, str]:
    """The one object of a file or a module that is what is looked for, as object_of.

    what: how it is called in messages
    """
    place, name, is_file = parted(target)
    module = _loaded(_location(place)) if is_file else importlib.import_module(place)
    known = {key: value for key, value in vars(module).items() if is_one(value)}
    if name and name not in known:
        short = what.rpartition(".")[2]
        raise ConfigError(f"{place} holds no {short} {name!r}.{nearest(name, list(known))}")
    if not known:
        raise ConfigError(f"{place} holds no {what}.")
    if len(known) > 1 and not name:
        raise ConfigError(
            f"{place} holds several: {', '.join(known)}. Name one, as {place}::{next(iter(known))}."
        )
    name = name or next(iter(known))
    return known[name], f"{place}{'::' if is_file else ':'}{name}"


def _of_module(
    target: str, module: str, name: str, twins: Twins | None
) -> tuple[list[Candidate], list[Finding]]:
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and module.startswith(str(error.name)):
            raise ConfigError(f"there is no module {module!r} (from {target!r}).") from None
        return [], [_unloadable(target, module, error)]
    return _of_namespace(found, module, ":", name, twins)


def _of_namespace(
    module: ModuleType, place: str, separator: str, name: str, twins: Twins | None
) -> tuple[list[Candidate], list[Finding]]:
    known = {
        key: value.named(key, f"{place}{separator}{key}")
        for key, value in vars(module).items()
        if isinstance(value, Candidate)
    }
    own = {key: c for key, c in known.items() if c.module == module.__name__}
    known = own or known  # what it only imports is asked where it was declared
    if not known:
        raise ConfigError(
            f'{place} holds no candidates. Put @npnet.verify.candidate("Linear") on a function of '
            "a Case, or wrap your code with npnet.verify.adapt."
        )
    if name and name not in known:
        raise ConfigError(f"{place} holds no candidate {name!r}.{nearest(name, list(known))}")
    chosen = [known[name]] if name else list(known.values())
    good: list[Candidate] = []
    broken: list[Finding] = []
    for c in chosen:
        try:
            if twins is not None:
                check_twin(c, twins)
            good.append(c)
        except ConfigError as error:  # the others are asked all the same
            broken.append(unaskable(c, str(error)))
    return good, broken


def unaskable(c: Candidate, message: str, trace: str = "") -> Finding:
    """A candidate that no question can be put to: no such twin, or options it does not take."""
    return Finding(
        id=f"{c.name}-not-asked",
        layer=c.name,
        twin=c.twin,
        quantity="twin",
        verdict=Verdict.CRASH,
        dtype="",
        device="cpu",
        message=message,
        source=c.source("forward"),
        traceback=trace,
        target=c.target,
    )


def _unloadable(target: str, path: str, error: BaseException) -> Finding:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    frames = [f for f in frames if not f.filename.endswith("npnet/verify/targets.py")]
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    last = frames[-1] if frames else None
    source = Source(last.filename, last.lineno or 0, last.name) if last else None
    message = f"{path} could not be loaded: {type(error).__name__}: {error}"
    return replace(unloadable(target, message), source=source, traceback="".join(lines))


def unloadable(target: str, message: str) -> Finding:
    """A finding of a file or a module that cannot be loaded."""
    return Finding(
        id=f"load-{Path(parted(target)[0]).stem}",
        layer=target,
        twin="",
        quantity="import",
        verdict=Verdict.CRASH,
        dtype="",
        device="cpu",
        message=message,
        target=target,
    )


def nearest(name: str, known: Sequence[str]) -> str:
    """Which of the known names might have been meant, as a sentence."""
    lowered = {k.lower(): k for k in known}
    near = get_close_matches(name.lower(), list(lowered), 1, 0.5)
    return f" Did you mean {lowered[near[0]]!r}?" if near else ""
