"""A spec says what a twin accepts and what it answers; the engine knows nothing else of a twin."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from hypothesis import strategies as st

from npnet.contract import Array, ConfigError, NpnetError
from npnet.verify.case import Config, Example, Slot
from npnet.verify.claim import Claim
from npnet.verify.draw import FAMILIES, Only, Pick, Values, data, slots, themes
from npnet.verify.precision import PRECISIONS, Precision

Drawn = tuple[Any, ...]
"""config, inputs and, where torch's forward takes keywords, kwargs."""


@dataclass(frozen=True)
class Expected:
    """What the twin has for one quantity, all value sets stacked: values with their bounds.

    error: how far a correct implementation may be off; None: it must be equal
    dtype: what the candidate's result must have; None: any
    required: where False, None and nothing at all are accepted too
    absent: value sets of which torch has none, so that None and nothing at all are accepted too
    """

    value: Array
    error: Array | None
    dtype: np.dtype[Any] | None
    required: bool = True
    absent: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Beside:
    """torch on a second device: its own kernels, in the format asked.

    ratios: |there - here| / error bound, the worst of every quantity
    wavering: quantities that two runs of the same kernel do not have alike
    missing: why it could not be asked; nothing where it was
    """

    ratios: Mapping[str, float]
    wavering: frozenset[str] = frozenset()
    missing: str = ""


@dataclass(frozen=True)
class Answer:
    """The twin's answer to an example, quantities in the order in which they are blamed."""

    expected: Mapping[str, Expected]
    largest: float | None = None  # of all intermediates; None where it was not tracked
    disagreement: str | None = None  # how torch contradicts itself
    fallbacks: frozenset[str] = frozenset()  # operations whose bound is a fallback's
    beside: Beside | None = None  # where a second device was asked


class Unrecorded(NpnetError):
    """A question that only torch itself, or the program that wrote the answers, could answer."""


class Picked(Protocol):
    """What was drawn: the value of every option, all that it could have been, and what cannot be.

    A `Pick` is one.
    """

    @property
    def choices(self) -> Mapping[str, Any]:
        """The value of everything drawn, by name."""

    @property
    def universe(self) -> Mapping[str, tuple[Any, ...]]:
        """The values of every option whose coverage is counted."""

    @property
    def refused(self) -> Sequence[tuple[tuple[str, str], tuple[str, str]]]:
        """Pairs of options that torch does not take together."""


@dataclass(frozen=True)
class Question:
    """An example, what was picked for it, and, where it is recorded, how its sets are asked."""

    example: Example
    picked: Picked
    protocols: tuple[str, ...] | None = None


Numbers = Callable[[Example, str, str, bool], Mapping[str, Array]]
"""torch's own numbers, without bounds: `(example, dtype, device, exact) -> {quantity: array}`.

exact: compute in float64 what is configured for the dtype
"""

ReadsMask = bool | Callable[[tuple[int, ...]], tuple[int, ...]]


@dataclass(frozen=True)
class Spec:
    """What a twin is: its name, how its questions are drawn, how it answers them.

    draw: `(pick) -> config, inputs[, kwargs]`
    state: the Values of the twin's state_dict() under a configuration
    answer: `(example, precision, single) -> Answer`; completes the example's cotangents; `single`
        asks every value set by itself and tracks the largest intermediate
    exact: bilinear, so that small integers have an exact answer
    split: whether the first axis of every input is a batch that may be split in two
    draws: whether a configuration takes random numbers
    settled: whether no choice hangs on how the numbers are rounded that the example's seed draws;
        where one does, the next seed is taken
    known_bad: why torch itself is wrong under a configuration, or None
    reads_mask: whether a candidate's keep mask may be read off its own output, one number for each
        element; or the shape of the mask of an input of that shape
    claims: the twin's conventions, each with a check
    families: of data, for the value sets behind the first
    fragile: whether torch reads memory that is not its own where a question does not suit it: it is
        then asked no others for a diagnosis
    slow: whether asking takes many times as long as of most: such twins are asked first where
        several are asked at a time
    values: torch's own numbers without bounds
    recorded: `(dtype, only) -> questions`, all that can be asked where torch was asked before
    """

    name: str
    draw: Callable[[Pick], Drawn]
    state: Callable[[Config], Mapping[str, Values]]
    answer: Callable[..., Answer]
    optimizer: bool = False
    schedule: bool = False
    exact: bool = False
    split: Callable[[Example], bool] = lambda example: False
    draws: Callable[[Config], bool] = lambda config: False
    settled: Callable[[Example], bool] = lambda example: True
    known_bad: Callable[[Config], str | None] = lambda config: None
    reads_mask: ReadsMask = False
    claims: tuple[Claim, ...] = ()
    families: tuple[str, ...] = tuple(FAMILIES)
    fragile: bool = False
    slow: bool = False
    values: Numbers | None = None
    recorded: Callable[[str, Only], Sequence[Question]] | None = None

    def plain(self, example: Example, dtype: str = "float64") -> Mapping[str, Array]:
        """torch's own numbers, all value sets stacked, whatever the bounds are."""
        if self.values is not None:
            return self.values(example, dtype, "cpu", False)
        answer = self.answer(example, PRECISIONS[dtype], single=True)
        return {name: e.value for name, e in answer.expected.items()}


@st.composite
def examples(
    draw: st.DrawFn, spec: Spec, only: Only, dtype: str, sets: int
) -> tuple[Example, Pick]:
    """Draw one structure and fill its value sets; what was picked comes along."""
    pick = Pick(draw, only, dtype)
    try:
        config, inputs, *rest = spec.draw(pick)
        kwargs = dict(rest[0]) if rest else {}
        seed = draw(_SEEDS)
        return build(spec, config, inputs, kwargs, seed, dtype, sets, pick.choices), pick
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        if not pick.unheard:
            raise
        raise ConfigError(_unheard(spec.name, pick, error)) from error


def _unheard(twin: str, pick: Pick, error: Exception) -> str:
    """That a value of `only` is none from which the twin's questions can be drawn."""
    told = [
        f"{name!r} gives {pick.choices[name]!r}, where {twin} has "
        + ", ".join(dict.fromkeys(map(repr, values)))
        for name, values in pick.unheard.items()
    ]
    why = f"{type(error).__name__}: {error}"
    return f"no question can be drawn with only= ({why}): {'; '.join(told)}."


_SEEDS = st.integers(0, 2**32 - 1)


def build(
    spec: Spec,
    config: Config,
    inputs: tuple[Any, ...],
    kwargs: dict[str, Any],
    seed: int,
    dtype: str,
    sets: int,
    choices: Mapping[str, Any],
) -> Example:
    """The example of a drawn structure; its data depends on nothing but the structure and seed."""
    rng = np.random.default_rng(seed)
    chosen = themes(rng, sets, spec.families)
    if spec.optimizer:
        template: tuple[Any, ...] = ()
        wanted = dict(inputs)
    else:
        template, wanted = slots(inputs)
        tensors = {name: v for name, v in config.items() if isinstance(v, Values)}
        for name, x in kwargs.items():
            if isinstance(x, Values):
                (kwargs[name],), more = slots((x,), f"kwarg {name} ")
                wanted |= more
        state = spec.state(config)
        wanted |= {f"state {name}": v for name, v in state.items()}
        # constructor arguments that are tensors are buffers (or, for _weight, parameters)
        owners = {name: name if name in state else name.lstrip("_") for name in tensors}
        wanted |= {f"state {owners[name]}": v for name, v in tensors.items() if v.kind != "real"}
        config = {**config, **{name: Slot(f"state {owner}") for name, owner in owners.items()}}
    arrays = {name: data(v, rng, chosen, dtype) for name, v in wanted.items()}
    example = Example(
        spec.name,
        config,
        arrays,
        sets,
        chosen,
        seed,
        template,
        kwargs,
        choices,
        spec.draws(config),
    )
    while not spec.settled(example):
        example.seed += 1
    return example


def draw_cotangents(
    example: Example, shapes: Sequence[tuple[int, ...] | None], precision: Precision
) -> None:
    """Fill in a dy for every output of these shapes (None: an integer one), where not yet there."""
    alone = len(shapes) == 1
    example.outputs = tuple(
        None if shape is None else ("dy" if alone else f"dy {i}") for i, shape in enumerate(shapes)
    )
    if all(name is None or name in example.arrays for name in example.outputs):
        return
    rng = np.random.default_rng([example.seed, 1])
    for name, shape in zip(example.outputs, shapes, strict=True):
        if name is not None and shape is not None and name not in example.arrays:
            values = Values(shape)
            example.arrays[name] = data(values, rng, example.themes, precision.name)
