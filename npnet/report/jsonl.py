"""results.jsonl: one event a line, appended and flushed as it happens.

    {"schema": "npnet-results/1", "event": "run", "candidates": […], "settings": …, …}
    {"schema": "npnet-results/1", "event": "finding", "finding": …, "folder": "failures/<id>"}
    {"schema": "npnet-results/1", "event": "layer", "result": …, "not_verified": […]}
    {"schema": "npnet-results/1", "event": "accepted", "retried": …}
    {"schema": "npnet-results/1", "event": "trace", "trace": …}
    {"schema": "npnet-results/1", "event": "end", "exit_code": …, "seconds": …, "not_verified": […]}

Arrays are abbreviated; they are whole in failures/<id>. inf and nan are the strings "inf", "-inf"
and "nan", since JSON has neither. A run that was killed has no "end", and at most its last line is
cut off, which `read` leaves out.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from npnet.verify.finding import Finding, Report
from npnet.verify.store import FileFormatError

SCHEMA = "npnet-results/1"
EVENTS = ("run", "finding", "layer", "accepted", "trace", "end")

_FIRST = 8  # elements of an array that are written


def plain(value: Any) -> Any:
    """Anything as JSON values, for reading; nothing is turned back from it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):  # of an enumeration, too
        return str(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, np.ndarray):
        first = [plain(x) for x in value.reshape(-1)[:_FIRST].tolist()]
        return {"shape": list(value.shape), "dtype": str(value.dtype), "first": first}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(x) for k, x in value.items()}
    if isinstance(value, tuple | list):
        return [plain(x) for x in value]
    if isinstance(value, set | frozenset):
        return sorted(str(x) for x in value)
    return str(value)


def line(event: Mapping[str, Any]) -> str:
    """An event of a run as one line."""
    return json.dumps({"schema": SCHEMA} | plain(event), allow_nan=False)


def finding_event(finding: Finding) -> dict[str, Any]:
    """A finding, with where the rest of it is kept."""
    return {"event": "finding", "finding": finding, "folder": f"failures/{finding.id}"}


def end_event(report: Report) -> dict[str, Any]:
    """What is known only at the end."""
    return {
        "event": "end",
        "exit_code": report.exit_code,
        "seconds": report.seconds,
        "seed": report.seed,
        "layers": len(report.layers),
        "findings": [f.id for f in report.findings],
        "not_verified": report.not_verified,
        "idle": report.idle,
    }


def read(path: Path) -> list[dict[str, Any]]:
    """The events of a results.jsonl, without a last line that was cut off.

    Raises FileFormatError where anything else is damaged, or something else wrote the file.
    """
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}.") from None
    *whole, rest = text.split("\n")
    if rest:  # no line break at the end: cut off, or only the break is missing
        whole.append(rest)
    found = []
    for number, row in enumerate(whole, start=1):
        try:
            event = json.loads(row)
        except ValueError:
            if rest and number == len(whole):
                break
            raise FileFormatError(f"{path} is damaged in line {number}: {row[:60]!r}.") from None
        schema = event.get("schema") if isinstance(event, dict) else None
        if schema != SCHEMA:
            raise FileFormatError(
                f"{path} must have the schema {SCHEMA!r}, but line {number} has {schema!r}. "
                "Another version of npnet wrote it, or something else."
            )
        found.append(event)
    return found
