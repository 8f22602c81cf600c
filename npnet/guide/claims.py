"""Which claims of a spec pass: asked of torch and of npnet alike."""

from importlib import import_module

from npnet.verify.claim import Ask
from npnet.verify.targets import native, specs


def failing(name: str) -> dict[str, str]:
    """The claims whose check does not pass, and of whom."""
    spec, own = specs()[name], native(name).function
    torch = import_module("npnet.twins.itself").torch_itself(name)
    found: dict[str, str] = {}
    for claim in spec.claims:
        for who, function in (("torch", torch), ("npnet", own)):
            try:
                passed = claim.check(Ask(function, spec))
            except Exception as error:
                found[claim.text] = f"{who} raises {type(error).__name__}: {error}"
                break
            if not passed:
                found[claim.text] = f"it is not so of {who}"
                break
    return found


def passing(name: str) -> tuple[str, ...]:
    """The claims whose check passes."""
    failed = failing(name)
    return tuple(claim.text for claim in specs()[name].claims if claim.text not in failed)


def texts(name: str) -> tuple[str, ...]:
    """What the spec claims, whether it passes or not."""
    return tuple(claim.text for claim in specs()[name].claims)
