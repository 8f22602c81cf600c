"""from_torch and to_torch: every layer there and back, bit for bit."""

import numpy as np
import pytest
import torch
from torch import nn as torch_nn

from npnet import nn
from npnet.contract import ConfigError
from npnet.twins import SPECS, from_torch, to_torch
from npnet.verify.coverage import Coverage
from npnet.verify.settings import Settings
from npnet.verify.targets import build, layer_config, native
from npnet.verify.trial import Trial

LAYERS = [name for name in SPECS if "." not in name]


def drawn(name, count):
    found = []
    settings = Settings(examples=count, dtypes=("float32",))
    trial = Trial(native(name), SPECS[name], "float32", settings, print, Coverage(), None)
    trial._given(lambda question: found.append(question.example), shrinks=False)
    return found


def answered(layer, case, draws):
    kwargs = dict(case.kwargs)
    if draws:
        kwargs["rng"] = np.random.default_rng(3)
    with np.errstate(all="ignore"):
        y = layer(case.state, *case.inputs, **kwargs).y
    return y if isinstance(y, tuple) else (y,)


@pytest.mark.parametrize("name", LAYERS)
def test_there_and_back_is_bitwise(name):
    for example in drawn(name, 12):
        if SPECS[name].known_bad(example.config) is not None:
            continue
        case = example.case(example.one(0))
        layer = build(name, case.config)
        module = to_torch(layer, case.state)
        back, state = from_torch(module)

        assert type(module) is getattr(torch_nn, name)
        assert list(state) == list(case.state)
        for key, a in case.state.items():
            assert state[key].dtype == a.dtype
            assert state[key].tobytes() == a.tobytes(), key
        draws = "rng" in type(layer).__call__.__annotations__
        for mine, again in zip(
            answered(layer, case, draws), answered(back, case, draws), strict=True
        ):
            assert np.asarray(mine).tobytes() == np.asarray(again).tobytes()


def test_a_nested_network_keeps_its_modes():
    network = nn.Sequential(
        nn.Linear(3, 4),
        nn.Sequential(nn.BatchNorm1d(4, training=False), nn.ReLU()),
        nn.Dropout(0.25),
        nn.Linear(4, 2, bias=False),
    )
    state = network.init(np.random.default_rng(0))
    module = to_torch(network, state)
    back, same = from_torch(module)

    assert [m.training for m in module[1]] == [False, True]
    assert list(same) == list(state)
    assert layer_config(back) == layer_config(from_torch(to_torch(back, same))[0])
    assert back.layers[1].layers[0].training is False
    assert back.layers[3].bias is False


def test_a_checkpoint_of_torch_is_the_state():
    torch.manual_seed(0)
    module = torch_nn.LSTM(3, 4, num_layers=2, bidirectional=True).eval()
    layer, state = from_torch(module)
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    mine, theirs = layer(state, x).y[0], module(torch.from_numpy(x))[0].detach().numpy()

    assert layer.training is False
    assert np.abs(mine - theirs).max() < 1e-6


def test_a_module_of_ones_own_is_refused():
    class Mine(torch_nn.Linear):
        pass

    with pytest.raises(ConfigError, match="npnet has a layer for"):
        from_torch(Mine(2, 2))
    with pytest.raises(ConfigError, match="Mine"):
        from_torch(torch_nn.Sequential(Mine(2, 2)))


def test_a_state_that_is_not_the_layers_is_refused():
    with pytest.raises(ConfigError, match="weight"):
        to_torch(nn.Linear(2, 3), {"bias": np.zeros(3, np.float32)})
