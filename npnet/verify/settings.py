"""What a run is asked to do."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from npnet.contract import ConfigError

Event = Mapping[str, Any]
"""Something that happened during a run: "event" names it."""

Tell = Callable[[Event], None]

SECTIONS = ("forward", "grad", "state", "contract")
DEVICES = ("cpu", "cuda", "recorded", "recorded:cuda")
SETS = 4  # value sets per example

PROFILES: Mapping[str, tuple[int, int | None]] = {
    "quick": (25, 0),
    "ci": (200, 0),
    "nightly": (2000, None),
}
"""Examples and seed by the name of the occasion; no seed is a fresh one in every run."""


def profiled(profile: str | None, examples: int | None, seed: int | None) -> tuple[int, int]:
    """Examples and seed: those given, else the profile's, else those of "ci".

    Raises ConfigError for a profile that does not exist.
    """
    if profile is not None and profile not in PROFILES:
        raise ConfigError(f"profile must be one of {', '.join(PROFILES)}, but is {profile!r}.")
    own_examples, own_seed = PROFILES[profile or "ci"]
    if seed is None:
        seed = secrets.randbelow(2**32) if own_seed is None else own_seed
    return own_examples if examples is None else examples, seed


@dataclass(frozen=True)
class Settings:
    """What a run is asked to do."""

    examples: int = 200
    dtypes: tuple[str, ...] = ("float64", "float32")
    only: tuple[str, ...] = SECTIONS
    seed: int = 0
    sets: int = SETS
    shard: tuple[int, int] | None = None  # the i-th of n, from 1; None: all of it
    fail_fast: bool = False
    time_budget: float | None = None  # seconds for the whole run
    isolated: bool = True  # candidates of files and modules in processes of their own
    device: str = "cpu"  # whose answers candidates are held against, one of DEVICES
    reference: str = "reference"  # the folder of recorded answers

    def __post_init__(self) -> None:
        for dtype in self.dtypes:
            if dtype not in ("float64", "float32", "float16"):
                raise ConfigError(f"dtype must be float64, float32 or float16, but is {dtype!r}.")
        for section in self.only:
            if section not in SECTIONS:
                raise ConfigError(f"only takes {', '.join(SECTIONS)}, but got {section!r}.")
        if self.device not in DEVICES:
            raise ConfigError(
                f"device must be one of {', '.join(DEVICES)}, but is {self.device!r}."
            )
        if self.examples < 1:
            raise ConfigError(f"examples must be at least 1, but is {self.examples}.")
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            i, n = self.shard
            raise ConfigError(
                f"shard must be one of 1/{n} to {n}/{n}, but is {i}/{n}."
                if n > 0
                else f"shard must be i/n with 1 <= i <= n, but is {i}/{n}."
            )

    @property
    def facts(self) -> dict[str, str]:
        """What stands beside the environment: which part of a run it is, and against what."""
        found = {} if self.shard is None else {"shard": f"{self.shard[0]}/{self.shard[1]}"}
        if self.device != "cpu":
            found["device"] = self.device
        return found | ({"reference": self.reference} if self.recorded else {})

    @property
    def recorded(self) -> bool:
        """Whether torch is not asked, but what it has said before is."""
        return self.device.startswith("recorded")

    def wants(self, quantity: str) -> bool:
        """Whether a quantity belongs to the sections asked for."""
        if quantity.startswith("gradient"):
            return "grad" in self.only
        if quantity.startswith(("next ", "state ")):
            return "state" in self.only
        return "forward" in self.only
