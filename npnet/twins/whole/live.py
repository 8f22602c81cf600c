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
from npnet.twins.oracle import Masks, Uniform, Way, in_parts, pair
from npnet.twins.oracle.bounded import setting
from npnet.twins.whole.modules import for_format, places, round_constants
from npnet.twins.whole.stepper import clipped
from npnet.twins.whole.tensors import each, expect, flat, kept, tensor
from npnet.twins.whole.watch import Watch
from npnet.verify.case import map_leaves
from npnet.verify.precision import Precision
from npnet.verify.spec import Expected
from npnet.verify.whole.constants import nearest
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
        try:
            return self._module(*inputs)
        except Exception as error:
            given = ", ".join(str(tuple(x.shape)) for x in flat(inputs))
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
            Place(OPTIMIZER, f"{name} after the step"): expect(kept(p), self._precision)
            for name, p in self._trained.items()
        }
        for name, p in self._trained.items():
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
        layer = next((n for n in of.layers if not n or name.startswith(f"{n}.")), None)
        local = name if not layer else name.removeprefix(f"{layer}.")
        g = grads[name]
        place = Place("" if layer is None else layer, f"gradient of {local}")
        if g is not None:
            found[place] = expect(kept(g), precision)
    return found


def _drawing(rng: Any, way: Way, draws: bool) -> Any:
    if not draws:
        return nullcontext()
    if way.bounded:
        setting().rng = rng
        return Uniform(rng)
    return Masks(rng)
