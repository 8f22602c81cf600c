"""A whole network of torch: trained step by step, with a bound beside every number of every layer.

The module runs as it is, hooks and all its wiring, on bounded tensors; the loss and the optimizer
too. So the bounds of a step contain what earlier steps have cost, and grow until they say nothing.
"""

import copy
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from npnet.contract import Array, ConfigError, State
from npnet.twins import spec as declared
from npnet.twins.convert import config_of, to_torch
from npnet.twins.convert_optimizer import optimizer_from_torch
from npnet.twins.function import torch_function
from npnet.twins.optimizer_spec import OPTIMIZERS
from npnet.twins.oracle import Masks, Pair, Uniform, Way, ask_module, in_parts, pair
from npnet.twins.oracle.bounded import Bounded, Setting, setting, using
from npnet.verify.case import Config, Example, map_leaves
from npnet.verify.precision import PRECISIONS, Precision
from npnet.verify.spec import Answer, Expected, Spec
from npnet.verify.whole import constants
from npnet.verify.whole.constants import nearest
from npnet.verify.whole.trace import (
    LOSS,
    OPTIMIZER,
    Call,
    Place,
    TwinStep,
    call_name,
    name_of,
)

Tensor = torch.Tensor


class TorchNetwork:
    """A module, a loss and an optimizer of torch, asked as the twin of a whole network.

    layers: the names of the modules that are watched; None: the outermost ones that have a twin of
        their own, or no modules inside
    optimizer: of torch.optim, over the module's parameters, or of npnet.optim
    clip_value, clip_norm: what every gradient, and then the norm of all, is cut down to

    Raises ConfigError for a name that no module has, and for optimizers that take a closure.
    """

    def __init__(
        self,
        module: Any,
        loss: Any,
        optimizer: Any,
        layers: Sequence[str] | None = None,
        *,
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        if not isinstance(module, nn.Module):
            raise ConfigError(f"the twin must be a torch.nn.Module, but is {module!r}.")
        if loss is not None and not isinstance(loss, nn.Module):
            raise ConfigError(
                f"the loss must be a module of torch, as nn.CrossEntropyLoss(), but is {loss!r}."
            )
        self.module = copy.deepcopy(module)
        for part in self.module.modules():
            if getattr(part, "inplace", False):
                part.inplace = False  # type: ignore[assignment]  # a bool where there is one
        if loss is not None and any(True for _ in loss.parameters()):
            raise ConfigError(
                f"the loss must have no parameters of its own, but {type(loss).__name__} has. Make "
                "it the last layer of the network, which then returns the loss."
            )
        self.loss = copy.deepcopy(loss)
        named = dict(self.module.named_modules())
        self.layers = tuple(_outermost(self.module)) if layers is None else tuple(layers)
        unknown = [name for name in self.layers if name not in named]
        if unknown:
            raise ConfigError(
                f"the candidate has a layer {unknown[0]!r}, but the modules of "
                f"{type(module).__name__} are {[n for n in named if n]}. Name its layers as torch "
                "names the modules."
            )
        self.owner = {id(named[name]): name for name in self.layers}
        self._places = _places(self.module)
        self.aliases = {name: first for first, names in self._names() for name in names}
        self.trainable = tuple(
            name for name, p in self.module.named_parameters() if p.requires_grad
        )
        if not self.trainable:
            raise ConfigError(f"{type(module).__name__} has no parameters to train.")
        self.optimizer = _Stepper(optimizer, dict(module.named_parameters()))
        self.clip_value, self.clip_norm = clip_value, clip_norm
        self.draws = any(_is_random(part) for part in self.module.modules())

    # ---- what it is ----------------------------------------------------------------------------

    def _names(self) -> Iterator[tuple[str, list[str]]]:
        for name, places in self._places.items():
            yield name, [n for n, _, _ in places]

    @property
    def state(self) -> dict[str, Array]:
        """The state_dict as arrays; what is shared stands under its first name alone."""
        return {
            name: places[0][1][places[0][2]].detach().cpu().numpy().copy()
            for name, places in self._places.items()
        }

    def kind(self, layer: str) -> str:
        """The class of a layer, or of the loss."""
        return type(self._part(layer)).__name__

    def _part(self, layer: str) -> nn.Module:
        if layer == LOSS and self.loss is not None:
            return self.loss
        found = self.module
        for name in layer.split(".") if layer else ():
            found = getattr(found, name)
        return found

    def config(self, layer: str) -> Config:
        """The constructor arguments of a layer, as far as npnet knows its class."""
        try:
            return config_of(self._part(layer)).config
        except ConfigError:
            return {"training": self._part(layer).training}

    def local_state(self, layer: str) -> dict[str, str]:
        """The names that the state's entries have inside of a layer, and in the whole network."""
        prefix = f"{layer}." if layer else ""
        return {
            name.removeprefix(prefix): first
            for name, first in self.aliases.items()
            if name.startswith(prefix)
        }

    def spec(self, layer: str) -> Spec:
        """What a layer answers by itself: as its twin does, or asked as the module that it is."""
        part = self._part(layer)
        kind = type(part)
        known = getattr(nn, kind.__name__, None) is kind
        if known:
            from npnet.twins import SPECS

            found = SPECS.get(kind.__name__)
            if found is not None and _is_readable(part):
                return found
        return _spec_of(part)

    def candidate(self, layer: str) -> Callable[[Any], Any]:
        """A layer of torch itself, as a candidate's function."""
        part = self._part(layer)
        return torch_function(part, config={} if not _is_readable(part) else None)

    # ---- what it does --------------------------------------------------------------------------

    def run(
        self,
        state: State,
        batches: Sequence[tuple[Any, ...]],
        dtype: str,
        seeds: Sequence[int],
        rates: Sequence[float] | None,
    ) -> Iterator[TwinStep]:
        """Step after step from this state; the bounds contain what earlier steps have cost."""
        precision = PRECISIONS[dtype]
        ours = Setting(precision)
        live = self._live(state, Way(bounded=True), precision)
        other = self._live(state, Way(bounded=False), precision, rounded=True)
        for k, (batch, seed) in enumerate(zip(batches, seeds, strict=True)):
            rate = None if rates is None else rates[k]
            with using(ours):
                found = live.step(batch, seed, rate)
            yield _reaching(found, other.step(batch, seed, rate))

    def step(
        self, state: State, batch: tuple[Any, ...], dtype: str, seed: int, *, moves: bool = False
    ) -> TwinStep:
        """One pass from exactly this state, without a step; checked by plain torch."""
        precision = PRECISIONS[dtype]
        with using(Setting(precision)):
            found = self._live(state, Way(bounded=True), precision).step(batch, seed, moves=moves)
        way = Way(bounded=False)
        plain = self._live(state, way, precision).step(batch, seed, moves=moves)
        other = self._live(state, way, precision, rounded=True).step(batch, seed, moves=moves)
        disagreement = _disagreement(found.quantities, plain.quantities, precision)
        return replace(_reaching(found, other), disagreement=disagreement)

    def trajectory(
        self,
        state: State,
        batches: Sequence[tuple[Any, ...]],
        dtype: str,
        seeds: Sequence[int],
        rates: Sequence[float] | None,
    ) -> Iterator[tuple[dict[str, Array], dict[str, Array | None]]]:
        """torch's own state before every step, and its gradients in it, in float64."""
        live = self._live(state, Way(bounded=False), PRECISIONS[dtype])
        for k, (batch, seed) in enumerate(zip(batches, seeds, strict=True)):
            before = {name: pair(t)[0].copy() for name, t in live.tensors.items()}
            found = live.step(batch, seed, None if rates is None else rates[k])
            yield before, dict(found.grads)

    def _live(
        self, state: State, way: Way, precision: Precision, *, rounded: bool = False
    ) -> "_Live":
        return _Live(self, state, way, precision, rounded)


class _Live:
    """The network with tensors in it; `rounded`: and with the constants that the format has."""

    def __init__(
        self, of: TorchNetwork, state: State, way: Way, precision: Precision, rounded: bool
    ) -> None:
        self._of, self._way, self._precision, self._rounded = of, way, precision, rounded
        self._module = _for_format(copy.deepcopy(of.module), precision)
        self._loss = None if of.loss is None else _for_format(copy.deepcopy(of.loss), precision)
        if self._loss is not None:
            self._loss.double()
        if rounded:
            _round_constants(self._module, precision)
            _round_constants(self._loss, precision)
        self._layers = {id(self._module.get_submodule(n)): n for n in of.layers}
        self.tensors: dict[str, Tensor] = {}
        places = _places(self._module)
        for name, spots in places.items():
            t = way.tensor(state[name])
            if name in of.trainable:
                t = nn.Parameter(t)
            self.tensors[name] = t
            for _, place, key in spots:
                place[key] = t
        for part in self._module.modules():
            if isinstance(part, nn.RNNBase):
                part._flat_weights = [getattr(part, name) for name in part._flat_weights_names]
        self._trained = {name: self.tensors[name] for name in of.trainable}
        self._stepper: Any = None

    def step(
        self,
        batch: tuple[Any, ...],
        seed: int,
        rate: float | None = None,
        moves: bool = True,
    ) -> TwinStep:
        """Forward, loss, backward, and the optimizer's step."""
        of, way = self._of, self._way
        watch = _Watch(self._layers, self.tensors, of)
        rng = np.random.default_rng(seed)
        with warnings.catch_warnings(), in_parts(self._module):
            warnings.simplefilter("ignore")
            xs = map_leaves(batch, "", lambda _, x: _tensor(x, way))
            with watch.on(self._module), _drawing(rng, way, of.draws):
                inputs = xs if self._loss is None else xs[:-1]
                _each(inputs, lambda t: t.requires_grad_() if t.is_floating_point() else t)
                prediction = self._predicted(inputs)
                if self._loss is None:
                    total = prediction
                else:
                    total = watch.loss(self._loss, prediction, xs[-1])
            if not isinstance(total, Tensor) or total.numel() != 1:
                raise ConfigError(
                    "the loss must be one number, but is "
                    f"{tuple(total.shape) if isinstance(total, Tensor) else type(total).__name__}. "
                    "Give a loss with reduction='mean' or 'sum'."
                )
            wanted = [*self._trained.values(), *watch.asked()]
            found = torch.autograd.grad(total, wanted, allow_unused=True)
        grads: dict[str, Tensor | None] = dict(zip(self._trained, found, strict=False))
        back = {id(t): g for t, g in zip(wanted, found, strict=True)}
        quantities = watch.quantities(back, self._precision)
        quantities |= _of_parameters(grads, of, self._precision)
        if of.clip_value is not None or of.clip_norm is not None:
            clipped = _clipped(grads, of.clip_value, of.clip_norm, self._precision)
            grads |= clipped
            for n, g in clipped.items():
                if g is not None:
                    place = Place(OPTIMIZER, f"clipped gradient of {n}")
                    quantities[place] = _expect(_kept(g), self._precision)
        calls = watch.calls(back)
        arrays = {n: None if g is None else pair(g)[0].copy() for n, g in grads.items()}
        if moves:
            quantities |= self._move(grads, rate)
        return TwinStep(quantities, calls, arrays)

    def _predicted(self, inputs: tuple[Any, ...]) -> Any:
        try:
            return self._module(*inputs)
        except Exception as error:
            given = ", ".join(str(tuple(x.shape)) for x in _flat(inputs))
            hint = "" if self._loss is not None else " Without loss= it gets all of a batch."
            raise ConfigError(
                f"torch's {type(self._module).__name__} cannot take the batch, inputs of the shape "
                f"{given}: {type(error).__name__}: {str(error).splitlines()[0]}.{hint}"
            ) from error

    def _move(
        self, grads: Mapping[str, Tensor | None], rate: float | None
    ) -> dict[Place, Expected]:
        """The optimizer's step: every parameter, and every entry of the optimizer's state."""
        if self._stepper is None:
            self._stepper = self._of.optimizer.over(
                self._trained, self._way, self._precision, self._rounded
            )
        for name, p in self._trained.items():
            p.grad = grads[name]
        if self._rounded:
            rate = nearest(rate, self._precision)
        self._of.optimizer.set_rate(self._stepper, rate)
        self._stepper.step()
        found = {
            Place(OPTIMIZER, f"{name} after the step"): _expect(_kept(p), self._precision)
            for name, p in self._trained.items()
        }
        for name, p in self._trained.items():
            p.grad = None
            for key, value in self._stepper.state.get(p, {}).items():
                if isinstance(value, Tensor) and value.ndim:
                    place = Place(OPTIMIZER, f"state {key} of {name}")
                    found[place] = _expect(_kept(value), self._precision, required=False)
        return found


# ---- watching ------------------------------------------------------------------------------------


class _Watch:
    """Hooks on the layers of a module: what goes into every call of them, and what comes out."""

    def __init__(
        self, layers: Mapping[int, str], tensors: Mapping[str, Tensor], of: TorchNetwork
    ) -> None:
        self._layers, self._tensors, self._of = layers, tensors, of
        self._open: list[tuple[str, tuple[Any, ...], dict[str, Any], dict[str, Array]]] = []
        self._made: list[
            tuple[str, tuple[Any, ...], dict[str, Any], dict[str, Array], list[Tensor], Any]
        ] = []
        self._times: dict[str, int] = {}

    def on(self, module: nn.Module) -> Any:
        """Hooks, as long as the block lasts."""
        return _Hooked(self, [m for m in module.modules() if id(m) in self._layers])

    def before(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        """The inputs of a call, each as a view of its own: so its gradient is this call's alone."""
        args = _each(args, lambda t: t.view_as(t))
        kwargs = {n: _each(x, lambda t: t.view_as(t)) for n, x in kwargs.items()}
        layer = self._layers[id(module)]
        state = {
            local: pair(self._tensors[name])[0].copy()
            for local, name in self._of.local_state(layer).items()
        }
        self._open.append((layer, args, kwargs, state))
        return args, kwargs

    def after(self, module: nn.Module, args: Any, kwargs: Any, y: Any) -> None:
        """The outputs of a call, and what it made of the buffers."""
        layer, args, kwargs, state = self._open.pop()
        updates = {
            local: _kept(self._tensors[name])
            for local, name in self._of.local_state(layer).items()
            if name not in self._of.trainable
        }
        self._times[layer] = self._times.get(layer, 0) + 1
        name = call_name(layer, self._times[layer])
        self._made.append((name, args, kwargs, state, _flat(y), updates))

    def loss(self, loss: nn.Module, prediction: Any, target: Any) -> Tensor:
        """The loss of a prediction, watched as a layer is."""
        given = _each((prediction,), lambda t: t.view_as(t))
        if len(_flat(given)) != 1:
            raise ConfigError(
                f"the loss takes one prediction, but the module returns {len(_flat(given))} "
                "tensors. Wrap it in a module that returns one."
            )
        y: Tensor = loss(*given, target)
        # torch's own class weights and the like are buffers of the loss
        state = {n: t.detach().numpy().copy() for n, t in loss.state_dict().items()}
        self._made.append((LOSS, (*given, target), {}, state, [y], {}))
        return y

    def asked(self) -> list[Tensor]:
        """The tensors whose gradient is wanted beside the parameters'."""
        found = []
        for _, args, kwargs, _, ys, _ in self._made:
            found += [*_flat(args), *_flat(list(kwargs.values())), *ys]
        return [t for t in found if t.requires_grad]

    def quantities(
        self, back: Mapping[int, Tensor | None], precision: Precision
    ) -> dict[Place, Expected]:
        """Every call forwards in order, then backwards."""
        found: dict[Place, Expected] = {}
        for name, args, _, _, ys, updates in self._made:
            for i, x in enumerate(args):
                for leaf, t in _leaves(x, f"input {i}"):
                    if isinstance(t, Tensor):
                        found[Place(name, leaf)] = _expect(_kept(t), precision)
            for i, y in enumerate(ys):
                found[Place(name, name_of("y", i, len(ys)))] = _expect(_kept(y), precision)
            for local, value in updates.items():
                found[Place(name, f"next {local}")] = _expect(value, precision)
        for name, args, _, _, ys, _ in reversed(self._made):
            for i, y in enumerate(ys):
                g = back.get(id(y))
                if g is not None and name != LOSS:
                    place = Place(name, f"gradient of {name_of('y', i, len(ys))}")
                    found[place] = _expect(_kept(g), precision)
            for i, x in enumerate(args):
                for leaf, t in _leaves(x, f"input {i}"):
                    g = back.get(id(t)) if isinstance(t, Tensor) else None
                    if g is not None:
                        # of what nothing was made from, a network needs none
                        place = Place(name, f"gradient of {leaf}")
                        needed = t.grad_fn is not None and not _is_given(t)
                        found[place] = _expect(_kept(g), precision, required=needed)
        return found

    def calls(self, back: Mapping[int, Tensor | None]) -> tuple[Call, ...]:
        """The calls as a layer by itself can be asked them."""
        found = []
        for name, args, kwargs, state, ys, _ in self._made:
            dys: list[Array | None] = []
            for y in ys:
                g = back.get(id(y)) if name != LOSS else torch.ones_like(_value(y))
                if not y.is_floating_point():
                    dys.append(None)
                else:
                    dys.append(np.zeros(tuple(y.shape)) if g is None else pair(g)[0].copy())
            found.append(
                Call(
                    name,
                    _arrays(args),
                    {n: _arrays(x) for n, x in kwargs.items()},
                    state,
                    tuple(dys),
                    tuple(tuple(y.shape) for y in ys),
                )
            )
        return tuple(found)


class _Hooked:
    """Registers the hooks of a watch, and takes them off again."""

    def __init__(self, watch: _Watch, modules: Sequence[nn.Module]) -> None:
        self._watch, self._modules = watch, modules
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        for m in self._modules:
            self._handles.append(m.register_forward_pre_hook(self._watch.before, with_kwargs=True))
            self._handles.append(m.register_forward_hook(self._watch.after, with_kwargs=True))

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


def _is_given(t: Tensor) -> bool:
    """Whether a view is one of the network's own input."""
    base = t._base
    return base is not None and base.is_leaf


def _of_parameters(
    grads: Mapping[str, Tensor | None], of: TorchNetwork, precision: Precision
) -> dict[Place, Expected]:
    """The gradients of the parameters, those of the last layers first."""
    found = {}
    for name in reversed(list(grads)):
        layer = next((n for n in of.layers if not n or name.startswith(f"{n}.")), None)
        local = name if not layer else name.removeprefix(f"{layer}.")
        g = grads[name]
        place = Place("" if layer is None else layer, f"gradient of {local}")
        if g is not None:
            found[place] = _expect(_kept(g), precision)
    return found


def _clipped(
    grads: Mapping[str, Tensor | None],
    value: float | None,
    norm: float | None,
    precision: Precision,
) -> dict[str, Tensor | None]:
    """torch.nn.utils.clip_grad_value_, then clip_grad_norm_, as operations that have rules."""
    found = dict(grads)
    if value is not None:
        value = float(np.asarray(value, precision.name))  # what the format has for it
        found = {n: None if g is None else g.clamp(-value, value) for n, g in found.items()}
    if norm is not None:
        norms = [torch.linalg.vector_norm(g) for g in found.values() if g is not None]
        total = torch.linalg.vector_norm(torch.stack(norms))
        factor = (norm / (total + 1e-6)).clamp(max=1.0)
        found = {n: None if g is None else g * factor for n, g in found.items()}
    return found


# ---- the optimizer -------------------------------------------------------------------------------


class _Stepper:
    """torch's optimizer on bounded tensors: its class, its hyper-parameters, its groups."""

    def __init__(self, optimizer: Any, params: Mapping[str, Tensor]) -> None:
        if isinstance(optimizer, torch.optim.Optimizer):
            names = {id(p): name for name, p in params.items()}
            if any(id(p) not in names for g in optimizer.param_groups for p in g["params"]):
                raise ConfigError(
                    "the optimizer must step the parameters of the module that is the twin, but "
                    "steps others. Make it of module.parameters(), after the last .to()."
                )
            if optimizer.state:
                raise ConfigError("the optimizer has stepped before; give a new one.")
            own = {
                n: p
                for n, p in params.items()
                if any(p is q for g in optimizer.param_groups for q in g["params"])
            }
            self.own, _, _ = optimizer_from_torch(optimizer, own)
        else:
            self.own = optimizer
        one = getattr(self.own, "optimizer", self.own)
        self.name = f"optim.{type(one).__name__}"
        kind = getattr(torch.optim, type(one).__name__, None)
        twin = OPTIMIZERS.get(kind) if kind is not None else None
        if twin is None or self.name in ("optim.LBFGS", "optim.SparseAdam"):
            raise ConfigError(
                "the optimizer must be one of torch.optim, or of npnet.optim with such a twin, "
                f"that steps by dense gradients, but is {optimizer!r}."
            )
        self._twin = twin
        self.groups: tuple[Mapping[str, Any], ...] = getattr(self.own, "groups", ())
        self.config = {f: getattr(one, f) for f in getattr(one, "__dataclass_fields__", {})}

    def begin_with(self, rate: float) -> None:
        """Another first learning rate; those of groups in proportion."""
        factor = rate / self.config["lr"]
        self.config = {**self.config, "lr": rate}
        self.groups = tuple({**g, "lr": g["lr"] * factor} if "lr" in g else g for g in self.groups)

    def over(
        self, params: Mapping[str, Tensor], way: Way, precision: Precision, rounded: bool
    ) -> Any:
        """The optimizer of these tensors."""
        from npnet.twins.oracle.optimizers import param_groups

        factory = self._twin.bounded if way.bounded else self._twin.build
        config = self._twin.told(self.config, precision)
        if rounded:
            config = constants.rounded(config, precision)
        return factory(param_groups(params, self.groups), **config)

    def set_rate(self, optimizer: Any, rate: float | None) -> None:
        """The learning rate of the next step, in proportion where groups have their own."""
        if rate is None:
            return
        for group, own in zip(optimizer.param_groups, self.groups or ({},), strict=True):
            first = self.config["lr"]
            group["lr"] = own["lr"] * (rate / first) if "lr" in own else rate


# ---- tensors -------------------------------------------------------------------------------------


def _outermost(module: nn.Module, path: str = "") -> Iterator[str]:
    """The outermost modules that have a twin of their own, or no modules inside of them."""
    from npnet.twins import SPECS

    kind = type(module)
    twin = kind.__name__ in SPECS and getattr(nn, kind.__name__, None) is kind
    if (twin and not isinstance(module, nn.Sequential)) or not list(module.children()):
        yield path
        return
    seen: set[int] = set()
    for name, child in module.named_children():
        if id(child) not in seen:
            seen.add(id(child))
            yield from _outermost(child, f"{path}.{name}" if path else name)


_Spot = tuple[str, dict[str, Any], str]


def _places(module: nn.Module) -> dict[str, list[_Spot]]:
    """Where every entry of the state_dict is kept; what is shared under its first name."""
    first: dict[int, str] = {}
    found: dict[str, list[_Spot]] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        kept = [(part._parameters, n, t) for n, t in part._parameters.items()]
        kept += [
            (part._buffers, n, t)
            for n, t in part._buffers.items()
            if n not in part._non_persistent_buffers_set
        ]
        for place, name, t in kept:
            if t is not None:
                whole = first.setdefault(id(t), prefix + name)
                found.setdefault(whole, []).append((prefix + name, place, name))
    return found


def _for_format(module: nn.Module, precision: Precision) -> nn.Module:
    """The module with what it has in a format, in operations that have rules."""
    for path, part in list(module.named_modules()):
        kind = type(part)
        told, restated = declared.TOLD.get(kind), declared.RESTATED.get(kind)
        if told is not None and _is_readable(part):
            config = config_of(part).config
            for name, value in told(config, precision).items():
                if value is not config.get(name):
                    setattr(part, name, value)
        if restated is not None:
            parent, _, name = path.rpartition(".")
            setattr(
                module.get_submodule(parent),
                name,
                declared.build_module(restated, config_of(part).config),
            )
    for part in module.modules():
        for name, t in part._buffers.items():
            if t is not None and t.is_floating_point() and name in part._non_persistent_buffers_set:
                part._buffers[name] = t.double()
    return module


def _round_constants(module: nn.Module | None, precision: Precision) -> None:
    """Give a module the constants that a format has in the place of its own."""
    for part in () if module is None else module.modules():
        for name, value in vars(part).items():
            if type(value) in (float, tuple) and not name.startswith("_"):
                setattr(part, name, nearest(value, precision))


def _reaching(found: TwinStep, other: TwinStep) -> TwinStep:
    return replace(found, quantities=constants.reaching(found.quantities, other.quantities))


def _is_readable(part: nn.Module) -> bool:
    try:
        config_of(part)
    except ConfigError:
        return False
    return True


def _is_random(part: nn.Module) -> bool:
    """Whether a module draws numbers."""
    from npnet.twins import SPECS

    found = SPECS.get(type(part).__name__)
    if found is None or not _is_readable(part):
        return False
    return found.draws(config_of(part).config)


def _drawing(rng: Any, way: Way, draws: bool) -> Any:
    if not draws:
        return nullcontext()
    if way.bounded:
        setting().rng = rng
        return Uniform(rng)
    return Masks(rng)


def _tensor(x: Any, way: Way) -> Any:
    return way.tensor(x) if isinstance(x, np.ndarray) else x


def _value(t: Tensor) -> Tensor:
    return t.value if isinstance(t, Bounded) else t


def _kept(t: Tensor) -> Pair:
    value, error = pair(t)
    return value.copy(), None if error is None else error.copy()


def _expect(value: Pair, precision: Precision, required: bool = True) -> Expected:
    """A value and its error as what a candidate is held against: one value set."""
    v, e = value
    dtype = np.dtype(precision.name) if v.dtype.kind == "f" else v.dtype
    return Expected(v[np.newaxis], None if e is None else e[np.newaxis], dtype, required=required)


def _each(nested: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The same nesting with every tensor replaced."""
    if isinstance(nested, Tensor):
        return function(nested)
    if isinstance(nested, tuple | list):
        return type(nested)(_each(x, function) for x in nested)
    return nested


def _flat(nested: Any) -> list[Tensor]:
    if isinstance(nested, Tensor):
        return [nested]
    return [t for x in nested for t in _flat(x)] if isinstance(nested, tuple | list) else []


def _leaves(nested: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(nested, tuple | list):
        for i, x in enumerate(nested):
            yield from _leaves(x, f"{name}.{i}")
    else:
        yield name, nested


def _arrays(nested: Any) -> Any:
    if isinstance(nested, Tensor):
        return _kept(nested)[0]
    if isinstance(nested, tuple | list):
        return tuple(_arrays(x) for x in nested)
    return nested


def _disagreement(
    ours: Mapping[Place, Expected], plain: Mapping[Place, Expected], precision: Precision
) -> str | None:
    """How plain torch and the bounded pass disagree, or None."""
    from npnet.twins.oracle import compare

    return compare(
        {str(place): e for place, e in ours.items()},
        {str(place): plain[place] for place in ours},
        precision,
    )


def _spec_of(part: nn.Module) -> Spec:
    """A module that has no twin of its own, asked as it is."""
    module = copy.deepcopy(part).double()

    def answer(example: Example, precision: Precision, single: bool = False) -> Answer:
        return ask_module(
            module, module, example, precision, single=single, batched=False, mutates=()
        )

    def draw(pick: Any) -> Any:
        raise ConfigError(f"nothing is known of what {type(part).__name__} takes.")

    return Spec(type(part).__name__, draw, lambda config: {}, answer, fragile=True)


def twin_of_loss(loss: Any) -> nn.Module:
    """The module of a loss of npnet.nn. Raises ConfigError for any other."""
    try:
        return to_torch(loss, {})
    except ConfigError:
        raise ConfigError(
            "the twin's loss can be left out only where the candidate's is one of npnet.nn, but it "
            f"is {loss!r}. Give loss=, as nn.CrossEntropyLoss() of torch."
        ) from None


def twin_of_layers(layers: Mapping[str, Any], state: State | None) -> nn.Module:
    """The torch.nn.Sequential of layers of npnet.nn, with this state, or one that is drawn.

    Raises ConfigError for anything else.
    """
    rng = np.random.default_rng(0)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in layers.items():
        if not hasattr(layer, "init"):
            raise ConfigError(
                "the module can be left out only where all layers are npnet's own, but "
                f"{name!r} is {layer!r}. Give the torch.nn.Module that the network claims to be."
            )
        drawn = layer.init(rng)
        own = drawn if state is None else {n: state[f"{name}.{n}"] for n in drawn}
        parts[name] = to_torch(layer, own)
    return nn.Sequential(parts)


class Reader(nn.ModuleDict):
    """npnet.train.networks.read in torch: scores of the next character, (N, characters, T)."""

    def forward(self, x: Tensor) -> Tensor:
        """The embedding, the LSTM, the layer behind it."""
        found: Tensor = self["fc"](self["lstm"](self["embedding"](x))[0])
        return found.transpose(1, 2)


def names_of(module: nn.Module) -> list[str]:
    """What its modules are called."""
    return [name for name, _ in module.named_modules() if name]
