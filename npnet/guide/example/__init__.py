"""A twin in use: NumPy and PyTorch code that does the same, side by side, and what both print.

The code is written for the plainest configuration that the spec can draw: every argument at its
default, small sizes. It is run while the page is built.
"""

import contextlib
import io
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet.contract import ConfigError
from npnet.guide.example.layers import entries_of as entries_of
from npnet.guide.example.layers import of_layer
from npnet.guide.example.layers import returned as returned
from npnet.guide.example.optimizers import of_optimizer, of_schedule
from npnet.guide.example.yours import (
    candidate_of_layer,
    candidate_of_optimizer,
    candidate_of_schedule,
)
from npnet.verify.targets import specs


@dataclass(frozen=True)
class Run:
    """Code, and what it prints."""

    code: str
    output: str


@dataclass(frozen=True)
class Example:
    """The same in NumPy and in PyTorch; the second goes on with the arrays of the first.

    agree: whether both print the same, number by number; with a note, in evaluation
    note: that what is drawn in training differs
    """

    numpy: Run
    torch: Run
    agree: bool
    note: str = ""


def example(name: str) -> Example:
    """Write the code of a twin and run it.

    Raises ConfigError where the code does not run: then it is the guide that is wrong.
    """
    spec = specs()[name]
    written = of_optimizer if spec.optimizer else of_schedule if spec.schedule else of_layer
    numpy, torch, note = written(name, spec)
    space: dict[str, Any] = {}
    with np.printoptions():  # which the code sets
        first, second = (Run(code, _run(name, code, space)) for code in (numpy, torch))
    ends = first.output, second.output
    return Example(first, second, _agree(*(map(_evaluated, ends) if note else ends)), note)


def candidate(name: str) -> str:
    """Where one's own code goes, to be held against the twin: a file with ... in it."""
    spec = specs()[name]
    kinds = (candidate_of_optimizer, candidate_of_schedule, candidate_of_layer)
    kind = kinds[0] if spec.optimizer else kinds[1] if spec.schedule else kinds[2]
    return kind(name, spec)


def _run(name: str, code: str, space: dict[str, Any]) -> str:
    """What code prints; it finds and leaves its names in `space`."""
    printed = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(printed),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # of arguments that torch deprecates
            exec(compile(code, f"<guide: {name}>", "exec"), space)
    except Exception as error:
        raise ConfigError(
            f"the guide's code of {name} must run, but raises {type(error).__name__}: {error}\n"
            f"{code}"
        ) from error
    return printed.getvalue()


def _agree(first: str, second: str) -> bool:
    """Whether both print the same numbers, and any at all; -0 is 0."""
    found = _numbers(first)
    return bool(found) and found == _numbers(second)


def _numbers(printed: str) -> list[str]:
    found = re.findall(r"-?(?:\d+\.?\d*(?:e[-+]\d+)?|nan|inf)", printed)
    return [repr(float(x) + 0.0) for x in found]


def _evaluated(printed: str) -> str:
    """The lines of evaluation, in which nothing is drawn."""
    return "\n".join(line for line in printed.splitlines() if line.startswith("evaluation"))
