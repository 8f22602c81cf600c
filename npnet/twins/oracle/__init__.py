"""The oracle: the torch twin in float64 on the candidate's inputs, with a bound beside every value.

Every example is asked twice, through the bounded tensors and of plain torch, and the two must
agree: torch's formulas are used, but not trusted blindly. The value sets of an example go through
in one pass (vmap of the forward pass, autograd on what it dispatched), or one by one where the twin
draws random numbers or a batching rule is missing.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from npnet.contract import Array
from npnet.twins.oracle import recurrent
from npnet.twins.oracle import rules as rules
from npnet.twins.oracle.bounded import Bounded, Setting, setting, using
from npnet.verify.case import Example, Replayed, fill, leaves
from npnet.verify.precision import PRECISIONS, Precision
from npnet.verify.spec import Answer, Expected, draw_cotangents

Tensor = torch.Tensor
Pair = tuple[Array, Array | None]
"""A value and its error as arrays; None is exact."""


class Uniform(TorchDispatchMode):
    """torch drawing numbers between 0 and 1 from a NumPy generator, as the candidate does."""

    def __init__(self, rng: Any) -> None:
        super().__init__()
        self._rng = rng

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.rand.default:
            drawn = torch.from_numpy(np.asarray(self._rng.random(tuple(args[0]))))
            return drawn.to(kwargs.get("device"), kwargs.get("dtype"))
        return func(*args, **(kwargs or {}))


class Masks(TorchDispatchMode):
    """Plain torch drawing its masks and slopes from a NumPy generator, as the candidate does."""

    def __init__(self, rng: Any) -> None:
        super().__init__()
        self._rng = rng

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.bernoulli_.float:
            noise, keep = args[0], args[1] if len(args) > 1 else 0.5  # the schema's default
            mask = self._rng.random(tuple(noise.shape)) >= 1 - keep
            return noise.copy_(torch.from_numpy(np.asarray(mask)))
        if func is torch.ops.aten.rrelu_with_noise.default and len(args) > 4 and args[4]:
            x, noise, lower, upper = args[:4]
            slopes = lower + (upper - lower) * self._rng.random(tuple(x.shape))
            factors = torch.where(x <= 0, torch.from_numpy(np.asarray(slopes)).to(noise), 1.0)
            return x * noise.copy_(factors)
        return func(*args, **(kwargs or {}))


class Decomposed(TorchFunctionMode):
    """Fused layers in parts, where vmap has no rule for the whole or one with other bounds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in recurrent.PARTS:
            return recurrent.PARTS[func](*args)
        if func is torch.layer_norm and args[2] is not None:
            x, shape, weight, bias, eps = args[:5]
            y = torch.layer_norm(x, shape, None, None, eps) * weight
            return y if bias is None else y + bias
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Way:
    """How a module's tensors are made from arrays: as plain tensors, or as bounded ones."""

    bounded: bool
    dtype: torch.dtype = torch.float64
    device: str = "cpu"

    def tensor(self, array: Array) -> Tensor:
        """A fresh tensor: what the twin writes into must not be the example's own array."""
        if array.dtype.kind != "f":
            return torch.tensor(array, device=self.device)
        plain = torch.tensor(array, dtype=self.dtype, device=self.device)
        return Bounded(plain) if self.bounded else plain


@dataclass(frozen=True)
class Pass:
    """One forward and backward pass of a twin: name -> (value, error), and what gets a gradient."""

    outputs: list[Pair]
    updates: dict[str, Pair]
    grads: dict[str, Pair | None]
    absent: dict[str, frozenset[int]] = field(default_factory=dict)  # of grads: in which value sets


def ask_module(
    module: nn.Module,
    restated: nn.Module,
    example: Example,
    precision: Precision,
    *,
    single: bool,
    batched: bool,
    mutates: Sequence[str],
    constants: Sequence[str] = (),
    either: bool = False,
) -> Answer:
    """What `module` answers to every value set of the example, in this precision.

    restated: what the bounds are computed with: `module`, or the same in other operations
    single: ask each set alone and track the largest intermediate
    batched: whether vmap knows the module
    mutates: parameters that a forward pass may change (Embedding's max_norm)
    constants: inputs that torch has no gradient for, and says so with an error
    either: whether a gradient on a kink may be that of either side
    """
    ours = Setting(precision, watching=single, either=either)
    together = batched and not single and example.sets > 1

    def one_by_one(way: Way) -> Pass:
        sets = range(example.sets)
        asked = restated if way.bounded else module
        return _stack([_pass(asked, example, way, mutates, constants, precision, s) for s in sets])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecated arguments, which are asked too
        with using(ours), in_parts(module):
            way = Way(bounded=True)
            if together:
                bounded = _pass(restated, example, way, mutates, constants, precision, None)
            else:
                bounded = one_by_one(way)
        plain = one_by_one(Way(bounded=False))  # which checks the batching as well

    expected = dict(_expected(bounded, example, precision))
    disagreement = compare(expected, dict(_expected(plain, example, precision)), precision)
    return Answer(
        expected,
        ours.largest if single else None,
        disagreement,
        frozenset(ours.fallbacks),
    )


def plain_module(
    module: nn.Module,
    example: Example,
    *,
    dtype: str,
    way: Way,
    mutates: Sequence[str],
    constants: Sequence[str] = (),
) -> dict[str, Array]:
    """torch's own numbers to a question in this format, without bounds."""
    precision = PRECISIONS[dtype]
    with warnings.catch_warnings(), in_parts(module):
        warnings.simplefilter("ignore")
        sets = range(example.sets)
        parts = [_pass(module, example, way, mutates, constants, precision, s) for s in sets]
    return {name: e.value for name, e in _expected(_stack(parts), example, precision)}


def plainly(dtype: str, device: str = "cpu") -> Way:
    """torch as it is, in this format."""
    return Way(bounded=False, dtype=getattr(torch, dtype), device=device)


def in_parts(module: nn.Module) -> AbstractContextManager[None]:
    """Attention by its formula, where there is any: the fused kernels have no bounds."""
    fused = any(isinstance(part, nn.MultiheadAttention) for part in module.modules())
    return sdpa_kernel(SDPBackend.MATH) if fused else nullcontext()


def _pass(
    module: nn.Module,
    example: Example,
    way: Way,
    mutates: Sequence[str],
    constants: Sequence[str],
    precision: Precision,
    s: int | None,
) -> Pass:
    """One pass over all value sets at once (s is None), or over value set `s` alone."""
    owners = _owners(module)
    made = {
        name: way.tensor(a if s is None else a[s, ...])
        for name, a in example.arrays.items()
        if not name.startswith("dy")
    }
    differentiable = {
        name
        for name, t in made.items()
        if (t.is_floating_point() and not name.startswith("state "))
        or name.removeprefix("state ") in owners.trainable
    }.difference(constants)
    for name in differentiable:
        made[name].requires_grad_()

    def call(tensors: dict[str, Tensor]) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        owners.put({n.removeprefix("state "): t for n, t in tensors.items() if n[:6] == "state "})
        y = module(*fill(example.inputs, tensors), **fill_mapping(example.kwargs, tensors))
        return tuple(_flat(y)), owners.take((*owners.buffers, *mutates))

    try:
        if s is None:
            with Decomposed() if owners.fused else nullcontext():
                outputs, updates = torch.func.vmap(call)(made)
        elif not example.draws:
            outputs, updates = call(made)
        elif way.bounded:
            setting().rng = rng = _masks(example)
            with Uniform(rng) if owners.uniform else nullcontext():
                outputs, updates = call(made)
        else:
            rng = _masks(example)
            with Masks(rng), Uniform(rng) if owners.uniform else nullcontext():
                outputs, updates = call(made)
    finally:
        owners.clear()

    skip = 0 if s is not None else 1
    draw_cotangents(
        example,
        [tuple(y.shape[skip:]) if y.is_floating_point() else None for y in outputs],
        precision,
    )
    asked = [
        (y, way.tensor(example.arrays[name] if s is None else example.arrays[name][s, ...]))
        for y, name in zip(outputs, example.outputs, strict=True)
        if name is not None and y.requires_grad
    ]
    wanted = [made[name] for name in made if name in differentiable]
    found: Sequence[Tensor | None] = [None] * len(wanted)
    if asked and wanted:
        found = torch.autograd.grad(
            [y for y, _ in asked], wanted, [dy for _, dy in asked], allow_unused=True
        )
    grads: dict[str, Pair | None] = dict.fromkeys(made)
    for name, g in zip((n for n in made if n in differentiable), found, strict=True):
        grads[name] = None if g is None else pair(g)
    return Pass([pair(y) for y in outputs], {n: pair(t) for n, t in updates.items()}, grads)


def fill_mapping(template: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Keyword arguments with tensors in place of their slots."""
    return {name: fill(x, tensors) for name, x in template.items()}


def _masks(example: Example) -> Any:
    """Where dropout masks come from: what the candidate's rng gives, or masks that are given."""
    return Replayed(example.masks) if example.masks else np.random.default_rng(example.seed)


_FUSED = (nn.RNNBase, nn.RNNCellBase, nn.LayerNorm)
_UNIFORM = (nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)  # which call torch.rand


class _Owners:
    """Where a module keeps each entry of its state_dict, so that tensors can be put there."""

    def __init__(self, module: nn.Module) -> None:
        self._places: dict[str, tuple[dict[str, Any], str]] = {}
        self._empty: dict[str, Any] = {}
        self.fused = any(isinstance(m, _FUSED) for m in module.modules())
        self.uniform = any(isinstance(m, _UNIFORM) for m in module.modules())
        self._recurrent = [m for m in module.modules() if isinstance(m, nn.RNNBase)]
        self.buffers: list[str] = []
        self.trainable: set[str] = set()
        for path, part in module.named_modules():
            prefix = f"{path}." if path else ""
            for name, p in part._parameters.items():
                if p is not None:
                    self._places[prefix + name] = (part._parameters, name)
                    self._empty[prefix + name] = p
                    if p.requires_grad:
                        self.trainable.add(prefix + name)
            for name, b in part._buffers.items():
                if b is not None and name not in part._non_persistent_buffers_set:
                    self._places[prefix + name] = (part._buffers, name)
                    self._empty[prefix + name] = b
                    self.buffers.append(prefix + name)

    def put(self, tensors: Mapping[str, Tensor]) -> None:
        for name, t in tensors.items():
            place, key = self._places[name]
            place[key] = t
        renew_lists(self._recurrent)

    def clear(self) -> None:
        """Take the tensors out again: modules are kept, and what they hold is kept with them."""
        self.put(self._empty)

    def take(self, names: Sequence[str]) -> dict[str, Tensor]:
        return {name: self._places[name][0][self._places[name][1]].detach() for name in names}


def renew_lists(modules: Iterable[nn.Module]) -> None:
    """Let recurrent modules, which keep a list of their weights besides, find those put in."""
    for part in modules:
        if isinstance(part, nn.RNNBase):
            part._flat_weights = [getattr(part, name) for name in part._flat_weights_names]


def _owners(module: nn.Module) -> _Owners:
    found: _Owners | None = module.__dict__.get("_npnet_owners")
    if found is None:
        found = module.__dict__["_npnet_owners"] = _Owners(module)
    return found


def _flat(y: Any) -> list[Tensor]:
    """The tensors of an answer, in order; None stands for one that was not asked for."""
    if isinstance(y, torch.Tensor):
        return [y]
    return [] if y is None else [t for part in y for t in _flat(part)]


def pair(t: Tensor) -> Pair:
    if isinstance(t, Bounded):
        error = None if t.error is None else t.error.detach().numpy()
        return t.value.detach().numpy(), error
    return t.detach().cpu().numpy(), None


def _stack(parts: Sequence[Pass]) -> Pass:
    def pile(pairs: Sequence[Pair]) -> Pair:
        errors = [e for _, e in pairs]
        if all(e is None for e in errors):
            return np.stack([v for v, _ in pairs]), None
        filled = [np.zeros_like(v) if e is None else e for v, e in pairs]
        return np.stack([v for v, _ in pairs]), np.stack(filled)

    def pile_or_none(pairs: Sequence[Pair | None]) -> Pair | None:
        known = next((p for p in pairs if p is not None), None)
        if known is None:
            return None
        return pile([(np.zeros_like(known[0]), None) if p is None else p for p in pairs])

    first = parts[0]
    absent = {n: {s for s, p in enumerate(parts) if p.grads[n] is None} for n in first.grads}
    return Pass(
        [pile([p.outputs[i] for p in parts]) for i in range(len(first.outputs))],
        {n: pile([p.updates[n] for p in parts]) for n in first.updates},
        {n: pile_or_none([p.grads[n] for p in parts]) for n in first.grads},
        {n: frozenset(sets) for n, sets in absent.items()},
    )


def _expected(found: Pass, example: Example, precision: Precision) -> list[tuple[str, Expected]]:
    """Quantities in the order of blame: outputs, state updates, gradients of inputs, of params."""
    dtype = np.dtype(precision.name)

    def expect(pair: Pair, absent: frozenset[int] = frozenset()) -> Expected:
        value, error = pair
        kind = dtype if value.dtype.kind == "f" else value.dtype
        return Expected(value, error, kind, absent=absent)

    alone = len(found.outputs) == 1
    rows = [("y" if alone else f"y {i}", expect(p)) for i, p in enumerate(found.outputs)]
    rows += [(f"next {name}", expect(p)) for name, p in found.updates.items()]
    named = [name for i, x in enumerate(example.inputs) for name, _ in leaves(x, f"input {i}")]
    given = [f"state {n}" for n in _state_names(example)]
    for name in (*named, *given):
        if name not in example.arrays:
            continue  # an optional input that was left out
        quantity = f"gradient of {name.removeprefix('state ')}"
        pair = found.grads.get(name)
        if pair is not None:
            rows.append((quantity, expect(pair, found.absent.get(name, frozenset()))))
        else:  # torch gives no gradient: absent, None or zeros
            zeros = np.zeros(example.arrays[name].shape)
            rows.append((quantity, Expected(zeros, None, None, required=False)))
    return rows


def _state_names(example: Example) -> list[str]:
    return [n.removeprefix("state ") for n in example.arrays if n.startswith("state ")]


def compare(
    ours: Mapping[str, Expected], plain: Mapping[str, Expected], precision: Precision
) -> str | None:
    """How plain torch and the bounded pass disagree, or None."""
    for name, a in ours.items():
        b = plain[name]
        if a.value.shape != b.value.shape:
            return f"{name}: shape {b.value.shape}, but {a.value.shape} with bounds"
        if a.value.dtype.kind != "f":
            if not np.array_equal(a.value, b.value):
                return f"{name} differs"
            continue
        with np.errstate(invalid="ignore", over="ignore"):
            allowed = 0.0 if a.error is None else precision.k * a.error
            off = np.abs(a.value - b.value) > allowed
        off &= np.isfinite(a.value) & np.isfinite(b.value)
        if off.any():
            at = tuple(int(i) for i in np.argwhere(off)[0])
            return f"{name} at {list(at[1:])}: {b.value[at]!r}, but {a.value[at]!r} with bounds"
    return None


__all__ = ["PRECISIONS", "ask_module", "in_parts", "plain_module", "plainly"]
