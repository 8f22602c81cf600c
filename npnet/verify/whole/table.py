"""The table of a training run: how far every layer is off in every step, and whose fault it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from npnet.verify.examine import Evidence
from npnet.verify.finding import Step, Trace
from npnet.verify.precision import Precision
from npnet.verify.whole.faults import Fault
from npnet.verify.whole.margins import Margin
from npnet.verify.whole.trace import OPTIMIZER, Place

Margins = Mapping[Place, Margin]


@dataclass(frozen=True)
class Table:
    """Makes the trace of a run.

    faults: what is to blame; fresh: the margins of every step from torch's own state
    optimizer: what was seen of the optimizer, asked by itself for all steps
    """

    precision: Precision
    faults: Sequence[Fault]
    fresh: Mapping[int, Margins]
    optimizer: Evidence

    def trace(self, shown: Sequence[Margins], kinds: Mapping[str, str]) -> Trace:
        """Of the margins of the whole run, for these layers."""
        own = {(f.place.path, k) for f in self.faults for k in f.steps}
        rows: dict[str, list[Step]] = {name: [] for name in kinds}
        lost: int | None = None
        for k, step in enumerate(shown):
            known = [m.informative for m in step.values() if not m.exact]
            if lost is None and 2 * sum(known) < len(known):
                lost = k + 1
            for name, cells in rows.items():
                cell = _cell(name, step, own=(name, k) in own)
                cells.append(self._alone(name, k, cell) if cell.state == "unknown" else cell)
        layers = {name: tuple(cells) for name, cells in rows.items()}
        return Trace(self.precision.name, len(shown), layers, dict(kinds), lost)

    def _alone(self, name: str, k: int, unknown: Step) -> Step:
        """What is known of a layer in a step that begins with torch's own state."""
        for f in self.faults:
            if f.place.path == name and k in f.steps and f.failure.worst is not None:
                off = f.failure.worst.ratio * self.precision.k
                return Step("wrong", off, str(f.place))
        if name == OPTIMIZER:
            ratios = self.optimizer.ratios
            own = {q: r for q, r in ratios.items() if step_in(q) == k and "after step" in q}
            quantity = max(own, key=lambda q: own[q], default=None)
            return unknown if quantity is None else Step("fresh", own[quantity], quantity)
        if k not in self.fresh:
            return unknown
        cell = _cell(name, self.fresh[k], own=False)
        return replace(cell, state="fresh") if cell.state == "ok" else unknown


def _cell(name: str, step: Margins, *, own: bool) -> Step:
    """A layer in a step: the worst of what says something, and whether it is its own fault."""
    here = [(p, m) for p, m in step.items() if p.path == name]
    bad = [(p, m) for p, m in here if m.failure is not None]
    if bad:
        place, worst = max(bad, key=lambda pm: pm[1].ratio)
        return Step("wrong" if own else "inherits", worst.ratio, str(place))
    if not here:
        return Step("unknown", 0.0, "")
    known = [(p, m) for p, m in here if m.informative]
    if all(m.exact for _, m in here):
        known = here
    place, worst = max(known or here, key=lambda pm: pm[1].ratio)
    return Step("ok" if known else "unknown", worst.ratio, str(place))


def step_in(quantity: str) -> int:
    """The step, from 0, of "params after step 3: w"."""
    _, _, rest = quantity.partition("after step ")
    number = rest.partition(":")[0]
    return int(number) - 1 if number.isdigit() else 0
