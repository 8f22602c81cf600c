"""Answers that a program in another language has written, as a candidate."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from npnet.contract import Array, ConfigError
from npnet.verify.candidate import Candidate
from npnet.verify.case import Example
from npnet.verify.fault import Reply
from npnet.verify.recorded.question import DTYPES, Record
from npnet.verify.recorded.replay import key_of
from npnet.verify.spec import Unrecorded
from npnet.verify.store import FileFormatError

_LAYER = "layer"  # how a file of answers says in its metadata what it answers for


class Written:
    """Stands for a program: it is asked, and says what it has written."""

    def __init__(self, record: Record, answers: dict[str, dict[str, Array]]) -> None:
        self._answers = {
            (key_of(q.example), q.dtype): answers[q.name]
            for q in record.questions
            if q.name in answers
        }

    def __call__(self, case: object) -> object:
        """Refused: raises Unrecorded."""
        raise Unrecorded("answers that are written down are looked up, not called.")

    def ask(
        self, example: Example, s: int, protocol: str, optimizer: bool, seconds: float
    ) -> Reply:
        """The answers to a question; raises Unrecorded where there are none."""
        alone = example.pick(s)
        formats = {str(a.dtype) for a in alone.arrays.values() if a.dtype.kind == "f"}
        for dtype in formats or DTYPES:  # a schedule is given no numbers
            found = self._answers.get((key_of(alone), dtype))
            if found is not None:
                return Reply(dict(found))
        raise Unrecorded(f"there is no answer to {example}.")


def answered_layer(path: Path) -> str | None:
    """The layer that a file of answers names in its metadata, or None."""
    with _opened(path) as file:
        found: str | None = (file.metadata() or {}).get(_LAYER)
    return found


def written(path: Path, record: Record) -> tuple[Candidate, tuple[str, ...]]:
    """A file of answers as a candidate, and the formats in which it answers.

    Its tensors are named NAME/QUANTITY, as "float32-3/gradient of weight". Raises FileFormatError
    for a file that is none, and ConfigError for a tensor that answers nothing.
    """
    questions = {q.name: q for q in record.questions}
    answers: dict[str, dict[str, Array]] = {}
    with _opened(path) as file:
        for tensor in file.keys():  # noqa: SIM118 (it is no mapping)
            name, _, quantity = tensor.partition("/")
            if name not in questions:
                raise ConfigError(f"{path} answers {tensor!r}, {_unknown(name, questions)}")
            known = questions[name].answer.expected
            if quantity not in known:
                raise ConfigError(f"{path} answers {tensor!r}, {_unknown(quantity, known)}")
            answers.setdefault(name, {})[quantity] = file.get_tensor(tensor)
    if not answers:
        raise ConfigError(f"{path} holds no answers. They are named as float32-0/y.")
    dtypes = tuple(d for d in DTYPES if any(questions[name].dtype == d for name in answers))
    return Candidate(Written(record, answers), record.layer, path.stem), dtypes


def _unknown(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(name, names, 1)
    hint = f" Did you mean {near[0]!r}?" if near else f" Known are {', '.join(names[:6])} …"
    return f"but {name!r} is not asked for.{hint}"


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except FileNotFoundError:
        raise FileFormatError(f"there is no file {path}.") from None
    except (OSError, SafetensorError) as error:
        raise FileFormatError(f"{path} is no safetensors file: {error}.") from None
