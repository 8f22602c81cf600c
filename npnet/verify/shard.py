"""One run dealt out to several machines: who asks what, and what the others ask.

Candidates are dealt like cards, in the order in which they are named; where there are fewer of
them than shards, every candidate in every dtype is a card. What is asked of a candidate does not
depend on the others, so that the parts add up to the whole run.
"""

from collections.abc import Iterator, Sequence

from npnet.verify.candidate import Candidate

ELSEWHERE = "(in another shard)"

Part = tuple[Candidate, tuple[str, ...]]
"""A candidate and the dtypes in which it is asked here, none where others ask it."""


def deal(
    candidates: Sequence[Candidate], dtypes: Sequence[str], shard: tuple[int, int] | None
) -> list[Part]:
    """Every candidate with the dtypes that fall to this shard, (i, n), or to an undivided run."""
    if shard is None:
        return [(c, tuple(dtypes)) for c in candidates]
    i, n = shard
    if len(candidates) >= n:
        return [(c, tuple(dtypes) if k % n == i - 1 else ()) for k, c in enumerate(candidates)]
    found = []
    for k, c in enumerate(candidates):
        numbered = enumerate(dtypes, start=k * len(dtypes))
        found.append((c, tuple(dtype for m, dtype in numbered if m % n == i - 1)))
    return found


def elsewhere(parts: Sequence[Part], dtypes: Sequence[str]) -> Iterator[str]:
    """What falls to other shards, as lines of what is not verified here."""
    for c, own in parts:
        if not own:
            yield f"{c.name} {ELSEWHERE}"
            continue
        yield from (f"{c.name} {dtype} {ELSEWHERE}" for dtype in dtypes if dtype not in own)
