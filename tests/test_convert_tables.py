"""The tables of npnet.convert: moved there and back, proven, and held against recorded answers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from npnet import nn
from npnet.contract import ConfigError, ShapeError
from npnet.convert import absent, inputs, proof, rows
from npnet.convert.check import run_moved
from npnet.convert.facts import AXES, BLOCKS, RECURRENT, STATES
from npnet.convert.layout import names, sides
from npnet.convert.moving import BF16, from_torch, shapes, to_torch
from npnet.convert.plan import Moved
from npnet.convert.slots import Slot
from npnet.convert.tables import TABLES
from npnet.convert.theirs import back, formula
from npnet.verify.targets import build
from tests.studies.frameworks.planted import planted

KEYS = {t.key: t for t in TABLES}
RECORDED = Path(__file__).parent / "data" / "frameworks.npz"
HEADS = 2


def layer_for(table):
    kind = table.layer
    n = int(kind[-2]) if kind.endswith("d") and kind[-2].isdigit() else 0
    kernel = (2, 3, 4)[:n]
    if table.variant == "depthwise":
        return getattr(nn, kind)(3, 6, kernel, groups=3)
    if kind.startswith("Conv"):
        return getattr(nn, kind)(3, 4, kernel)
    if kind.startswith("InstanceNorm"):
        return getattr(nn, kind)(3, affine=True)
    if kind.removesuffix("Cell") in RECURRENT or kind == "Linear":
        return getattr(nn, kind)(3, 4)
    made = {
        "Embedding": lambda: nn.Embedding(5, 3),
        "EmbeddingBag": lambda: nn.EmbeddingBag(5, 3),
        "LayerNorm": lambda: nn.LayerNorm((3, 2)),
        "GroupNorm": lambda: nn.GroupNorm(2, 4),
        "RMSNorm": lambda: nn.RMSNorm(3),
        "PReLU": lambda: nn.PReLU(1 if table.framework in ("flax", "nnx") else 3),
        "MultiheadAttention": lambda: nn.MultiheadAttention(6, HEADS),
        "Bilinear": lambda: nn.Bilinear(3, 4, 2),
    }
    return made[kind]() if kind in made else getattr(nn, kind)(3)


def state_for(table, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    drawn = {}
    for name, a in layer_for(table).init(rng).items():
        if name != "num_batches_tracked":
            values = rng.standard_normal(a.shape)
            values = values**2 + 0.5 if "var" in name else values
            drawn[name.removesuffix("_l0")] = values.astype(dtype)
    if table.key in ("nnx/GRU", "nnx/GRUCell"):
        drawn["bias_hh"][-4:] = 0  # which have no place there
    return drawn


def known(table):
    return {"n": HEADS, "i": 3} if table.variant == "depthwise" else {"n": HEADS}


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# ---- there and back ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_there_and_back_is_bitwise(key, dtype):
    table = KEYS[key]
    state = state_for(table, dtype)
    theirs = from_torch(table, state, known(table))
    entries = to_torch(table, theirs)
    again = from_torch(table, entries, known(table))

    assert entries.keys() == state.keys()
    assert all(same(again[n], a) for n, a in theirs.items())
    assert all(entries[n].shape == state[n].shape for n in state)
    lost = {n for n in state if not same(entries[n], state[n])}
    merged = {n for p in table.parts if p.plus for n in (p.entry, p.plus)}
    assert lost == merged


def test_bits_of_bfloat16_are_moved_and_not_added():
    table = KEYS["keras/LSTM"]
    state = {n: (a.view("u4") >> 16).astype("<u2").view(BF16) for n, a in state_for(table).items()}
    state["bias_hh"][...] = np.zeros((), BF16)
    theirs = from_torch(table, state)

    assert all(same(a, state[n]) for n, a in to_torch(table, theirs).items())
    state["bias_hh"] = state["bias_ih"].copy()
    with pytest.raises(ConfigError, match="bfloat16"):
        from_torch(table, state)


def test_a_bias_of_minus_zero_stays_one():
    table = KEYS["keras/RNN"]
    theirs = from_torch(table, state_for(table))
    theirs["bias"][0] = -0.0

    assert same(from_torch(table, to_torch(table, theirs))["bias"], theirs["bias"])


def test_numbers_without_a_place_are_refused():
    table = KEYS["nnx/GRU"]
    state = state_for(table)
    state["bias_hh"][-1] = 0.5

    with pytest.raises(ConfigError, match="no place for the rows of n of bias_hh"):
        from_torch(table, state)


def test_shapes_are_checked_against_each_other():
    table = KEYS["keras/Conv2d"]

    assert shapes(table, {"kernel": (3, 2, 4, 5), "bias": (5,)})["weight"] == (5, 4, 3, 2)
    with pytest.raises(ShapeError, match=r"bias does not fit keras\.layers\.Conv2D: the axis o"):
        shapes(table, {"kernel": (3, 2, 4, 5), "bias": (4,)})
    with pytest.raises(ShapeError, match="4 axes, but has 2"):
        shapes(table, {"kernel": (3, 2)})
    with pytest.raises(ShapeError, match="multiple of 4"):
        shapes(KEYS["keras/LSTM"], {"kernel": (3, 10)})
    with pytest.raises(ShapeError, match="how long n and d"):
        from_torch(KEYS["keras/MultiheadAttention"], {"in_proj_weight": np.zeros((9, 3))})


# ---- what the tables say -------------------------------------------------------------------------


def test_every_table_speaks_of_what_its_layer_has():
    for table in TABLES:
        has = {n.removesuffix("_l0") for n in STATES[table.layer]} - {"num_batches_tracked"}
        if table.layer.startswith("InstanceNorm"):
            has = {"weight", "bias"}  # no framework keeps statistics in it
        assert {p.entry for p in table.parts} | {p.plus for p in table.parts} - {""} == has
        for part in table.parts:
            assert set(part.blocks.split()) <= set(BLOCKS.get(table.layer, "").split())


def test_the_states_are_those_of_the_layers():
    for kind in STATES:
        table = next((t for t in TABLES if t.layer == kind), replace(TABLES[0], layer=kind))
        drawn = layer_for(table).init(np.random.default_rng(0))
        if kind.startswith("InstanceNorm"):
            assert drawn.keys() <= STATES[kind].keys()
        else:
            assert drawn.keys() == STATES[kind].keys()
        for name, a in drawn.items():
            axes = STATES[kind][name][0]
            assert axes == "..." or len(sides(f"{axes} -> ")[0]) == a.ndim


def test_rows_say_names_and_layouts():
    weight, bias = rows("Conv2d")
    keras = next(t for t in weight.there if (t.framework, t.variant) == ("keras", ""))

    assert weight.name == "weight"
    assert weight.shape == "(out_channels, in_channels / groups, kernel_size[0], kernel_size[1])"
    assert keras.names == ("kernel",)
    assert keras.layout == "o i h w -> h w i o"
    assert bias.there[0].sentence == "as it is"
    (kernel, *_) = rows("GRU")
    assert "blocks r z n → z r n" in kernel.there[0].sentence
    assert "turned around along h and w" in next(
        t.sentence for t in rows("ConvTranspose2d")[0].there if t.framework == "flax"
    )
    assert rows("ReLU") == ()
    assert "r before the product" in absent("GRU")["dlfs"]
    for kind in STATES:
        for row in rows(kind):
            assert all(n in AXES for n in names(sides(f"{STATES[kind][row.name][0]} -> ")[0])
                       if n != "...")  # fmt: skip
            assert row.axes


def test_a_letter_means_what_it_does_in_its_layer():
    assert "k: features of the second input" in rows("Bilinear")[0].axes
    assert "d: features of each head" in rows("MultiheadAttention")[0].axes
    assert "d: depth" in rows("Conv3d")[0].axes
    assert "k: units of the step before" in rows("LSTM")[1].axes


def test_a_norm_of_keras_says_its_epsilon():
    for kind in ("BatchNorm2d", "InstanceNorm2d", "GroupNorm", "LayerNorm"):
        keras = next(i for i in inputs(kind) if i.framework == "keras")
        assert any("epsilon is 1e-3 there" in note for note in keras.notes), kind


# ---- proofs --------------------------------------------------------------------------------------


def test_every_table_is_proven_as_it_stands():
    assert [t.key for t in TABLES if proof(t) is None] == []
    assert all(i.proof.startswith("verified against") for i in inputs("LSTM"))


def test_a_table_that_changed_is_proven_no_more():
    table = KEYS["keras/GRU"]
    parts = (replace(table.parts[0], blocks="r z n"), *table.parts[1:])

    assert proof(replace(table, parts=parts)) is None
    assert proof(replace(table, inputs=("t n i -> t n i",))) is None
    assert proof(replace(table, notes=("another note",))) is not None


# ---- recorded answers of the frameworks ----------------------------------------------------------


def recorded():
    with np.load(RECORDED) as file:
        told = json.loads(file["told"].tobytes())
        return told, {n: file[n] for n in file.files}


TOLD, ARRAYS = recorded()


def config_of(key):
    return {n: tuple(v) if isinstance(v, list) else v for n, v in TOLD[key]["config"].items()}


def taken(key, kind):
    """The recorded arrays of one kind, by the rest of their names."""
    before = f"{key}: {kind}"
    return {
        n.removeprefix(before): a.astype(np.float64) if a.dtype.kind == "f" else a.astype(np.int64)
        for n, a in ARRAYS.items()
        if n.startswith(before)
    }


def off(key, table):
    """How far npnet's layer, with the state that a table makes, is from what a framework said."""
    layer = build(table.layer, config_of(key))
    entries = to_torch(table, taken(key, "tensor "))
    suffix = "_l0" if table.layer in RECURRENT else ""
    state = {f"{n}{suffix}": a for n, a in entries.items()}
    for name, a in layer.init(np.random.default_rng(0)).items():
        state.setdefault(name, a)
    layouts = [*table.inputs, "... -> ...", "... -> ..."]
    given = taken(key, "input ")
    xs = [back(layouts[int(i)], x) for i, x in given.items()]
    if table.layer == "LSTMCell":
        xs = [xs[0], (xs[1], xs[2])]
    forward = layer(state, *xs)
    ys = forward.y if isinstance(forward.y, tuple) else (forward.y,)
    wanted = [back(table.outputs, a) for a in taken(key, "y ").values()]
    dys = [back(table.outputs, a) for a in taken(key, "dy ").values()]
    rest = [np.zeros_like(y) for y in ys[len(dys) :]]
    grads = forward.vjp((*dys, *rest) if isinstance(forward.y, tuple) else dys[0])
    found = [(y, want) for y, want in zip(ys, wanted, strict=False)]
    slopes = [g for one in grads.inputs for g in (one if isinstance(one, tuple) else (one,))]
    for i, want in taken(key, "gradient of input ").items():
        found.append((slopes[int(i)], back(layouts[int(i)], want)))
    mine = {n.removesuffix(suffix) if suffix else n: np.array(g) for n, g in grads.params.items()}
    bare = replace(table, parts=tuple(
        replace(p, plus="", plus_blocks="") for p in table.parts
        if not p.entry.startswith("running")
    ))  # fmt: skip
    if table.key.startswith("nnx/GRU"):
        mine.pop("bias_hh")
    if table.key.startswith("flax/GRU"):
        mine["bias_hh"][:-4] = 0  # of r and z there is one bias: that of bias_ih
    sizes = {**known(table), **({"i": layer.groups} if table.variant == "depthwise" else {})}
    theirs = from_torch(bare, mine, sizes)
    for name, got in theirs.items():
        found.append((got, ARRAYS[f"{key}: gradient of {name}"].astype(np.float64)))
    scale = max(float(np.abs(want).max()) for _, want in found)
    return max(float(np.abs(got - want).max()) / scale for got, want in found)


@pytest.mark.parametrize("key", TOLD)
def test_npnet_gives_what_the_framework_gave(key):
    assert off(key, KEYS[key]) < 1e-6  # recorded in float32


@pytest.mark.parametrize("key", TOLD)
def test_a_planted_mistake_in_a_table_is_caught(key):
    wrong = list(planted(KEYS[key]))
    for what, table in wrong:
        try:
            with np.errstate(all="ignore"):
                found = off(key, table)
        except (ShapeError, ConfigError):
            continue
        assert not found < 1e-6, what


# ---- the formulas of the frameworks --------------------------------------------------------------


def moved(table, moves=None):
    """A layer with tensors of theirs; `moves`: the table that makes torch's entries of them."""
    state = state_for(table, seed=1)
    theirs = from_torch(table, state, known(table))
    entries = to_torch(moves or table, theirs)
    slot = Slot("layer", "", (table.layer,), {n: a.shape for n, a in entries.items()}, HEADS)
    return Moved(table, slot, {n: n for n in theirs}, theirs, entries)


@pytest.mark.parametrize("key", KEYS)
def test_what_is_moved_gives_the_same_there(key):
    ran = run_moved(moved(KEYS[key]))

    assert ran.right, ran.line
    says = formula(KEYS[key]) is not None and "attention" not in key.lower()
    assert ("lays it out" in ran.line) or not says


@pytest.mark.parametrize(
    "key",
    ["keras/GRU", "keras/LSTM", "flax/LSTM", "dlfs/LSTM", "flax/ConvTranspose2d", "tf/Conv1d"],
)
def test_what_is_moved_wrongly_is_seen(key):
    table = KEYS[key]
    for what, wrong in planted(table):
        ran = run_moved(moved(table, wrong))
        assert not ran.right, what
