"""Activations and gradients that somebody wrote to a file, held against those of somebody else.

    step 3/fc1/y        step, layer and quantity; "fc1/y" and "encoder.fc1.weight.grad" will do
    step 3/fc1/bound of y    how far a correct implementation may be off (`npnet trace --dump`)

Where there are bounds, they decide. Elsewhere two results of one format must agree in half of its
digits, measured by the largest element: |a - b| <= √u · max |b|.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npnet.contract import Array, ConfigError
from npnet.verify.environment import environment
from npnet.verify.finding import (
    Explanation,
    Finding,
    LayerResult,
    Outcome,
    Report,
    Step,
    Trace,
    Verdict,
)
from npnet.verify.precision import PRECISIONS, Precision
from npnet.verify.spec import Expected
from npnet.verify.store import BOUND, FileFormatError
from npnet.verify.whole.margins import Margin, margin
from npnet.verify.whole.trace import Place

_MOST_AXES = 6  # whose orders are tried
_FORMATS = {  # of safetensors, by the name that it has there
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


class Dump(NamedTuple):
    """Arrays by name, and the format of each: bfloat16 is one that NumPy lacks.

    ordered: whether the names stand in the order of the pass, there and back, as npnet writes them
    """

    arrays: Mapping[str, Array]
    formats: Mapping[str, str]
    ordered: bool = False


class Named(NamedTuple):
    """What a name of a dump says."""

    step: int
    layer: str
    quantity: str


def compare(a: Any, b: Any) -> Report:
    """Hold one dump against another: which layer is the first to differ, and in which step.

    a, b: safetensors or npz files, or mappings of arrays by name; b is what a is held against

    Layers come in the order of the first file (of safetensors, which has none, in that of their
    names, 10 after 2), and after everything else gradients, from the last layer on. Raises
    ConfigError where no name is in both.
    """
    one, other = dump(a), dump(b)
    for d in (one, other):
        odd = next((n for n, x in d.arrays.items() if x.dtype.kind not in "biuf"), None)
        if odd is not None:
            raise FileFormatError(
                f"a dump must hold real numbers, but {odd!r} is {d.arrays[odd].dtype}."
            )
    bounds = {n: x for d in (one, other) for n, x in d.arrays.items() if _is_bound(n)}
    names = [n for n in one.arrays if not _is_bound(n)]
    theirs = [n for n in other.arrays if not _is_bound(n)]
    both = [n for n in names if n in other.arrays]
    if not both:
        near = get_close_matches(names[0], theirs, 1, 0.3) if names else []
        hint = f" Did you mean {near[0]!r} by {names[0]!r}?" if near else ""
        raise ConfigError(
            f"the two dumps have no name in common: {_some(names)} in one, {_some(theirs)} in the "
            f"other.{hint} Name the arrays alike, as layer/quantity."
        )
    ordered = both if one.ordered else _in_order(both)
    pairs = {name: _pair(name, one, other, bounds) for name in ordered}
    empty = [f"{n} (empty)" for n in both if not one.arrays[n].size]
    only = empty + [f"{n} (only in the first)" for n in names if n not in other.arrays]
    only += [f"{n} (only in the second)" for n in theirs if n not in one.arrays]
    return _report(pairs, one, other, only)


def dump(source: Any) -> Dump:
    """The arrays of a file or a mapping. Raises FileFormatError where it is something else."""
    if isinstance(source, Mapping):
        arrays = {str(n): np.asarray(x) for n, x in source.items()}
        return Dump(arrays, {n: str(x.dtype) for n, x in arrays.items()})
    path = Path(source)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}.") from None
    if data[:2] == b"PK":
        return _of_npz(path)
    return _of_safetensors(path, data)


def _of_npz(path: Path) -> Dump:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # zip, zlib and NumPy each have their own
        raise FileFormatError(f"{path} cannot be read as npz: {error}.") from None
    return Dump(arrays, {n: str(a.dtype) for n, a in arrays.items()})


def _of_safetensors(path: Path, data: bytes) -> Dump:
    """Read by hand: the reader of the library refuses bfloat16 and loses the order."""
    try:
        size = int.from_bytes(data[:8], "little")
        head = json.loads(data[8 : 8 + size])
        body = memoryview(data)[8 + size :]
        order = json.loads((head.pop("__metadata__", None) or {}).get("order", "[]"))
        arrays, formats = {}, {}
        for name in [*order, *sorted((n for n in head if n not in order), key=_natural)]:
            begin, end = head[name]["data_offsets"]
            kind, shape = head[name]["dtype"], head[name]["shape"]
            if kind == "BF16":  # the upper half of a float32
                wide = np.frombuffer(body[begin:end], "<u2").astype("<u4") << 16
                arrays[name] = wide.view("<f4").reshape(shape)
            else:
                arrays[name] = np.frombuffer(body[begin:end], _FORMATS[kind]).reshape(shape)
            formats[name] = "bfloat16" if kind == "BF16" else str(arrays[name].dtype)
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise FileFormatError(
            f"{path} must be a safetensors or an npz file, but cannot be read as one ({error})."
        ) from None
    return Dump(arrays, formats, ordered=bool(order))


# ---- names ---------------------------------------------------------------------------------------


def named(name: str) -> Named:
    """Step, layer and quantity of an array's name; step 1 where none is said."""
    match = re.match(r"(?:step|iter(?:ation)?|batch)[ _.\-]?(\d+)[/.]", name, re.IGNORECASE)
    step = int(match[1]) if match else 1
    rest = name[match.end() :] if match else name
    separator = "/" if "/" in rest else "."
    if separator not in rest:
        return Named(step, rest, "y")
    layer, _, quantity = rest.rpartition(separator)
    if quantity in ("grad", "gradient") and separator in layer:  # fc1.weight.grad
        layer, _, of = layer.rpartition(separator)
        quantity = f"gradient of {of}"
    return Named(step, layer, quantity)


def _is_bound(name: str) -> bool:
    return name.rpartition("/")[2].startswith(BOUND)


def bound_name(name: str) -> str:
    """Where the bound of an array stands."""
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{BOUND}{last}"


def _natural(name: str) -> list[Any]:
    """A key in which layer 10 comes after layer 2."""
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", name)]


def _in_order(names: Sequence[str]) -> list[str]:
    """Step by step: what goes forwards as it stands, then gradients from the last layer on."""
    found: list[str] = []
    steps: dict[int, list[str]] = {}
    for name in names:
        steps.setdefault(named(name).step, []).append(name)
    for _, here in sorted(steps.items()):
        ahead = [n for n in here if not _is_gradient(n)]
        back = [n for n in here if _is_gradient(n)]
        layers = dict.fromkeys(named(n).layer for n in [*ahead, *sorted(back, key=_natural)])
        place = {layer: k for k, layer in enumerate(layers)}
        found += [*ahead, *sorted(back, key=lambda n: -place[named(n).layer])]
    return found


def _is_gradient(name: str) -> bool:
    return "grad" in name.lower()


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(n) for n in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown or "nothing"


# ---- judging -------------------------------------------------------------------------------------


def _coarser(a: str, b: str) -> Precision:
    """The format with fewer digits."""
    known = [PRECISIONS[f] for f in (a, b) if f in PRECISIONS]
    return max(known, key=lambda p: p.u, default=PRECISIONS["float64"])


@dataclass(frozen=True)
class _Pair:
    """An array of both dumps, and how far they may be apart."""

    place: Place
    got: Array
    expected: Expected
    precision: Precision

    def held(self, got: Array) -> Margin:
        """How far an array is from the other's."""
        return margin(self.place, got, self.expected, self.precision)

    def layout(self) -> str | None:
        """Whether the other has it with its axes in another order, and in which."""
        want = self.expected.value[0]
        if not 2 <= self.got.ndim <= _MOST_AXES or sorted(self.got.shape) != sorted(want.shape):
            return None
        for axes in permutations(range(self.got.ndim)):
            turned = self.got.transpose(axes)
            if turned.shape == want.shape and self.held(turned).failure is None:
                return f"it is the same with its axes in the order {axes}: another layout"
        return None


def _pair(name: str, one: Dump, other: Dump, bounds: Mapping[str, Array]) -> _Pair:
    got, want = one.arrays[name], other.arrays[name]
    precision = _coarser(one.formats[name], other.formats[name])
    error: Array | None = None
    if want.dtype.kind == "f":
        got, want = (np.asarray(x, np.float64) if x.dtype.kind == "f" else x for x in (got, want))
        known = bounds.get(bound_name(name))
        if known is not None and known.shape == want.shape:
            error = np.asarray(known, np.float64)
            if not (error >= 0).all():
                raise FileFormatError(
                    f"{bound_name(name)!r} must hold bounds, 0 or more, but has {error.min()}."
                )
        else:
            finite = np.abs(want[np.isfinite(want)])
            most = float(finite.max()) if finite.size else 0.0
            error = np.full(want.shape, np.sqrt(precision.u) * most / precision.k)
    whole = None if error is None else error[np.newaxis]
    return _Pair(Place(*named(name)[1:]), got, Expected(want[np.newaxis], whole, None), precision)


def _report(pairs: Mapping[str, _Pair], one: Dump, other: Dump, only: Sequence[str]) -> Report:
    """What differs first is the finding; what differs after it may only inherit it."""
    found = {name: pair.held(pair.got) for name, pair in pairs.items()}
    steps = sorted({named(n).step for n in found})
    layers = list(dict.fromkeys(named(n).layer for n in found))
    wrong = [n for n, m in found.items() if m.failure is not None]
    first = named(wrong[0]) if wrong else None
    formats = {f for d in (one, other) for f in d.formats.values() if f in PRECISIONS}
    dtype = max(formats, key=lambda f: PRECISIONS[f].u, default="float64")
    rows: dict[str, tuple[Step, ...]] = {}
    results, inheriting = [], []
    for layer in layers:
        cells = []
        for step in steps:
            here = {n: m for n, m in found.items() if named(n)[:2] == (step, layer)}
            own = first is not None and (layer, step) == (first.layer, first.step)
            cells.append(_cell(here, own=own))
        rows[layer] = tuple(cells)
        own_margins = {n: m for n, m in found.items() if named(n).layer == layer}
        bad = any(m.failure is not None for m in own_margins.values())
        if bad and (first is None or layer != first.layer):
            inheriting.append(f"{layer} (differs, and may only inherit it)")
            continue
        ratios: dict[str, float] = {}
        for n, m in own_margins.items():
            ratios[named(n).quantity] = max(m.ratio, ratios.get(named(n).quantity, 0.0))
        verdict = Verdict.WRONG if bad else Verdict.PASS
        known = dict.fromkeys(ratios, len(steps))
        outcome = Outcome(verdict, len(steps), 0.0, ratios, known, {})
        results.append(LayerResult(layer, "", {dtype: outcome}))
    findings = []
    if wrong:
        name = wrong[0]
        findings = [_finding(name, found[name], pairs[name], len(wrong), one.formats[name])]
    trace = Trace(dtype, len(steps), rows, dict.fromkeys(rows, ""), None, tuple(steps))
    missing = [*inheriting, *only]
    return Report(findings, results, environment(), not_verified=missing, traces=[trace])


def _cell(here: Mapping[str, Margin], *, own: bool) -> Step:
    if not here:
        return Step("unknown", 0.0, "")
    name, worst = max(here.items(), key=lambda nm: nm[1].ratio)
    off = any(m.failure is not None for m in here.values())
    return Step(("wrong" if own else "inherits") if off else "ok", worst.ratio, name)


def _finding(name: str, m: Margin, pair: _Pair, count: int, dtype: str) -> Finding:
    failure = m.failure
    assert failure is not None
    at = named(name)
    rest = f"; {count - 1} more differ, and may only inherit it" if count > 1 else ""
    text = f"it is the first to differ, in the order of the pass{rest}"
    explanations: tuple[Explanation, ...] = (Explanation("first", text, 1.0, certain=False),)
    layout = pair.layout()
    if layout is not None:
        explanations = (Explanation("layout", layout, 0.0, certain=True), *explanations)
    return Finding(
        id=_slug(name),
        layer=at.layer,
        twin="",
        quantity=at.quantity,
        verdict=failure.verdict,
        dtype=dtype,
        device="",
        message=f"{name}: {failure.message.replace('torch', 'the other')}",
        protocol="compared",
        probe=failure.comparison,
        worst=failure.worst,
        wrong=failure.wrong,
        size=failure.size,
        step=at.step,
        explanations=explanations,
    )


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:80]


def written(arrays: Mapping[str, Array], path: Path) -> None:
    """Write a dump as safetensors that keeps the order of its names."""
    from safetensors.numpy import save

    data = save(
        {n: np.ascontiguousarray(a) if a.ndim else a for n, a in arrays.items()},
        metadata={"order": json.dumps(list(arrays))},
    )
    path.write_bytes(data)
