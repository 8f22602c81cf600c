"""The correlation kernel where its work comes in blocks: images larger than the specs draw.

Small integers are exact in float32, in any order of summation: nothing but equality will do.
"""

import numpy as np
import pytest
import torch
from torch import nn as torch_nn

from npnet import nn
from npnet.nn import _correlation
from tests.alternatives.conv import ALTERNATIVES

OPTIONS = {
    "plain": {"kernel_size": 3, "padding": 1},
    "depthwise": {"kernel_size": 3, "padding": 1, "groups": 12},
    "grouped": {"kernel_size": (3, 2), "stride": (2, 1), "groups": 4},
    "strided": {"kernel_size": (4, 3), "stride": (3, 2), "padding": (2, 1), "dilation": (1, 2)},
    "strides beyond the kernel": {"kernel_size": (1, 2), "stride": 3},
}


def integers(rng, shape):
    return rng.integers(-2, 3, shape).astype(np.float32)


@pytest.mark.parametrize("images", [(3, 19, 17), (19, 7, 6)], ids=["large", "many small"])
@pytest.mark.parametrize("channels", [(12, 24), (24, 12)], ids=str)
@pytest.mark.parametrize("block", [2**17, 2**9, 1])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose2d"])
def test_blocks_and_layouts_change_nothing(name, options, block, channels, images, monkeypatch):
    monkeypatch.setattr(_correlation, "_BLOCK", block)
    rng = np.random.default_rng(5)
    arguments = {"in_channels": channels[0], "out_channels": channels[1], **OPTIONS[options]}
    layer, twin = getattr(nn, name)(**arguments), getattr(torch_nn, name)(**arguments)
    state = {key: integers(rng, value.shape) for key, value in twin.state_dict().items()}
    x = integers(rng, (images[0], channels[0], *images[1:]))

    twin.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    inputs = torch.tensor(x, requires_grad=True)
    want = twin(inputs)
    dy = integers(rng, want.shape)
    gradients = torch.autograd.grad(want, [inputs, *twin.parameters()], torch.tensor(dy))
    forward = layer(state, x)
    grads = forward.vjp(dy)

    assert np.array_equal(forward.y, want.detach().numpy())
    assert np.array_equal(grads.inputs[0], gradients[0].numpy())
    assert np.array_equal(grads.params["weight"], gradients[1].numpy())
    assert np.array_equal(grads.params["bias"], gradients[2].numpy())


def test_the_plain_form_of_the_definition_agrees():
    rng = np.random.default_rng(6)
    layer = nn.Conv3d(4, 6, (2, 3, 2), stride=(1, 2, 3), padding=1, dilation=(1, 1, 2), groups=2)
    state = {key: integers(rng, value.shape) for key, value in layer.init(rng).items()}
    x = integers(rng, (2, 4, 5, 6, 7))
    forward, plain = layer(state, x), ALTERNATIVES["Conv3d"](**vars(layer))(state, x)
    dy = integers(rng, forward.y.shape)
    grads, want = forward.vjp(dy), plain.vjp(dy)

    assert np.array_equal(forward.y, plain.y)
    assert np.array_equal(grads.inputs[0], want.inputs[0])
    assert all(np.array_equal(grads.params[key], want.params[key]) for key in state)


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: nn.Conv1d(3, 4, 2, groups=2), "multiples of groups"),
        (lambda: nn.Conv1d(1, 1, 2, padding="full"), "'same', 'valid' or numbers"),
        (lambda: nn.Conv2d(1, 1, 2, stride=(1, 2), padding="same"), "stride=1"),
        (lambda: nn.Conv3d(1, 1, (2, 2)), "3 of them"),
        (lambda: nn.Conv2d(1, 1, 2, padding_mode="mirror"), "padding_mode"),
        (lambda: nn.ConvTranspose1d(1, 1, 2, padding_mode="reflect"), "'zeros'"),
        (lambda: nn.ConvTranspose2d(1, 1, 2, stride=2, output_padding=2), "output_padding"),
        (lambda: nn.ReflectionPad2d((1, 2)), "4 of them"),
    ],
)
def test_a_wrong_configuration_is_refused(build, named):
    with pytest.raises(nn.conv.ConfigError, match=named):
        build()


@pytest.mark.parametrize(
    ("layer", "shape", "kwargs", "named"),
    [
        (nn.Conv1d(2, 3, 2), (2, 3, 4), {}, "2, \\*image"),
        (nn.Conv1d(1, 1, 5), (1, 4), {}, "as large as the dilated kernel"),
        (nn.Conv1d(1, 1, 2, padding=3, padding_mode="reflect"), (1, 3), {}, "larger than"),
        (nn.ConvTranspose1d(1, 1, 1, padding=2), (1, 3), {}, "leaves something"),
        (nn.ConvTranspose1d(1, 1, 3, 2), (1, 3), {"output_size": (9,)}, "output_size"),
        (nn.ReflectionPad1d(3), (1, 3), {}, "larger than its padding"),
        (nn.CircularPad1d((-2, 2)), (1, 3), {}, "after the cutting"),
        (nn.ReplicationPad1d((-2, -1)), (1, 3), {}, "not all are cut off"),
        (nn.ZeroPad1d((-2, -2)), (1, 3), {}, "as many pixels"),
        (nn.ReplicationPad1d(1), (3,), {}, "axes of the image"),
        (nn.Fold(3, 2), (4, 5), {}, "4 windows"),
        (nn.Unfold(4), (1, 3, 3), {}, "at least one window"),
    ],
)
def test_a_wrong_shape_is_refused(layer, shape, kwargs, named):
    state = layer.init(np.random.default_rng(0))

    with pytest.raises(nn.conv.ShapeError, match=named):
        layer(state, np.zeros(shape, np.float32), **kwargs)
