"""Where one's own code goes, to be held against a twin: files with ... in them."""

import inspect
import textwrap
from collections.abc import Sequence
from typing import Any

from npnet.guide.example.layers import Layer
from npnet.guide.example.plainest import drawn
from npnet.guide.example.text import listed
from npnet.verify.spec import Spec
from npnet.verify.targets import own_class

_STATES = 8  # entries that are named


def candidate_of_layer(name: str, spec: Spec) -> str:
    """Where one's own code goes, to be held against the twin."""
    layer = Layer(name, spec)
    names = layer.names()
    ys = names[0] if len(names) == 1 else f"({', '.join(names)})"
    parameters = inspect.signature(own_class(name).__call__).parameters
    needed = [n for n in layer.inputs if parameters[n].default is parameters[n].empty]
    others = [n for n in layer.inputs if n not in needed]
    inputs = ", ".join([*needed, *["*more"] * bool(others)])
    inputs = f"({inputs},)" if len(needed) == 1 and not others else inputs
    arguments = "as torch's forward takes them"
    if others:
        arguments = f"more: {', '.join(others)}, where it is given"
    grads = [_nested_name(n, g) for n, g in layer.dinputs.items()]
    told = [f'"{n}": d{n.split(".")[-1]}' for n in layer.params[:_STATES]]
    told += ['"...": ...'] * (len(layer.params) > _STATES)
    params = textwrap.indent(f"params = {{{listed(told)}}}", " " * 8)
    lines = [
        "from npnet.contract import Forward, Grads",
        "from npnet.verify import candidate",
        "",
        "",
        f'@candidate("{name}")',
        "def mine(case):",
        f"    {inputs} = case.inputs  # {arguments}",
    ]
    lines += _told("case.config", [n for n in layer.config if n != "layers"])
    lines += _told("case.state", list(layer.first)[:_STATES])
    lines += ["    case.kwargs  # what the call takes by name, where it is given"] * layer.keyworded
    lines += ["    case.rng  # draws masks as rng.random(shape) >= p"] * layer.draws
    lines += [
        f"    {ys} = ...",
        "",
        "    def vjp(dy):  # the gradient of the loss by y, in its shape"
        if len(names) == 1
        else f"    def vjp(dy):  # a tuple, in the shapes of {ys}",
        params,
        f"        return Grads(({', '.join(grads)}{',' * (len(grads) == 1)}), params)",
        "",
        f"    return Forward({ys}, vjp{_updates(layer)})",
    ]
    return "\n".join(lines)


def _told(place: str, names: Sequence[str]) -> list[str]:
    """A line that says what is where, and more of them where it is long."""
    if not names:
        return []
    text = f"    {place}  # {', '.join(names)}"
    return textwrap.wrap(text, 88, subsequent_indent="    #   ", break_on_hyphens=False)


def _nested_name(name: str, gradient: Any) -> str:
    return "None" if gradient is None else f"d{name}"


def _updates(layer: Layer) -> str:
    entries = ", ".join(f'"{n}": ...' for n in layer.updates)
    return f", {{{entries}}}" if entries else ""


def candidate_of_optimizer(name: str, spec: Spec) -> str:
    """Where one's own optimizer goes, to be held against the twin."""
    config, arrays, _ = drawn(name, spec)
    closure = "centre p0" in arrays
    loop = "for g, rate in zip(grads, lr):  # g[name] is None where there is no gradient"
    if closure:
        loop = "for _ in grads:  # closure(params) -> loss, gradients, as often as it is needed"
    return "\n".join(
        [
            "from npnet.verify import adapt, candidate",
            "",
            "",
            f"def mine(config, params, grads, {'closure' if closure else 'lr'}):",
            f"    config  # {', '.join(config)}",
            "    params  # {name: array}; write into them, or not",
            "    after = []",
            f"    {loop}",
            "        ...",
            "        after.append({name: p.copy() for name, p in params.items()})",
            "    return after  # the parameters after each step",
            "",
            "",
            f'candidate_of_mine = candidate("{name}")(adapt.optimizer(mine))',
        ]
    )


def candidate_of_schedule(name: str, spec: Spec) -> str:
    """Where one's own schedule goes, to be held against the twin."""
    config, _, _ = drawn(name, spec)
    return "\n".join(
        [
            "from npnet.verify import adapt, candidate",
            "",
            "",
            "def mine(config, steps):",
            f"    config  # {', '.join(config)}",
            "    return [... for step in range(steps)]  # the rate of every step",
            "",
            "",
            f'candidate_of_mine = candidate("{name}")(adapt.schedule(mine))',
        ]
    )
