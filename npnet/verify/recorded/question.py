"""What is recorded of one twin on one device."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from npnet.verify.case import Example
from npnet.verify.spec import Answer

DTYPES = ("float64", "float32")
LICENCE = "CC0-1.0"


@dataclass(frozen=True)
class Recorded:
    """One question with the twin's answer.

    name: "float32-3": the dtype in which it is asked, and a number
    protocol: how a candidate is asked it
    example: one value set
    answer: asked alone, so that bounds are those of one pass
    choices: the options that were drawn, as texts where they have no stored form
    refused: pairs of options that torch does not take together, as `Pick` has them
    """

    name: str
    dtype: str
    protocol: str
    example: Example
    answer: Answer
    choices: Mapping[str, Any]
    refused: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Record:
    """The questions to one twin, with what a verdict needs to know of it.

    facts: of the machine: torch's version, the device's name
    universe: the options that questions are drawn from, as texts
    masks: the shape of a keep mask by that of the first input, where it may be read off a
        candidate's own output; None where it may not
    """

    layer: str
    device: str
    facts: Mapping[str, str]
    seed: int
    optimizer: bool
    schedule: bool
    exact: bool
    universe: Mapping[str, tuple[str, ...]]
    questions: tuple[Recorded, ...]
    masks: Mapping[tuple[int, ...], tuple[int, ...]] | None = field(default=None)
