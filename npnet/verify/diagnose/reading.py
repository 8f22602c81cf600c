"""Readings of a divergence: what the candidate's answer would be if a suspicion were true."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from npnet.contract import Array
from npnet.verify.finding import Explanation


@dataclass(frozen=True)
class Reading:
    """One suspicion on one probe.

    key: the same for the same suspicion on every probe; explains: the reconstructed answer
    cost: how far-fetched it is; the cheapest that explains everything is told first; inf: never
    claims: whether it names a cause; the others only describe what is off
    """

    key: tuple[str, ...]
    kind: str
    text: str
    explains: Array
    cost: float
    claims: bool = True


_PARTIAL = 0.6  # what it costs to explain most probes only
_WELL = 3  # probes of different kinds that are explained: no accident


@dataclass
class Support:
    """A suspicion and how well it did on each probe that it explains."""

    kind: str
    text: str
    cost: float
    claims: bool
    residuals: list[float]
    tried: int = 0  # on examples where the candidate is right
    contradicted: int = 0  # by how many of these

    @property
    def stands(self) -> bool:
        """Whether it is not contradicted by what the candidate gets right, or well supported."""
        return len(self.residuals) >= _WELL or 2 * self.contradicted <= self.tried


class Readings:
    """Collects what every suspicion makes of every probe, and keeps those that explain enough.

    That is every probe or, where no suspicion explains all, two probes out of three at least.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], Support] = {}
        self.probes = 0

    def add(self, readings: Iterable[tuple[Reading, float]]) -> None:
        """What explains one more probe, with the residuals."""
        self.probes += 1
        best: dict[tuple[str, ...], tuple[Reading, float]] = {}
        for reading, residual in readings:
            if (
                reading.cost < np.inf
                and residual <= 1
                and residual < best.get(reading.key, (reading, 2.0))[1]
            ):
                best[reading.key] = reading, residual
        for key, (reading, residual) in best.items():
            r = reading
            empty = Support(r.kind, r.text, r.cost, r.claims, [])
            self._found.setdefault(key, empty).residuals.append(residual)

    def contradict(self, readings: Iterable[tuple[Reading, float]]) -> None:
        """Take note of what would have been off on an example where the candidate is right."""
        best: dict[tuple[str, ...], float] = {}
        for reading, residual in readings:
            best[reading.key] = min(residual, best.get(reading.key, residual))
        for key, residual in best.items():
            if key in self._found:
                self._found[key].tried += 1
                self._found[key].contradicted += residual > 1

    def _enough(self) -> list[Support]:
        whole = [s for s in self._found.values() if len(s.residuals) == self.probes]
        if whole:
            return whole
        most = max((len(s.residuals) for s in self._found.values()), default=0)
        if most < 2 or 3 * most < 2 * self.probes:
            return []
        return [s for s in self._found.values() if len(s.residuals) == most]

    @property
    def open(self) -> bool:
        """Whether a suspicion is left."""
        return bool(self._enough())

    def told(self, partial: bool = True) -> Iterator[tuple[float, Explanation]]:
        """The explanations with what each costs, the cheapest first.

        partial: those of most probes as well, where nothing explains all
        """
        kept = sorted((s for s in self._enough() if s.stands), key=lambda s: (s.cost, len(s.text)))
        told: set[str] = set()  # of a kind the best is enough: the others come to the same numbers
        for s in kept:
            if s.kind in told or (not partial and len(s.residuals) < self.probes):
                continue
            told.add(s.kind)
            n = len(s.residuals)
            some = f" (in {n} of {self.probes} cases looked at)" if n < self.probes else ""
            certain = s.claims and (n == self.probes or n >= _WELL)
            cost = s.cost + (_PARTIAL if n < self.probes else 0.0)
            yield cost, Explanation(s.kind, s.text + some, max(s.residuals), certain)


def ranked(explanations: Sequence[Explanation], most: int = 5) -> tuple[Explanation, ...]:
    """Without repeated sentences, and not more than anybody reads."""
    kept: dict[str, Explanation] = {}
    for e in explanations:
        kept.setdefault(e.text, e)
    return tuple(list(kept.values())[:most])
