"""torch code as a candidate: a module, an autograd.Function, a function, an optimizer."""

import copy
import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from npnet.contract import Array, ConfigError, Forward, Grads, SparseGrad
from npnet.twins.convert import module_of
from npnet.twins.oracle import Masks, Uniform
from npnet.twins.oracle.optimizers import param_groups
from npnet.twins.precise import precisely
from npnet.verify.adapt.wiring import (
    EMPTY,
    Adapted,
    Arguments,
    Crossing,
    Layout,
    Layouts,
    Takes,
    Wiring,
    places,
)
from npnet.verify.case import Case, Config, OptimizerCase, map_leaves

Tensor = torch.Tensor


def torch_function(
    f: Any,
    layout: Layout | None = None,
    *,
    config: Arguments = None,
    inputs: Layouts = None,
    outputs: Layouts = None,
    device: str | None = None,
) -> Adapted:
    """torch code as a candidate: arrays in, tensors and autograd in their dtype, arrays out.

    f: an nn.Module class, built from the configuration, or a module, of which copies are used;
        without a layout its state_dict has the twin's names. An autograd.Function or a function:
        gets the inputs, the parameters (by the names of the layout if it has all of them as
        arguments, else in its order) and the configuration. A torch.optim.Optimizer class
    layout, config, inputs, outputs: as for the other adapters
    device: "cpu" or "cuda", in full precision in either; None: where the run asks (--device)

    Random masks come from the case's Generator, as the twin's do.
    """
    on = None
    if device is None:
        on = partial(_placed, f, layout, config, inputs, outputs)
        device = "cpu"
    if inspect.isclass(f) and issubclass(f, torch.optim.Optimizer):
        return Adapted(_optimizer(f, device), f, places(f.step, f.step), on)
    wiring = Wiring.of(layout or EMPTY, EMPTY, config, inputs, outputs)
    names = None if layout is None else list(layout)
    if isinstance(f, nn.Module) or (inspect.isclass(f) and issubclass(f, nn.Module)):
        prepare = _module(f, names is not None, config is not None, device)
        found = places(f.forward, getattr(f, "backward", f.forward))
    elif inspect.isclass(f) and issubclass(f, torch.autograd.Function):
        prepare = _function(f.apply, _signature(f), names or [], device)
        found = places(f.forward, f.backward)
    elif callable(f):
        prepare = _function(f, Takes.of(f).signature, names or [], device)
        found = places(f, f)
    else:
        raise ConfigError(
            "torch_function needs an nn.Module, an autograd.Function, a function of tensors or an "
            f"Optimizer class, but got {f!r}."
        )

    def run(case: Case) -> Forward:
        crossing = wiring.open(case)
        with _settings(case, device):
            xs = map_leaves(crossing.inputs, "", lambda _, x: _leaf(x, device))
            kwargs = {name: _tensor(x, device) for name, x in case.kwargs.items()}
            prepared = prepare(crossing, case)
            try:
                ys = tuple(_flat(prepared.call(xs, kwargs)))
            except RuntimeError as error:
                xs = _without_refused(error, f, xs)
                ys = tuple(_flat(prepared.call(xs, kwargs)))
        y = crossing.returned(tuple(_array(t) for t in ys) if len(ys) > 1 else _array(ys[0]))

        def vjp(dy: Any) -> Grads:
            named = {name: t for name, t in prepared.parameters.items() if t.requires_grad}
            wanted = [t for t in _flat(xs) if t.requires_grad] + list(named.values())
            with _settings(case, device):
                gradients = _gradients(ys, crossing.cotangents(dy), wanted, device)

            def of(_: str, t: Any) -> Array | None:
                g = gradients.get(id(t))
                return None if g is None else _array(g.to_dense() if g.is_sparse else g)

            dxs = map_leaves(xs, "", of)
            params = {name: g for name, t in named.items() if (g := of("", t)) is not None}
            if names is not None:
                return crossing.grads(dxs, params)
            return Grads(crossing.grads(dxs, {}).inputs, params)

        after = prepared.after()
        return Forward(y, vjp, crossing.updates(after) if names is not None else after)

    return Adapted(run, f, found, on)


def _placed(
    f: Any,
    layout: Layout | None,
    config: Arguments,
    inputs: Layouts,
    outputs: Layouts,
    device: str,
) -> Adapted:
    return torch_function(f, layout, config=config, inputs=inputs, outputs=outputs, device=device)


def _gradients(
    ys: tuple[Tensor, ...], dys: tuple[Any, ...], wanted: list[Tensor], device: str
) -> dict[int, Tensor | None]:
    """The gradient of every tensor wanted, by its id."""
    asked = [
        (y, _tensor(dy, device))
        for y, dy in zip(ys, dys, strict=True)
        if dy is not None and y.requires_grad
    ]
    if not asked or not wanted:
        return {}
    found = torch.autograd.grad(
        [y for y, _ in asked],
        wanted,
        [dy for _, dy in asked],
        allow_unused=True,
        retain_graph=True,
    )
    return {id(t): g for t, g in zip(wanted, found, strict=True)}


# ---- what is asked -------------------------------------------------------------------------------


class _Prepared(NamedTuple):
    """Code ready for one call, its parameters by name, and the state after the call."""

    call: Callable[[tuple[Any, ...], dict[str, Any]], Any]
    parameters: Mapping[str, Tensor]
    after: Callable[[], dict[str, Array]]


_Prepare = Callable[[Crossing, Case], _Prepared]


def _module(f: Any, has_layout: bool, has_config: bool, device: str) -> _Prepare:
    takes = Takes.of(f)
    everything = takes.signature is None or takes.any_name or takes.positional is None

    def prepare(crossing: Crossing, case: Case) -> _Prepared:
        if isinstance(f, nn.Module):
            module = copy.deepcopy(f)
        elif has_config or not everything:
            module = _built(f, crossing.told(takes))
        else:
            module = _built(f, case.config)
        module = module.to(device=device, dtype=_dtype(case))
        if "training" in case.config:
            module.train(case.config["training"])
        state = crossing.state if has_layout else case.state
        _load(module, state, device)

        def after() -> dict[str, Array]:
            now = {name: _array(t) for name, t in module.state_dict().items() if name in state}
            return {n: a.copy() for n, a in now.items() if a.tobytes() != state[n].tobytes()}

        return _Prepared(
            lambda xs, kwargs: module(*xs, **kwargs), dict(module.named_parameters()), after
        )

    return prepare


def _built(f: type[nn.Module], config: Config) -> nn.Module:
    return module_of(f, config, lambda value: _tensor(value, "cpu"))


def _load(module: nn.Module, state: Mapping[str, Array], device: str) -> None:
    own = {name for name, _ in module.named_parameters()}
    tensors = {name: _tensor(a, device) for name, a in state.items()}
    missing, unknown = module.load_state_dict(tensors, strict=False)
    if unknown or own & set(missing):
        raise ConfigError(
            f"{type(module).__name__} has the parameters {sorted(own)}, but the case has state "
            f"{sorted(state)}. Say in a layout which is which."
        )


def _function(
    f: Callable[..., Any], signature: inspect.Signature | None, names: list[str], device: str
) -> _Prepare:
    takes = Takes() if signature is None else Takes.reading(signature)
    by_name = takes.positional is not None and all(takes.accepts(name) for name in names)

    def prepare(crossing: Crossing, case: Case) -> _Prepared:
        parameters = {name: _leaf(a, device) for name, a in crossing.state.items()}
        told = {name: _tensor(x, device) for name, x in crossing.told(takes).items()}

        def call(xs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            args = xs if by_name else (*xs, *(parameters.get(name) for name in names))
            given = {**told, **(parameters if by_name else {}), **kwargs}
            if signature is not None:  # Function.apply takes arguments by position only
                bound = signature.bind(*args, **given)
                bound.apply_defaults()
                args, given = bound.args, bound.kwargs
            return f(*args, **given)

        return _Prepared(call, parameters, dict)

    return prepare


def _signature(function: type[torch.autograd.Function]) -> inspect.Signature:
    """The arguments of Function.apply: those of forward, less the context where it comes first."""
    signature = inspect.signature(function.forward)
    if function.setup_context is not torch.autograd.Function.setup_context:
        return signature
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _optimizer(
    optimizer: type[torch.optim.Optimizer], device: str
) -> Callable[[OptimizerCase], list[Any]]:
    def run(case: OptimizerCase) -> list[Any]:
        params = {name: _leaf(a, device) for name, a in case.params.items()}
        optim: Any = optimizer(param_groups(params, case.groups), **case.config)
        asked = case.groups or ({},)

        def closure() -> Tensor:
            assert case.closure is not None
            loss, grads = case.closure({name: _array(p) for name, p in params.items()})
            for name, p in params.items():
                p.grad = _tensor(grads[name], device)
            return torch.as_tensor(loss)

        found = []
        for k, (grads, lr) in enumerate(zip(case.grads, case.lr, strict=True), start=1):
            for group, own in zip(optim.param_groups, asked, strict=True):
                group["lr"] = case.rate(own, lr)
            if case.closure is None:
                for name, p in params.items():
                    p.grad = _tensor(grads[name], device)
                optim.step()
            else:
                optim.step(closure)
            state: dict[str, dict[str, Array]] = {}
            for name, p in params.items():
                for key, value in optim.state.get(p, {}).items():
                    if isinstance(value, Tensor | int):
                        a = _array(torch.as_tensor(value)).copy()
                        state.setdefault(key, {})[name] = a
            found.append(({name: _array(p).copy() for name, p in params.items()}, state))
            if k == case.restart:
                saved = optim.state_dict()
                params = {n: p.detach().clone().requires_grad_() for n, p in params.items()}
                optim = optimizer(param_groups(params, case.groups), **case.config)
                optim.load_state_dict(saved)
        return found

    return run


# ---- arrays and tensors --------------------------------------------------------------------------


class _FusedMasks(TorchDispatchMode):
    """The twin's masks for the fused dropout of CUDA."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self._rng = rng

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.native_dropout.default:
            x, p = args[:2]
            keep = self._rng.random(tuple(x.shape)) >= p
            mask = torch.from_numpy(np.asarray(keep)).to(x.device)
            return x * mask * (1 / (1 - p)), mask
        return func(*args, **(kwargs or {}))


@contextmanager
def _settings(case: Case, device: str) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of deprecated arguments, which are asked too
        stack.enter_context(torch.enable_grad())
        if device != "cpu":
            training = bool(case.config.get("training", True))
            stack.enter_context(precisely(case.rng is not None, training))
        if case.rng is not None:
            stack.enter_context(Masks(case.rng))
            stack.enter_context(Uniform(case.rng))
            stack.enter_context(_FusedMasks(case.rng))
        yield


def _dtype(case: Case) -> torch.dtype:
    """The floating-point format of the case."""
    found: list[np.dtype[Any]] = []

    def note(_: str, x: Any) -> None:
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            found.append(x.dtype)

    map_leaves(case.inputs, "", note)
    map_leaves(tuple(case.state.values()), "", note)
    return torch.from_numpy(np.zeros(0, found[0] if found else np.float64)).dtype


def _tensor(x: Any, device: str) -> Any:
    """A fresh tensor of an array, whatever its strides; anything else as it is."""
    if isinstance(x, SparseGrad):
        indices, values = (_tensor(a, device) for a in (x.indices, x.values))
        return torch.sparse_coo_tensor(indices, values, x.shape, check_invariants=True)
    return torch.from_numpy(x.copy()).to(device) if isinstance(x, np.ndarray) else x


def _leaf(x: Any, device: str) -> Any:
    """A fresh tensor that gets a gradient if it can have one."""
    t = _tensor(x, device)
    return t.requires_grad_() if isinstance(t, Tensor) and t.is_floating_point() else t


def _without_refused(error: RuntimeError, f: Any, xs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs, less the gradient of one for which torch has none and says so (SoftMarginLoss).

    Anything else that torch says is raised again.
    """
    refused = re.search(r"not differentiable with respect to argument '(\w+)'", str(error))
    names = list(inspect.signature(getattr(f, "forward", f)).parameters)
    names = names[1:] if names[:1] == ["self"] else names
    if refused is None or refused[1] not in names:
        raise error
    at = names.index(refused[1])
    return tuple(x.detach() if i == at else x for i, x in enumerate(xs))


def _array(t: Tensor) -> Array:
    found: Array = t.detach().cpu().numpy()
    return found


def _flat(y: Any) -> list[Tensor]:
    if isinstance(y, Tensor):
        return [y]
    return [t for part in y for t in _flat(part)] if isinstance(y, tuple | list) else []
