from tests.mutants import Mutant

_DX = "gradient of input 0"
_UP = "blocks = np.moveaxis(blocks, (-4, -3), (-3, -1))  # c, h, i, w, j"
_IN = "blocks = x.reshape(*batch, channels // r**2, r, r, H, W)  # c, i, j, h, w"
_DOWN = "blocks = np.moveaxis(blocks, (-3, -1), (-4, -3))  # c, i, j, h, w"
_APART = "blocks = np.moveaxis(x.reshape(*batch, r, r, channels // r**2, H, W), -3, -5)"
_FORWARD = "Forward(_to_pixels(x, r), lambda dy: Grads((_to_channels(dy, r),)))"
_BACKWARD = "Forward(_to_channels(x, r), lambda dy: Grads((_to_pixels(dy, r),)))"

_SHUFFLE = [
    ("exchanges rows and columns in a block", {_UP: _UP.replace("(-3, -1))", "(-1, -3))")}, "y"),
    ("takes the channels apart as TensorFlow does", {_IN: _APART}, "y"),
    (
        "puts the blocks side by side instead of interleaving them",
        {_UP: "blocks = np.moveaxis(blocks, -2, -3)"},
        "y",
    ),
    (
        "shuffles the gradient's blocks column by column",
        {_DOWN: _DOWN.replace("(-4, -3))", "(-3, -4))")},
        _DX,
    ),
    (
        "averages the gradient over a block",
        {_FORWARD: _FORWARD.replace("(dy, r)", "(dy, r) / r**2")},
        _DX,
    ),
    (
        "gives a gradient in float64",
        {_FORWARD: _FORWARD.replace("(dy, r)", "(dy.astype(float), r)")},
        _DX,
    ),
    (
        "passes the gradient on in memory order",
        {_FORWARD: _FORWARD.replace("_to_channels(dy, r)", "dy.reshape(x.shape)")},
        _DX,
    ),
    (
        "moves nothing",
        {_FORWARD: _FORWARD.replace("_to_pixels(x, r)", "x.reshape(_to_pixels(x, r).shape)")},
        "y",
    ),
]

_UNSHUFFLE = [
    (
        "exchanges rows and columns in a block",
        {_DOWN: _DOWN.replace("(-4, -3))", "(-3, -4))")},
        "y",
    ),
    (
        "puts the channels of one place side by side, as TensorFlow does",
        {_DOWN: "blocks = np.moveaxis(blocks, (-3, -1), (-5, -4))"},
        "y",
    ),
    (
        "moves nothing",
        {_BACKWARD: _BACKWARD.replace("_to_channels(x, r)", "x.reshape(_to_channels(x, r).shape)")},
        "y",
    ),
    (
        "shuffles the gradient's blocks column by column",
        {_UP: _UP.replace("(-3, -1))", "(-1, -3))")},
        _DX,
    ),
    (
        "sums the gradient over a block",
        {_BACKWARD: _BACKWARD.replace("(dy, r)", "(dy, r) * r**2")},
        _DX,
    ),
    (
        "gives a gradient in float64",
        {_BACKWARD: _BACKWARD.replace("(dy, r)", "(dy.astype(float), r)")},
        _DX,
    ),
    (
        "passes the gradient on in memory order",
        {_BACKWARD: _BACKWARD.replace("_to_pixels(dy, r)", "dy.reshape(x.shape)")},
        _DX,
    ),
]

_TURNS = "return x.reshape(N, groups, C // groups, *rest).swapaxes(1, 2).reshape(x.shape)"
_RETURN = "_shuffle(x, self.groups), lambda dy: Grads((_shuffle(dy, max(per_group, 1)),))"

_CHANNELS = [
    (
        "takes the groups for their size",
        {_RETURN: _RETURN.replace("(x, self.groups)", "(x, max(per_group, 1))")},
        "y",
    ),
    ("moves nothing", {_RETURN: _RETURN.replace("_shuffle(x, self.groups)", "x * 1")}, "y"),
    ("reverses the channels", {_TURNS: "return x[:, ::-1] * 1"}, "y"),
    ("reverses the groups", {_TURNS: _TURNS.replace(".swapaxes", "[:, ::-1].swapaxes")}, "y"),
    (
        "shuffles the gradient as it did x",
        {_RETURN: _RETURN.replace("(dy, max(per_group, 1))", "(dy, self.groups)")},
        _DX,
    ),
    (
        "passes the gradient on as it comes",
        {_RETURN: _RETURN.replace("_shuffle(dy, max(per_group, 1))", "dy * 1")},
        _DX,
    ),
    (
        "gives a gradient in float64",
        {_RETURN: _RETURN.replace("_shuffle(dy", "_shuffle(dy.astype(float)")},
        _DX,
    ),
    (
        "divides the gradient by the groups",
        {_RETURN: _RETURN.replace("_shuffle(dy", "_shuffle(dy / self.groups")},
        _DX,
    ),
]

MUTANTS = [
    Mutant(layer, mistake, edits, blames=blames)
    for layer, mistakes in (
        ("PixelShuffle", _SHUFFLE),
        ("PixelUnshuffle", _UNSHUFFLE),
        ("ChannelShuffle", _CHANNELS),
    )
    for mistake, edits, blames in mistakes
]
