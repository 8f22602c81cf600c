"""An answer of another shape: what it is, if it holds the right numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, permutations
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.verify.diagnose.otherwise import options
from npnet.verify.diagnose.probe import Asker, Probe
from npnet.verify.finding import Explanation, Finding, Verdict


def misshapen(
    finding: Finding,
    probes: Sequence[tuple[Probe, str]],
    asker: Asker,
    values: Mapping[str, Sequence[Any]],
) -> Explanation | None:
    """How the answer is to be brought into torch's shape, where that makes it right."""
    if finding.verdict is not Verdict.CONTRACT or "must have shape" not in finding.message:
        return None
    told: list[dict[str, str]] = []
    for probe, quantity in probes:
        got, want = probe.got.get(quantity), probe.want.get(quantity)
        if got is None or want is None or got.shape == want.shape:
            continue
        told.append(
            {
                text: kind
                for kind, text, value in _brought(got, want)
                if value.shape == want.shape and _near(value, want)
            }
        )
    kept = [t for t in (told[0] if told else {}) if all(t in others for others in told)]
    if kept:
        return Explanation(told[0][kept[0]], kept[0], 0.0)
    return _another_option(probes, asker, values) if finding.quantity == "y" else None


def _near(a: Array, b: Array) -> bool:
    """Whether both are the same numbers, but for what rounding and its like can do."""
    return bool((np.abs(a - b) <= 2.0**-30 * float(np.abs(b).max(initial=0.0))).all())


def _another_option(
    probes: Sequence[tuple[Probe, str]], asker: Asker, values: Mapping[str, Sequence[Any]]
) -> Explanation | None:
    """The option under which torch has the answer in that shape."""
    told: list[dict[str, str]] = []
    for probe, _ in probes:
        got, names = probe.got.get("y"), {}
        if got is None or got.shape == probe.want["y"].shape:
            continue
        for q in options(probe.example, values):
            arrays = {n: a for n, a in q.example.arrays.items() if not n.startswith("dy")}
            answers = asker.twin(replace(q.example, arrays=arrays, outputs=()))
            y = None if answers is None else answers.get("y")
            if y is not None and y.shape == got.shape and _near(y, got):
                names[q.text] = q.kind
        told.append(names)
    kept = [t for t in (told[0] if told else {}) if all(t in others for others in told)]
    return Explanation(told[0][kept[0]], kept[0], 0.0) if kept else None


def _brought(got: Array, want: Array) -> Iterator[tuple[str, str, Array]]:
    if got.ndim == want.ndim:
        for perm in permutations(range(got.ndim)):
            if tuple(got.shape[i] for i in perm) == want.shape:
                yield (
                    "order",
                    "its axes are exchanged: it is the transpose of torch's",
                    (got.transpose(perm)),
                )
    gone = got.ndim - want.ndim
    for axes in combinations(range(got.ndim), max(gone, 0)):
        if gone > 0:
            where = "the axes in front" if axes == tuple(range(gone)) else f"the axes {axes}"
            if all(got.shape[i] == 1 for i in axes):
                yield "contract", f"{where} are left over, with length 1", got.squeeze(axes)
            yield "reduction", f"it is not summed over {where}", got.sum(axes)
    if got.ndim == want.ndim:
        wide = tuple(i for i in range(got.ndim) if want.shape[i] == 1 < got.shape[i])
        yield (
            "reduction",
            "it is not summed over the axes that were broadcast",
            got.sum(wide, keepdims=True),
        )
    if got.ndim < want.ndim and got.size == want.size:
        yield "contract", "an axis of length 1 was dropped", got.reshape(want.shape)
    if got.size == want.size:
        yield "contract", "the numbers are right, in another shape", got.reshape(want.shape)
