"""The step of an optimizer, as a quotient of what torch keeps of the gradients."""

import re
from collections.abc import Iterator

import numpy as np

from npnet.contract import Array
from npnet.verify.diagnose.probe import View
from npnet.verify.diagnose.reading import Reading
from npnet.verify.diagnose.relation import fitted


def steps(v: View) -> Iterator[Reading]:
    """A step of an optimizer as a quotient of what torch keeps of the gradients."""
    at = re.fullmatch(r"params after step (\d+): (.*)", v.quantity)
    if at is None or not v.want.size:
        return
    k, name = at[1], at[2]
    eps = v.eps
    g = v.array(f"grad {k} {name}")
    if g is not None and g.shape != v.want.shape:  # of a sparse one these are the values
        g = None
    kept = {
        key.split(" ")[1]: a
        for key, a in v.probe.want.items()
        if key.startswith("state ") and key.endswith(f"after step {k}: {name}")
        and a.shape == v.want.shape
    }  # fmt: skip
    above = ([("the gradient", g)] if g is not None else []) + list(kept.items())
    betas = v.probe.config.get("betas")
    if isinstance(betas, tuple) and "exp_avg_sq" in kept and "exp_avg" in kept:
        with np.errstate(all="ignore"):
            above.append(("exp_avg corrected", kept["exp_avg"] / (1 - betas[0] ** int(k))))
            kept["exp_avg_sq corrected"] = kept["exp_avg_sq"] / (1 - betas[1] ** int(k))
    below: list[tuple[str, Array]] = [("", np.ones(v.want.shape))]
    for text, a in kept.items():
        below += [(f" / ({text} + eps)", a + eps), (f" / √({text})", np.sqrt(a))]
        below += [(f" / (√({text}) + eps)", np.sqrt(a) + eps), (f" / √({text} + eps)",
                                                                  np.sqrt(a + eps))]  # fmt: skip
    if g is not None:
        below.append((" / |the gradient|", np.abs(g)))
    for over, a in above:
        for under, b in below:
            shape = a / b
            c = fitted(v.got, shape)
            if c is not None and np.isfinite(c) and c:
                text = f"the step is a multiple of {over}{under}"
                yield Reading(("step", text), "constant", text, c * shape, 2.8)
