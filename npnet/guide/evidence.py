"""What was asked of a layer, and what came out: a file per layer, which its page cites."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from npnet.contract import ConfigError

FOLDER = Path(__file__).with_name("evidence")


@dataclass(frozen=True)
class Mistake:
    """A planted mistake, and what npnet says about it.

    text: the mistake, as "forgets the bias"; verdict, quantity: what is blamed
    why: the first explanation; nothing where none was found
    example: in which it is seen first, counted from 1
    """

    text: str
    verdict: str
    quantity: str
    why: str
    example: int


@dataclass(frozen=True)
class Asked:
    """One dtype: examples, numbers that were compared, the worst err/bound of every quantity."""

    verdict: str
    examples: int
    judged: int
    ratios: Mapping[str, float]

    @property
    def worst(self) -> float:
        """The largest err/bound of all."""
        return max(self.ratios.values(), default=0.0)


@dataclass(frozen=True)
class Evidence:
    """What a page says was verified.

    code: the digest of the layer's code when it was asked (npnet.guide.source.digest)
    environment: versions, machine and date; device: where torch computed
    asked: by dtype; covered of coverable: options, alone and in pairs; uncovered: not drawn
    claims: those whose check passed, of torch and of npnet; checked: the torch and the date of that
    """

    code: str
    environment: Mapping[str, Any]
    device: str
    seed: int
    asked: Mapping[str, Asked]
    covered: int
    coverable: int
    uncovered: tuple[str, ...]
    claims: tuple[str, ...]
    checked: Mapping[str, str]
    mistakes: tuple[Mistake, ...]


def path(name: str, folder: Path = FOLDER) -> Path:
    """Where the evidence of a layer lies."""
    return folder / f"{name}.json"


def read(name: str, folder: Path = FOLDER) -> Evidence | None:
    """The evidence of a layer, or None where it was never asked.

    Raises ConfigError for a file that is none.
    """
    place = path(name, folder)
    if not place.is_file():
        return None
    try:
        return _built(json.loads(place.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{place} must hold the evidence of {name}, but cannot be read: {error}. "
            "You might need make evidence."
        ) from None


def write(name: str, evidence: Evidence, folder: Path = FOLDER) -> Path:
    """Keep the evidence of a layer."""
    place = path(name, folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(evidence), indent=1, ensure_ascii=False) + "\n"
    place.write_text(text, encoding="utf-8")
    return place


def _built(found: dict[str, Any]) -> Evidence:
    return Evidence(
        **{
            **found,
            "asked": {dtype: Asked(**asked) for dtype, asked in found["asked"].items()},
            "uncovered": tuple(found["uncovered"]),
            "claims": tuple(found["claims"]),
            "mistakes": tuple(Mistake(**m) for m in found["mistakes"]),
        }
    )
