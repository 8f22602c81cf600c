"""Somebody's code that claims to be a torch layer: `@candidate("Linear")`."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from npnet.contract import ConfigError
from npnet.verify.finding import Source

BOUNDS = ("elementwise", "normwise")


@dataclass(frozen=True)
class Candidate:
    """A function of a Case that claims to be `twin` on the domain that `only` leaves.

    `sources` are the places to look at, by pass: "forward" and "backward". `dialect` names what it
    is held against in the place of torch itself.
    """

    function: Callable[[Any], Any]
    twin: str
    name: str
    only: Mapping[str, st.SearchStrategy[Any]] = field(default_factory=dict)
    bound: str = "elementwise"
    without: tuple[str, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict)
    target: str = ""
    module: str = ""  # in which it was declared
    dialect: str | None = None
    device: str = "cpu"  # where it computes

    def __call__(self, case: Any) -> Any:
        """What the function answers."""
        return self.function(case)

    def source(self, quantity: str) -> Source | None:
        """Where the code stands that computes a quantity."""
        wanted = "backward" if quantity.startswith("gradient") or quantity == "dy" else "forward"
        return self.sources.get(wanted) or self.sources.get("forward")

    def placed(self, device: str) -> "Candidate":
        """The same candidate on a device; one that NumPy computes stays where it is."""
        on = getattr(self.function, "on", None)
        return self if on is None else replace(self, function=on(device), device=device)

    def named(self, name: str, target: str) -> "Candidate":
        """The same candidate under the name it has in its module."""
        return replace(self, name=name, target=target)


def candidate(
    twin: str,
    *,
    only: Mapping[str, st.SearchStrategy[Any]] | None = None,
    bound: str = "elementwise",
    without: Sequence[str] = (),
    dialect: str | None = None,
    name: str | None = None,
) -> Callable[[Callable[[Any], Any]], Candidate]:
    """Declare that a function of a Case claims to be `torch.nn.<twin>`.

    twin: the name of a spec: "Linear", "optim.Adam", "autograd.matmul"
    only: strategies that replace the twin's own for options of these names, where the candidate
        covers a part of the twin: `only={"bias": st.just(True)}`
    bound: "normwise" for algorithms that are stable only in the norm (Winograd, FFT): every element
        is then allowed the largest bound of its tensor
    without: quantities that the candidate does not claim to have ("gradient of input 1", "next
        num_batches_tracked"); they are not judged, and the report says so
    dialect: the convention that it follows on purpose where torch has another ("tensorflow"): it is
        then held against that, and the report says so
    """
    if not isinstance(twin, str):
        raise ConfigError(
            f'@candidate needs the name of a torch layer, as in @candidate("Linear"), '
            f"but got {twin!r}."
        )
    if bound not in BOUNDS:
        raise ConfigError(f"bound must be one of {BOUNDS}, but is {bound!r}.")
    for option, strategy in (only or {}).items():
        if not isinstance(strategy, st.SearchStrategy):
            raise ConfigError(
                f"only[{option!r}] must be a Hypothesis strategy, but is {strategy!r}. "
                f"You might need st.just({strategy!r})."
            )

    if not isinstance(dialect, str | None):
        raise ConfigError(f"dialect must be a name, but is {dialect!r}.")

    module = sys._getframe(1).f_globals.get("__name__", "")

    def declare(function: Callable[[Any], Any]) -> Candidate:
        if not callable(function):
            raise ConfigError(
                f"@candidate({twin!r}) needs a function of a Case, but got {function!r}. "
                "npnet.verify.adapt turns other styles of code into one."
            )
        return Candidate(
            function,
            twin,
            name or str(getattr(function, "__name__", type(function).__name__)),
            dict(only or {}),
            bound,
            tuple(without),
            getattr(function, "sources", None) or sources(function, function),
            module=module,
            dialect=dialect,
        )

    return declare


def sources(forward: Any, backward: Any) -> dict[str, Source]:
    """Where these two functions (or classes) stand, as far as Python knows."""
    found: dict[str, Source] = {}
    for which, function in (("forward", forward), ("backward", backward)):
        try:
            file = inspect.getsourcefile(function)
            line = inspect.getsourcelines(function)[1]
        except (TypeError, OSError):
            continue
        if file is not None:
            name = getattr(function, "__qualname__", repr(function))
            found[which] = Source(_short(file), line, name.split("<locals>.")[-1])
    return found


def _short(file: str) -> str:
    path = Path(file).resolve()
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
