"""Candidates as pytest items: one per candidate, dtype and quantity.

@npnet.verify.parametrize([affine, "LayerNorm"])
def test_backward(check):
    check()

The items come from npnet's pytest plugin (npnet/pytest_plugin.py). Their names are those of the
twin's quantities, found by asking the twin about a few examples; they depend on the candidate and
on nothing else, so that every process finds the same. A candidate is verified in a dtype when the
first of its items runs, and once per process.
"""

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from npnet.contract import ConfigError
from npnet.verify.candidate import Candidate
from npnet.verify.case import Example
from npnet.verify.draw import Pick
from npnet.verify.drawn import on_each
from npnet.verify.examine import ENOUGH
from npnet.verify.finding import BROKEN, DIVERGED, Finding, Outcome, Report, Verdict
from npnet.verify.isolate import without_fatal
from npnet.verify.precision import PRECISIONS
from npnet.verify.settings import Event, Settings, profiled
from npnet.verify.spec import examples as drawn_examples
from npnet.verify.targets import held, resolve

REST = "everything else"
"""The item for what no other item is for: a quantity that turns up in the run only, an argument
that was written into."""

MARK = "npnet"
"""The mark by which the plugin knows the functions, and `pytest -m` their items."""

_DRAWN = 60  # examples of the twin, whose quantities become items
_STEPS = " after step "  # an optimizer's quantities are named up to here: the steps differ

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Parametrized:
    """What a function is decorated with: what `run` takes as a target, and what is asked of it."""

    candidates: Any
    asked: Settings


def parametrize(
    candidates: Any,
    *,
    examples: int | None = None,
    dtypes: Sequence[str] = ("float64", "float32"),
    seed: int = 0,
) -> Callable[[_F], _F]:
    """Make a test function of `check` one pytest item per candidate, dtype and quantity.

    candidates: what `run` takes: a candidate, the name of one of npnet's own layers, a file or a
        module that holds candidates, or a sequence of these
    examples: drawn structures per candidate and dtype; those of the profile "ci" (200) by default
    dtypes: of "float64", "float32" and "float16"
    seed: of the questions; the same seed asks the same

    An item is named as `affine-float64-gradient-of-weight` and fails with the finding of its
    quantity. Where the candidate breaks down, all of its items fail; where too little was seen,
    those of which it was. A quantity that was not drawn is skipped. Raises ConfigError for settings
    that make no sense; candidates are looked up when pytest collects.
    """
    try:
        import pytest
    except ModuleNotFoundError:
        raise ConfigError(
            "npnet.verify.parametrize needs pytest, which is not installed. "
            "Install it with: pip install pytest"
        ) from None
    if isinstance(dtypes, str):
        raise ConfigError(f"dtypes must be a sequence of names, but is {dtypes!r}.")
    if not dtypes:
        raise ConfigError("dtypes must name at least one, as ('float64', 'float32'), but is empty.")
    number, _ = profiled(None, examples, seed)
    asked = Settings(number, tuple(dict.fromkeys(dtypes)), seed=seed)
    mark: Callable[[_F], _F] = getattr(pytest.mark, MARK)(Parametrized(candidates, asked))
    return mark


# ---- items ---------------------------------------------------------------------------------------


def checks(told: Parametrized, known: "Verifications") -> "Iterator[Check]":
    """The items of a decorated function. Raises ConfigError where they cannot be known."""
    targets, fatal = without_fatal(told.candidates)
    found, unloaded = resolve(targets)
    broken = [*fatal, *unloaded]
    if not found and not broken:
        raise ConfigError(
            f"npnet.verify.parametrize needs at least one candidate, but got {told.candidates!r}."
        )
    names = [c.name for c in found]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ConfigError(
            "the candidates of one npnet.verify.parametrize must have names of their own, but "
            f"{names.count(twice[0])} are named {twice[0]!r}. "
            'Name one of them: @candidate("Linear", name="another").'
        )
    for finding in broken:
        whole = replace(told.asked, dtypes=())
        yield Check(known.of(None, whole, finding), finding.quantity, ())
    for c in found:
        listed = quantities(c)
        for dtype in told.asked.dtypes:
            verification = known.of(c, replace(told.asked, dtypes=(dtype,)))
            for quantity in (*listed, REST):
                yield Check(verification, quantity, listed)


def quantities(c: Candidate) -> tuple[str, ...]:
    """What is judged of a candidate, as names of items, in the order in which it is blamed.

    The twin is asked about a few examples, always the same, one for each combination of options.
    What turns up under none of these is part of REST. Empty where the twin cannot be asked: the run
    says why.
    """
    found: dict[str, None] = {}
    seen: set[Any] = set()
    try:
        asked_as, spec = held(c)
    except ConfigError:
        return ()

    def look(drawn: tuple[Example, Pick]) -> None:
        example, pick = drawn
        options = tuple((name, str(pick.choices.get(name))) for name in sorted(pick.universe))
        kind = (options, tuple(example.arrays))
        if kind in seen or spec.known_bad(example.config) is not None:
            return
        seen.add(kind)
        answer = spec.answer(example, PRECISIONS["float64"], single=True)
        for quantity, expected in answer.expected.items():
            if expected.required and quantity not in c.without:
                found.setdefault(_group(quantity))

    try:
        on_each(drawn_examples(spec, asked_as.only, "float64", 1), look, _DRAWN, seed=0)
    except Exception:  # of the candidate's own strategies: the run meets it, too, and tells it
        return ()
    return tuple(found)


class Check:
    """What an item calls: fails with the finding of its quantity, or returns.

    id: of the item, such as affine-float64-gradient-of-weight: letters, digits and -._+ only
    group: the same for all items that one verification decides
    called: whether the test has called it
    failed: the quantities of the findings with which it failed
    """

    def __init__(
        self, verification: "Verification", quantity: str, listed: tuple[str, ...]
    ) -> None:
        self.verification, self.quantity, self.listed = verification, quantity, listed
        self.group = _slug(f"npnet-{verification.name}")
        self.id = _slug(f"{verification.name} {quantity}")
        self.called = False
        self.failed: tuple[str, ...] = ()
        self.kept: Path | None = None  # where the page of the session will be

    def __call__(self) -> None:
        """Fail, or skip, unless the quantity was verified."""
        __tracebackhide__ = True
        self.called, self.failed = True, ()
        report = self.verification.report()
        found = self._findings(report)
        if found:
            from npnet.report.text import failure

            self.failed = tuple(f.quantity for f in found)
            _fail("\n\n".join(str(failure(f, report.findings, self.kept)) for f in found))
        if self.quantity == REST:
            return
        others = [f for f in report.findings if f.verdict in DIVERGED]
        if others and not any(_group(q) == self.quantity for f in others for q in f.agrees):
            # findings are told up to a number, and what comes after another only inherits it
            _fail(
                f"{self.quantity} of {self.verification.name} was not found right: no example "
                f"decides it beside the divergence of {others[0].quantity}, which comes first."
            )
        if not self._proven(report, 1):
            import pytest

            pytest.skip(
                f"not verified: {self.verification.asked.examples} examples draw too little of "
                f"{self.quantity}; ask for more"
            )

    def _findings(self, report: Report) -> list[Finding]:
        """Those that fail this item."""
        if self.quantity == REST:
            own = [f for f in report.findings if _group(f.quantity) not in self.listed]
        else:
            own = [f for f in report.findings if _group(f.quantity) == self.quantity]
        for f in report.findings:
            thin = f.verdict is Verdict.INSUFFICIENT and self.quantity != REST
            if f not in own and (
                f.verdict in BROKEN or (thin and not self._proven(report, ENOUGH))
            ):
                own.append(f)
        return own

    def _proven(self, report: Report, sets: int) -> bool:
        """Whether enough value sets say something of it, and a planted mistake was noticed."""
        outcomes = [o for result in report.layers for o in result.outcomes.values()]
        own = [(o, q) for o in outcomes for q in o.informative if _group(q) == self.quantity]
        return any(_says(o, q, sets) for o, q in own)


def _says(outcome: Outcome, quantity: str, sets: int) -> bool:
    return outcome.informative[quantity] >= sets and outcome.canaries.get(quantity, False)


def _fail(text: str) -> NoReturn:
    import pytest

    __tracebackhide__ = True
    pytest.fail(text, pytrace=False)


def _group(quantity: str) -> str:
    return quantity.partition(_STEPS)[0]


def _slug(text: str) -> str:
    """A name that -k, a shell, JUnit and node ids take as it is."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", text).strip("-")


# ---- verifying -----------------------------------------------------------------------------------


class Verifications:
    """All of a process: what is asked twice is verified once."""

    def __init__(self) -> None:
        self._known: dict[Any, Verification] = {}
        self._directory: Path | None = None

    def of(
        self, c: Candidate | None, asked: Settings, broken: Finding | None = None
    ) -> "Verification":
        """That of a candidate with these settings, in one dtype."""
        if c is None:
            key: Any = broken and (broken.target, broken.id)
        else:
            key = ((c.target, c.name) if c.target else id(c), asked)
        if key not in self._known:
            self._known[key] = Verification(self, c, asked, broken)
        return self._known[key]

    def place(self) -> Path:
        """A folder for one more run."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="npnet-"))
        return Path(tempfile.mkdtemp(dir=self._directory))


class Verification:
    """One candidate in one dtype, held against its twin when it is first asked for.

    broken: why there is no candidate
    place: where the run was written as it happened; another process may read it there

    A candidate that was given as such is asked in this process, one of a named file in another.
    """

    def __init__(
        self, home: Verifications, c: Candidate | None, asked: Settings, broken: Finding | None
    ) -> None:
        self._home, self.asked, self._broken = home, asked, broken
        self._candidates = [] if c is None else [c]
        self._target = "" if c is None else _target(c)
        self._report: Report | None = None
        self.place: Path | None = None

    @property
    def name(self) -> str:
        """Of the candidate, with the dtype."""
        named = [c.name for c in self._candidates] or [self._broken.layer if self._broken else ""]
        return " ".join([*named, *self.asked.dtypes])

    @property
    def key(self) -> tuple[str, ...]:
        """What is the same where the same is asked, in another process, too."""
        return (self.name, self._target, str(self.asked.examples), str(self.asked.seed))

    def report(self) -> Report:
        """What came of it."""
        if self._report is None:
            from npnet.report.files import Writer
            from npnet.verify.engine import run_all

            place = self._home.place()
            broken = [self._broken] if self._broken else []
            with Writer(place, formats=()) as writer:

                def write(event: Event) -> None:
                    found = event.get("finding")
                    if isinstance(found, Finding) and not found.target:
                        event = {**event, "finding": replace(found, target=self._target)}
                    writer(event)

                report = run_all(self._candidates, self.asked, on_event=write, broken=broken)
                report = writer.complete(report)
            if any("(interrupted)" in text for text in report.not_verified):
                raise KeyboardInterrupt
            self._report, self.place = report, place
        return self._report


def _target(c: Candidate) -> str:
    """What `npnet verify` has to be told to find the candidate: the name it has in its module."""
    module = sys.modules.get(c.module)
    file = getattr(module, "__file__", None)
    if c.target or module is None or file is None:
        return c.target
    name = next((name for name, value in list(vars(module).items()) if value is c), None)
    if name is None:
        return ""
    path = Path(file).resolve()
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"{c.module}:{name}" if getattr(module, "__package__", "") else f"{path}::{name}"
