"""The Spec of a record: it asks what is recorded, and answers that and nothing else."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from npnet.contract import Array, ConfigError
from npnet.verify.case import Example
from npnet.verify.draw import Only
from npnet.verify.drawn import on_each
from npnet.verify.precision import PRECISIONS, Precision
from npnet.verify.recorded.files import read
from npnet.verify.recorded.question import Record, Recorded
from npnet.verify.spec import Answer, Expected, Question, Spec, Unrecorded

_TRIED = 100  # draws from a strategy, to learn what it can give


def recorded_specs(folder: Path, device: str) -> Mapping[str, Spec]:
    """Every recorded twin by name; a record is read when it is asked for."""
    if not folder.is_dir():
        raise ConfigError(
            f"recorded answers are read from the folder {folder}, which does not exist. Name "
            "another with --reference, or make one where torch is installed: npnet record"
        )
    names = sorted(path.parent.name for path in folder.glob(f"*/{device}.json"))
    if not names:
        raise ConfigError(
            f"{folder} holds no answers that were recorded on {device}. Make them where torch is "
            f"installed: npnet record --reference {folder}"
        )
    return _Specs(folder, device, names)


class _Specs(Mapping[str, Spec]):
    """Specs by name, each made of its record when it is first asked for."""

    def __init__(self, folder: Path, device: str, names: Sequence[str]) -> None:
        self._folder, self._device = folder, device
        self._found: dict[str, Spec | None] = dict.fromkeys(names)

    def __getitem__(self, name: str) -> Spec:
        found = self._found[name]
        if found is None:
            found = self._found[name] = spec_of(read(self._folder, name, self._device))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def spec_of(record: Record) -> Spec:
    """What stands in the place of the twin."""
    replay = _Replay(record)
    return Spec(
        record.layer,
        _not_drawn,
        _not_drawn,
        replay.answer,
        optimizer=record.optimizer,
        schedule=record.schedule,
        exact=record.exact,
        reads_mask=False if record.masks is None else replay.mask,
        values=replay.values,
        recorded=replay.questions,
    )


def _not_drawn(_: Any) -> Any:
    raise Unrecorded("nothing is drawn where torch is not asked.")


@dataclass(frozen=True)
class _Picked:
    """What was picked when a question was recorded."""

    choices: Mapping[str, Any]
    universe: Mapping[str, tuple[Any, ...]]
    refused: tuple[Any, ...]


class _Replay:
    """A record, by what is asked."""

    def __init__(self, record: Record) -> None:
        self._record = record

    @cached_property
    def _known(self) -> dict[bytes, dict[str, Recorded]]:
        found: dict[bytes, dict[str, Recorded]] = {}
        for q in self._record.questions:
            found.setdefault(key_of(q.example), {})[q.dtype] = q
        return found

    def questions(self, dtype: str, only: Only) -> list[Question]:
        """The questions in a format, those that `only` leaves."""
        within = {name: _given_by(strategy) for name, strategy in only.items()}
        return [
            Question(q.example, self._picked(q), (q.protocol,))
            for q in self._record.questions
            if q.dtype == dtype
            and all(
                name not in q.choices or _is_among(q.choices[name], values)
                for name, values in within.items()
            )
        ]

    def _picked(self, q: Recorded) -> _Picked:
        drawn = {n: v for n, v in self._record.universe.items() if n in q.choices}
        return _Picked(q.choices, drawn, q.refused)

    def answer(self, example: Example, precision: Precision, single: bool = False) -> Answer:
        """What torch answered; raises Unrecorded where it was not asked this.

        A question in float32 may be put in float64 as well, to tell a wrong formula from rounding:
        its bound there is the smaller by the ratio of the roundoffs. Where masks are given, they
        must be those that were drawn.
        """
        known = self._known.get(key_of(example), {}) if _is_as_drawn(example) else {}
        if precision.name in known:
            return known[precision.name].answer
        if not known or precision.name != "float64":
            raise Unrecorded(f"torch's answer to {example} is not recorded.")
        (other,) = known.values()
        ratio = precision.u / PRECISIONS[other.dtype].u
        kept = other.answer.expected.items()
        return Answer({name: _rescaled(e, ratio, precision.name) for name, e in kept})

    def values(self, example: Example, dtype: str, device: str, exact: bool) -> Mapping[str, Array]:
        """torch's numbers in float64; those of other formats are not kept."""
        if dtype != "float64":
            raise Unrecorded(f"torch's own numbers in {dtype} are not recorded.")
        answer = self.answer(example, PRECISIONS["float64"])
        return {name: e.value for name, e in answer.expected.items()}

    def mask(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the keep mask of an input of this shape."""
        found = (self._record.masks or {}).get(shape)
        if found is None:
            raise Unrecorded(f"no mask of an input of shape {shape} is recorded.")
        return found


def _is_as_drawn(example: Example) -> bool:
    """Whether a keep mask read off a candidate's output is the one that the twin has drawn."""
    if example.masks is None or not example.draws:
        return True
    (mask,) = example.masks
    drawn = np.random.default_rng(example.seed).random(mask.shape) >= example.config["p"]
    x, dy = (example.arrays[name][0, ...] for name in ("input 0", "dy"))
    shared = tuple(i for i, n in enumerate(mask.shape) if n != x.shape[i])
    shown = np.any((x != 0) | (dy != 0), axis=shared, keepdims=True)
    return not ((mask != drawn) & shown).any()


def _rescaled(e: Expected, ratio: float, dtype: str) -> Expected:
    kind = np.dtype(dtype) if e.dtype is not None and e.dtype.kind == "f" else e.dtype
    return replace(e, error=None if e.error is None else e.error * ratio, dtype=kind)


def key_of(example: Example) -> bytes:
    """What tells questions apart; the same in float32 and, cast, in float64."""
    digest = hashlib.sha256(repr(sorted(example.config.items(), key=lambda kv: kv[0])).encode())
    digest.update(repr((example.inputs, sorted(example.kwargs.items()))).encode())
    digest.update(str(example.seed if example.draws else 0).encode())
    for name in sorted(example.arrays):
        a = example.arrays[name]
        digest.update(f"{name} {a.shape}".encode())
        digest.update((a.astype(np.float64) if a.dtype.kind == "f" else a).tobytes())
    return digest.digest()


def _given_by(strategy: st.SearchStrategy[Any]) -> list[Any]:
    """Values that a strategy gives: all of them, where they are few."""
    found: list[Any] = []
    on_each(strategy, lambda value: found.append(value), _TRIED, 0)
    return found


def _is_among(choice: Any, values: Sequence[Any]) -> bool:
    if isinstance(choice, str):  # as a text where it has no stored form
        return any(str(value) == choice for value in values)
    return any(type(value) is type(choice) and value == choice for value in values)
