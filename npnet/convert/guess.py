"""Which framework a checkpoint comes from, by its names."""

import re

from npnet.contract import ConfigError
from npnet.convert.facts import FRAMEWORKS
from npnet.convert.groups import grouped
from npnet.convert.slots import Shapes, slots_of_state

_MARKS = {
    "flax": r"(params|batch_stats)[/.].*|.*\b[A-Z]\w*_\d+[/.](kernel|bias|scale|embedding)",
    "keras": r".*(gamma|beta|moving_mean|moving_variance|embeddings|recurrent_kernel|:0)"
    r"|.*\b(dense|conv\dd|lstm|gru)\w*/.*kernel",
    "dlfs": r"(W|b|gamma|beta|running_mean|running_var)\d+|\w+_(Wx|Wh)",
}


def framework_of(given: Shapes) -> str:
    """ "torch", or the framework whose names these are. Raises ConfigError where it may be any."""
    slots, left = slots_of_state(given)
    main = r"(weight|running_\w+)(_\w+)?$"
    if slots and not left and all(re.search(main, name) for name in _mains(given)):
        return "torch"
    marked = [f for f, mark in _MARKS.items() if any(re.fullmatch(mark, n) for n in given)]
    if len(marked) == 1:
        return marked[0]
    whole = [f for f in FRAMEWORKS if not grouped(f, given, {})[1]]
    raise ConfigError(
        f"--from needs to say where these tensors come from: {', '.join(list(given)[:3])}, … "
        f"could be of {', '.join(whole) or 'nothing known'}. It takes torch, "
        f"{', '.join(FRAMEWORKS)}."
    )


def _mains(given: Shapes) -> list[str]:
    """The names without biases, which all frameworks have."""
    return [n for n in given if not re.search(r"bias|num_batches_tracked", n)]
