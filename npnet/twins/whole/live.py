"""A network with tensors in it, which takes one training step after the other."""

import copy
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from npnet.contract import ConfigError, State
from npnet.twins.oracle import Masks, Uniform, Way, in_parts, pair, renew_lists
from npnet.twins.oracle.bounded import setting
from npnet.twins.whole.modules import for_format, places, round_constants
from npnet.twins.whole.stepper import clipped
from npnet.twins.whole.tensors import each, expect, flat, kept, tensor, torch_says
from npnet.twins.whole.watch import Watch
from npnet.verify.case import map_leaves
from npnet.verify.precision import Precision
from npnet.verify.spec import Expected
from npnet.verify.whole.constants import representable
from npnet.verify.whole.trace import OPTIMIZER, Place, TwinStep

if TYPE_CHECKING:
    from npnet.twins.whole.network import TorchNetwork

Tensor = torch.Tensor


class Live:
    """The network with tensors in it; `rounded`: and with the constants that the format has."""

    def __init__(
        self, of: "TorchNetwork", state: State, way: Way, precision: Precision, rounded: bool
    ) -> None:
        self._of, self._way, self._precision, self._rounded = of, way, precision, rounded
        self._module = for_format(copy.deepcopy(of.module), precision)
        self._loss = None if of.loss is None else for_format(copy.deepcopy(of.loss), precision)
        if self._loss is not None:
            self._loss.double()
        if rounded:
            round_constants(self._module, precision)
            round_constants(self._loss, precision)
        self._layers = {id(self._module.get_submodule(n)): n for n in of.layers}
        self.tensors: dict[str, Tensor] = {}
        for name, spots in places(self._module).items():
            t = way.tensor(state[name])
            if name in of.trainable:
                t = nn.Parameter(t)
            self.tensors[name] = t
            for _, place, key in spots:
                place[key] = t
        renew_lists(self._module.modules())
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
        watch = Watch(self._layers, self.tensors, of)
        rng = np.random.default_rng(seed)
        with warnings.catch_warnings(), in_parts(self._module):
            warnings.simplefilter("ignore")
            xs = map_leaves(batch, "", lambda _, x: tensor(x, way))
            with watch.on(self._module), _drawing(rng, way, of.draws):
                inputs = xs if self._loss is None else xs[:-1]
                each(inputs, lambda t: t.requires_grad_() if t.is_floating_point() else t)
                prediction = self._predicted(inputs)
                if self._loss is None:
                    total = prediction
                    if isinstance(total, Tensor):
                        watch.total(total)
                else:
                    total = watch.loss(self._loss, prediction, xs[-1])
            if not isinstance(total, Tensor) or total.numel() != 1:
                raise ConfigError(
                    "the loss must be one number, but is "
                    f"{tuple(total.shape) if isinstance(total, Tensor) else type(total).__name__}. "
                    "Give a loss with reduction='mean' or 'sum'."
                )
            wanted = [*self._trained.values(), *watch.asked()]
            with torch_says("the way back from the loss"):
                found = torch.autograd.grad(total, wanted, allow_unused=True)
        grads: dict[str, Tensor | None] = dict(zip(self._trained, found, strict=False))
        back = {id(t): g for t, g in zip(wanted, found, strict=True)}
        quantities = watch.quantities(back, self._precision)
        quantities |= _of_parameters(grads, of, self._precision)
        quantities |= self._buffers()
        if of.clip_value is not None or of.clip_norm is not None:
            grads = clipped(grads, of.clip_value, of.clip_norm, self._precision)
            for n, g in grads.items():
                if g is not None:
                    place = Place(OPTIMIZER, f"clipped gradient of {n}")
                    quantities[place] = expect(kept(g), self._precision)
        calls = watch.calls(back)
        arrays = {n: None if g is None else pair(g)[0].copy() for n, g in grads.items()}
        if moves:
            quantities |= self._move(grads, rate)
        return TwinStep(quantities, calls, arrays)

    def _predicted(self, inputs: tuple[Any, ...]) -> Any:
        given = ", ".join(f"{tuple(x.shape)} of {x.dtype}" for x in flat(inputs)) or "nothing"
        hint = "" if self._loss is not None else ", which without loss= is all of a batch"
        with torch_says(f"torch's {type(self._module).__name__}, given {given}{hint},"):
            return self._module(*inputs)

    def _buffers(self) -> dict[Place, Expected]:
        """The buffers at the end of the pass, whichever call has changed them last."""
        found = {}
        for name, t in self.tensors.items():
            if name not in self._of.trainable:
                layer, local = self._of.owner(name)
                place = Place(layer, f"{local} after the step")
                found[place] = expect(kept(t), self._precision)
        return found

    def _move(
        self, grads: Mapping[str, Tensor | None], rate: float | None
    ) -> dict[Place, Expected]:
        """The optimizer's step: every parameter, and every entry of the optimizer's state."""
        if self._stepper is None:
            own = {name: self._trained[name] for name in self._of.stepped}
            with torch_says(self._of.optimizer.name):
                self._stepper = self._of.optimizer.over(
                    own, self._way, self._precision, self._rounded
                )
        for name in self._of.stepped:
            self._trained[name].grad = grads[name]
        if self._rounded:
            rate = representable(rate, self._precision)
        self._of.optimizer.set_rate(self._stepper, rate)
        with torch_says(self._of.optimizer.name):
            self._stepper.step()
        stepped = {name: self._trained[name] for name in self._of.stepped}
        found = {
            Place(OPTIMIZER, f"{name} after the step"): expect(kept(p), self._precision)
            for name, p in stepped.items()
        }
        for name, p in stepped.items():
            p.grad = None
            for key, value in self._stepper.state.get(p, {}).items():
                if isinstance(value, Tensor) and value.ndim:
                    place = Place(OPTIMIZER, f"state {key} of {name}")
                    found[place] = expect(kept(value), self._precision, required=False)
        return found


def _of_parameters(
    grads: Mapping[str, Tensor | None], of: "TorchNetwork", precision: Precision
) -> dict[Place, Expected]:
    """The gradients of the parameters, those of the last layers first."""
    found = {}
    for name in reversed(list(grads)):
        layer, local = of.owner(name)
        g, place = grads[name], Place(layer, f"gradient of {local}")
        if g is not None:
            found[place] = expect(kept(g), precision)
        else:  # of what the loss was not made from: nothing, or zeros
            zeros = np.zeros((1, *of.state[name].shape))
            found[place] = Expected(zeros, None, np.dtype(precision.name), required=False)
    return found


def _drawing(rng: Any, way: Way, draws: bool) -> Any:
    if not draws:
        return nullcontext()
    if way.bounded:
        setting().rng = rng
        return Uniform(rng)
    return Masks(rng)
