"""Dialects of axis order: channels last, kernels with the image's axes first, (in, out) weights."""

from npnet.twins.dialects._made import Naming

_AXES = {1: "l", 2: "h w", 3: "d h w"}
_NAMES = {1: "NLC", 2: "NHWC", 3: "NDHWC"}
_KERNELS = {1: "LIO", 2: "HWIO", 3: "DHWIO"}


def _last(axes: int) -> str:
    return f"... c {_AXES[axes]} -> ... {_AXES[axes]} c"


def _both(axes: int) -> tuple[str, str]:
    return _NAMES[axes], "NC" + _NAMES[axes][1:-1]


_WEIGHT = "o i -> i o"
_POOLS = ("MaxPool", "AvgPool", "AdaptiveMaxPool", "AdaptiveAvgPool", "LPPool")
_NORMS = ("BatchNorm", "InstanceNorm")

FAMILY = (
    Naming(
        "in-out", "TensorFlow, Keras, JAX", "weight is (in, out): x W; torch's is (out, in)"
    ).moved("Linear", weight=_WEIGHT),
    *(
        Naming(
            "in-out",
            "TensorFlow, Keras, JAX",
            "weights are (in, rows of gates): x W; torch's are (rows of gates, in)",
        ).moved(twin, **{"weight_*": _WEIGHT})
        for twin in ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")
    ),
    *(
        Naming(
            name,
            "TensorFlow, Keras, JAX",
            "; ".join(
                [f"images are {_both(n)[0]}, torch's {_both(n)[1]}"] * bool(images)
                + [f"kernels are {_KERNELS[n]}, torch's OI{_KERNELS[n][:-2]}"] * kernels
            ),
        ).moved(
            f"Conv{n}d",
            images,
            **({"weight": f"o i {_AXES[n]} -> {_AXES[n]} i o"} if kernels else {}),
        )
        for n in _AXES
        for name, images, kernels in (
            ("channels-last", _last(n), True),
            ("channels-last-images", _last(n), False),
            ("hwio", None, True),
        )
    ),
    *(
        Naming(
            "channels-last",
            "TensorFlow, Keras, JAX",
            f"images are {_both(n)[0]}, torch's {_both(n)[1]}",
        ).moved(f"{kind}{n}d", _last(n))
        for n in _AXES
        for kind in (*_POOLS, *_NORMS)
        if (kind, n) != ("BatchNorm", 1)
    ),
    *(
        Naming(
            "channels-last",
            "TensorFlow, Keras, JAX",
            "the channels are the last axis, torch's axis 1",
        ).moved(twin, "n c ... -> n ... c")
        for twin in ("BatchNorm1d", "GroupNorm")
    ),
)
