"""One failure as a script of its own: NumPy, torch and the candidate, nothing of the engine.

The script asks torch in float64 and the candidate in its dtype, under the protocol that showed the
failure, prints got, torch, difference and allowed, and exits 1 while they disagree.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError
from npnet.report import words
from npnet.verify.case import Example, LayerConfig, Slot, leaves, map_leaves
from npnet.verify.draw import MODERATE
from npnet.verify.finding import BROKEN, UNPROVEN, Finding, Verdict

LARGE = 400
"""Elements beyond which the arrays are loaded from arrays.npz instead of written out."""

BESIDE = 'Path(__file__).with_name("arrays.npz")'
_WIDTH = 96
_SECONDS = 10  # after which a script of a hang gives up


def script(finding: Finding, *, arrays: str = BESIDE, pytest: bool = False) -> str:
    """The source text of the script, or of a test function.

    arrays: the expression for the path of arrays.npz, used where the arrays are large. Raises
    ConfigError where no single case shows the finding.
    """
    f = finding
    if f.case is None or f.verdict in UNPROVEN:
        raise ConfigError(
            f"{f.id} is {f.verdict}: no single case shows it. "
            f"Run npnet verify {f.target or f.layer}."
        )
    kinds = {"optim": _Optimizer, "lr_scheduler": _Schedule, "autograd": _Operation}
    kind = kinds.get(f.twin.rpartition(".")[0], _Layer)(f, f.case)
    body = _data(f, f.case, arrays)
    if f.verdict in BROKEN:
        guard = f.verdict is Verdict.TIMEOUT
        body += [f"faulthandler.dump_traceback_later({_SECONDS}, exit=True)"] if guard else []
        body += ["", "# ---- the candidate", *kind.candidate()]
        body += ["faulthandler.cancel_dump_traceback_later()"] if guard else []
        body += ['print("the candidate answers")', "wrong = False"]
    else:
        torch = [] if not kind.compares else ["", "# ---- torch, in float64", *kind.torch()]
        body += [*torch, "", "# ---- the candidate", *kind.candidate()]
        body += ["", "# ---- compared", *kind.compared()]
    if pytest:
        name = re.sub(r"\W", "_", f.id, flags=re.ASCII)
        body = [f"def test_{name}():", *_indent([*body, "assert not wrong"])]
    else:
        body.append("sys.exit(1 if wrong else 0)")
    functions = [line for function in kind.functions() for line in ("", "", *function)]
    rest = [*_loading(f), *functions, *([""] * 2 if functions else []), *body]
    text = "\n".join(rest)
    return "\n".join([*_title(f, pytest), *_imports(text), "", text]) + "\n"


def _title(f: Finding, pytest: bool) -> Iterator[str]:
    """What the script shows, as comments: one line each, so that nothing in them is code."""
    yield f"# {words.heading(f)}  {words.where(f)}  ({words.clean(f.id)})"
    about = words.how_much(f) or words.clean(f.message)
    yield from (f"# {line}" for line in textwrap.wrap(about, _WIDTH))
    if not pytest:
        yield "#"
        yield "# Exits 1 while the two disagree, 0 once they agree."
    yield ""


# ---- literals ------------------------------------------------------------------------------------


def literal(value: Any) -> str:
    """A configuration value as source text; a Slot is its array."""
    if isinstance(value, Slot):
        return f"arrays[{value.name!r}]"
    if isinstance(value, LayerConfig):
        return f"LayerConfig({value.layer!r}, {literal(dict(value.config))})"
    if isinstance(value, tuple):
        return "(" + "".join(f"{literal(x)}, " for x in value).rstrip(" ") + ")"
    if isinstance(value, list):
        return "[" + ", ".join(literal(x) for x in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {literal(x)}" for k, x in value.items()) + "}"
    if isinstance(value, np.generic):
        value = value.item()
    return repr(value)


def array_literal(a: Array) -> str:
    """An array as source text that gives every bit back (but for the payload of a nan)."""
    a = np.asarray(a)
    dtype = "" if a.dtype.name in ("float64", "int64", "bool") else f', dtype="{a.dtype.name}"'
    if not a.size:
        return f'np.zeros({a.shape}, dtype="{a.dtype.name}")'
    values = a.astype(np.float64).tolist() if a.dtype.kind == "f" else a.tolist()
    return _folded(f"np.array({values!r}{dtype})")


def _folded(text: str) -> str:
    """A long expression on several lines. Breaks at spaces only, so never inside a number."""
    return "\n    ".join(textwrap.wrap(text, _WIDTH - 20, break_long_words=False))


def construct(package: str, layer: str, config: Mapping[str, Any], tensors: bool) -> str:
    """A constructor call, layers inside the configuration included; tensors: Slots as tensors."""
    inner = dict(config)
    positional = [_argument(package, x, tensors) for x in inner.pop("layers", ())]
    named = [f"{name}={_argument(package, x, tensors)}" for name, x in inner.items()]
    return f"{package}.{layer}({', '.join(positional + named)})"


def _argument(package: str, value: Any, tensors: bool) -> str:
    if isinstance(value, LayerConfig):
        config = dict(value.config)
        if tensors:
            config.pop("training", None)
        return construct(package, value.layer, config, tensors)
    if isinstance(value, Slot) and tensors:
        return f"t[{value.name!r}]"
    if isinstance(value, tuple) and any(isinstance(x, LayerConfig) for x in value):
        return "(" + "".join(f"{_argument(package, x, tensors)}, " for x in value) + ")"
    return literal(value)


def _indent(source: Iterable[str], by: str = "    ") -> list[str]:
    return [by + line if line else line for text in source for line in text.split("\n")]


# ---- what every script has -----------------------------------------------------------------------

_IMPORTS = (
    ("faulthandler", "import faulthandler"),
    ("importlib.import_module", "import importlib"),
    ("importlib.util", "import importlib.util"),
    ("sys.", "import sys"),
    ("replace(", "from dataclasses import replace"),
    ("Path(", "from pathlib import Path"),
    ("", ""),
    ("np.", "import numpy as np"),
    ("torch.", "import torch"),
    ("inf", "from numpy import inf"),
    ("nan", "from numpy import nan"),
    ("TorchDispatchMode", "from torch.utils._python_dispatch import TorchDispatchMode"),
    ("", ""),
    ("nn.", "from npnet import nn"),
    ("optim.", "from npnet import optim"),
    ("Tensor.", "from npnet.autograd import Tensor"),
    ("Power(", "from npnet.verify.case import Power"),
    ("Forward(", "from npnet.contract import Forward"),
    ("Grads(", "from npnet.contract import Grads"),
    ("Case(", "from npnet.verify.case import Case"),
    ("LayerConfig(", "from npnet.verify.case import LayerConfig"),
    ("OptimizerCase(", "from npnet.verify.case import OptimizerCase"),
    ("gradient(", "from npnet.verify.case import gradient"),
    ("objective(", "from npnet.verify.objective import objective"),
    ("part_of(", "from npnet.verify.whole import part_of"),
)


def _imports(text: str) -> list[str]:
    """The imports that a text needs, one line per module."""
    found: list[str] = []
    for used, line in _IMPORTS:
        pattern = r"(?<![\w.'\"])" + re.escape(used) + ("" if used[-1:] in "(." else r"\b")
        if used and not re.search(pattern, text):
            continue
        module, names, name = line.partition(" import ")
        if names and found and found[-1].startswith(f"{module} import "):
            found[-1] += f", {name}"
        elif line or (found and found[-1]):
            found.append(line)
    return found


def _place(f: Finding) -> tuple[str, str, str]:
    """("native" | "file" | "module" | "object", place, name) of the candidate."""
    path, found, name = f.target.rpartition("::")
    if found:
        return "file", path, name
    if not f.target:
        return "object", "", ""
    module, found, name = f.target.rpartition(":")
    return ("module", module, name) if found else ("native", "", f.twin)


def _loading(f: Finding) -> Iterator[str]:
    kind, place, name = _place(f)
    if kind == "file":
        yield f"FILE = Path({place!r})  # run this where npnet verify was run"
        yield 'location = importlib.util.spec_from_file_location("candidates", FILE)'
        yield 'candidates = sys.modules["candidates"] = importlib.util.module_from_spec(location)'
        yield "sys.path.insert(0, str(FILE.resolve().parent))"
        yield "location.loader.exec_module(candidates)"
        yield f"candidate = {_taken(f'getattr(candidates, {name!r})', f)}"
    elif kind == "module":
        yield 'sys.path.insert(0, "")'
        found = f"getattr(importlib.import_module({place!r}), {name!r})"
        yield f"candidate = {_taken(found, f)}"
    elif kind == "object":
        yield "candidate = None  # was handed over as an object: import your candidate here"
        yield "if candidate is None:"
        yield f'    sys.exit("put your candidate of {words.clean(f.twin)} into this script first")'


def _taken(found: str, f: Finding) -> str:
    """The candidate of what a target names; of a training run one layer is it."""
    return f"part_of({found}, {f.layer!r})" if f.step else found


def _data(f: Finding, example: Example, arrays: str) -> list[str]:
    """The arrays of the case, and what was allowed."""
    alone = example.sets == 1
    size = sum(a.size for a in example.arrays.values())
    large = size + (f.smallest.allowed.size if f.smallest else 0) > LARGE
    found = []
    if large:
        found.append(f"file = np.load({arrays})")
        found.append('others = ("smallest ", "probe ", "mask ")')
        pick = "file[name][0]" if alone else "file[name]"
        found.append(f"arrays = {{name: {pick} for name in file if not name.startswith(others)}}")
    else:
        found.append("arrays = {")
        for name, a in example.arrays.items():
            found += _indent([f"{name!r}: {array_literal(a[0] if alone else a)},"])
        found.append("}")
    found += [f"mask_{i} = {array_literal(m)}" for i, m in enumerate(example.masks or ())]
    if f.smallest is not None:
        found.append("# how far a right implementation may be from torch's float64")
        allowed = 'file["smallest allowed"]' if large else array_literal(f.smallest.allowed)
        found.append(f"allowed = {allowed}")
    return found


_STRIDED = '''
def strided(a, variant):
    """The same values, laid out otherwise in memory."""
    if a.ndim == 0:
        return a.copy()
    if variant % 3 == 0:
        return np.asfortranarray(a.copy())
    if variant % 3 == 1:
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
        wide[..., ::2] = a
        return wide[..., ::2]
    return np.flip(np.flip(a).copy())
'''

_MASKS = '''
class Masks(TorchDispatchMode):
    """torch dropping what the candidate drops: its masks come from the same generator."""

    def __init__(self, random):
        super().__init__()
        self.random = random

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.bernoulli_.float:
            noise, keep = args[0], args[1] if len(args) > 1 else 0.5
            mask = self.random(tuple(noise.shape)) >= 1 - keep
            return noise.copy_(torch.from_numpy(np.asarray(mask)))
        if func is torch.ops.aten.rand.default:
            return torch.from_numpy(self.random(tuple(args[0]))).to(kwargs["dtype"])
        return func(*args, **(kwargs or {}))
'''

_SAME = '''
def same(a, b):
    """Equal, NaN included."""
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
'''

_COMPLAINT = '''
def complaint(got, want):
    """What is wrong with the type, the shape or the dtype, or None."""
    if not isinstance(got, (np.ndarray, np.generic)):
        return f"got {type(got).__name__} where torch has an array of shape {want.shape}"
    dtype = "DTYPE" if want.dtype.kind == "f" else want.dtype.name
    if got.shape != want.shape or got.dtype.name != dtype:
        return f"got {got.dtype} of shape {got.shape}, torch has shape {want.shape} in {dtype}"
    return None
'''

_DIFFERS = '''
def differs(got, want, allowed):
    """Print both sides, and say whether they are further apart than allowed."""
    got, want = np.asarray(got, dtype=float), np.asarray(want, dtype=float)
    with np.errstate(invalid="ignore"):
        difference = got - want
    print("got       ", got)
    print("torch     ", want)
    print("difference", difference)
    print("allowed   ", allowed)
    right = (abs(difference) <= allowed) | (got == want) | np.isnan(got) & np.isnan(want)
    return not np.all(right | np.isinf(allowed))
'''

_TENSORS = """
t = {
    name: torch.tensor(a, dtype=torch.float64 if a.dtype.kind == "f" else None)
    for name, a in arrays.items()
}
"""


def _block(template: str) -> list[str]:
    return template.strip("\n").split("\n")


def _unknown(f: Finding, example: Example) -> str | None:
    """The name in "gradient of W" or "next W" where neither an input nor a state entry has it."""
    name = f.quantity.removeprefix("gradient of ").removeprefix("next ")
    known = name == f.quantity or name in example.arrays or f"state {name}" in example.arrays
    return None if known or f.twin.startswith("optim.") else name


class _Kind:
    """What the scripts of layers and of optimizers have in common."""

    def __init__(self, f: Finding, example: Example) -> None:
        self.f, self.example = f, example
        self.native = _place(f)[0] == "native"
        self.handed = f.quantity in example.arrays  # an array that was written into
        self.unknown = _unknown(f, example)  # an entry that torch does not have
        self.compares = not self.handed and self.unknown is None and f.verdict not in BROKEN
        self.rule = self.compares and f.smallest is None
        self.again = f.protocol == "again" and self.rule
        self.kept = self.again or (f.protocol == "interleaved" and self.rule)

    def functions(self) -> Iterator[list[str]]:
        """The functions that the script needs, as lines."""
        compares = self.compares
        wanted = (
            (_STRIDED, self.f.protocol == "strided"),
            (_MASKS, self.example.draws and compares),
            (_SAME, self.kept or self.handed),
            (_COMPLAINT.replace("DTYPE", self.f.dtype), compares),
            (_DIFFERS, compares and self.f.smallest is not None),
        )
        for template, needed in wanted:
            if needed:
                yield _block(template)

    def hand_over(self) -> str:
        """The copies that the candidate is given."""
        if self.f.protocol == "strided":
            return "handed = {name: strided(a, len(name)) for name, a in arrays.items()}"
        return "handed = {name: a.copy() for name, a in arrays.items()}"

    def other(self) -> str:
        """Other arrays of the same shapes, for a call in between."""
        return "other = {name: np.flip(a).copy() for name, a in arrays.items()}"

    def twice(self, calls: Iterable[str]) -> Iterator[str]:
        """The calls with arrays that may be written, and with arrays that may not."""
        q = self.f.quantity
        yield "wrong = False"
        yield "for writeable in (True, False):  # a write is seen afterwards, or it raises"
        inner = [
            self.hand_over(),
            "for a in handed.values():",
            "    a.flags.writeable = writeable",
            *calls,
            f"wrong = wrong or not same(handed[{q!r}], arrays[{q!r}])",
        ]
        yield from _indent(inner)

    def compared(self) -> Iterator[str]:
        """The comparison that sets `wrong`."""
        q = self.f.quantity
        if self.handed:
            yield f'print({q!r}, "was written into" if wrong else "was left alone")'
            return
        if self.unknown is not None:
            yield "wrong = got is not None"
            yield f"""print("torch's state_dict has no", {self.unknown!r})"""
            return
        if q.startswith("gradient of "):  # where torch has none, any dtype will do
            yield "wrong = None if grad is None else complaint(got, want)"
        else:
            yield "wrong = complaint(got, want)"
        if self.f.smallest is not None:
            yield "print(wrong) if wrong else None"
            yield "wrong = wrong or differs(got, want, allowed)"
            return
        if self.kept:
            yield "if wrong is None and not same(got, before):"
            yield '    wrong = f"a result that was kept has changed: {before} is now {got}"'
        if self.again:
            yield "if wrong is None and not same(factor * before, second):"
            yield '    wrong = f"asked again: {second}, not {factor} times {before}"'
        yield 'print(wrong or "the candidate keeps the contract here")'

    def torch(self) -> Iterator[str]:
        """torch's answer, as `want`."""
        raise NotImplementedError

    def candidate(self) -> Iterator[str]:
        """The candidate's answer, as `got`."""
        raise NotImplementedError


class _Layer(_Kind):
    """The script of a layer or a loss."""

    def functions(self) -> Iterator[list[str]]:
        """The shared ones, and the candidate's forward pass as a function of the arrays."""
        yield from super().functions()
        yield list(self._forward())

    def _forward(self) -> Iterator[str]:
        example = self.example
        states = [n.removeprefix("state ") for n in example.arrays if n.startswith("state ")]
        state = ", ".join(f"{n!r}: arrays[{'state ' + n!r}]" for n in states)
        yield "def forward(arrays):"
        yield '    """The candidate\'s forward pass."""'
        yield f"    state = {{{state}}}"
        inputs = [literal(x) for x in example.inputs]
        named = {name: literal(x) for name, x in example.kwargs.items()}
        rng = f"np.random.default_rng({example.seed})" if example.draws else "None"
        if self.native:
            named |= {"rng": rng} if example.draws else {}
            call = ", ".join(["state", *inputs, *(f"{n}={x}" for n, x in named.items())])
            yield f"    layer = {construct('nn', self.f.twin, example.config, False)}"
            yield f"    return layer({call})"
        else:
            kwargs = ", ".join(f"{n!r}: {x}" for n, x in named.items())
            nested = literal(dict(example.config))
            yield f"    config = {nested}"
            yield f"    inputs = ({''.join(f'{x}, ' for x in inputs).rstrip(' ')})"
            yield f"    case = Case(config, state, inputs, {{{kwargs}}}, {rng})"
            yield "    return Forward(*candidate(case))"

    def torch(self) -> Iterator[str]:
        """The module with its state loaded, one forward pass and, for a gradient, one backward."""
        example, q = self.example, self.f.quantity
        config = dict(example.config)
        training = config.pop("training", True)
        yield from _block(_TENSORS)
        yield f"module = {construct('torch.nn', self.f.twin, config, True)}"
        yield f"module = module.double().train({training})"
        states = [n for n in example.arrays if n.startswith("state ")]
        if states:
            loaded = ", ".join(f"{n.removeprefix('state ')!r}: t[{n!r}]" for n in states)
            yield f"module.load_state_dict({{{loaded}}})"
        inputs = [literal(x).replace("arrays[", "t[") for x in example.inputs]
        named = [f"{n}={literal(x).replace('arrays[', 't[')}" for n, x in example.kwargs.items()]
        for name, a in example.arrays.items():
            if name.startswith("input ") and a.dtype.kind == "f":
                yield f"t[{name!r}].requires_grad_()"
        call = f"y = module({', '.join([*inputs, *named])})"
        if example.draws:
            yield from self._random()
            yield "with Masks(random):"
            yield f"    {call}"
        else:
            yield call
        yield from self._flattened()
        yield from self._backward() if q.startswith("gradient of ") else self._value()

    def _random(self) -> Iterator[str]:
        if self.example.masks is None:
            yield f"random = np.random.default_rng({self.example.seed}).random"
            return
        masks = "".join(f"mask_{i}, " for i in range(len(self.example.masks)))
        yield f"masks = iter(({masks.rstrip(' ')}))"
        yield "def random(shape):"
        yield "    return np.where(next(masks), 1.0, -1.0).reshape(shape)"

    def _flattened(self) -> Iterator[str]:
        """The outputs in a row, where the module nests them, as an LSTM does."""
        if len(self.example.outputs) > 1:
            yield "y = [part for x in y for part in (x if isinstance(x, tuple) else (x,))]"

    def _value(self) -> Iterator[str]:
        q = self.f.quantity
        if q.startswith("next "):
            name = q.removeprefix("next ")
            yield f"want = module.state_dict()[{name!r}].numpy()"
        elif q.startswith("y ") and q[2:].isdecimal():
            yield f"want = y[{int(q[2:])}].detach().numpy()"
        else:
            yield f"want = y{'[0]' if len(self.example.outputs) > 1 else ''}.detach().numpy()"

    def _backward(self) -> Iterator[str]:
        names = self.example.outputs
        if len(names) == 1:
            yield "if y.requires_grad:"
            yield "    y.backward(t['dy'])" if names[0] else "    pass"
        else:
            dys = "".join(f"t[{n!r}], " if n else "None, " for n in names)
            yield f"dys = ({dys.rstrip(' ')})"
            yield "pairs = [(a, dy) for a, dy in zip(y, dys) if dy is not None and a.requires_grad]"
            yield "torch.autograd.backward([a for a, _ in pairs], [dy for _, dy in pairs])"
        name = self.f.quantity.removeprefix("gradient of ")
        if name in self.example.arrays:
            yield f"grad = t[{name!r}].grad"
            like = name
        else:
            yield f"parameter = dict(module.named_parameters()).get({name!r})"
            yield "grad = None if parameter is None else parameter.grad"
            like = f"state {name}"
        dense = ".to_dense()" if self.example.config.get("sparse") else ""
        yield f"want = np.zeros(arrays[{like!r}].shape) if grad is None else grad{dense}.numpy()"

    def candidate(self) -> Iterator[str]:
        """One forward pass, one vjp, and what the protocol adds."""
        if self.example.sets > 1:
            yield f"for s in range({self.example.sets}):"
            yield "    handed = {name: a[s, ...].copy() for name, a in arrays.items()}"
            yield "    y, vjp, updates = forward(handed)"
            yield f"    vjp({self._dy('handed')})"
            return
        if self.f.protocol == "split":
            yield from self._split()
            return
        if self.handed:
            yield from self._written()
            return
        yield self.hand_over()
        yield "y, vjp, updates = forward(handed)"
        interleaved = self.f.protocol == "interleaved"
        on_y = not self.f.quantity.startswith("gradient of ")
        if interleaved:
            if self.kept and on_y:
                yield f"before = np.array({self._got()})"
            yield self.other()
            yield "forward(other)  # another call before the vjp of the first"
        yield self._grads("grads", self._dy("handed"))
        if self.f.verdict in BROKEN:
            if self.f.protocol == "again":
                yield f"vjp({self._dy('handed')})"
                yield "forward(handed)"
            return
        yield f"got = {self._got()}"
        if not on_y and self.compares:
            yield "if got is None and grad is None:"
            yield "    got = want  # no gradient on either side"
        if self.kept and not (interleaved and on_y):
            yield "before = np.array(got)"
        if self.again:
            yield from self._again(on_y)

    def _written(self) -> Iterator[str]:
        calls = ["y, vjp, updates = forward(handed)", f"vjp({self._dy('handed')})"]
        yield from self.twice([*calls, *reversed(calls)] if self.f.protocol == "again" else calls)

    def _again(self, on_y: bool) -> Iterator[str]:
        moderate = self.example.themes[0] in MODERATE and self.f.dtype == "float64"
        factor = 2.0 if moderate and not on_y else 1.0
        dy = self._dy("handed", factor)
        yield f"factor = {factor}"
        yield self._grads("grads", dy)
        yield "y, vjp, updates = forward(handed)"
        yield f"second = {self._got()}"
        if not on_y:
            yield "if second is None and got is not None:"
            yield "    second = factor * before"

    def _split(self) -> Iterator[str]:
        yield "halves = []"
        yield 'n = len(arrays["input 0"])'
        yield "for part in (slice(0, n // 2), slice(n // 2, n)):"
        inner = [
            "handed = {",
            '    name: a[part].copy() if name.startswith(("input ", "dy")) else a.copy()',
            "    for name, a in arrays.items()",
            "}",
            "y, vjp, updates = forward(handed)",
            self._grads("grads", self._dy("handed")),
            f"halves.append({self._got()})",
        ]
        yield from _indent(inner)
        joined = self.f.quantity.startswith(("y", "gradient of input"))
        yield f"got = {'np.concatenate(halves)' if joined else 'halves[0] + halves[1]'}"

    def _dy(self, arrays: str, factor: float = 1.0) -> str:
        scale = f"{factor} * " if factor != 1 else ""
        parts = [f"{scale}{arrays}[{n!r}]" if n else "None" for n in self.example.outputs]
        return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"

    def _grads(self, name: str, dy: str) -> str:
        return f"{name} = vjp({dy})" if self.native else f"{name} = Grads(*vjp({dy}))"

    def _got(self) -> str:
        """The quantity in the candidate's reply."""
        q = self.f.quantity
        if q.startswith("next "):
            name = q.removeprefix("next ")
            kept = f"arrays['state {name}']" if f"state {name}" in self.example.arrays else "None"
            return f"updates.get({name!r}, {kept})"
        if not q.startswith("gradient of "):
            return f"y[{int(q[2:])}]" if q.startswith("y ") and q[2:].isdecimal() else "y"
        name = q.removeprefix("gradient of ")
        known = [n for i, x in enumerate(self.example.inputs) for n, _ in leaves(x, f"input {i}")]
        if name not in known:
            return f"grads.params.get({name!r})"
        path = [int(i) for i in name.removeprefix("input ").split(".")]
        return "grads.inputs" + "".join(f"[{i}]" for i in path)


class _Operation(_Layer):
    """The script of an operation of a tensor."""

    def _forward(self) -> Iterator[str]:
        if not self.native:
            yield from super()._forward()
            return
        yield "def forward(arrays):"
        yield '    """The candidate\'s forward pass, and its way back."""'
        yield "    real = {name: a for name, a in arrays.items() if a.dtype.kind == 'f'}"
        yield "    leaf = {name: Tensor(a, requires_grad=True) for name, a in real.items()}"
        name = self.f.twin.removeprefix("autograd.")
        yield f"    y = Tensor.{name}({self._call('leaf', 'arrays', {})})"
        yield "    def vjp(dy):"
        yield "        y.backward(dy, keep=True)"
        inner = [map_leaves(x, "", lambda _, x: self._grad_of(x)) for x in self.example.inputs]
        grads = "".join(f"{_nested(x)}, " for x in inner).rstrip(" ")
        yield f"        grads = Grads(({grads}))"
        yield "        for x in leaf.values():"
        yield "            x.zero_grad()"
        yield "        return grads"
        yield "    return Forward(y.data, vjp)"

    def torch(self) -> Iterator[str]:
        """The operation, and for a gradient the way back."""
        yield from _block(_TENSORS)
        for name, a in self.example.arrays.items():
            if name.startswith("input ") and a.dtype.kind == "f":
                yield f"t[{name!r}].requires_grad_()"
        yield f"y = {words.in_torch(self.f.twin)}({self._call('t', 't', _DIMS)})"
        q = self.f.quantity
        yield from self._backward() if q.startswith("gradient of ") else self._value()

    def _real(self, x: Any) -> bool:
        return isinstance(x, Slot) and self.example.arrays[x.name].dtype.kind == "f"

    def _grad_of(self, x: Any) -> str:
        return f"leaf[{x.name!r}].grad" if self._real(x) else "None"

    def _call(self, real: str, other: str, names: Mapping[str, str]) -> str:
        """The arguments; `real` holds the leaves, `other` arrays that have no gradient."""

        def place(_: str, x: Any) -> str:
            if not isinstance(x, Slot):
                return literal(x)
            return f"{real if self._real(x) else other}[{x.name!r}]"

        found = [_nested(map_leaves(x, "", place)) for x in self.example.inputs]
        options = {**self.example.config, **self.example.kwargs}
        if names and "axes" in options and not options["axes"]:
            options["axes"] = tuple(reversed(range(self.example.arrays["input 0"].ndim - 1)))
        if names and self.f.twin == "autograd.max" and options["axis"] is None:
            options["axis"] = ()
        spread = [literal(options.pop(n)) for n in ("shape", "axes") if n in options]
        named = [
            f"{names.get(n, n)}={literal(x).replace('arrays[', f'{other}[')}"
            for n, x in options.items()
        ]
        return ", ".join([*found, *spread, *named])


_DIMS = {"axis": "dim", "keepdims": "keepdim", "indices": "index"}
"""torch's names for the options of operations."""


def _nested(texts: Any) -> str:
    """Texts, nested in tuples, as the text of one."""
    if isinstance(texts, tuple):
        return "(" + "".join(f"{_nested(x)}, " for x in texts).rstrip(" ") + ")"
    return str(texts)


_NUMBERS = ("step", "mu_product", "eta", "mu", "func_evals", "n_iter", "H_diag")


class _Optimizer(_Kind):
    """The script of an optimizer."""

    def __init__(self, f: Finding, example: Example) -> None:
        super().__init__(f, example)
        match = re.fullmatch(r"(?:params|state (\w+)) after step (\d+): (.+)", f.quantity)
        self.key = match[1] if match else None
        self.step = int(match[2]) if match else len(example.kwargs["lr"])
        self.param = match[3] if match else ""
        self.names = [n.removeprefix("param ") for n in example.arrays if n.startswith("param ")]
        self.groups: tuple[Any, ...] = tuple(example.kwargs.get("groups", ()))
        self.closure = "valley" in example.kwargs
        self.sparse = any(name.startswith("indices ") for name in example.arrays)

    def torch(self) -> Iterator[str]:
        """The steps of torch's optimizer up to the one that diverges."""
        name = self.f.twin.removeprefix("optim.")
        yield "def tensor(a):"
        yield "    return torch.tensor(a, dtype=torch.float64)"
        yield ""
        yield f"names = {self.names!r}"
        yield f"rates = {literal(self.example.kwargs['lr'])}"
        yield 'params = {n: torch.nn.Parameter(tensor(arrays[f"param {n}"])) for n in names}'
        arguments = "".join(f", {k}={literal(v)}" for k, v in self.example.config.items())
        stepped = "list(params.values())"
        if self.groups:
            yield f"groups = {literal(self.groups)}"
            yield 'named = [{**g, "params": [params[n] for n in g["params"]]} for g in groups]'
            stepped = "named"
        yield f"optimizer = torch.optim.{name}({stepped}{arguments})"
        if self.closure:
            yield "def closure():"
            yield "    now = {n: p.detach() for n, p in params.items()}"
            yield f"    loss, grads = {self._objective('now', 'tensor({})')}"
            yield "    for n, p in params.items():"
            yield "        p.grad = grads[n]"
            yield "    return loss"
            yield ""
        if self.groups:
            yield 'base = [group["lr"] for group in optimizer.param_groups]'
        yield f"for k, lr in enumerate(rates[:{self.step}], start=1):"
        if self.groups:
            yield "    for group, rate in zip(optimizer.param_groups, base):"
            yield '        group["lr"] = rate * (lr / rates[0])'
        else:
            yield "    for group in optimizer.param_groups:"
            yield '        group["lr"] = lr'
        if self.closure:
            yield "    optimizer.step(closure)"
        else:
            yield "    for n, p in params.items():"
            yield '        grad = arrays.get(f"grad {k} {n}")'
            yield "        p.grad = None if grad is None else tensor(grad)"
            if self.sparse:
                yield "        if grad is not None:"
                yield '            places = torch.tensor(arrays[f"indices {k} {n}"])'
                yield "            p.grad = torch.sparse_coo_tensor(places, p.grad, p.shape)"
            yield "    optimizer.step()"
        if self.key is None:
            yield f"want = params[{self.param or self.names[0]!r}].detach().numpy()"
        else:
            known = f"optimizer.state[params[{self.param!r}]][{self.key!r}]"
            yield f"want = np.asarray({known})"

    def candidate(self) -> Iterator[str]:
        """The candidate's steps."""
        yield f"names = {self.names!r}"
        yield f"rates = {literal(self.example.kwargs['lr'])}"
        if self.f.protocol == "interleaved":
            yield self.other()
        body = self._native() if self.native else self._foreign()
        yield "def steps(arrays):"
        yield from _indent(body)
        yield ""
        if self.f.protocol == "interleaved":
            yield "steps(other)  # other steps before these"
        if self.handed:
            yield from self.twice(["steps(handed)"])
            return
        yield self.hand_over()
        if self.f.verdict in BROKEN:
            yield "steps(handed)"
            return
        where = f"state.get({self.key!r}, {{}})" if self.key else "params"
        pick = f"{where}.get({self.param or self.names[0]!r})"
        if self.key in _NUMBERS:  # which may have any dtype
            pick = f"np.asarray({pick}).astype({self.f.dtype!r})"
        yield "params, state = steps(handed)"
        yield f"got = {pick}"
        if self.kept:
            yield "before = np.array(got)"
        if self.again:
            yield "factor = 1"
            yield "params, state = steps(handed)"
            yield f"second = {pick}"

    def _objective(self, params: str, how: str = "{}") -> str:
        """The call of the function to be minimised."""
        a, c = (
            "{n: " + how.format(f'arrays[f"{kind} {{n}}"]') + " for n in names}"
            for kind in ("curvature", "centre")
        )
        return f"objective({params}, {a}, {c}, {self.example.kwargs['valley']})"

    def _gradients(self) -> str:
        """What a step is given, of step k."""
        if not self.sparse:
            return '{n: arrays.get(f"grad {k} {n}") for n in names}'
        return "{n: gradient(arrays, k, n) for n in names}"

    def _native(self) -> Iterator[str]:
        name = self.f.twin.removeprefix("optim.")
        restart = self.example.kwargs.get("restart")
        config = ", ".join(f"{k}={literal(v)}" for k, v in self.example.config.items())
        yield f"optimizer = optim.{name}({config})"
        yield 'params = {n: arrays[f"param {n}"] for n in names}'
        if self.groups:
            yield f"optimizer = optim.Groups(optimizer, {literal(self.groups)})"
        yield "state = optimizer.init(params)"
        if self.closure:
            yield from self._evaluate()
        yield f"for k, lr in enumerate(rates[:{self.step}], start=1):"
        if not self.closure:
            yield f"    grads = {self._gradients()}"
        given = "closure" if self.closure else "grads"
        there = "optim.with_lr(optimizer, lr)" if self.groups else "replace(optimizer, lr=lr)"
        yield f"    params, state = {there}.step(params, {given}, state)"
        if restart is not None and restart < self.step:
            yield f"    if k == {restart}:"
            yield "        saved = optim.state_dict(state)"
            yield "        state = optim.load_state_dict(optimizer, params, saved)"
        yield "return params, state._asdict()"

    def _foreign(self) -> Iterator[str]:
        yield f"config = {literal(dict(self.example.config))}"
        yield 'params = {n: arrays[f"param {n}"] for n in names}'
        if self.closure:
            yield from self._evaluate()
            yield "grads = ({},) * len(rates)"
        else:
            yield "grads = tuple("
            yield f"    {self._gradients()}"
            yield "    for k in range(1, len(rates) + 1)"
            yield ")"
        more = f", {literal(self.groups)}" if self.groups or self.closure else ""
        more += ", closure" if self.closure else ""
        restart = self.example.kwargs.get("restart")
        yield f"case = OptimizerCase(config, params, grads, rates, {restart!r}{more})"
        yield f"step = list(candidate(case))[{self.step - 1}]"
        yield "return step if isinstance(step, tuple) else (step, {})"

    def _evaluate(self) -> Iterator[str]:
        """The closure that the candidate's steps are given."""
        yield "def closure(x):"
        yield f"    loss, grads = {self._objective('x')}"
        yield "    return loss, {n: np.asarray(g) for n, g in grads.items()}"
        yield ""


class _Schedule(_Layer):
    """The script of a learning-rate schedule."""

    def _forward(self) -> Iterator[str]:
        if not self.native:
            yield from super()._forward()
            return
        steps, metrics = self.example.kwargs["steps"], self.example.kwargs.get("metrics")
        twin, config = self.f.twin, self.example.config
        yield "def forward(arrays):"
        yield '    """The candidate\'s rates, as the output of a layer."""'
        yield f"    schedule = {construct('optim', twin, config, False)}"
        if metrics is not None:
            yield "    state, rates = schedule.init(), []"
            yield f"    for metric in {literal(metrics)}:"
            yield "        state = schedule.step(metric, state)"
            yield "        rates.append(state.lr)"
        else:
            yield f"    rates = [schedule(step) for step in range({steps})]"
        y = "np.array(rates)"
        if config.get("cycle_momentum"):
            yield f"    momenta = [schedule.momentum(step) for step in range({steps})]"
            y = f"({y}, np.array(momenta))"
        yield f"    return Forward({y}, lambda dy: None)"

    def torch(self) -> Iterator[str]:
        """The rates that torch's scheduler sets, and the momenta."""
        config, metrics = self.example.config, self.example.kwargs.get("metrics")
        momentum = self.f.quantity == "y 1"
        yield "parameter = torch.nn.Parameter(torch.zeros(1))"
        yield f"optimizer = torch.optim.SGD([parameter], lr={first_rate(config)!r}, momentum=0.5)"
        yield f"scheduler = {_scheduler(self.f.twin, config)}"
        yield "want = []"
        yield f"for step in range({self.example.kwargs['steps']}):"
        if metrics is not None:
            yield f"    scheduler.step({literal(metrics)}[step])"
        else:
            yield "    if step:"
            yield "        scheduler.step()"
        yield f'    want.append(optimizer.param_groups[0]["{"momentum" if momentum else "lr"}"])'
        yield "want = np.array(want)"


def first_rate(config: Mapping[str, Any]) -> Any:
    """The initial rate: that of the first schedule where several are composed."""
    if "schedulers" in config:
        return first_rate(config["schedulers"][0].config)
    return config.get("lr", 1.0)


def _scheduler(twin: str, config: Mapping[str, Any]) -> str:
    """The call that builds torch's scheduler."""
    name = twin.removeprefix("lr_scheduler.")
    inner = {key: value for key, value in config.items() if key != "lr"}
    arguments = ["optimizer"]
    if "schedulers" in inner:
        parts = ", ".join(_scheduler(part.layer, part.config) for part in inner.pop("schedulers"))
        arguments = [f"[{parts}]"] if name == "ChainedScheduler" else [*arguments, f"[{parts}]"]
    arguments += [f"{key}={literal(value)}" for key, value in inner.items()]
    return f"torch.optim.lr_scheduler.{name}({', '.join(arguments)})"
