"""What was converted, run: npnet's layers and the framework's formulas, held against torch."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, State
from npnet.convert.facts import RECURRENT, Table
from npnet.convert.groups import Slot
from npnet.convert.moving import BF16
from npnet.convert.plan import Moved
from npnet.convert.running import inputs_for, layer_of
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


def run_moved(moved: Moved, seed: int = 0) -> Ran:
    """One layer with small random inputs: npnet's, and theirs, both against torch's."""
    rng = np.random.default_rng(seed)
    theirs = {n: in_float(a) for n, a in moved.theirs.items()}
    entries = {n: in_float(a) for n, a in moved.entries.items()}
    heads = moved.slot.heads or _heads(theirs)
    layer, table = layer_of(moved.table, entries, theirs, heads)
    return _run(layer, table, entries, theirs, rng)


def run_slot(slot: Slot, given: State, seed: int = 0) -> Ran:
    """One layer of a state_dict by itself, as the first kind that it may be."""
    rng = np.random.default_rng(seed)
    entries = {n: in_float(given[slot.full(n)]) for n in slot.shapes}
    if not any(a.dtype.kind == "f" for a in entries.values()):
        return Ran("no floating-point numbers: not run")
    table = Table("torch", slot.kinds[0], slot.kinds[0], (), ("... -> ...",), "... -> ...")
    layer, table = layer_of(table, entries, {}, slot.heads)
    return _run(layer, table, entries, {}, rng)


def _run(layer: Any, table: Table, entries: State, theirs: State, rng: np.random.Generator) -> Ran:
    twins, checked = (importlib.import_module(f"npnet.twins{m}") for m in ("", ".checked"))
    suffix = "_l0" if table.layer in RECURRENT else ""
    state = {f"{n}{suffix}": a for n, a in entries.items()}
    for name, a in layer.init(np.random.default_rng(0)).items():
        state.setdefault(name, a)  # num_batches_tracked
    dtype = next(a.dtype for a in entries.values() if a.dtype.kind == "f")
    inputs = [inputs_for(layer, dtype, rng) for _ in range(_BATCHES)]
    module = twins.to_torch(layer, state)
    own = checked.held(lambda s, xs: layer(s, *xs), module, state, inputs)
    told, right = f"{type(layer).__name__}: {own.sentence}", not own.failures
    if theirs and formula(table) is not None:

        def there(_: State, xs: Sequence[Array]) -> Forward:
            return _suffixed(forward(table, theirs, xs), suffix)

        only = checked.only_output(module) if suffix else module
        other = checked.held(there, only, state, inputs)
        told += f"; as {FRAMEWORKS[table.framework]} lays it out: {other.sentence}"
        right = right and not other.failures
    return Ran(told, right)


def _suffixed(found: Forward, suffix: str) -> Forward:
    """The gradients by the names that they have in a layer over time."""

    def vjp(dy: Array) -> Grads:
        grads = found.vjp(dy)
        return Grads(grads.inputs, {f"{n}{suffix}": g for n, g in grads.params.items()})

    return Forward(found.y, vjp)


def _heads(theirs: State) -> int | None:
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
