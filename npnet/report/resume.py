"""A run that was killed or interrupted, read back so that it can be taken up again."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from npnet.contract import ConfigError
from npnet.report import jsonl, merge
from npnet.verify.engine import BUDGET_SPENT, Verified
from npnet.verify.environment import digest, environment
from npnet.verify.settings import Settings
from npnet.verify.store import FileFormatError

_SAME = ("npnet", "python", "numpy", "scipy", "torch", "hypothesis", "blas", "machine")


@dataclass(frozen=True)
class Begun:
    """What a run was asked, and what it had finished.

    known: by the name of the candidate; what it had found of others is found again
    """

    settings: Settings
    targets: list[str] | None
    known: Mapping[str, Verified]


def begun(directory: Path) -> Begun:
    """What is left of the run in a directory.

    Raises FileFormatError where there is none, and ConfigError where code or versions are others
    now, so that the two halves would not be one run.
    """
    run = merge.read(directory)
    first, *events = jsonl.read(directory / "results.jsonl") or [{}]
    if first.get("event") != "run" or "targets" not in first or not first.get("settings"):
        raise FileFormatError(
            f"--resume needs a run of npnet verify that had begun, but {directory} has none: it "
            "was killed before that, or npnet report wrote it. Start it anew."
        )
    if first["targets"] is None:
        raise ConfigError(
            f"{directory} is a run of candidates that are objects of a program, which cannot be "
            "loaded again. Start it anew."
        )
    _check(directory, first)
    own = {r.layer: r for r in run.report.layers}
    lines = {
        e["result"]["layer"]: [str(text) for text in e.get("not_verified", [])]
        for e in events
        if e["event"] == "layer"
    }
    known = {
        name: Verified(own[name], [f for f in run.report.findings if f.layer == name], texts)
        for name, texts in lines.items()
        if not any(BUDGET_SPENT in text for text in texts)
    }
    return Begun(_settings(first["settings"]), first["targets"] or None, known)


def _check(directory: Path, first: Mapping[str, Any]) -> None:
    now, then = environment(), first["environment"]
    for name in _SAME:
        if now.get(name) != then.get(name):
            raise ConfigError(
                f"{directory} was begun with {name} {then.get(name)}, but this is "
                f"{now.get(name)}. Start it anew, or take it up where it was begun."
            )
    for file, known in first["sources"].items():
        if digest(Path(file)) != known:
            raise ConfigError(
                f"{file} has changed since {directory} was begun, or is not here. Start it anew."
            )


def _settings(told: Mapping[str, Any]) -> Settings:
    names = {f.name for f in fields(Settings)}
    values: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in told.items() if k in names
    }
    return Settings(**values)
