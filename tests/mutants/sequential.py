from tests.mutants import Mutant

_DX = "gradient of input 0"
_LOOP = "enumerate(self.layers):\n            kw"
_BREAK = "if dy is None:\n                    break"
_CALL = "forward = run(str(i), layer, state, y, **kwargs)"
_UPDATES = "updates |= forward.updates"
_BACK = "(dy,), dparams = layer_vjp(dy)"
_PARAMS = "params |= dparams"
_REVERSED = "for layer_vjp in reversed(vjps):"
_NUMBERED = {_REVERSED: "for i, layer_vjp in reversed([*enumerate(vjps)]):"}
_BARE = "{n.partition('.')[2]: a for n, a in %s.items()}"
_TAPE = "y, vjps = x, []"
_VJP = "def vjp(dy: Nested) -> Grads:\n"

_SEQUENTIAL = [
    (
        "forgets the last layer",
        {_LOOP: _LOOP.replace("layers)", "layers[:-1])")},
        "y",
    ),
    (
        "puts every layer into evaluation mode",
        {
            _CALL: "if hasattr(layer, 'training'):\n"
            f"                layer = replace(layer, training=False)\n            {_CALL}",
            "import dataclass\n": "import dataclass, replace\n",
        },
        "y",
    ),
    (
        "draws from a generator of its own",
        {'{"rng": rng}': '{"rng": np.random.default_rng(0)}'},
        "y",
    ),
    (
        "hands every layer the whole state",
        {_CALL: "forward = layer(state, y, **kwargs)"},
        "forward",
    ),
    ("turns x into float64", {_TAPE: "y, vjps = np.asarray(x, float), []"}, "forward"),
    (
        "reverses the layers",
        {_LOOP: _LOOP.replace("layers)", "layers[::-1])")},
        "forward",
    ),
    (
        "counts the layers from 1 in the state",
        {_CALL: _CALL.replace("str(i)", "str(i + 1)")},
        "forward",
    ),
    (
        "leaves the number out of the updates' names",
        {_UPDATES: f"updates |= {_BARE % 'forward.updates'}"},
        "next running_mean",
    ),
    (
        "leaves the number out of the gradients' names",
        {_PARAMS: f"params |= {_BARE % 'dparams'}"},
        "gradient of weight",
    ),
    (
        "has no gradient for x",
        {"return Grads((dy,), params)": "return Grads((None,), params)"},
        _DX,
    ),
    (
        "returns dy as the gradient of x",
        {
            _VJP: f"{_VJP}            top = dy\n",
            "return Grads((dy,), params)": "return Grads((top,), params)",
        },
        _DX,
    ),
    (
        "stops above the first layer",
        {"if dy is None:": "if dy is None or not i:", **_NUMBERED},
        _DX,
    ),
    (
        "takes the last layer for the identity if it has no parameters",
        {
            _BREAK: f"{_BREAK}\n                first = str(i) + '.'\n                mine = "
            "[n for n in state if n.startswith(first)]\n"
            "                if i == len(vjps) - 1 and not mine:\n                    continue",
            **_NUMBERED,
        },
        _DX,
    ),
    (
        "keeps the passes of its last call only",
        {
            _TAPE: "y, vjps = x, _TAPE\n        vjps.clear()",
            '"""Sequential:': '_TAPE = []\n"""Sequential:',
        },
        _DX,
    ),
    (
        "lets only positive gradients through",
        {_BACK: f"{_BACK}\n                dy = dy * (dy > 0)"},
        _DX,
    ),
    (
        "forgets the first layer's parameters",
        {_PARAMS: f"if i:\n                    {_PARAMS}", **_NUMBERED},
        "gradient of 0.weight",
    ),
    (
        "averages the gradients of parameters over the batch",
        {_PARAMS: "params |= {n: g / len(x) for n, g in dparams.items()}"},
        "gradient of 0.weight",
    ),
    (
        "clips dy in place",
        {_VJP: f"{_VJP}            np.clip(dy, -0.5, 0.5, out=dy)\n"},
        "dy",
    ),
]

MUTANTS = [Mutant("Sequential", mistake, edits, blames=q) for mistake, edits, q in _SEQUENTIAL]
