"""Twins of the recurrent layers and of their cells."""

from typing import Any

import numpy as np
from torch import nn

from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.case import Config
from npnet.verify.claim import Ask, Told
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


def _step(
    ask: Ask, deep: bool, x: float, hx: tuple[float, ...], state: dict[str, Any], **config: Any
) -> list[Any]:
    """The states (h, …) after one step of one feature: of a cell, or of a layer of them."""
    states = tuple([[s]] if deep else [s] for s in hx)
    told = ask(
        [[x]] if deep else [x],
        states if len(states) > 1 else states[0],
        state={f"{name}_l0" if deep else name: a for name, a in state.items()},
        input_size=1,
        hidden_size=1,
        **config,
    )
    if deep:
        return [s[0] for s in told.y[1:]]
    return list(told.y) if isinstance(told.y, tuple) else [told.y]


_OPEN: float = 800.0  # σ of it is 1
_SHUT: float = -800.0  # σ of it is 0
_ONE: dict[str, Any] = {"input_size": 1, "hidden_size": 1, "bias": False}


def _gates(*rows: float) -> dict[str, Any]:
    """Weights of the input, one row per gate, beside which the hidden state counts nothing."""
    return {"weight_ih": [[w] for w in rows], "weight_hh": [[0.0]] * len(rows)}


def _biased(ih: list[float], hh: list[float]) -> dict[str, Any]:
    """Biases, beside which neither input nor hidden state count anything."""
    zeros = [[0.0]] * len(ih)
    return {"weight_ih": zeros, "weight_hh": zeros, "bias_ih": ih, "bias_hh": hh}


# ---- what all layers have in common --------------------------------------------------------------

_STEPS = [[1.0], [-2.0], [3.0]]
_BOTH: dict[str, Any] = {"input_size": 1, "hidden_size": 2, "num_layers": 2, "bidirectional": True}


def _alike(ask: Ask, **config: Any) -> bool:
    """Whether the sign of the input makes no difference to the output."""
    asked: dict[str, Any] = {"input_size": 1, "hidden_size": 2, **config}
    ys = [ask(x, **asked).y[0] for x in (_STEPS, [[-v] for [v] in _STEPS])]
    return same(*ys)


def _ends(ask: Ask) -> bool:
    """Whether the last layer's states in h_n are where its output has them."""
    output, h_n = ask(_STEPS, **_BOTH).y[:2]
    return same(h_n[2], output[-1, :2]) and same(h_n[3], output[0, 2:])


_LAYERS = (
    Claim(
        "The output has the forward direction's features before the backward one's, whose last "
        "hidden state is that at the first step.",
        _ends,
    ),
    Claim(
        "batch_first lays x and the output out, not the states: these stay (layers · directions, "
        "N, features).",
        lambda ask: (
            [y.shape for y in ask(np.ones((3, 5, 1)), batch_first=True, **_BOTH).y[:2]]
            == [(3, 5, 4), (4, 3, 2)]
        ),
    ),
    Claim(
        "dropout falls on the output of every layer but the last, and in training only: a single "
        "layer has none.",
        lambda ask: (
            _alike(ask, num_layers=2, dropout=1.0)
            and not _alike(ask, num_layers=2, dropout=1.0, training=False)
            and not _alike(ask, num_layers=1, dropout=1.0)
        ),
    ),
    Claim(
        "A sequence of no steps is refused, a batch of no samples is not.",
        lambda ask: (
            refuses(lambda: ask(np.zeros((0, 2, 1)), input_size=1, hidden_size=2))
            and ask(np.zeros((3, 0, 1)), input_size=1, hidden_size=2).y[0].shape == (3, 0, 2)
        ),
    ),
)


# ---- the plain recurrence ------------------------------------------------------------------------


def _plain(ask: Ask, x: list[Any], h: list[Any], W: float = 0.0, **config: Any) -> Told:
    """An RNN of one feature, without a bias, that reads x by the weight 1 and h by the weight W."""
    asked = {**_ONE, "nonlinearity": "relu", **config}
    state = {}
    for k in range(asked.get("num_layers", 1)):
        for end in ("", "_reverse")[: 2 if asked.get("bidirectional") else 1]:
            wide = 2 if k and asked.get("bidirectional") else 1
            state[f"weight_ih_l{k}{end}"] = [[1.0] * wide]
            state[f"weight_hh_l{k}{end}"] = [[W]]
    return ask(x, h, state=state, **asked)


def _rnn_claims(deep: bool) -> tuple[Claim, ...]:
    """The conventions of a step."""
    return (
        Claim(
            "Both biases are added, though one would do.",
            lambda ask: same(
                _step(ask, deep, 0.0, (0.0,), _biased([1.0], [2.0]), nonlinearity="relu")[0], [3.0]
            ),
        ),
        Claim(
            "The nonlinearity is tanh unless told.",
            lambda ask: same(
                _step(ask, deep, 0.0, (0.0,), _biased([0.5], [0.0]))[0], [0.46211715726000975]
            ),
        ),
        Claim(
            "With relu, the gradient at 0 is 0.",
            lambda ask: same(_at_zero(ask, deep).dx, [[0.0]] if deep else [0.0]),
        ),
    )


def _at_zero(ask: Ask, deep: bool) -> Told:
    if deep:
        return _plain(ask, [[0.0]], [[0.0]])
    return ask([0.0], [0.0], nonlinearity="relu", **_ONE)


@spec(
    nn.RNN,
    draws=_draws,
    batched=_batched,
    slow=True,
    claims=(
        *_rnn_claims(True),
        *_LAYERS,
        Claim(
            "The states of layer k and direction d stand at k · directions + d.",
            lambda ask: same(
                _plain(
                    ask,
                    [[0.0]],
                    [[1.0], [2.0], [3.0], [4.0]],
                    W=1.0,
                    num_layers=2,
                    bidirectional=True,
                ).y[1],
                [[1.0], [2.0], [6.0], [7.0]],
            ),
        ),
        Claim(
            "What dropout keeps is multiplied by 1 / (1 - p), and every step has masks of its own.",
            lambda ask: (
                {*_plain(ask, [[1.0]] * 32, [[0.0]] * 2, num_layers=2, dropout=0.5).y[0].flat}
                == {0.0, 2.0}
            ),
        ),
    ),
)
def RNN(pick: Pick) -> Drawn:
    config = _config(pick, nonlinearity=_nonlinearity(pick))
    return config, _inputs(pick, config, {"h_0": config["hidden_size"]})


# ---- the one with a memory -----------------------------------------------------------------------


def _lstm_claims(deep: bool) -> tuple[Claim, ...]:
    """The conventions of a step."""

    def memory(ask: Ask, *rows: float) -> list[Any]:
        """(h', c') of x = 1 and c = 3, the gates being what these rows make of x."""
        return _step(ask, deep, 1.0, (0.0, 3.0), _gates(*rows), bias=False)

    return (
        Claim(
            "The rows are in the order: input gate, forget gate, new content, output gate "
            "(i, f, g, o).",
            lambda ask: (
                same(memory(ask, _SHUT, _OPEN, 0.0, _OPEN)[1], [3.0])
                and same(memory(ask, _OPEN, _SHUT, 800.0, _OPEN)[1], [1.0])
                and same(memory(ask, _OPEN, _OPEN, 800.0, _SHUT)[0], [0.0])
            ),
        ),
        Claim(
            "The output gate opens onto tanh(c).",
            lambda ask: same(memory(ask, _SHUT, _OPEN, 0.0, _OPEN)[0], [0.995054753686730]),
        ),
        Claim(
            "Both biases are added, though one would do, and no 1 to that of the forget gate.",
            lambda ask: same(
                _step(
                    ask,
                    deep,
                    0.0,
                    (0.0, 3.0),
                    _biased([_SHUT, _SHUT, 0.0, 0.0], [0.0, _OPEN, 0.0, 0.0]),
                )[1],
                [1.5],
            ),
        ),
    )


@spec(
    nn.LSTM,
    draws=_draws,
    batched=_batched,
    slow=True,
    claims=(
        *_lstm_claims(True),
        *_LAYERS,
        Claim(
            "A projection makes h narrower, in the output too, and leaves c as it is.",
            lambda ask: (
                [y.shape for y in ask([[1.0]], input_size=1, hidden_size=3, proj_size=2).y]
                == [(1, 2), (1, 2), (1, 3)]
                and same(_projected(ask).y[0], [[2 * 0.46211715726000975]])
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


def _projected(ask: Ask) -> Told:
    """Two memories of 1/2, and both their outputs, added up."""
    state = {
        "weight_ih_l0": [[w] for w in (_SHUT, _SHUT, _OPEN, _OPEN, 0.0, 0.0, _OPEN, _OPEN)],
        "weight_hh_l0": [[0.0]] * 8,
        "weight_hr_l0": [[1.0, 1.0]],
    }
    hx = ([[0.0]], [[0.5, 0.5]])
    return ask([[1.0]], hx, state=state, **{**_ONE, "hidden_size": 2}, proj_size=1)


# ---- the one with two gates ----------------------------------------------------------------------


def _gru_claims(deep: bool) -> tuple[Claim, ...]:
    """The conventions of a step."""

    def hidden(ask: Ask, *rows: float) -> Any:
        """h' of x = 1 and h = 1/2, the gates being what these rows make of x."""
        return _step(ask, deep, 1.0, (0.5,), _gates(*rows), bias=False)[0]

    return (
        Claim(
            "The rows are in the order: reset gate, update gate, new content (r, z, n).",
            lambda ask: (
                same(hidden(ask, 0.0, _SHUT, 800.0), [1.0])
                and same(hidden(ask, 0.0, 0.0, 800.0), [0.75])
            ),
        ),
        Claim(
            "The update gate is the share of the old state: h' = (1 - z) n + z h.",
            lambda ask: same(hidden(ask, 0.0, _OPEN, 800.0), [0.5]),
        ),
        Claim(
            "The reset gate is applied to W_hn h + b_hn as a whole, after the product, and not to "
            "b_in.",
            lambda ask: (
                same(
                    _step(ask, deep, 0.0, (0.0,), _biased([_SHUT, _SHUT, 0.0], [0.0, 0.0, 5.0]))[0],
                    [0.0],
                )
                and same(
                    _step(ask, deep, 0.0, (0.0,), _biased([_SHUT, _SHUT, 800.0], [0.0, 0.0, 0.0]))[
                        0
                    ],
                    [1.0],
                )
            ),
        ),
    )


@spec(nn.GRU, draws=_draws, batched=_batched, slow=True, claims=(*_gru_claims(True), *_LAYERS))
def GRU(pick: Pick) -> Drawn:
    config = _config(pick)
    return config, _inputs(pick, config, {"h_0": config["hidden_size"]})


# ---- cells ---------------------------------------------------------------------------------------


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


@spec(
    nn.RNNCell,
    claims=(
        *_rnn_claims(False),
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


@spec(
    nn.LSTMCell,
    claims=(
        *_lstm_claims(False),
        Claim(
            "It returns (h, c), and takes them so; without them both are 0.",
            lambda ask: same(
                np.array(ask([1.0], state=_gates(_OPEN, _OPEN, 800.0, _OPEN), **_ONE).y),
                [[0.7615941559557649], [1.0]],
            ),
        ),
    ),
)
def LSTMCell(pick: Pick) -> Drawn:
    return _cell(pick, "h", "c")


@spec(
    nn.GRUCell,
    claims=(
        *_gru_claims(False),
        Claim(
            "Without a hidden state, it is 0.",
            lambda ask: same(ask([1.0], state=_gates(0.0, 0.0, 800.0), **_ONE).y, [0.5]),
        ),
    ),
)
def GRUCell(pick: Pick) -> Drawn:
    return _cell(pick, "h")
