"""npnet convert and npnet port: what they print, write and refuse."""

import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_torch
from safetensors.torch import save_file as save_torch

from npnet import nn
from npnet.contract import ConfigError
from npnet.convert import checkpoints
from npnet.convert.facts import suffix_of
from npnet.convert.tables import TABLES
from npnet.train import files
from tests.commands import npnet_
from tests.test_convert_tables import known, same, state_for

NETS = """
import torch
from npnet import nn, optim
from npnet.train import Model

cnn = nn.Sequential(
    nn.Conv2d(3, 4, 3, padding=1),
    nn.BatchNorm2d(4, training=False),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(16, 5),
)
mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
named = Model(
    {"fc1": nn.Linear(4, 8), "drop": nn.Dropout(0.25), "fc2": nn.Linear(8, 2, bias=False)},
    nn.CrossEntropyLoss(),
    optim.Adam(),
)
wired = Model({"a": nn.Linear(2, 2)}, nn.MSELoss(), optim.SGD(), forward=lambda call, x: x)
module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True)


class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(9, 4)
        self.up = torch.nn.ConvTranspose2d(4, 4, 3)
        self.norm = torch.nn.RMSNorm(4)
        self.attend = torch.nn.MultiheadAttention(4, 2)
        self.token = torch.nn.Parameter(torch.zeros(1, 1, 1, 1, 1, 4))


own = Own()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


def drawn(*shape, seed=[0]):  # noqa: B006  # a seed that goes on
    seed[0] += 1
    return np.random.default_rng(seed[0]).standard_normal(shape).astype(np.float32)


def keras_cnn():
    return {
        "conv2d/kernel": drawn(3, 3, 3, 4),
        "conv2d/bias": drawn(4),
        "batch_normalization/gamma": drawn(4),
        "batch_normalization/beta": drawn(4),
        "batch_normalization/moving_mean": drawn(4),
        "batch_normalization/moving_variance": drawn(4) ** 2 + 0.5,
        "dense/kernel": drawn(16, 5),
        "dense/bias": drawn(5),
    }


def flax_mlp():
    return {
        "params/Dense_0/bias": drawn(8),
        "params/Dense_0/kernel": drawn(4, 8),
        "params/Dense_1/bias": drawn(2),
        "params/Dense_1/kernel": drawn(8, 2),
    }


def npz(name, tensors):
    checkpoints.write(name, tensors)
    return name


def refused(result, *words):
    assert result.exit_code == 2, result.output
    for word in words:
        assert word in result.output


# ---- converted -----------------------------------------------------------------------------------


def test_a_network_of_keras_becomes_one_of_torch(folder):
    given = keras_cnn()
    result = npnet_("convert", npz("k.npz", given), "out.safetensors", "--like", "nets.py:cnn")
    found = load_file("out.safetensors")

    assert result.exit_code == 0, result.output
    assert "as Keras lays it out: y and 3 gradients agree" in result.output
    assert "the network: y, 3 buffers and 7 gradients agree" in result.output
    assert "verified against keras 3" in result.output
    assert same(
        found["0.weight"], np.array(given["conv2d/kernel"].transpose(3, 2, 0, 1), order="C")
    )
    assert same(found["5.weight"], np.array(given["dense/kernel"].T, order="C"))
    assert found["1.num_batches_tracked"] == 0


def test_flax_to_torch_and_back_is_bitwise(folder):
    given = flax_mlp()
    npz("f.npz", given)
    result = npnet_("convert", "f.npz", "out.pt", "--like", "nets.py:module")

    assert result.exit_code == 0, result.output
    assert list(torch.load("out.pt", weights_only=True)) == [
        "0.weight", "0.bias", "2.weight", "2.bias"
    ]  # fmt: skip
    assert npnet_("convert", "out.pt", "back.npz", "--from", "torch", "--to", "flax").exit_code == 0
    back = checkpoints.read("back.npz")
    for old, new in (("Dense_0", "0"), ("Dense_1", "2")):
        for leaf in ("kernel", "bias"):
            assert same(back[f"{new}/{leaf}"], given[f"params/{old}/{leaf}"])


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.key)
def test_every_table_through_files(folder, table):
    """Written as the framework names it, converted with --layer, and moved back."""
    from npnet.convert.moving import from_torch

    theirs = from_torch(table, state_for(table), known(table))
    names = {n: f"some/{n}" for n in theirs}
    npz("in.npz", {names[n]: a for n, a in theirs.items()})
    kind = table.key.partition("/")[2]
    result = npnet_(
        "convert", "in.npz", "out.safetensors", "--from", table.framework, "--layer", f"some={kind}"
    )

    assert result.exit_code == 0, result.output
    suffix = suffix_of(table.layer)
    found = {
        n.removeprefix("some.").removesuffix(suffix): a
        for n, a in load_file("out.safetensors").items()
        if not n.endswith("num_batches_tracked")
    }
    again = from_torch(table, found, known(table))
    assert all(same(again[n], a) for n, a in theirs.items())


def test_formats_are_the_same_tensors(folder):
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    state = net.init(np.random.default_rng(0))
    checkpoints.write("a.pt", state)
    assert npnet_("convert", "a.pt", "b.npz").exit_code == 0
    assert npnet_("convert", "b.npz", "c.safetensors").exit_code == 0
    assert npnet_("convert", "c.safetensors", "d.pth").exit_code == 0

    found = checkpoints.read("d.pth")
    assert found.keys() == state.keys()
    assert all(same(found[n], np.asarray(a)) for n, a in state.items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes_are_kept(folder, dtype):
    state = {n: t.to(dtype) for n, t in torch.nn.Linear(3, 4).state_dict().items()}
    save_torch(state, "a.safetensors")
    result = npnet_("convert", "a.safetensors", "b.pt")
    assert result.exit_code == 0, result.output
    assert npnet_("convert", "b.pt", "c.safetensors").exit_code == 0

    for found in (torch.load("b.pt", weights_only=True), load_torch("c.safetensors")):
        assert all(torch.equal(found[n], t) and found[n].dtype == dtype for n, t in state.items())
    to_npz = npnet_("convert", "b.pt", "d.npz")
    if dtype == torch.bfloat16:
        refused(to_npz, "an npz file has no bfloat16")
        assert not os.path.exists("d.npz")
    else:
        assert to_npz.exit_code == 0


def test_layers_and_directions_find_their_place(folder):
    cells = {
        "bidirectional/forward_lstm": (3, 4), "bidirectional/backward_lstm": (3, 4),
        "bidirectional_1/forward_lstm_1": (8, 4), "bidirectional_1/backward_lstm_1": (8, 4),
    }  # fmt: skip
    given = {}
    for name, (i, u) in cells.items():
        given[f"{name}/lstm_cell/kernel"] = drawn(i, 4 * u)
        given[f"{name}/lstm_cell/recurrent_kernel"] = drawn(u, 4 * u)
        given[f"{name}/lstm_cell/bias"] = drawn(4 * u)
    npz("k.npz", given)
    result = npnet_("convert", "k.npz", "o.npz", "--from", "keras", "--like", "nets.py:lstm")
    found = checkpoints.read("o.npz")

    assert result.exit_code == 0, result.output
    assert "taken in order" in result.output
    kernel = given["bidirectional_1/backward_lstm_1/lstm_cell/kernel"]
    assert np.array_equal(found["weight_ih_l1_reverse"], kernel.T)
    assert "the network: 3 outputs and 17 gradients agree" in result.output


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (torch.nn.ConvTranspose2d(3, 8, 3), "ConvTranspose2d: y and 3 gradients agree"),
        (torch.nn.ConvTranspose2d(4, 6, 3, groups=2), "ConvTranspose2d: y and 3 gradients agree"),
        (torch.nn.MultiheadAttention(6, 2), "MultiheadAttention: 2 outputs and 7 gradients agree"),
        (torch.nn.Bilinear(3, 4, 5), "may be of Conv1d or Bilinear: Conv1d: y"),
        (torch.nn.Embedding(9, 4), "may be of Linear or Embedding or EmbeddingBag: Linear: y"),
        (torch.nn.GroupNorm(2, 4), "LayerNorm or GroupNorm or"),
        (torch.nn.LSTM(3, 4), "\n  LSTM: 3 outputs and 5 gradients agree"),
        (torch.nn.GRUCell(3, 4), "\n  GRUCell, run as a GRU: 2 outputs and 5 gradients agree"),
    ],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_a_layer_by_itself_is_run_as_what_it_may_be(folder, module, says):
    torch.save(module.state_dict(), "a.pt")
    result = npnet_("convert", "a.pt", "o.npz", "--from", "torch")

    assert result.exit_code == 0, result.output
    assert says in result.output
    assert checkpoints.read("o.npz").keys() == module.state_dict().keys()


def own_state(folder):
    namespace = {}
    exec((folder / "nets.py").read_text(), namespace)
    return namespace["own"].state_dict()


def test_a_module_says_what_its_layers_are(folder):
    state = own_state(folder)
    torch.save(state, "a.pt")
    same_one = npnet_("convert", "a.pt", "b.npz", "--like", "nets.py:own")

    assert same_one.exit_code == 0, same_one.output
    for says in ("words\n  Embedding: y", "up\n  ConvTranspose2d: y", "norm\n  RMSNorm: y"):
        assert says in same_one.output
    assert "not run, as it is not known what they are: 'token'" in same_one.output
    assert "the network: not run as a whole: " in same_one.output
    state.pop("token")
    torch.save(state, "a.pt")
    there = npnet_(
        "convert", "a.pt", "k.npz", "--to", "keras", "--like", "nets.py:own", "--allow-missing"
    )
    found = checkpoints.read("k.npz")

    assert there.exit_code == 0, there.output
    assert same(found["words/embeddings"], state["words.weight"].numpy())
    assert same(found["up/kernel"], state["up.weight"].permute(2, 3, 1, 0).contiguous().numpy())
    assert "the network: not run as a whole: what is written is for keras" in there.output


@pytest.mark.parametrize(
    ("module", "aim", "kinds"),
    [
        (torch.nn.ConvTranspose2d(4, 4, 3), "flax", ("Conv2d", "ConvTranspose2d")),
        (torch.nn.Embedding(9, 4), "keras", ("Linear", "Embedding")),
    ],
    ids=str,
)
def test_what_would_move_otherwise_is_asked(folder, module, aim, kinds):
    torch.save({f"some.{n}": t for n, t in module.state_dict().items()}, "a.pt")
    asked = npnet_("convert", "a.pt", "o.npz", "--to", aim)
    refused(asked, f"some may be {' or '.join(kinds)}", f"--layer some={kinds[0]}")
    assert not os.path.exists("o.npz")
    for kind in kinds:
        said = npnet_("convert", "a.pt", f"{kind}.npz", "--to", aim, "--layer", f"some={kind}")
        assert said.exit_code == 0, said.output
        assert f"{kind}: y and" in said.output
    one, other = (next(iter(checkpoints.read(f"{k}.npz").values())) for k in kinds)
    assert one.tobytes() != other.tobytes()


def test_what_moves_the_same_is_noted(folder):
    torch.save({f"n.{n}": t for n, t in torch.nn.GroupNorm(2, 4).state_dict().items()}, "a.pt")
    result = npnet_("convert", "a.pt", "o.npz", "--to", "keras")

    assert result.exit_code == 0, result.output
    assert "n is taken for LayerNorm; it may be GroupNorm or" in result.output


def test_statistics_that_have_no_place_are_not_lost(folder):
    (folder / "norm.py").write_text(
        "from npnet import nn\n"
        "m = nn.Sequential(nn.InstanceNorm2d(3, affine=True, track_running_stats=True))\n"
    )
    norm = torch.nn.Sequential(torch.nn.InstanceNorm2d(3, affine=True, track_running_stats=True))
    torch.save(norm.state_dict(), "a.pt")
    result = npnet_("convert", "a.pt", "o.npz", "--to", "keras", "--like", "norm.py:m")

    refused(result, "'0.running_mean' has no place there")


def test_why_a_network_is_not_run_as_a_whole(folder):
    npz("f.npz", {**flax_mlp(), "params/more/kernel": drawn(3, 3)})
    torch.save(torch.nn.Sequential(torch.nn.Linear(4, 8)).state_dict(), "t.pt")
    left = npnet_("convert", "f.npz", "o.npz", "--like", "nets.py:mlp", "--allow-missing")
    file = npnet_("convert", "t.pt", "o.npz", "--like", "t.pt")

    assert "the network: not run as a whole: something was left out" in left.output
    assert "the network: not run as a whole: t.pt has tensors" in file.output


def test_another_file_names_the_target(folder):
    npz("f.npz", flax_mlp())
    torch.save(
        torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)).state_dict(), "t.pt"
    )
    result = npnet_("convert", "f.npz", "o.npz", "--like", "t.pt")

    assert result.exit_code == 0, result.output
    assert list(checkpoints.read("o.npz")) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_names_of_the_book(folder):
    npz("d.npz", {"W1": drawn(4, 8), "b1": drawn(8), "W2": drawn(8, 2), "b2": drawn(2)})
    result = npnet_("convert", "d.npz", "o.npz", "--like", "nets.py:mlp")

    assert result.exit_code == 0, result.output
    assert checkpoints.read("o.npz")["2.weight"].shape == (2, 8)


def test_what_may_be_something_else_is_told(folder):
    npz("f.npz", {"up/kernel": drawn(3, 3, 4, 4), "up/bias": drawn(4)})
    plain = npnet_("convert", "f.npz", "a.npz", "--from", "flax")
    said = npnet_("convert", "f.npz", "b.npz", "--from", "flax", "--layer", "up=ConvTranspose2d")

    assert "up is taken for Conv2d; --layer up=ConvTranspose2d if it is one" in plain.output
    assert "taken for" not in said.output
    a, b = (checkpoints.read(n)["up.weight"] for n in ("a.npz", "b.npz"))
    assert np.array_equal(b, a.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])


def test_a_layer_made_of_others_goes_to_keras_and_back(folder):
    (folder / "te.py").write_text(
        "from torch import nn\n"
        "m = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0))\n"
    )
    state = torch.nn.Sequential(torch.nn.TransformerEncoderLayer(8, 2, 16)).state_dict()
    torch.save(state, "a.pt")
    there = npnet_("convert", "a.pt", "k.npz", "--to", "keras", "--like", "te.py:m")
    again = npnet_("convert", "k.npz", "b.pt", "--from", "keras", "--like", "te.py:m")
    found = torch.load("b.pt", weights_only=True)

    assert there.exit_code == 0, there.output
    assert "0/self_attn (keras.layers.MultiHeadAttention)" in there.output
    assert checkpoints.read("k.npz")["0/self_attn/query/kernel"].shape == (8, 2, 4)
    assert again.exit_code == 0, again.output
    assert found.keys() == state.keys()
    assert all(torch.equal(found[n], t) for n, t in state.items())
    torch.save({**state, "0.norm1.wieght": torch.zeros(8)}, "c.pt")
    more = npnet_(
        "convert", "c.pt", "x.npz", "--to", "keras", "--from", "torch", "--like", "te.py:m"
    )
    refused(more, "'0.norm1.wieght' (8,) is unknown", "near to '0.norm1.weight'")


# ---- refused -------------------------------------------------------------------------------------


def test_what_is_left_over_is_named_with_what_is_near(folder):
    given = flax_mlp()
    given["params/Dense_1/kernal"] = given.pop("params/Dense_1/kernel")
    npz("f.npz", given)
    result = npnet_("convert", "f.npz", "o.npz", "--from", "flax", "--like", "nets.py:mlp")

    refused(result, "'params/Dense_1/kernal' (8, 2) is unknown", "near to 'kernel'")
    refused(result, "'2.weight' is missing", "Nothing is written")
    assert not os.path.exists("o.npz")
    result = npnet_(
        "convert", "f.npz", "o.npz", "--from", "flax", "--like", "nets.py:mlp", "--allow-missing"
    )
    assert result.exit_code == 0, result.output
    assert "left out: 'params/Dense_1/kernal'" in result.output
    assert list(checkpoints.read("o.npz")) == ["0.weight", "0.bias"]


def test_a_wrong_shape_names_the_nearest_place(folder):
    npz("f.npz", {**flax_mlp(), "params/Dense_1/kernel": drawn(9, 2)})
    result = npnet_("convert", "f.npz", "o.npz", "--like", "nets.py:mlp")

    refused(result, "'params/Dense_1/kernel' (9, 2) has no place", "nearest is '2.weight' (2, 8)")
    assert not os.path.exists("o.npz")


def test_a_state_dict_of_another_network_is_refused(folder):
    state = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)).state_dict()
    torch.save({n.replace("0.weight", "0.wieght"): t for n, t in state.items()}, "t.pt")
    result = npnet_("convert", "t.pt", "o.npz", "--from", "torch", "--like", "nets.py:mlp")

    refused(result, "'0.wieght' (8, 4) is unknown, near to '0.weight'", "'2.weight' is missing")


def test_two_layers_of_one_name_are_refused(folder):
    npz("k.npz", {"dense/kernel": drawn(4, 8), "dense_1/kernel": drawn(8, 2)})
    same_name = ("--rename", "dense=fc", "--rename", "dense_1=fc")
    refused(npnet_("convert", "k.npz", "o.npz", "--from", "keras", *same_name), "two become 'fc'")
    norm = {n: drawn(4) ** 2 for n in ("moving_mean", "moving_variance")}
    for one, other in (("a/b", "a.b"), ("bn/x", "bn.x")):
        names = [f"{place}/{n}" for place in (one, other) for n in norm]
        npz("k.npz", dict(zip(names, (*norm.values(), *norm.values()), strict=True)))
        result = npnet_("convert", "k.npz", "o.npz", "--from", "keras", "--allow-missing")
        refused(result, "a name of its own")
    torch.save({"a.weight": torch.ones(2, 2), "a": {"weight": torch.zeros(2, 2)}}, "t.pt")
    refused(npnet_("convert", "t.pt", "o.npz"), "two are 'a.weight'")
    assert not os.path.exists("o.npz")


def test_no_pickle_is_loaded(folder):
    class Trap:
        def __reduce__(self):
            return os.mkdir, ("trapped",)

    torch.save({"weight": Trap()}, "t.pt")
    (folder / "p.pkl").write_bytes(pickle.dumps(Trap()))
    np.savez("o.npz", a=np.array([Trap()], dtype=object))

    refused(npnet_("convert", "t.pt", "x.npz"), "could run any code", "state_dict()")
    refused(npnet_("convert", "p.pkl", "x.npz"), "A pickle can run any code")
    refused(npnet_("convert", "o.npz", "x.npz"), "pickled objects, which are never loaded")
    assert not os.path.exists("trapped")
    assert not os.path.exists("x.npz")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none.npz", "o.npz"), "there is no file none.npz"),
        (("f.npz", "f.npz"), "another file than IN"),
        (("f.npz", "o.h5"), "ends in"),
        (("m.h5", "o.npz"), "np.savez('weights.npz'"),
        (("f.npz", "o.npz", "--from", "karas"), "Did you mean 'keras'?"),
        (("f.npz", "o.npz", "--layer", "Dense_0=Dens"), "has no table for 'Dens'"),
        (("f.npz", "o.npz", "--layer", "Dense_0"), "NAME=VALUE"),
        (("f.npz", "o.npz", "--like", "nets.py:mpl"), "Did you mean 'mlp'?"),
        (("f.npz", "o.npz", "--like", "nets.py:wired"), "wired by a function of its own"),
        (("f.npz", "o.npz", "--like", "nets.py:mlp", "--rename", "Dense_0=9"), "does not fit '9'"),
        (("bad.npz", "o.npz"), "cannot be read as an npz file"),
        (("bad.safetensors", "o.npz"), "cannot be read as a safetensors file"),
        (("bad.pt", "o.npz"), "bad.pt"),
        (("u.npz", "o.npz"), "--from needs to say"),
        (("f.npz", "o.npz", "--from", "torch"), "nothing of torch's is called 'params/Dense_0"),
        (("f.npz", "o.npz", "--layer", "Dense_3=Linear"), "no 'Dense_3'. Did you mean 'Dense_"),
        (("f.npz", "o.npz", "--rename", "Dens_1=fc"), "Did you mean 'Dense_1'?"),
        (("f.npz", "o.npz", *["--rename", "Dense_1=a"] * 2), "'Dense_1' twice"),
        (("t.npz", "o.npz", "--rename", "fc=a"), "are torch's already"),
        (("t.npz", "o.npz", "--layer", "fd=Linear"), "Did you mean 'fc'?"),
        (("t.npz", "o.npz", "--layer", "fc=Conv2d"), "its tensors make Linear"),
        (("t.npz", "o.npz", "--layer", "fd=Linear", "--to", "keras"), "Did you mean 'fc'?"),
        (("f.npz", "o.npz", "--like", ""), "--like takes FILE.py:name"),
        (
            ("u.npz", "o.npz", "--from", "keras", "--like", "t.npz", "--allow-missing"),
            "nothing is left to be written",
        ),
    ],
)
def test_what_is_refused_says_why(folder, arguments, words):
    npz("f.npz", flax_mlp())
    npz("u.npz", {"x/kernel": drawn(2, 3)})
    npz("t.npz", {"fc.weight": drawn(2, 4), "fc.bias": drawn(2)})
    for name in ("bad.npz", "bad.safetensors", "bad.pt"):
        (folder / name).write_bytes(b"not a file of tensors")
    before = (folder / "f.npz").read_bytes()

    refused(npnet_("convert", *arguments), words)
    assert not os.path.exists("o.npz")
    assert (folder / "f.npz").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("sparse", torch.eye(3).to_sparse(), "'w' is sparse. Save w.to_dense()"),
        ("float8", torch.ones(3).to(torch.float8_e4m3fn), "'w' is torch.float8_e4m3fn"),
        ("meta", torch.ones(3, device="meta"), "'w' is meta"),
    ],
)
def test_tensors_that_numpy_does_not_have(folder, name, tensor, words):
    torch.save({"w": tensor}, "t.pt")
    refused(npnet_("convert", "t.pt", "o.npz"), words)


def test_quantized_tensors_are_refused(folder):
    from npnet.twins.checkpoints import _array_of

    with pytest.raises(ConfigError, match=r"'w' is quantized. Save w.dequantize\(\)"):
        _array_of("w", Quantized(), folder / "t.pt")


class Quantized:
    """torch deprecates its own."""

    dtype, is_meta, is_quantized = torch.qint8, False, True


def test_files_that_only_look_like_npz(folder):
    np.save("one.npy", np.zeros(3))
    os.rename("one.npy", "one.npz")
    (folder / "text.npz").write_text("weights of a network")
    with zipfile.ZipFile("zip.npz", "w") as file:
        file.writestr("readme.txt", "weights")
    for name, words in (("one", "one array of .npy"), ("text", "no zip"), ("zip", "is no .npy")):
        result = npnet_("convert", f"{name}.npz", "o.npz")
        refused(result, "cannot be read as an npz file", words)
        assert "pickled" not in result.output


def test_the_order_of_bytes_is_this_machines(folder):
    state = {"fc.weight": drawn(2, 4), "fc.bias": drawn(2)}
    np.savez("big.npz", **{n: a.astype(">f4") for n, a in state.items()})
    for out in ("o.npz", "o.safetensors", "o.pt"):
        result = npnet_("convert", "big.npz", out)
        assert result.exit_code == 0, result.output
        assert all(same(checkpoints.read(out)[n], a) for n, a in state.items())
    if np.dtype(np.longdouble).itemsize > 8:
        np.savez("long.npz", weight=np.zeros((2, 2), np.longdouble))
        refused(npnet_("convert", "long.npz", "o.npz"), "64 bits at most", "astype('float64')")


@pytest.mark.parametrize(
    "given",
    [
        {"weight_ih": drawn(4, 3), "weight_hh": drawn(4)},
        {"in_proj_weight": drawn(6, 2)},
        {"weight": drawn(), "bias": drawn()},
        {"running_mean": drawn(3), "weight": drawn(3)},
        {"weight": drawn(3, 2), "bias": drawn(2)},
    ],
    ids=lambda given: ", ".join(given),
)
def test_entries_that_make_no_layer_are_refused(folder, given):
    npz("a.npz", given)
    refused(npnet_("convert", "a.npz", "o.npz", "--from", "torch"), "nothing of torch's is called")


def test_the_other_gru_of_keras_is_named(folder):
    gru = {"kernel": drawn(2, 12), "recurrent_kernel": drawn(4, 12), "bias": drawn(12)}
    npz("k.npz", {f"gru/{n}": a for n, a in gru.items()})
    refused(npnet_("convert", "k.npz", "o.npz"), "reset_after=False")
    npz("k.npz", {"dense/kernel": drawn()})
    refused(npnet_("convert", "k.npz", "o.npz"), "'dense/kernel' () is unknown")
    npz("k.npz", {f"bn/{n}": drawn(3) for n in ("gamma", "beta", "moving_mean")})
    refused(npnet_("convert", "k.npz", "o.npz"), "needs moving_variance beside it")


def test_where_out_is_is_looked_at_first(folder, monkeypatch):
    npz("f.npz", flax_mlp())
    monkeypatch.setattr("npnet.convert.between.runs", None)
    (folder / "folder.npz").mkdir()
    refused(npnet_("convert", "f.npz", "f.npz/o.npz"), "f.npz is a file")
    refused(npnet_("convert", "f.npz", "folder.npz"), "it is a folder")


def test_a_link_is_followed(folder):
    npz("f.npz", flax_mlp())
    (folder / "there").mkdir()
    os.symlink("there/real.npz", "o.npz")
    result = npnet_("convert", "f.npz", "o.npz", "--like", "nets.py:mlp")

    assert result.exit_code == 0, result.output
    assert os.path.islink("o.npz")
    assert (folder / "there" / "real.npz").is_file()


def test_names_from_a_file_do_not_speak_to_the_terminal(folder):
    npz("k.npz", {"den\x1b[31mse/kernel": drawn(4, 2)})
    result = npnet_("convert", "k.npz", "o.npz", "--from", "keras")

    assert result.exit_code == 0, result.output
    assert "[31mse (keras.layers.Dense)" in result.output
    assert "\x1b" not in result.output


def test_what_differs_is_not_written(folder, monkeypatch):
    """A table with a planted mistake: the formula of the framework shows it."""
    import npnet.convert.plan as plan

    right = plan.to_torch

    def wrong(table, tensors):
        found = right(table, tensors)
        return {n: a[::-1].copy() if n == "weight" else a for n, a in found.items()}

    npz("f.npz", flax_mlp())
    monkeypatch.setattr(plan, "to_torch", wrong)
    result = npnet_("convert", "f.npz", "o.npz")

    assert result.exit_code == 1
    assert "differs" in result.output
    assert not os.path.exists("o.npz")


def test_what_cannot_be_compared_is_not_written(folder):
    torch.save({"fc.weight": torch.full((2, 3), torch.nan), "fc.bias": torch.zeros(2)}, "n.pt")
    npz("k.npz", {"dense/kernel": np.full((4, 8), np.nan, np.float32)})
    for given in ("n.pt", "k.npz"):
        result = npnet_("convert", given, "o.npz")
        assert result.exit_code == 1, result.output
        assert "cannot be compared: " in result.output
        assert "holds nan or inf" in result.output
    assert not os.path.exists("o.npz")


def test_integers_are_moved_and_not_run(folder):
    npz("k.npz", {"dense/kernel": np.arange(6, dtype=np.int8).reshape(2, 3)})
    result = npnet_("convert", "k.npz", "o.npz")

    assert result.exit_code == 0, result.output
    assert "no floating-point numbers: not run" in result.output


def test_ctrl_c_leaves_what_was_there(folder, monkeypatch):
    npz("f.npz", flax_mlp())
    (folder / "o.npz").write_bytes(b"before")

    def interrupted(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupted)
    result = npnet_("convert", "f.npz", "o.npz")

    assert result.exit_code == 130
    assert (folder / "o.npz").read_bytes() == b"before"
    assert sorted(p.name for p in folder.iterdir() if p.suffix == ".new") == []


# ---- npnet port ----------------------------------------------------------------------------------


def ported(*arguments):
    result = npnet_("port", *arguments)
    namespace = {}
    exec(result.stdout, namespace)
    return result, namespace["model"]


def test_port_prints_code_that_runs(folder):
    result, model = ported("nets.py:cnn")

    assert result.exit_code == 0
    assert "nn.Conv2d(3, 4, 3, padding=1)," in result.stdout
    assert "nn.BatchNorm2d(4).eval()," in result.stdout
    assert "# held against nets.py:cnn: y, 3 buffers and 7 gradients agree on 5" in result.stdout
    assert model(torch.zeros(2, 3, 4, 4)).shape == (2, 5)


def test_port_names_layers(folder):
    result, model = ported("nets.py::named")

    assert result.exit_code == 0
    assert [n for n, _ in model.named_children()] == ["fc1", "drop", "fc2"]
    assert "self.fc2 = nn.Linear(8, 2, bias=False)" in result.stdout
    assert "y and 4 gradients agree" in result.stdout


@pytest.mark.parametrize(
    "code",
    [
        "nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0), 2, "
        "enable_nested_tensor=False)",
        "nn.Sequential(nn.Embedding(9, 3), nn.Sequential(nn.Linear(3, 4), nn.GELU()))",
        "nn.MultiheadAttention(6, 2)",
        "nn.Sequential(nn.Hardtanh(-float('inf'), 0.5), nn.PReLU())",
        "nn.GRU(3, 4, batch_first=True)",
        "nn.ConvTranspose2d(3, 4, (2, 3), stride=2)",
        "(nn.Linear(2, 3), {'weight': np.ones((3, 2)), 'bias': np.zeros(3)})",
    ],
)
def test_port_of_many_kinds(folder, code):
    (folder / "one.py").write_text(f"import numpy as np\nfrom npnet import nn\nmodel = {code}\n")
    more = ("--input", "4,2,8") if "Encoder(" in code else ()
    result, _ = ported("one.py", *more)

    assert result.exit_code == 0, result.output
    assert "agree on 5 random batches" in result.stdout


def test_port_sees_code_that_says_something_else(folder, monkeypatch):
    import npnet.convert.code as code

    right = code.source
    monkeypatch.setattr(code, "source", lambda layers: right(layers).replace("ReLU", "GELU"))
    result = npnet_("port", "nets.py:mlp")

    assert result.exit_code == 1
    assert "differs" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nets.py",), "holds several"),
        (("nets.py:wired",), "wired by a function of its own"),
        (("nets.py:module",), "a module of torch already"),
        (("none.py:x",), "there is no file none.py"),
        (("nothing.here:x",), "there is no file or module"),
        (("nets.py:cnn", "--input", "a"), "--input takes a shape"),
        (("nets.py:cnn", "--input", "2,5,4,4"), "to have 3 channels"),
        (("nets.py:mlp", "--input", "0,4"), "no axis 0 long"),
        (("nets.py:mlp", "--input", "99999999,99999999,4"), "at most 10,000,000 numbers"),
        (("nets.py:mlp", "--seed", "-1"), "--seed"),
    ],
)
def test_port_refuses(folder, arguments, words):
    refused(npnet_("port", *arguments), words)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("nn.MSELoss()", "MSELoss takes prediction and target"),
        ("nn.CosineSimilarity()", "CosineSimilarity takes x1 and x2"),
        ("nn.MaxUnpool2d(2)", "MaxUnpool2d takes x and indices"),
        ("nn.Transformer(4, 2, 1, 1, 8)", "Transformer takes src and tgt"),
        ("nn.TripletMarginWithDistanceLoss(distance_function=max)", "a function"),
        ("Model({'train': nn.Linear(2, 2)}, nn.MSELoss(), optim.SGD())", "is called 'train'"),
        ("Model({'a.b': nn.Linear(2, 2)}, nn.MSELoss(), optim.SGD())", "is called 'a.b'"),
    ],
)
def test_port_refuses_what_it_cannot_ask_or_write(folder, code, words):
    (folder / "one.py").write_text(f"{NETS}\none = {code}\n")
    refused(npnet_("port", "one.py:one"), words)


def test_port_writes_what_its_code_needs(folder):
    code = "Model({'1st': nn.CrossEntropyLoss(weight=np.ones(3))}, nn.MSELoss(), optim.SGD())"
    (folder / "one.py").write_text(f"import numpy as np{NETS}\none = {code}\n")
    from npnet.convert.code import source

    namespace = {}
    exec((folder / "one.py").read_text(), namespace)
    text = source(dict(namespace["one"].layers))
    exec(text, namespace)

    assert text.startswith("from collections import OrderedDict\n\nimport torch\n")
    assert list(namespace["model"]._modules) == ["1st"]


@pytest.mark.parametrize("code", ["nn.Bilinear(3, 4, 5)", "nn.MultiheadAttention(6, 2)"])
def test_port_draws_all_inputs_of_a_shape(folder, code):
    (folder / "one.py").write_text(f"from npnet import nn\nmodel = {code}\n")
    result, _ = ported("one.py", "--input", "3,2,6")

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("code", ["1 / 0", "def (", "import nothing_such", "raise SystemExit(7)"])
def test_a_file_that_cannot_be_loaded(folder, code):
    (folder / "one.py").write_text(f"from npnet import nn\n{code}\nmodel = nn.Linear(2, 2)\n")
    npz("f.npz", flax_mlp())
    for result in (
        npnet_("port", "one.py:model"),
        npnet_("convert", "f.npz", "o.npz", "--like", "one.py:model"),
    ):
        assert result.exit_code == 3, result.output
        assert "one.py:model could not be loaded: " in result.output
