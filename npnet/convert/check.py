"""What was converted, run: npnet's layers and the framework's formulas, held against torch."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, State
from npnet.convert.facts import Table, suffix_of
from npnet.convert.moving import BF16
from npnet.convert.plan import Moved
from npnet.convert.running import inputs_for, layer_of
from npnet.convert.slots import Slot
from npnet.convert.tables import FRAMEWORKS
from npnet.convert.theirs import formula, forward

_BATCHES = 2


@dataclass(frozen=True)
class Ran:
    """What came of one layer: told in a line, and whether it is right."""

    line: str
    right: bool = True


def in_float(a: Array) -> Array:
    """Half precision as float32, which has all of its numbers; everything else as it is."""
    if a.dtype == BF16:
        wide = a["bfloat16"].astype(np.uint32) << 16
        found: Array = wide.view(np.float32)
        return found
    return a.astype(np.float32) if a.dtype == np.float16 else a


def outcome(held: Any, state: State) -> Ran:
    """What came of holding a state against torch; wrong, too, where there was nothing to hold."""
    bad = [n for n, a in state.items() if a.dtype.kind == "f" and not np.isfinite(a).all()]
    if held.failures or (held.ratios and not bad):
        return Ran(held.sentence, not held.failures)
    why = f"{bad[0]!r} holds nan or inf" if bad else "all that it gives is nan or inf"
    return Ran(f"it cannot be compared: {why}", right=False)


def run_moved(moved: Moved, seed: int = 0) -> Ran:
    """One layer with small random inputs: npnet's, and theirs, both against torch's."""
    theirs = {n: in_float(a) for n, a in moved.theirs.items()}
    entries = {n: in_float(a) for n, a in moved.entries.items()}
    heads = moved.slot.heads or heads_of(theirs)
    return _run(moved.table, entries, theirs, heads, seed)


def run_slot(slot: Slot, given: State, seed: int = 0) -> Ran:
    """One layer of a state_dict by itself, as the likeliest of the kinds that it may be."""
    entries = {n: in_float(given[slot.full(n)]) for n in slot.shapes}
    kind, *others = slot.kinds
    table = Table("torch", kind, kind, (), ("... -> ...",), "... -> ...")
    ran = _run(table, entries, {}, slot.heads, seed)
    if not others:
        return ran
    return Ran(f"its tensors may be of {' or '.join(slot.kinds)}: {ran.line}", ran.right)


def _run(table: Table, entries: State, theirs: State, heads: int | None, seed: int) -> Ran:
    if not any(a.dtype.kind == "f" for a in entries.values()):
        return Ran("no floating-point numbers: not run")
    rng = np.random.default_rng(seed)
    kind = table.layer
    layer, table = layer_of(table, entries, theirs, heads)
    twins, checked = (importlib.import_module(f"npnet.twins{m}") for m in ("", ".checked"))
    suffix = suffix_of(table.layer)
    state = {f"{n}{suffix}": a for n, a in entries.items()}
    for name, a in layer.init(np.random.default_rng(0)).items():
        state.setdefault(name, a)  # num_batches_tracked
    dtype = next(a.dtype for a in entries.values() if a.dtype.kind == "f")
    inputs = [inputs_for(layer, dtype, rng) for _ in range(_BATCHES)]
    module = twins.to_torch(layer, state)
    own = outcome(checked.held(lambda s, xs: layer(s, *xs), module, state, inputs), state)
    name = type(layer).__name__
    told = f"{kind}: {own.line}" if name == kind else f"{kind}, run as a {name}: {own.line}"
    right = own.right
    if theirs and formula(table) is not None:

        def there(_: State, xs: Sequence[Array]) -> Forward:
            return _suffixed(forward(table, theirs, xs), suffix)

        only = checked.only_output(module) if suffix else module
        other = outcome(checked.held(there, only, state, inputs), state)
        told += f"; as {FRAMEWORKS[table.framework]} lays it out: {other.line}"
        right = right and other.right
    return Ran(told, right)


def _suffixed(found: Forward, suffix: str) -> Forward:
    """The gradients by the names that they have in a layer over time."""

    def vjp(dy: Array) -> Grads:
        grads = found.vjp(dy)
        return Grads(grads.inputs, {f"{n}{suffix}": g for n, g in grads.params.items()})

    return Forward(found.y, vjp)


def heads_of(theirs: State) -> int | None:
    """How many heads an attention has there, where its tensors are one's."""
    kernel = theirs.get("query/kernel")
    return None if kernel is None else int(kernel.shape[1])


def require_torch() -> None:
    """Raise ConfigError where what is converted cannot be run."""
    try:
        importlib.import_module("npnet.twins")
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "hypothesis"):
            raise
        raise ConfigError(
            f"running what was converted needs {error.name}, which is not installed. Install it "
            "with: pip install 'npnet[torch]'"
        ) from None
