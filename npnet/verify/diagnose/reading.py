"""Readings of a divergence: what the candidate's answer would be if a suspicion were true."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from npnet.contract import Array
from npnet.verify.finding import Explanation


@dataclass(frozen=True)
class Reading:
    """One suspicion on one probe.

    key: the same for the same suspicion on every probe; explains: the reconstructed answer
    cost: how far-fetched it is; the cheapest that explains everything is told first
    """

    key: tuple[str, ...]
    kind: str
    text: str
    explains: Array
    cost: float


@dataclass
class Support:
    """A suspicion and how well it did on each probe that it was tried on."""

    kind: str
    text: str
    cost: float
    residuals: list[float]


class Readings:
    """Collects what every suspicion makes of every probe, and keeps those that explain them all."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], Support] = {}
        self._probes = 0

    def add(self, readings: Iterable[tuple[Reading, float]]) -> None:
        """What explains one more probe, with the residuals."""
        self._probes += 1
        seen: set[tuple[str, ...]] = set()
        for reading, residual in readings:
            if residual > 1 or reading.key in seen:
                continue
            seen.add(reading.key)
            known = self._found.get(reading.key)
            if known is None:
                if self._probes > 1:
                    continue  # it did not explain the first
                self._found[reading.key] = Support(
                    reading.kind, reading.text, reading.cost, [residual]
                )
            else:
                known.residuals.append(residual)
        for key in [k for k in self._found if k not in seen]:
            del self._found[key]

    def contradict(self, readings: Iterable[tuple[Reading, float]]) -> None:
        """Give up what would have been off on an example where the candidate is right."""
        best: dict[tuple[str, ...], float] = {}
        for reading, residual in readings:
            best[reading.key] = min(residual, best.get(reading.key, residual))
        for key, residual in best.items():
            if residual > 1:
                self._found.pop(key, None)

    @property
    def open(self) -> bool:
        """Whether a suspicion is left."""
        return bool(self._found) or not self._probes

    def __iter__(self) -> Iterator[Explanation]:
        kept = sorted(self._found.values(), key=lambda s: (s.cost, len(s.text)))
        for s in kept:
            yield Explanation(s.kind, s.text, max(s.residuals))


def ranked(explanations: Sequence[Explanation], most: int = 5) -> tuple[Explanation, ...]:
    """Without repeated sentences, and not more than anybody reads."""
    kept: dict[str, Explanation] = {}
    for e in explanations:
        kept.setdefault(e.text, e)
    return tuple(list(kept.values())[:most])
