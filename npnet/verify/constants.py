"""The same draws in every process: Hypothesis without the constants of what happens to be imported.

One draw in twenty of an integer or a float is a constant, and half of these come from the sources
of every local module that is imported at the moment. What one seed asks would then depend on which
files lie beside the candidate, and on what the caller has imported. Hypothesis has no setting for
it, so that its own function is exchanged while npnet draws. The constants that it has by itself are
drawn as ever.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis.internal.cache import LRUCache
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

_CACHED = 1024  # as many as Hypothesis keeps


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
