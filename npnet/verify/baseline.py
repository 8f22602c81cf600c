"""Divergences that a team has accepted: their pinned cases, which must go on to diverge.

    npnet-baseline/<id>/case.json, arrays.npz   the finding, as npnet/verify/store.py writes it
    npnet-baseline/<id>/accepted.json           {"schema": …, "reason": …, "date": …}

A finding of the same candidate, quantity, dtype and verdict is accepted with it. An accepted case
that no longer diverges is a failure: what it excuses would be excused for ever.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from npnet.contract import ConfigError
from npnet.verify import store
from npnet.verify.candidate import Candidate
from npnet.verify.finding import DIVERGED, Finding, Retried
from npnet.verify.isolate import Isolated, isolate
from npnet.verify.store import FileFormatError
from npnet.verify.targets import parted

SCHEMA = "npnet-accepted/1"
_FILES = ("case.json", "arrays.npz")
_REASON = "accepted.json"


@dataclass(frozen=True)
class Accepted:
    """A divergence that was accepted: its finding with the pinned case, why, and when."""

    finding: Finding
    reason: str
    date: str
    folder: Path

    def covers(self, f: Finding) -> bool:
        """Whether a finding is accepted with it."""
        own = self.finding
        return (f.quantity, f.dtype, f.verdict) == (
            own.quantity,
            own.dtype,
            own.verdict,
        ) and self._is_of(f.layer, f.twin, f.target)

    def belongs_to(self, c: Candidate) -> bool:
        """Whether it is this candidate's."""
        return self._is_of(c.name, c.twin, c.target)

    def _is_of(self, layer: str, twin: str, target: str) -> bool:
        own = self.finding
        alike = not target or _place(target) == _place(own.target)  # an object has no target
        return (layer, twin) == (own.layer, own.twin) and alike


def _place(target: str) -> tuple[str, str]:
    place, name, is_file = parted(target)
    return os.path.normpath(place) if is_file else place, name


# ---- on disk -------------------------------------------------------------------------------------


def add(folder: Path, place: Path, reason: str) -> Accepted:
    """Accept the stored failure in a folder, for a reason; it must diverge now.

    Raises ConfigError for one that cannot be accepted, FileFormatError for one that is damaged.
    """
    if not reason.strip():
        raise ConfigError("a divergence is accepted for a reason, but --reason is empty.")
    stored = store.load(folder)
    f = stored.finding
    if f.verdict not in DIVERGED or f.case is None or f.protocol in ("history", "run"):
        raise ConfigError(
            f"only a divergence that one stored case shows can be accepted, but {f.id} is "
            f"{f.verdict}{'' if f.case is None else f' ({f.protocol})'}. It has to be mended."
        )
    result, message = store.replay(stored)
    if result != store.DIVERGES:
        raise ConfigError(f"{f.id} cannot be accepted: its case {_spoken(result)} ({message}).")
    target = place / folder.name
    if target.exists():
        raise ConfigError(
            f"{folder.name} is accepted already, in {target}. To accept it for another reason, "
            f"remove it first: npnet baseline remove {folder.name}"
        )
    document = {"schema": SCHEMA, "reason": reason.strip(), "date": date.today().isoformat()}
    try:
        target.mkdir(parents=True)
        for name in _FILES:
            shutil.copyfile(folder / name, target / name)
        text = json.dumps(document, indent=1, ensure_ascii=False)
        (target / _REASON).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}.") from None
    return _load(target)


def remove(wanted: str, place: Path) -> str:
    """Take an accepted divergence away, by its id or a unique beginning of it; return the id."""
    known = {entry.folder.name: entry.folder for entry in read(place)}
    if wanted not in known:
        matches = [name for name in known if name.startswith(wanted)]
        if len(matches) != 1:
            listed = ", ".join(matches or known) or "none"
            raise ConfigError(
                f"an accepted divergence must be named by its id, but {wanted!r} is "
                f"{'the beginning of several' if matches else 'not accepted'} in {place}. "
                f"There are: {listed}."
            )
        (wanted,) = matches
    shutil.rmtree(known[wanted])
    return wanted


def read(place: Path) -> list[Accepted]:
    """All that is accepted, by id. Raises FileFormatError where a folder of it is damaged."""
    if not place.is_dir():
        raise ConfigError(
            f"a baseline must be a folder of accepted divergences, but {place} is none. "
            "npnet baseline add makes one."
        )
    return [_load(folder) for folder in sorted(place.iterdir()) if folder.is_dir()]


def _load(folder: Path) -> Accepted:
    finding = store.load(folder).finding
    path = folder / _REASON
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        schema, reason, day = (document[name] for name in ("schema", "reason", "date"))
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError, KeyError) as error:
        raise FileFormatError(
            f"{path} is damaged: {error}. Take the folder away and accept it again."
        ) from None
    if schema != SCHEMA or not isinstance(reason, str) or not isinstance(day, str):
        raise FileFormatError(f"{path} must have the schema {SCHEMA!r}, but has {schema!r}.")
    return Accepted(replace(finding, id=folder.name), reason, day, folder)


# ---- in a run ------------------------------------------------------------------------------------


def judged(f: Finding, entries: Sequence[Accepted]) -> Finding:
    """The finding, with the reason for which it is accepted where it is."""
    return replace(f, accepted=next((e.reason for e in entries if e.covers(f)), ""))


def retry(entry: Accepted, c: Candidate, isolated: bool) -> Retried:
    """Ask an accepted case again."""
    f = replace(entry.finding, target=entry.finding.target or c.name)
    asked = isolate(c) if isolated else c
    try:
        state, message = store.replay(
            store.Stored(f, {}, entry.folder), lambda target: ([asked], [])
        )
    finally:
        if isinstance(asked.function, Isolated):
            asked.function.close()
    at = (f.id, f.layer, f.quantity, f.dtype)
    return Retried(*at, f.verdict, entry.reason, entry.date, state, message)


def _spoken(result: str) -> str:
    return "agrees with torch now" if result == store.FIXED else "cannot be asked"
