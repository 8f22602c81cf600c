"""Every table of npnet.convert, held against the framework itself; npnet/convert/proven.json.

    python -m tests.studies.frameworks [keras/Conv2d…] [--keep] [--planted] [--record]

A layer of torch with random numbers is moved by its table, and one of the framework's back; both
ways, outputs and gradients of inputs and tensors must be the same in float64. --keep writes what
was proven. A table that changes afterwards is proven no more. --planted: tables with a mistake in
them, none of which may be proven. --record: some answers for tests that run without frameworks.
"""

import argparse
import datetime
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch

import npnet.convert
from npnet.convert.facts import BLOCKS, Table
from npnet.convert.layout import apart, joined, names, sides, sizes, turned
from npnet.convert.moving import from_torch, to_torch
from npnet.convert.tables import TABLES
from npnet.twins.convert import config_of
from tests.studies.frameworks import in_jax, in_keras, in_tf
from tests.studies.frameworks.cases import Case, cases
from tests.studies.frameworks.planted import planted

LIMIT = 1e-11
"""Of |theirs - torch's|, relative to the largest number of torch's: rounding in float64."""

SINGLE = {"nnx/MultiheadAttention": 1e-5}
"""Limits of what computes in float32 whatever it is given."""

ASK = {"keras": in_keras, "tf": in_tf, "flax": in_jax, "nnx": in_jax, "dlfs": in_jax}
KEPT = Path(npnet.convert.__file__).with_name("proven.json")


def over(layout: str, a: np.ndarray) -> np.ndarray:
    """An array of torch's as it lies there."""
    before, after = sides(layout, a.ndim)
    found = sizes(a.shape, before, {})
    return joined(turned(apart(a, before, found), names(before), names(after)), after, found).copy()


def back(layout: str, a: np.ndarray) -> np.ndarray:
    """An array of theirs as torch's lies."""
    before, _, after = layout.partition("->")
    return over(f"{after}->{before}", a)


def known(case: Case) -> dict[str, int]:
    """The sizes that no shape says."""
    found = {"n": case.told["heads"]} if "heads" in case.told else {}
    return found | ({"i": case.told["groups"]} if "m" in case.told else {})


def entry(table: Table, name: str) -> str:
    """The name that the tables have for an entry of the state_dict."""
    return name.removesuffix("_l0") if table.layer in ("RNN", "LSTM", "GRU") else name


def state_of(table: Table, module: torch.nn.Module) -> dict[str, np.ndarray]:
    """The state_dict, without what is torch's alone."""
    return {
        entry(table, n): t.detach().numpy().copy()
        for n, t in module.state_dict().items()
        if n != "num_batches_tracked"
    }


def put(table: Table, module: torch.nn.Module, state: dict[str, np.ndarray]) -> None:
    """Give a module the numbers of a state."""
    own = {n: state.get(entry(table, n), t.numpy()) for n, t in module.state_dict().items()}
    module.load_state_dict({n: torch.from_numpy(np.array(a)) for n, a in own.items()})


def placeless(table: Table, state: dict[str, np.ndarray]) -> None:
    """Make 0 what has no place there."""
    blocks = BLOCKS.get(table.layer, "").split()
    for part in table.parts:
        if part.plus in state and blocks:
            held = {b for p in table.parts if p.plus == part.plus for b in p.plus_blocks.split()}
            held |= {b for p in table.parts if p.entry == part.plus for b in p.blocks.split()}
            rows = np.split(state[part.plus], len(blocks))
            for block, piece in zip(blocks, rows, strict=True):
                if block not in held:
                    piece[...] = 0


def differences(table: Table, case: Case, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    """(quantity, the difference of theirs and torch's, relative) in both directions."""
    state = state_of(table, case.module)
    placeless(table, state)
    tensors = from_torch(table, state, known(case))
    yield from _compared(table, case, state, tensors, rng)
    drawn = {
        n: rng.standard_normal(a.shape) ** (2 if "var" in n else 1) for n, a in tensors.items()
    }
    drawn = {n: np.asarray(a, np.float64) + (0.5 if "var" in n else 0) for n, a in drawn.items()}
    yield from _compared(table, case, to_torch(table, drawn), drawn, rng)


def _compared(
    table: Table,
    case: Case,
    state: dict[str, np.ndarray],
    tensors: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> Iterator[tuple[str, Any]]:
    put(table, case.module, state)
    before = state_of(table, case.module)
    xs = [torch.from_numpy(x.copy()) for x in case.inputs]
    real = [x.requires_grad_() for x in xs if x.is_floating_point()]
    ys = case.outputs(xs)
    dys = [rng.standard_normal(tuple(y.shape)) for y in ys]
    params = {n: p for n, p in case.module.named_parameters() if p.requires_grad}
    grads = torch.autograd.grad(ys, [*real, *params.values()], [torch.from_numpy(dy) for dy in dys])
    dparams = {entry(table, n): g.numpy() for n, g in zip(params, grads[len(real) :], strict=True)}
    layouts = [*table.inputs, *["... -> ..."] * (len(xs) - len(table.inputs))]
    theirs = [over(how, x) for how, x in zip(layouts, case.inputs, strict=True)]
    reply = ASK[table.framework].ask(
        table, case, tensors, theirs, lambda _: [over(table.outputs, dy) for dy in dys]
    )
    for i, (y, mine) in enumerate(zip(reply.ys, ys, strict=True)):
        yield f"y {i}", relative(back(table.outputs, y), mine.detach().numpy())
    places = [how for how, x in zip(layouts, xs, strict=True) if x.is_floating_point()]
    for i, (g, mine) in enumerate(zip(reply.inputs, grads[: len(real)], strict=True)):
        yield f"gradient of input {i}", relative(back(places[i], g), mine.numpy())
    largest = max((float(np.abs(g).max()) for g in dparams.values()), default=0.0)
    for which in ("entry", "plus"):
        bare = replace(table, parts=tuple(_alone(table, which)))
        for name, want in from_torch(bare, _lone(bare, dparams), known(case)).items():
            got = reply.tensors[name]
            if which == "plus":
                got, want = _held(table, name, got, want)
            yield f"gradient of {name} ({which})", relative(got, want, largest)
    for name, got in reply.changed.items():
        part = next(p for p in table.parts if p.name == name)
        old, share = before[part.entry], case.module.momentum
        want = (1 - share) * old + share * _batch(case, part.entry)
        yield f"next {name}", relative(got, want if case.told["training"] else old)


def _alone(table: Table, which: str) -> Iterator[Any]:
    """The parts without sums: each for its own entry, or for the one that is added."""
    for part in table.parts:
        if which == "entry" and not part.entry.startswith("running"):
            yield replace(part, plus="", plus_blocks="")
        if which == "plus" and part.plus:
            yield replace(part, entry=part.plus, plus="", plus_blocks="")


def _lone(table: Table, grads: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Gradients whose blocks without a place there are 0."""
    blocks = BLOCKS.get(table.layer, "").split()
    found = {n: g.copy() for n, g in grads.items()}
    for name, g in found.items():
        held = {b for p in table.parts if p.entry == name for b in p.blocks.split()}
        for i, block in enumerate(blocks if held else ()):
            if block not in held:
                np.split(g, len(blocks))[i][...] = 0
    return found


def _held(table: Table, name: str, got: np.ndarray, want: np.ndarray) -> Any:
    """Only the blocks in which another entry is added."""
    part = next(p for p in table.parts if p.name == name)
    if part.blocks == part.plus_blocks:
        return got, want
    order = part.blocks.split()
    keep = [order.index(b) for b in part.plus_blocks.split()]
    pieces = [np.concatenate([np.split(a, len(order))[i] for i in keep]) for a in (got, want)]
    return pieces[0], pieces[1]


def _batch(case: Case, name: str) -> np.ndarray:
    """The statistics of the batch, with the biased variance."""
    x = case.inputs[0]
    axes = tuple(i for i in range(x.ndim) if i != 1)
    return x.mean(axes) if name == "running_mean" else x.var(axes)


def relative(got: np.ndarray, want: np.ndarray, largest: float = 0.0) -> float:
    """|got - want|, relative to the largest there is; inf for another shape, and for nan.

    largest: of all gradients of a layer: that of an attention's key bias is 0, but for rounding
    """
    if got.shape != want.shape:
        return float("inf")
    scale = max(np.abs(want).max(initial=0), largest, 1e-300)
    found = float(np.abs(got - want).max(initial=0) / scale)
    return float("inf") if np.isnan(found) else found


def prove(table: Table, seed: int) -> tuple[int, float, str]:
    """How many cases there were, the worst difference, and where it was."""
    rng = np.random.default_rng(seed)
    worst, where, count = 0.0, "", 0
    for case in cases(table, rng):
        count += 1
        for quantity, difference in differences(table, case, rng):
            if not difference <= worst:
                worst, where = difference, f"{quantity}, {case.module}"
    return count, worst, where


def _in_float32(x: np.ndarray) -> np.ndarray:
    """The same, with numbers that float32 has."""
    return x.astype(np.float32).astype(x.dtype) if x.dtype.kind == "f" else x


RECORDED = Path("tests/data/frameworks.npz")
_SOME = (
    *("keras/Linear", "keras/Conv1d", "keras/ConvTranspose1d", "keras/BatchNorm1d"),
    *("keras/LSTM", "keras/GRU", "keras/MultiheadAttention", "keras/Conv1d/depthwise"),
    *("flax/Conv1d", "flax/ConvTranspose1d", "flax/BatchNorm1d", "flax/LSTMCell", "flax/GRUCell"),
    *("flax/MultiheadAttention", "nnx/LSTM/optimized", "nnx/GRU"),
)


def record(seed: int) -> int:
    """Write answers of real frameworks, which npnet's own layers must give, too."""
    arrays: dict[str, np.ndarray] = {}
    told = {}
    for table in TABLES:
        if table.key not in _SOME:
            continue
        rng = np.random.default_rng(seed)
        case = list(cases(table, rng))[-1 if "Batch" in table.layer else 0]
        state = state_of(table, case.module)
        placeless(table, state)
        tensors = {n: _in_float32(a) for n, a in from_torch(table, state, known(case)).items()}
        xs = [
            x.astype(np.float32).astype(x.dtype) if x.dtype.kind == "f" else x for x in case.inputs
        ]
        layouts = [*table.inputs, *["... -> ..."] * (len(xs) - len(table.inputs))]
        theirs = [over(how, x) for how, x in zip(layouts, xs, strict=True)]
        dys: list[np.ndarray] = []

        def drawn(ys: Any, dys: list[np.ndarray] = dys, rng: Any = rng) -> list[np.ndarray]:
            dys += [rng.integers(-3, 4, np.shape(y)).astype(np.float64) for y in ys]
            return dys

        reply = ASK[table.framework].ask(table, case, tensors, theirs, drawn)
        kept = {f"tensor {n}": a for n, a in tensors.items()}
        kept |= {f"input {i}": x for i, x in enumerate(theirs)}
        kept |= {f"y {i}": y for i, y in enumerate(reply.ys)}
        kept |= {f"dy {i}": dy for i, dy in enumerate(dys)}
        kept |= {f"gradient of input {i}": g for i, g in enumerate(reply.inputs)}
        kept |= {f"gradient of {n}": g for n, g in reply.tensors.items()}
        for name, a in kept.items():
            small = a.astype(np.float32) if a.dtype.kind == "f" else a.astype(np.int8)
            arrays[f"{table.key}: {name}"] = small
        config = dict(
            config_of(case.module.eval() if "Batch" not in table.layer else case.module).config
        )
        told[table.key] = {"config": config, "versions": ASK[table.framework].VERSIONS}
    text = json.dumps(told)
    RECORDED.parent.mkdir(exist_ok=True)
    np.savez_compressed(RECORDED, told=np.frombuffer(text.encode(), np.uint8), **arrays)
    print(f"{len(told)} tables in {RECORDED}, {RECORDED.stat().st_size} bytes")
    return 0


def missed(chosen: list[Table], seed: int) -> int:
    """How many planted mistakes the framework does not show; a line for each."""
    found = unseen = 0
    for table in chosen:
        for what, wrong in planted(table):
            try:
                _, worst, _ = prove(wrong, seed)
            except Exception:
                worst = float("inf")
            found += 1
            if worst <= SINGLE.get(table.key, LIMIT):
                unseen += 1
                print(f"{table.key}: not seen: {what}")
    print(f"{found - unseen} of {found} planted mistakes are found")
    return unseen


def main() -> int:
    """Print a line for every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", default=["*"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--planted", action="store_true")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    chosen = [t for t in TABLES if any(fnmatchcase(t.key, p) for p in given.tables)]
    if given.planted:
        return 1 if missed(chosen, given.seed) else 0
    if given.record:
        return record(given.seed)
    kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    kept = {t.key: kept[t.key] for t in TABLES if t.key in kept}
    wrong = 0
    for table in chosen:
        try:
            count, worst, where = prove(table, given.seed)
        except Exception as error:
            count, worst, where = 0, float("inf"), f"{type(error).__name__}: {error}"
        right = worst <= SINGLE.get(table.key, LIMIT)
        wrong += not right
        print(f"{table.key:36} {count:3} {worst:9.1e}  {'' if right else where[:300]}", flush=True)
        kept.pop(table.key, None)
        if right:
            kept[table.key] = {
                "versions": ASK[table.framework].VERSIONS
                if table.framework != "dlfs"
                else "the book's formulas",
                "torch": torch.__version__,
                "date": f"{datetime.date.today():%Y-%m-%d}",
                "cases": count,
                "worst": float(f"{worst:.1e}"),
                "digest": table.digest,
            }
    if given.keep:
        kept = {t.key: kept[t.key] for t in TABLES if t.key in kept}
        KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(f"{len(kept)} of {len(TABLES)} tables are proven, {wrong} are not")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
