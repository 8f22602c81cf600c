"""Text as data: characters by number, windows of them, and what a model writes."""

import codecs
import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from npnet.contract import Array, ConfigError

if TYPE_CHECKING:
    from npnet.train.model import Model


@dataclass(frozen=True)
class Characters:
    """The characters of a text, numbered in their order."""

    known: str

    @classmethod
    def of(cls, text: str) -> "Characters":
        """Those that occur in a text."""
        return cls("".join(sorted(set(text))))

    def numbers(self, text: str) -> Array:
        """The numbers of characters, int64. Raises ConfigError for one that is not known."""
        places = {character: i for i, character in enumerate(self.known)}
        strange = sorted(set(text) - set(places))
        if strange:
            raise ConfigError(
                f"a text needs to consist of the characters {self.known!r}, but has {strange[:5]}."
            )
        return np.array([places[character] for character in text], np.int64)

    def text(self, numbers: Sequence[int]) -> str:
        """The characters of numbers."""
        return "".join(self.known[i] for i in numbers)


def windows(numbers: Array, length: int, stride: int) -> tuple[Array, Array]:
    """(x, y), both (N, length): pieces of a text, and the same pieces one character further.

    Raises ConfigError where there is not one.
    """
    if len(numbers) <= length:
        raise ConfigError(
            f"a text needs to be longer than a window of {length} characters, but has "
            f"{len(numbers)}."
        )
    starts = np.arange(0, len(numbers) - length, stride)
    at = starts[:, np.newaxis] + np.arange(length)
    return numbers[at], numbers[at + 1]


def written(model: "Model", characters: Characters, start: str, length: int, window: int) -> str:
    """How a model goes on: after each character the likeliest one, seen a window of the text."""
    numbers = list(characters.numbers(start))
    for _ in range(length):
        scores = model.predict(np.array([numbers[-window:]]))
        numbers.append(int(scores[0, :, -1].argmax()))
    return characters.text(numbers)


def zen() -> str:
    """The Zen of Python, by Tim Peters (2004), as every Python brings it along: 856 characters.

    In the public domain (PEP 20).
    """
    with redirect_stdout(io.StringIO()):  # which importing it prints
        found = import_module("this").s
    return codecs.decode(found, "rot13")


def read_text(path: str | Path) -> str:
    """A text from a file in UTF-8. Raises ConfigError."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} needs to be UTF-8, but is not ({error.reason}).") from None
