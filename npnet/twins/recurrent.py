"""Twins of the recurrent layers and of their cells."""

from typing import Any

from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.case import Config
from npnet.verify.claim import Ask
from npnet.verify.draw import Values
from npnet.verify.spec import Drawn


def _draws(config: Config) -> bool:
    return bool(config["dropout"])


def _batched(config: Config) -> bool:
    """Unless it draws masks, which vmap refuses to do."""
    return not (config["training"] and config["dropout"] and config["num_layers"] > 1)


def _config(pick: Pick, **more: Any) -> dict[str, Any]:
    return {
        "input_size": pick.size("input_size"),
        "hidden_size": pick.size("hidden_size"),
        "num_layers": pick.option("num_layers", 1, 2, 1, 3),
        **more,
        "bias": pick.option("bias", True, False),
        "batch_first": pick.option("batch_first", False, True),
        "dropout": pick.option("dropout", 0.0, 0.25, 0.5, 1.0),
        "bidirectional": pick.option("bidirectional", False, True),
        "training": pick.option("training", True, True, False),
    }


def _inputs(pick: Pick, config: dict[str, Any], states: dict[str, int]) -> tuple[Any, ...]:
    """x and the initial states, of these widths, or none."""
    batch = pick.option("batch", 2, None, 1, 3, 0)
    steps = pick.option("steps", 2, 1, 3, 2, 1, 5)
    mid = () if batch is None else (batch,)
    x = (*mid, steps) if config["batch_first"] else (steps, *mid)
    stacked = (config["num_layers"] * (2 if config["bidirectional"] else 1), *mid)
    given = (pick.values("x", (*x, config["input_size"])),)
    return given + _states(pick, stacked, states)


def _states(pick: Pick, leading: tuple[int, ...], widths: dict[str, int]) -> tuple[Any, ...]:
    found: tuple[Values, ...] = ()
    if pick.option("initial states", True, False):
        found = tuple(pick.values(name, (*leading, width)) for name, width in widths.items())
    return (found,) if len(found) > 1 else found


def _nonlinearity(pick: Pick) -> str:
    chosen: str = pick.option("nonlinearity", "tanh", "relu")
    return chosen


def _plain(ask: Ask, x: list[Any], h: list[Any], W: float = 0.0, **config: Any) -> Any:
    """An RNN of one feature, without a bias, that reads x by the weight 1 and h by the weight W."""
    asked = {"input_size": 1, "hidden_size": 1, "bias": False, **config}
    state = {}
    for k in range(asked.get("num_layers", 1)):
        for end in ("", "_reverse")[: 2 if asked.get("bidirectional") else 1]:
            wide = 2 if k and asked.get("bidirectional") else 1
            state[f"weight_ih_l{k}{end}"] = [[1.0] * wide]
            state[f"weight_hh_l{k}{end}"] = [[W]]
    return ask(x, h, state=state, **asked)


@spec(
    nn.RNN,
    draws=_draws,
    batched=_batched,
    slow=True,
    claims=(
        Claim(
            "Both biases are added, though one would do.",
            lambda ask: same(
                ask(
                    [[0.0]],
                    [[0.0]],
                    state={"bias_ih_l0": [1.0], "bias_hh_l0": [2.0]},
                    input_size=1,
                    hidden_size=1,
                    nonlinearity="relu",
                ).y[0],
                [[3.0]],
            ),
        ),
        Claim(
            "The backward direction's last hidden state is that at the first step.",
            lambda ask: same(
                _plain(ask, [[1.0], [2.0]], [[0.0]] * 2, nonlinearity="relu", bidirectional=True).y[
                    1
                ],
                [[2.0], [1.0]],
            ),
        ),
        Claim(
            "batch_first lays x and the output out, not the states.",
            lambda ask: (
                _plain(ask, [[[1.0], [2.0]]] * 3, [[[0.0]] * 3], batch_first=True).y[1].shape
                == (1, 3, 1)
            ),
        ),
        Claim(
            "The states of layer k and direction d stand at k · directions + d.",
            lambda ask: same(
                _plain(
                    ask,
                    [[0.0]],
                    [[1.0], [2.0], [3.0], [4.0]],
                    W=1.0,
                    nonlinearity="relu",
                    num_layers=2,
                    bidirectional=True,
                ).y[1],
                [[1.0], [2.0], [6.0], [7.0]],
            ),
        ),
    ),
)
def RNN(pick: Pick) -> Drawn:
    config = _config(pick, nonlinearity=_nonlinearity(pick))
    return config, _inputs(pick, config, {"h_0": config["hidden_size"]})


@spec(
    nn.LSTM,
    draws=_draws,
    batched=_batched,
    slow=True,
    claims=(
        Claim(
            "A projection makes h narrower, in the output too, and leaves c as it is.",
            lambda ask: (
                [y.shape for y in ask([[1.0]], input_size=1, hidden_size=3, proj_size=2).y]
                == [(1, 2), (1, 2), (1, 3)]
            ),
        ),
    ),
)
def LSTM(pick: Pick) -> Drawn:
    config = _config(pick)
    projection = pick.option("proj_size", 0, 1, 2)
    config["hidden_size"] += projection  # which has to be the smaller one
    config["proj_size"] = projection
    widths = {"h_0": projection or config["hidden_size"], "c_0": config["hidden_size"]}
    return config, _inputs(pick, config, widths)


@spec(
    nn.GRU,
    draws=_draws,
    batched=_batched,
    slow=True,
    claims=(
        Claim(
            "The reset gate is applied after the product with W_hn, to its bias too.",
            lambda ask: same(
                ask(
                    [[0.0]],
                    [[0.0]],
                    state={
                        "weight_ih_l0": [[0.0]] * 3,
                        "weight_hh_l0": [[0.0]] * 3,
                        "bias_ih_l0": [_SHUT, _SHUT, 0.0],
                        "bias_hh_l0": [0.0, 0.0, 5.0],
                    },
                    input_size=1,
                    hidden_size=1,
                ).y[0],
                [[0.0]],
            ),
        ),
        Claim(
            "The update gate keeps the old state: h ← (1 - z) n + z h.",
            lambda ask: same(
                ask(
                    [[0.0]],
                    [[0.75]],
                    state={
                        "weight_ih_l0": [[0.0]] * 3,
                        "weight_hh_l0": [[0.0]] * 3,
                        "bias_ih_l0": [0.0, _OPEN, 0.0],
                        "bias_hh_l0": [0.0, 0.0, 5.0],
                    },
                    input_size=1,
                    hidden_size=1,
                ).y[0],
                [[0.75]],
            ),
        ),
    ),
)
def GRU(pick: Pick) -> Drawn:
    config = _config(pick)
    return config, _inputs(pick, config, {"h_0": config["hidden_size"]})


def _cell(pick: Pick, *states: str, **more: Any) -> Drawn:
    empty = pick.option("without features", "none", "none", "none", "none", "input", "hidden")
    config = {
        "input_size": 0 if empty == "input" else pick.size("input_size"),
        "hidden_size": 0 if empty == "hidden" else pick.size("hidden_size"),
        "bias": pick.option("bias", True, False),
        **more,
    }
    batch = pick.option("batch", 2, None, 1, 3, 0)
    mid = () if batch is None else (batch,)
    x = pick.values("x", (*mid, config["input_size"]))
    return config, (x, *_states(pick, mid, dict.fromkeys(states, config["hidden_size"])))


_ONE: dict[str, Any] = {"input_size": 1, "hidden_size": 1, "bias": False}
_OPEN: float = 800.0  # σ of it is 1
_SHUT: float = -800.0  # σ of it is 0


@spec(
    nn.RNNCell,
    claims=(
        Claim(
            "With relu, the gradient at 0 is 0.",
            lambda ask: same(
                ask([0.0], [0.0], nonlinearity="relu", **_ONE).dx,
                [0.0],
            ),
        ),
        Claim(
            "Without a hidden state, it is 0.",
            lambda ask: same(
                ask([2.0], state={"weight_ih": [[1.0]]}, nonlinearity="relu", **_ONE).y, [2.0]
            ),
        ),
    ),
)
def RNNCell(pick: Pick) -> Drawn:
    return _cell(pick, "h", nonlinearity=_nonlinearity(pick))


def _gates(*rows: float) -> dict[str, Any]:
    """Weights of the input, one row per gate, beside which the hidden state counts nothing."""
    return {"weight_ih": [[w] for w in rows], "weight_hh": [[0.0]] * len(rows)}


@spec(
    nn.LSTMCell,
    claims=(
        Claim(
            "The rows are in the order: input gate, forget gate, new content, output gate.",
            lambda ask: (
                same(_memory(ask, _SHUT, _OPEN, 0.0, _OPEN)[1], [3.0])
                and same(_memory(ask, _OPEN, _SHUT, 800.0, _OPEN)[1], [1.0])
                and same(_memory(ask, _OPEN, _OPEN, 800.0, _SHUT)[0], [0.0])
            ),
        ),
        Claim(
            "The output gate opens onto tanh(c).",
            lambda ask: same(_memory(ask, _SHUT, _OPEN, 0.0, _OPEN)[0], [0.995054753686730]),
        ),
    ),
)
def LSTMCell(pick: Pick) -> Drawn:
    return _cell(pick, "h", "c")


def _memory(ask: Ask, *rows: float) -> Any:
    """(h', c') of x = 1 and c = 3, the gates being what these rows make of x."""
    return ask([1.0], ([0.0], [3.0]), state=_gates(*rows), **_ONE).y


@spec(
    nn.GRUCell,
    claims=(
        Claim(
            "The rows are in the order: reset gate, update gate, new content.",
            lambda ask: (
                same(ask([1.0], [0.5], state=_gates(0.0, _SHUT, 800.0), **_ONE).y, [1.0])
                and same(ask([1.0], [0.5], state=_gates(0.0, 0.0, 800.0), **_ONE).y, [0.75])
            ),
        ),
        Claim(
            "The update gate is the share of the old state: open, it keeps h.",
            lambda ask: same(ask([1.0], [0.5], state=_gates(0.0, _OPEN, 800.0), **_ONE).y, [0.5]),
        ),
        Claim(
            "The reset gate is applied to W_hn h + b_hn as a whole, after the product.",
            lambda ask: same(
                ask(
                    [1.0],
                    [0.0],
                    state={
                        **_gates(_SHUT, _SHUT, 0.0),
                        "bias_ih": [0.0] * 3,
                        "bias_hh": [0.0, 0.0, 5.0],
                    },
                    input_size=1,
                    hidden_size=1,
                ).y,
                [0.0],
            ),
        ),
    ),
)
def GRUCell(pick: Pick) -> Drawn:
    return _cell(pick, "h")
