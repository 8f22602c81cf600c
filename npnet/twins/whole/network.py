"""A whole network of torch: trained step by step, with a bound beside every number of every layer.

The module runs as it is, hooks and all its wiring, on bounded tensors; the loss and the optimizer
too. So the bounds of a step contain what earlier steps have cost, and grow until they say nothing.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from npnet.contract import Array, ConfigError, State
from npnet.twins.convert import config_of
from npnet.twins.function import torch_function
from npnet.twins.oracle import Way, ask_module, compare, pair
from npnet.twins.oracle.bounded import Setting, using
from npnet.twins.whole.live import Live
from npnet.twins.whole.modules import is_random, is_readable, outermost, places
from npnet.twins.whole.stepper import Stepper
from npnet.verify.case import Config, Example
from npnet.verify.precision import PRECISIONS, Precision
from npnet.verify.spec import Answer, Expected, Spec
from npnet.verify.whole import constants
from npnet.verify.whole.trace import (
    LOSS,
    NETWORK,
    OPTIMIZER,
    WIRING,
    Call,
    Place,
    TwinStep,
    path_of,
)


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
        self.layers = tuple(outermost(self.module)) if layers is None else tuple(layers)
        unknown = [name for name in self.layers if name not in named]
        if unknown:
            raise ConfigError(
                f"the candidate has a layer {unknown[0]!r}, but the modules of "
                f"{type(module).__name__} are {[n for n in named if n]}. Name its layers as torch "
                "names the modules."
            )
        taken = [n for n in self.layers if path_of(n) in (LOSS, OPTIMIZER, WIRING, NETWORK)]
        if taken:
            raise ConfigError(
                f"a layer must not be called {taken[0]!r}, as npnet calls a part of every run. "
                "Give that module another name."
            )
        self._places = places(self.module)
        self.aliases = {name: first for first, names in self._names() for name in names}
        self.trainable = tuple(
            name for name, p in self.module.named_parameters() if p.requires_grad
        )
        if not self.trainable:
            raise ConfigError(f"{type(module).__name__} has no parameters to train.")
        self.optimizer = Stepper(optimizer, dict(module.named_parameters()))
        own = self.optimizer.names
        self.stepped = tuple(n for n in self.trainable if own is None or n in own)
        self.clip_value, self.clip_norm = clip_value, clip_norm
        self._require_judgeable()
        self.draws = any(is_random(part) for part in self.module.modules())

    def _require_judgeable(self) -> None:
        """Raise ConfigError for a layer that a training run cannot be judged with."""
        for part in self.module.modules():
            if getattr(part, "max_norm", None) is not None:
                raise ConfigError(
                    f"{type(part).__name__} with max_norm changes its parameters in the forward "
                    "pass, between the optimizer's steps. Verify it by itself: npnet verify."
                )
        for name in self.layers:
            reason = self.spec(name).known_bad(self.config(name))
            if reason is not None:
                raise ConfigError(f"torch itself is wrong in the layer {name!r}: {reason}")

    # ---- what it is ----------------------------------------------------------------------------

    def _names(self) -> Iterator[tuple[str, list[str]]]:
        for name, spots in self._places.items():
            yield name, [n for n, _, _ in spots]

    @property
    def state(self) -> dict[str, Array]:
        """The state_dict as arrays; what is shared stands under its first name alone."""
        return {
            name: spots[0][1][spots[0][2]].detach().cpu().numpy().copy()
            for name, spots in self._places.items()
        }

    def owner(self, name: str) -> tuple[str, str]:
        """The layer of an entry of the state, and what it is called there."""
        for layer in self.layers:
            if not layer or name.startswith(f"{layer}."):
                return layer, name.removeprefix(f"{layer}.") if layer else name
        return "", name

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
            if found is not None and is_readable(part):
                return found
        return _spec_of(part)

    def whole(self, step: TwinStep, batch: tuple[Any, ...], state: State) -> tuple[Spec, Call]:
        """The network as one layer, without its loss, and the call of it that a step has made."""
        if self.loss is None:
            dy = np.ones_like(step.quantities[Place(LOSS, "y")].value[0])
            inside = batch
        else:
            dy = step.quantities[Place(LOSS, "gradient of input 0")].value[0]
            inside = batch[:-1]
        return _spec_of(self.module), Call(NETWORK, inside, {}, dict(state), (dy,))

    def with_loss(self, batch: tuple[Any, ...], state: State) -> tuple[Spec, Call]:
        """The network with its loss as one layer, and a call of it."""
        assert self.loss is not None
        spec = _spec_of(_WithLoss(self.module, self.loss), inside="module.")
        return spec, Call(NETWORK, batch, {}, dict(state), (np.ones(()),))

    def candidate(self, layer: str) -> Callable[[Any], Any]:
        """A layer of torch itself, as a candidate's function."""
        part = self._part(layer)
        return torch_function(part, config={} if not is_readable(part) else None)

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
    ) -> "Live":
        return Live(self, state, way, precision, rounded)


def _reaching(found: TwinStep, other: TwinStep) -> TwinStep:
    return replace(found, quantities=constants.reaching(found.quantities, other.quantities))


def _disagreement(
    ours: Mapping[Place, Expected], plain: Mapping[Place, Expected], precision: Precision
) -> str | None:
    """How plain torch and the bounded pass disagree, or None."""
    return compare(
        {str(place): e for place, e in ours.items()},
        {str(place): plain[place] for place in ours},
        precision,
    )


def _spec_of(part: nn.Module, inside: str = "") -> Spec:
    """A module that has no twin of its own, asked as it is.

    inside: what its names begin with for torch, and not for the candidate
    """
    module = copy.deepcopy(part).double()

    def theirs(name: str) -> str:
        return name.replace("state ", f"state {inside}", 1)

    def ours(quantity: str) -> str:
        return quantity.replace(f" {inside}", " ", 1) if inside else quantity

    def answer(example: Example, precision: Precision, single: bool = False) -> Answer:
        arrays = {theirs(name): a for name, a in example.arrays.items()}
        asked = replace(example, arrays=arrays)
        found = ask_module(
            module, module, asked, precision, single=single, batched=False, mutates=()
        )
        return replace(found, expected={ours(q): e for q, e in found.expected.items()})

    def draw(pick: Any) -> Any:
        raise ConfigError(f"nothing is known of what {type(part).__name__} takes.")

    return Spec(type(part).__name__, draw, lambda config: {}, answer, fragile=True)


class _WithLoss(nn.Module):
    """A network that returns its loss."""

    def __init__(self, module: nn.Module, loss: nn.Module) -> None:
        super().__init__()
        self.module, self.loss = module, loss

    def forward(self, *batch: Any) -> Any:
        return self.loss(self.module(*batch[:-1]), batch[-1])
