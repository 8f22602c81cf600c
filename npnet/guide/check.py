"""Whether the pages still say what is so."""

from collections.abc import Iterator

from npnet.contract import ConfigError
from npnet.guide import claims, evidence, signature, source
from npnet.guide.example import example

_RENEW = "You might need make evidence."


def complaints(name: str) -> Iterator[str]:
    """What is wrong with the page of a layer: it is older than the layer, torch has a parameter
    that it does not name, a claim has no passing check, its code does not run or disagrees.
    """
    found = evidence.read(name)
    if found is None:
        yield f"it was never verified. {_RENEW}"
        return
    if found.code != source.digest(name):
        yield (
            f"it is older than the layer, whose code has changed since "
            f"{found.environment['date']}. {_RENEW}"
        )
    wrong = sorted(d for d, asked in found.asked.items() if asked.verdict != "PASS")
    if wrong:
        yield f"it was not verified in {', '.join(wrong)}. {_RENEW}"
    for parameter in signature.unnamed(name):
        yield f"torch has a parameter {parameter!r}, which the page does not name."
    texts = claims.texts(name)
    if not texts:
        yield "it claims nothing: the spec needs the conventions that people get wrong."
    failing = claims.failing(name)
    for text in texts:
        if text in failing:
            yield f"the claim {text!r} fails: {failing[text]}."
        elif text not in found.claims:
            yield f"the claim {text!r} has no passing check in the attached run. {_RENEW}"
    if not found.mistakes:
        yield f"it shows no mistakes. {_RENEW}"
    try:
        shown = example(name)
    except ConfigError as error:
        yield str(error)
        return
    if not shown.agree:
        yield (
            "NumPy and PyTorch print different numbers:\n"
            f"{shown.numpy.output}\n{shown.torch.output}"
        )
