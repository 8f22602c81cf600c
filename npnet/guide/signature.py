"""The signatures of both libraries side by side, and what becomes of every parameter."""

import inspect
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from npnet.verify.targets import own_class

_EMPTY = inspect.Parameter.empty
_SPREAD = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
Parameters = Mapping[str, inspect.Parameter]

UNSUPPORTED: Mapping[str, str] = {
    "device": "NumPy has one device, the CPU",
    "dtype": "layers follow the dtype of the arrays that they are given",
    "foreach": "how torch computes the step, not what",
    "fused": "how torch computes the step, not what",
    "capturable": "for CUDA graphs",
    "differentiable": "a step through which autograd runs",
    "params": "npnet gives them to init and step instead, by name; groups are npnet.optim.Groups",
    "optimizer": "a schedule of npnet is a function of the step; what it needs of it is lr",
    "last_epoch": "the step is the argument of npnet's call",
}
"""What npnet does not take, and why."""

ADDED: Mapping[str, str] = {
    "training": "torch keeps it as a mode: module.train(), module.eval()",
    "lr": "the initial rate, which torch reads off its optimizer",
    "layers": "the same layers, as one argument",
    "rng": "the Generator that masks are drawn from; torch draws from its global one",
}
"""What npnet takes besides, and what stands for it in torch."""

_REMARKS: Mapping[str, str] = {
    "inplace": "accepted, and without effect: npnet never writes into an argument",
    "sparse": "accepted: it changes how torch keeps the gradient, not its numbers",
}


@dataclass(frozen=True)
class Parameter:
    """One parameter in both signatures; `own` and `torch` are nothing where there is none.

    status: same, differs, not supported, npnet's own
    """

    name: str
    own: str
    torch: str
    status: str
    note: str = ""


def constructor(name: str) -> list[Parameter]:
    """The constructor arguments of both, torch's order first."""
    return list(_matched(_own(name), _torch(name)))


def call(name: str) -> list[Parameter]:
    """What both take when they are called, by position. Nothing of optimizers and schedules."""
    if "." in name:
        return []
    own = _without(inspect.signature(own_class(name).__call__).parameters, "self", "state")
    torch = _without(inspect.signature(_torch_class(name).forward).parameters, "self")
    found: list[Parameter] = []
    theirs = list(torch.values())
    for k, p in enumerate(p for p in own.values() if p.name not in ADDED):
        t = torch.get(p.name) or (theirs[k] if k < len(theirs) else None)
        assert t is not None, f"{name} takes {p.name}, which torch does not"
        status, note = _compared(p, t)
        renamed = f"{t.name} in torch" if t.name != p.name else ""
        found.append(
            Parameter(
                p.name, _shown(p), _shown(t), status, " · ".join(filter(None, (renamed, note)))
            )
        )
    found += [
        Parameter(p.name, _shown(p), "", "npnet's own", ADDED[p.name])
        for p in own.values()
        if p.name in ADDED
    ]
    return found


def unnamed(name: str) -> list[str]:
    """Parameters of torch, of the constructor and of the call, that the page does not explain."""
    found = [p.name for p in constructor(name) if p.status == "not supported" and not p.note]
    if "." in name:
        return found
    taken = {part for p in call(name) for part in (p.name, p.torch.partition("=")[0])}
    forward = _without(inspect.signature(_torch_class(name).forward).parameters, "self")
    return found + [
        p.name for p in forward.values() if p.name not in taken and p not in _spread(forward)
    ]


def written(name: str) -> tuple[str, str]:
    """Both constructor calls with their defaults, as text: npnet's and torch's."""
    return _signature(_own(name)), _signature(_torch(name))


def _signature(parameters: Parameters) -> str:
    return f"({', '.join(map(_shown, parameters.values()))})"


# ---- parameters ----------------------------------------------------------------------------------


def _torch_class(name: str) -> Any:
    return import_module("npnet.twins.itself").torch_class(name)


def _own(name: str) -> Parameters:
    return inspect.signature(own_class(name)).parameters


def _torch(name: str) -> Parameters:
    """torch's constructor; where it is (*args, **kwargs), the first of its overloads."""
    cls = _torch_class(name)
    overloads = typing.get_overloads(cls.__init__)
    found = _without(inspect.signature((overloads or [cls.__init__])[0]).parameters, "self")
    if overloads or _spread(_own(name)):
        return found
    return {
        n: p for n, p in found.items() if p.kind not in _SPREAD
    }  # of nn.Module, which takes none


def _spread(parameters: Parameters) -> list[inspect.Parameter]:
    return [p for p in parameters.values() if p.kind in _SPREAD]


def _without(parameters: Parameters, *names: str) -> dict[str, inspect.Parameter]:
    return {n: p for n, p in parameters.items() if n not in names}


def _matched(own: Parameters, torch: Parameters) -> Iterator[Parameter]:
    partners = {p.kind: p for p in _spread(own)}  # *layers is *args
    taken = set()
    for t in torch.values():
        o = partners.get(t.kind) if t.kind in _SPREAD else own.get(t.name)
        if o is None:
            yield Parameter(t.name, "", _shown(t), "not supported", UNSUPPORTED.get(t.name, ""))
            continue
        taken.add(o.name)
        yield Parameter(o.name, _shown(o), _shown(t), *_compared(o, t))
    for o in own.values():
        if o.name not in taken:
            yield Parameter(o.name, _shown(o), "", "npnet's own", ADDED.get(o.name, ""))


def _compared(own: inspect.Parameter, torch: inspect.Parameter) -> tuple[str, str]:
    if _named(own.default) != _named(torch.default):
        return "differs", f"{_shown(torch)} in torch"
    return "same", _REMARKS.get(own.name, "")


def _shown(p: inspect.Parameter) -> str:
    star = "*" * (p.kind is p.VAR_POSITIONAL) + "**" * (p.kind is p.VAR_KEYWORD)
    default = "" if p.default is _EMPTY else f"={_named(p.default)!r}"
    return f"{star}{p.name}{default}"


def _named(default: Any) -> Any:
    """A default; of torch's function relu its name, as npnet has it."""
    return getattr(default, "__name__", default)
