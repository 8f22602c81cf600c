"""The code of a layer: forward, backward, a step of SGD, evaluation."""

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.guide.docstrings import docstring
from npnet.guide.example.plainest import drawn, spoken
from npnet.guide.example.text import call, expression, mapped, nested, shown
from npnet.verify.draw import Values
from npnet.verify.spec import Spec
from npnet.verify.targets import build, own_class, specs

_STATES = 8  # entries that are written out
_PARAMS = 3  # whose gradients are shown, where there are more


def of_layer(name: str, spec: Spec) -> tuple[str, str, str]:
    """Forward, backward, one step of SGD, evaluation."""
    return Layer(name, spec).written()


def entries_of(name: str) -> dict[str, Array]:
    """The state of the layer in the example; nothing of what has none."""
    return Layer(name, specs()[name]).first if "." not in name else {}


def returned(name: str) -> str:
    """What several outputs are called in both libraries; nothing of what has one."""
    if "." in name:
        return ""
    layer = Layer(name, specs()[name])
    names = layer.names()
    if len(names) == 1:
        return ""
    return f"npnet returns y = `({', '.join(names)})`, torch `{layer.unpacked(names)}`."


class Layer:
    """The code of one layer, and what was seen when it was run once."""

    def __init__(self, name: str, spec: Spec) -> None:
        self.name, self.spec = name, spec
        config, inputs, kwargs = drawn(name, spec)
        self.tensors = {n: v for n, v in config.items() if isinstance(v, Values)}
        self.config = config
        self.keyworded = bool(kwargs)
        self.kwargs = {n: v for n, v in kwargs.items() if isinstance(v, Values)}
        parameters = inspect.signature(own_class(name).__call__).parameters
        names = [n for n in parameters if n not in ("self", "state", "rng")]
        self.inputs = dict(zip(names, inputs, strict=False))
        self.draws = spec.draws(config)
        self.modes = any(f.name == "training" for f in fields(own_class(name)))
        self._look()

    def _look(self) -> None:
        """Run it once, to see what comes out: outputs, gradients, updates, torch's nesting."""
        rng = np.random.default_rng(0)
        space: dict[str, Any] = {"np": np, "rng": rng}
        made = {
            n: mapped(v, lambda x: eval(expression(x), space))
            for n, v in (self.tensors | self.inputs | self.kwargs).items()
        }
        config = {n: made.get(n, v) for n, v in self.config.items()}
        layer = build(self.name, config)
        self.first = layer.init(rng)
        wide = {n: a.astype(float) if a.dtype.kind == "f" else a for n, a in self.first.items()}
        kwargs = {n: made[n] for n in self.kwargs}
        if self.draws:
            kwargs["rng"] = rng
        forward = layer(wide, *(made[n] for n in self.inputs), **kwargs)
        self.outputs = forward.y if isinstance(forward.y, tuple) else (forward.y,)
        dys = tuple(np.ones_like(y) if y.dtype.kind == "f" else None for y in self.outputs)
        grads = forward.vjp(dys if isinstance(forward.y, tuple) else dys[0])
        self.updates = [n for n in forward.updates if n in wide]
        self.params = [n for n, g in grads.params.items() if g is not None]
        self.dinputs = {
            n: g if isinstance(made[n], tuple) or np.asarray(made[n]).dtype.kind == "f" else None
            for n, g in zip(self.inputs, grads.inputs, strict=False)
        }
        self.made = made

    def names(self) -> list[str]:
        """y, or what the docstring calls the outputs: "y = (output, h_n, c_n)"."""
        if len(self.outputs) == 1:
            return ["y"]
        found = re.search(r"\by = \(([^)]*)\)", docstring(self.name))
        names = [n.strip().replace("'", "_next") for n in found[1].split(",")] if found else []
        if len(names) != len(self.outputs):
            names = [f"y{k}" for k in range(len(self.outputs))]
        return names

    def written(self) -> tuple[str, str, str]:
        """NumPy's code, PyTorch's, and what to know of both."""
        return "\n".join(self._numpy()), "\n".join(self._torch()), self._note()

    def _note(self) -> str:
        if self.draws:
            return (
                "What is drawn in training differs: npnet takes a Generator, torch draws from its "
                "own. In evaluation both are the same."
            )
        return ""

    def _numpy(self) -> Iterator[str]:
        yield from ("import numpy as np", f"from npnet import nn{', optim' * bool(self.params)}")
        yield from ("", "np.set_printoptions(precision=4, suppress=True)", "")
        yield "rng = np.random.default_rng(0)"
        for n, v in self.tensors.items():
            yield f"{n} = {expression(v)}"
        told = spoken(self.name, self.config)
        yield f"layer = {call('nn.' + self.name, told)}"
        yield from self._state()
        for n, v in (self.inputs | self.kwargs).items():
            yield f"{n} = {nested(v, expression)}"
        yield ""
        arguments = ["state", *self.inputs, *(f"{n}={n}" for n in self.kwargs)]
        drawn = ["rng=np.random.default_rng(1)"] * self.draws
        yield f"forward = layer({', '.join([*arguments, *drawn])})"
        names = self.names()
        yield f"{', '.join(names)} = forward.y"
        if len(names) == 1:
            yield "dy = rng.standard_normal(y.shape)"
        else:
            yield "dy = tuple(rng.standard_normal(part.shape) for part in forward.y)"
        yield "grads = forward.vjp(dy)"
        for n in names:
            yield shown(n, n)
        for label, place, _ in self._gradients():
            yield shown(label, f"grads.inputs{place}")
        for n in self.params[:_PARAMS]:
            yield shown(f"d{n}", f'grads.params["{n}"]')
        for n in self.updates:
            yield shown(f"next {n}", f'forward.updates["{n}"]')
        if self.params:
            yield from (
                "",
                "sgd = optim.SGD(lr=0.1)",
                "params = {name: state[name] for name in grads.params}",
                "params, _ = sgd.step(params, grads.params, sgd.init(params))",
            )
            yield shown(f"{self.params[0]} after a step", f'params["{self.params[0]}"]')
        if self.modes:
            trained = ", **params" * bool(self.params)
            yield ""
            yield f"layer = {call('nn.' + self.name, told | {'training': False})}"
            if self.updates or trained:
                yield f"trained = {{**state, **forward.updates{trained}}}"
                arguments[0] = "trained"
            yield f"y = layer({', '.join(arguments)}).y" + "[0]" * (len(names) > 1)
            yield shown("evaluation", "y")

    def _state(self) -> Iterator[str]:
        shapes = {n: v for n, v in self.first.items() if n not in self.tensors}
        if not self.first:
            yield "state = {}"
        elif len(self.first) > _STATES:
            yield "first = layer.init(rng)"
            yield "state = {name: entry.astype(float) for name, entry in first.items()}"
        else:
            wanted = self.spec.state(self.config)
            entries = {n: expression(wanted[n]) if n in shapes else n for n in self.first}
            yield from ("state = {", *(f'    "{n}": {v},' for n, v in entries.items()), "}")

    def _gradients(self) -> Iterator[tuple[str, str, str]]:
        """label, where it is in grads.inputs, where torch has it: every gradient of an input."""
        for k, (n, g) in enumerate(self.dinputs.items()):
            if isinstance(g, tuple):
                for i, part in enumerate(g):
                    if part is not None:
                        yield f"d{n}[{i}]", f"[{k}][{i}]", f"{n}[{i}].grad"
            elif g is not None:
                yield f"d{n}", f"[{k}]", f"{n}.grad"

    def _torch(self) -> Iterator[str]:
        yield from ("import torch", "")
        told = spoken(self.name, self.config)
        yield f"module = {call('torch.nn.' + self.name, told, tensors=True)}.double()"
        if self.first:
            yield "module.load_state_dict({name: torch.tensor(a) for name, a in state.items()})"
        for n, v in (self.inputs | self.kwargs).items():
            g = self.dinputs.get(n)
            if isinstance(v, tuple) and any(isinstance(part, Values) for part in v):
                yield f"{n} = tuple(torch.tensor(a, requires_grad=True) for a in {n})"
            elif isinstance(v, Values):
                yield f"{n} = torch.tensor({n}{', requires_grad=True' if g is not None else ''})"
        yield ""
        arguments = [*self.inputs, *(f"{n}={n}" for n in self.kwargs)]
        names = self.names()
        yield f"{self.unpacked(names)} = module({', '.join(arguments)})"
        if len(names) == 1:
            yield "y.backward(torch.tensor(dy))"
        else:
            yield f"torch.autograd.backward(({', '.join(names)}), [torch.tensor(g) for g in dy])"
        for n in names:
            yield shown(n, f"{n}.detach().numpy()")
        for label, _, place in self._gradients():
            yield shown(label, f"{place}.numpy()")
        for n in self.params[:_PARAMS]:
            yield shown(f"d{n}", f'module.get_parameter("{n}").grad.numpy()')
        for n in self.updates:
            yield shown(f"next {n}", f'module.state_dict()["{n}"].numpy()')
        if self.params:
            yield from ("", "torch.optim.SGD(module.parameters(), lr=0.1).step()")
            yield shown(
                f"{self.params[0]} after a step", f'module.state_dict()["{self.params[0]}"].numpy()'
            )
        if self.modes:
            yield from ("", "module.eval()")
            yield f"y = module({', '.join(arguments)})" + "[0]" * (len(names) > 1)
            yield shown("evaluation", "y.detach().numpy()")

    def unpacked(self, names: Sequence[str]) -> str:
        """The names as torch nests what they stand for."""
        if len(names) == 1:
            return "y"
        if self.name == "LSTM":
            return f"{names[0]}, ({', '.join(names[1:])})"
        return ", ".join(names)
