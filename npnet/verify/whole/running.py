"""A candidate's network, run: one step from a given state, or a training run of several."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from npnet.autograd import Tensor
from npnet.contract import Array, ConfigError, Forward, Grads, NpnetError, State
from npnet.verify.case import Case, Config, OptimizerCase, leaves, map_leaves
from npnet.verify.whole.network import Function
from npnet.verify.whole.trace import (
    LOSS,
    NETWORK,
    OPTIMIZER,
    WIRING,
    OwnStep,
    Place,
    call_name,
    name_of,
)


class BrokeError(NpnetError):
    """A layer of a candidate raised an error."""

    def __init__(self, layer: str, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.layer, self.error = layer, error


@dataclass(frozen=True)
class Runner:
    """A candidate's network with everything that it takes to run it.

    layers, loss: functions of a Case by name; whole: the network as one, with its loss or without
    clip: a function of all gradients
    has_own_loss: whether the loss is the candidate's or npnet's, and not torch's own
    configs: the twin's constructor arguments of every layer
    local: the names of a layer's state inside of it, and in the whole state
    owners: the layer of every entry of the state, and its name there
    optimized: the parameters that the optimizer has
    """

    layers: Mapping[str, Function]
    wiring: Callable[..., Any] | None
    whole: Function | None
    has_loss: bool
    loss: Function | None
    has_own_loss: bool
    optimizer: Function
    configs: Mapping[str, Config]
    local: Mapping[str, Mapping[str, str]]
    owners: Mapping[str, tuple[str, str]]
    trainable: tuple[str, ...]
    optimized: tuple[str, ...]
    optimizer_config: Config
    groups: tuple[Mapping[str, Any], ...] = ()
    clip: Callable[[Any], Mapping[str, Any]] | None = None
    draws: bool = False

    # ---- one step ------------------------------------------------------------------------------

    def step(self, state: State, batch: tuple[Any, ...], seed: int) -> OwnStep:
        """Forward, loss, backward and clipping from this state; what the buffers are then."""
        one = self._passed(state, batch, seed)
        if self.clip is None:
            return one
        try:
            clipped = dict(self.clip(one.grads))
        except Exception as error:
            raise BrokeError(OPTIMIZER, error) from error
        quantities = {Place(OPTIMIZER, f"clipped gradient of {n}"): g for n, g in clipped.items()}
        return OwnStep({**one.quantities, **quantities}, one.state, clipped)

    def _passed(self, state: State, batch: tuple[Any, ...], seed: int) -> OwnStep:
        rng = np.random.default_rng(seed) if self.draws else None
        if self.whole is not None:
            return self._as_one(self.whole, state, batch, rng)
        pass_ = _Pass(self, state, rng)
        inputs, target = (batch, None) if self.loss is None else (batch[:-1], batch[-1])
        xs = tuple(map_leaves(x, "", _leaf) for x in inputs)
        try:
            prediction = self._wired(pass_, xs)
        except (BrokeError, ConfigError):
            raise
        except Exception as error:
            raise BrokeError(WIRING, error) from error
        total = prediction if self.loss is None else pass_.loss(self.loss, prediction, target)
        if not isinstance(total, Tensor) or total.data.size != 1:
            raise ConfigError("the loss of a network must be one number.")
        if self.loss is None:
            pass_.total(total)
        try:
            if total.requires_grad:
                total.backward()
        except BrokeError:
            raise
        except Exception as error:
            raise BrokeError(WIRING, error) from error
        return pass_.found()

    def _wired(self, call: "_Pass", xs: tuple[Any, ...]) -> Any:
        if self.wiring is not None:
            return self.wiring(call, *xs)
        y: tuple[Any, ...] = xs
        for name in self.layers:
            out = call(name, *y)
            y = out if isinstance(out, tuple) else (out,)
        return y[0] if len(y) == 1 else y

    def _as_one(self, whole: Function, state: State, batch: tuple[Any, ...], rng: Any) -> OwnStep:
        """A network of whose layers nothing is known."""
        inside = batch if self.has_loss or self.loss is None else batch[:-1]
        inside = map_leaves(inside, "", lambda _, x: np.array(x))
        state = {name: a.copy() for name, a in state.items()}
        forward = _asked(NETWORK, whole, Case({"training": True}, state, inside, {}, rng))
        ys = forward.y if isinstance(forward.y, tuple) else (forward.y,)
        found: dict[Place, Any] = {}
        if self.has_loss or self.loss is None:
            found[Place(LOSS, "y")] = np.asarray(ys[0])
            dy: Any = np.ones_like(ys[0])
        else:
            case = Case(self.configs.get(LOSS, {}), {}, (ys[0], batch[-1]), {}, None)
            loss = _asked(LOSS, self.loss, case)
            found[Place(LOSS, "y")] = np.asarray(loss.y)
            dy = _back(LOSS, loss, np.ones_like(loss.y)).inputs[0]
            found[Place(LOSS, "gradient of input 0")] = dy
        grads = _back(NETWORK, forward, dy)
        for name in self.trainable:
            g = grads.params.get(name)
            if g is not None:
                layer, local = self.owners[name]
                found[Place(layer, f"gradient of {local}")] = g
        for name, entry in forward.updates.items():
            layer, local = self.owners.get(name, ("", name))
            found[Place(layer, f"next {local}")] = entry
        after = {**state, **forward.updates}
        return OwnStep(found, after, {n: grads.params.get(n) for n in self.trainable})

    # ---- a training run ------------------------------------------------------------------------

    def run(
        self,
        state: State,
        batches: Sequence[tuple[Any, ...]],
        seeds: Sequence[int],
        rates: Sequence[float],
    ) -> Iterator[OwnStep]:
        """Step after step from this state. Raises BrokeError where one breaks down."""
        first = {name: state[name] for name in self.optimized}
        known: list[Mapping[str, Any]] = []
        now = dict(state)
        for k, (batch, seed) in enumerate(zip(batches, seeds, strict=True)):
            one = self.step(now, batch, seed)
            known.append({n: _as_gradient(one.grads.get(n)) for n in first})
            params, states = self.stepped(first, known, rates[: k + 1])
            quantities = dict(one.quantities)
            for name, p in params.items():
                quantities[Place(OPTIMIZER, f"{name} after the step")] = p
            for key, entries in states.items():
                for name, value in entries.items():
                    quantities[Place(OPTIMIZER, f"state {key} of {name}")] = value
            now = {**one.state, **params}
            yield replace(one, quantities=quantities, state=now)

    def stepped(
        self,
        params: State,
        grads: Sequence[Mapping[str, Any]],
        rates: Sequence[float],
    ) -> tuple[State, Mapping[str, Mapping[str, Any]]]:
        """The parameters, and the optimizer's state, after the last of these steps."""
        case = OptimizerCase(
            self.optimizer_config,
            {n: np.array(p) for n, p in params.items()},
            tuple(
                {n: None if g is None else np.array(g) for n, g in step.items()} for step in grads
            ),
            tuple(rates),
            groups=self.groups,
        )
        try:
            last = self.optimizer(case)[-1]
            after, state = last if isinstance(last, tuple) else (last, {})
            return {n: np.asarray(after[n]) for n in params}, state
        except Exception as error:
            raise BrokeError(OPTIMIZER, error) from error


class _Pass:
    """One forward pass and the record of it: `call` of a network's wiring."""

    def __init__(self, of: Runner, state: State, rng: Any) -> None:
        self._of, self._rng = of, rng
        self._state = dict(state)
        self._times: dict[str, int] = {}
        self._ahead: dict[Place, Any] = {}
        self._back: dict[Place, Any] = {}
        self._params: dict[str, Any] = {}

    def __call__(self, name: str, *inputs: Any, **kwargs: Any) -> Any:
        """A layer applied to tensors: a tensor, or the tuple of several."""
        if name not in self._of.layers:
            raise ConfigError(f"the network has no layer {name!r}, but {list(self._of.layers)}.")
        self._times[name] = self._times.get(name, 0) + 1
        call = call_name(name, self._times[name])
        local = self._of.local.get(name, {})
        state = {mine: self._state[whole] for mine, whole in local.items()}
        config = self._of.configs.get(name, {})
        rng, function = self._rng, self._of.layers[name]

        def made(*arrays: Any) -> tuple[Any, Any]:
            xs = arrays[: len(inputs)]
            self._given(call, xs)
            forward = _asked(name, function, Case(config, state, xs, kwargs, rng))
            self._note(call, forward, local)
            return forward.y, self._vjp(call, forward, len(arrays), local)

        # what no tensor goes into has parameters all the same, and wants its gradient
        return Tensor.apply(made, *inputs, *([] if _has_tensor(inputs) else [_always()]))

    def loss(self, loss: Function, prediction: Any, target: Any) -> Any:
        """The loss of a prediction, recorded as a layer is."""
        if not isinstance(prediction, Tensor):
            raise ConfigError(
                "a network must return one tensor for its loss, but returned "
                f"{type(prediction).__name__}."
            )
        config = self._of.configs.get(LOSS, {})
        state = {n: v for n, v in config.items() if isinstance(v, np.ndarray)}

        def made(*arrays: Any) -> tuple[Any, Any]:
            self._given(LOSS, (*arrays, target))
            forward = _asked(LOSS, loss, Case(config, state, (*arrays, target), {}, None))
            self._note(LOSS, forward, {})
            return forward.y, self._vjp(LOSS, forward, len(arrays), {})

        return Tensor.apply(made, prediction)

    def _given(self, call: str, xs: tuple[Any, ...]) -> None:
        for i, x in enumerate(xs):
            for name, leaf in leaves(x, f"input {i}"):
                if isinstance(leaf, np.ndarray):
                    self._ahead[Place(call, name)] = leaf.copy()

    def total(self, y: Tensor) -> None:
        """The loss that the network itself returns."""
        self._ahead[Place(LOSS, "y")] = y.data.copy()

    def _note(self, call: str, forward: Forward, local: Mapping[str, str]) -> None:
        ys = forward.y if isinstance(forward.y, tuple) else (forward.y,)
        for i, y in enumerate(ys):
            self._ahead[Place(call, name_of("y", i, len(ys)))] = np.array(y)
        for mine, entry in forward.updates.items():
            self._ahead[Place(call, f"next {mine}")] = np.array(entry)
            self._state[local.get(mine, mine)] = np.array(entry)

    def _vjp(
        self, call: str, forward: Forward, count: int, local: Mapping[str, str]
    ) -> Callable[[Any], tuple[Any, ...]]:
        def vjp(dy: Any) -> tuple[Any, ...]:
            dys = dy if isinstance(dy, tuple) else (dy,)
            if call != LOSS:
                for i, d in enumerate(dys):
                    if d is not None:
                        place = Place(call, f"gradient of {name_of('y', i, len(dys))}")
                        self._back[place] = np.array(d)
            grads = _back(call, forward, dy)
            for i, g in enumerate(grads.inputs):
                for name, leaf in leaves(g, f"input {i}"):
                    if leaf is not None:
                        self._back[Place(call, f"gradient of {name}")] = np.array(leaf)
            for mine, g in grads.params.items():
                if g is None:
                    continue
                whole = local.get(mine, mine)
                known = self._params.get(whole)
                self._params[whole] = np.array(g) if known is None else known + g
            missing = (None,) * (count - len(grads.inputs))
            return (*grads.inputs, *missing)[:count]

        return vjp

    def found(self) -> OwnStep:
        """Everything that was recorded."""
        quantities = {**self._ahead, **self._back}
        for name in self._of.trainable:
            layer, local = self._of.owners[name]
            if name in self._params:
                quantities[Place(layer, f"gradient of {local}")] = self._params[name]
        grads = {name: self._params.get(name) for name in self._of.trainable}
        return OwnStep(quantities, self._state, grads)


def _asked(layer: str, function: Function, case: Case) -> Forward:
    try:
        with np.errstate(all="ignore"):
            reply = function(case)
        if not isinstance(reply, Forward):
            reply = Forward(*reply)
    except BrokeError:
        raise
    except Exception as error:
        raise BrokeError(layer, error) from error
    return reply


def _back(layer: str, forward: Forward, dy: Any) -> Grads:
    try:
        with np.errstate(all="ignore"):
            grads = forward.vjp(dy)
        return grads if isinstance(grads, Grads) else Grads(*grads)
    except BrokeError:
        raise
    except Exception as error:
        raise BrokeError(layer, error) from error


def _leaf(_: str, x: Any) -> Any:
    """An input as a tensor; with a gradient where it can have one, so that all is recorded."""
    if not isinstance(x, np.ndarray):
        return x
    return Tensor(x, requires_grad=x.dtype.kind == "f")


def _has_tensor(nested: Any) -> bool:
    if isinstance(nested, tuple):
        return any(_has_tensor(x) for x in nested)
    return isinstance(nested, Tensor) and nested.requires_grad


def _always() -> Tensor:
    """Nothing, of which a gradient is wanted."""
    return Tensor(np.zeros(0), requires_grad=True)


def _as_gradient(g: Any) -> Array | None:
    return None if g is None else np.asarray(g)
