"""The values of options: checked, and refused with where they came from."""

import os
import re
from difflib import get_close_matches
from typing import Any

import click

from npnet.cli.base import TABLE, Refused

FORMATS = ("text", "html", "junit", "markdown", "github")
_DETECTED = {"CI": ("junit", "markdown"), "GITHUB_ACTIONS": ("github", "markdown")}


def _origin(ctx: click.Context, param: click.Parameter) -> str:
    """Where a value came from, for a message."""
    name = (param.name or "").replace("_", "-")
    source = ctx.get_parameter_source(param.name or "")
    if source is click.core.ParameterSource.DEFAULT_MAP:
        return f"{name} in {TABLE}"
    return f"--{name}"


def names(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """Comma-separated names."""
    parts = tuple(dict.fromkeys(p.strip() for p in value.split(",") if p.strip()))
    if not parts:
        raise Refused(f"{_origin(ctx, param)} must name at least one, but is {value!r}.")
    return parts


def formats(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """Names of formats, and those that a CI service reads where there is one."""
    parts = names(ctx, param, value)
    for part in parts:
        if part not in FORMATS:
            near = get_close_matches(part, FORMATS, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise Refused(
                f"{_origin(ctx, param)} takes {', '.join(FORMATS)}, but got {part!r}.{hint}"
            )
    for variable, more in _DETECTED.items():
        parts += more if os.environ.get(variable) else ()
    return tuple(dict.fromkeys(parts))


def one_of(*known: str) -> Any:
    """A callback that takes one of these."""

    def check(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
        if value is not None and value not in known:
            origin = _origin(ctx, param)
            raise Refused(f"{origin} must be one of {', '.join(known)}, but is {value!r}.")
        return value

    return check


def at_least_one(ctx: click.Context, param: click.Parameter, value: int | None) -> int | None:
    """A number of something."""
    if value is not None and value < 1:
        raise Refused(f"{_origin(ctx, param)} must be at least 1, but is {value}.")
    return value


def shard(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """The i-th of n, as 2/3."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+)\s*/\s*(\d+)", value.strip())
    i, n = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= i <= n:
        raise Refused(
            f"{_origin(ctx, param)} must be i/n, as 2/3 for the second of three, but is {value!r}."
        )
    return i, n


def over_profile(ctx: click.Context, name: str) -> Any:
    """The value of an option that wins over --profile, unless only pyproject.toml gives it."""
    source = ctx.get_parameter_source
    profile_wins = (
        source("profile") is click.core.ParameterSource.COMMANDLINE
        and source(name) is click.core.ParameterSource.DEFAULT_MAP
    )
    return None if profile_wins else ctx.params[name]


def seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """90, 90s, 10m, 1.5h."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", value.strip())
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if seconds <= 0:
        raise Refused(
            f"{_origin(ctx, param)} must be a time such as 90s, 10m or 1.5h, but is {value!r}."
        )
    return seconds


# ---- options of several commands ----------------------------------------------------------------

report_dir_option = click.option(
    "--report-dir", metavar="DIR", help="Where the report goes. [default: reports/<date>-<id>]"
)
format_option = click.option(
    "--format",
    "format",
    default="text,html",
    show_default=True,
    callback=formats,
    help="Of text, html, junit, markdown, github; beside results.jsonl. CI adds what it reads.",
)
