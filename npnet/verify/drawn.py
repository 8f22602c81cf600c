"""Functions of drawn examples: Hypothesis as npnet uses it, the same draws in every process.

One draw in twenty of an integer or a float is a constant, and half of these come from the sources
of every local module that is imported at the moment. What one seed asks would then depend on which
files lie beside the candidate, and on what the caller has imported. Hypothesis has no setting for
it, so that its own function is exchanged while npnet draws. The constants that it has by itself are
drawn as ever.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st
from hypothesis.internal.cache import LRUCache
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

_CACHED = 1024  # as many as Hypothesis keeps


def on_each(
    strategy: st.SearchStrategy[Any],
    function: Callable[[Any], None],
    number: int,
    seed: int,
    shrinks: bool = False,
) -> None:
    """Run a function on so many drawn values, the same ones for the same seed.

    shrinks: whether a value on which it raises is made smaller, and raised again
    """
    phases = [Phase.generate, Phase.shrink] if shrinks else [Phase.generate]
    test = settings(
        max_examples=number,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )(with_seed(seed)(given(strategy)(function)))
    with without_local_constants():
        test()


@contextmanager
def without_local_constants() -> Iterator[None]:
    """Draw nothing that is taken from imported modules; put everything back afterwards."""
    found, cache = providers._get_local_constants, providers.CONSTANTS_CACHE
    none = Constants()
    providers._get_local_constants = lambda: none
    providers.CONSTANTS_CACHE = LRUCache(_CACHED)
    try:
        yield
    finally:
        providers._get_local_constants, providers.CONSTANTS_CACHE = found, cache
