"""Breaches of the contract and breakdowns: what the message already knows, as an explanation."""

from npnet.verify.finding import Explanation, Finding, Verdict

_SAYS = (
    ("was written into", "protocol", "it writes into what it is given"),
    ("results that was kept", "protocol", "it hands out a buffer that it uses again"),
    ("that was kept changed", "protocol", "it hands out a buffer that it uses again"),
    ("vjp(2 dy) is not", "protocol", "its backward pass is not linear in dy, or keeps something "
     "from call to call (does it accumulate, or ignore dy?)"),
    ("a second vjp(dy) differs", "protocol", "a second backward pass gives something else: it "
     "accumulates, or uses up its cache"),
    ("another result the second time", "protocol", "a second call gives something else: it keeps "
     "something from call to call, or draws random numbers of its own"),
    ("another forward pass comes between", "protocol", "its backward pass uses the cache of the "
     "latest forward pass, not of its own"),
    ("wrong once and right when", "protocol", "it depends on earlier calls, or on chance"),
    ("only with other calls before it", "protocol", "it depends on earlier calls"),
    ("arrays that are not contiguous", "protocol", "it reads arrays as if they were contiguous in "
     "memory"),
    ("a smaller batch after a larger", "protocol", "it keeps something of the larger batch before"),
    ("must have shape", "contract", ""),
    ("is missing (None)", "contract", "there is no gradient where torch has one"),
    ("must be float", "contract", "it leaves the precision of its inputs"),
)  # fmt: skip


def breach(finding: Finding) -> Explanation | None:
    """What is wrong with the protocol, if that is what is wrong."""
    if finding.verdict is Verdict.CONTRACT:
        for words, kind, text in _SAYS:
            if words in finding.message:
                return Explanation(kind, text or finding.message, 0.0)
        return Explanation("contract", finding.message, 0.0)
    if finding.verdict in (Verdict.CRASH, Verdict.TIMEOUT, Verdict.OUT_OF_MEMORY):
        return Explanation("crash", finding.message, 0.0)
    if "differs from what was given, but torch leaves it" in finding.message:
        return Explanation("protocol", "it updates what torch leaves as it is", 0.0)
    return None
