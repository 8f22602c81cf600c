"""What the docstrings of npnet's own layers say, as far as a page needs it."""

import inspect
import re
import sys

from npnet.verify.targets import own_class

_REFERENCE = re.compile(r"\bas (?:in|for|of) ([A-Z]\w+)\b")

_WIDTH = 84  # a longer line of prose goes on in the next one


def docstring(name: str) -> str:
    """The layer's own docstring, with the lines of its prose joined and all others as they are."""
    return _joined(inspect.getdoc(own_class(name)) or "")


def _joined(text: str) -> str:
    """Prose goes on where a line ends that is nearly full."""
    found: list[str] = []
    goes_on = False
    lines = text.split("\n")
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if goes_on:
            found[-1] += " " + line
        else:
            found.append(line)
        word = after.split(" ")[0]  # nothing where the next line is empty or indented
        prose = not (
            line.startswith(" ")
            or _ALIGNED.search(line)
            or _ALIGNED.search(after)
            or _BEGINS.match(after)
        )
        goes_on = bool(word) and prose and len(line) + 1 + len(word) > _WIDTH
    return "\n".join(found)


_ALIGNED = re.compile(r"\S {3,}\S")
_BEGINS = re.compile(r"Twin: |Raises |\w+: {2,}|[\w.,' ]+: \(|[^\s:]+( \S+){0,3} = ")
"""What stands on lines of its own: columns, twins, errors, labels, shapes, formulas."""


def initial(name: str) -> str:
    """What the first state of a layer is; nothing of what has none."""
    if "." in name:
        return ""
    told = inspect.getdoc(own_class(name).init) or ""
    return " ".join(told.split())


def kept(name: str) -> str:
    """What an optimizer keeps from step to step, as the docstring of its state says it."""
    if not name.startswith("optim."):
        return ""
    cls = own_class(name)
    state = getattr(sys.modules[cls.__module__], f"{cls.__name__}State", None)
    if state is None:  # AdamW's is Adam's
        state = inspect.signature(cls.init).return_annotation
    fields = ", ".join(state._fields)
    return f"{fields}\n\n{_joined(inspect.getdoc(state) or '')}"


def references(name: str) -> list[str]:
    """The layers whose docstrings this one's leaves things to, "as in BatchNorm1d", in order."""
    package = name.rpartition(".")[0]
    found: list[str] = []
    queue = [name]
    while queue:
        for other in _REFERENCE.findall(docstring(queue.pop(0))):
            full = f"{package}.{other}" if package else other
            if full != name and full not in found and own_class(full) is not None:
                found.append(full)
                queue.append(full)
    return found


def borrowed(name: str, other: str) -> str:
    """What a docstring that is referred to adds: not its formula, its errors, its sources; not its
    shapes and its gradients, where the docstring that refers to it has its own.
    """
    own = docstring(name).split("\n\n")
    left = []
    for paragraph in docstring(other).split("\n\n")[1:]:
        own_has = any(kind.match(paragraph) and any(map(kind.match, own)) for kind in _KINDS)
        if not own_has and not paragraph.startswith(("Raises ", "Twin: ")):
            left.append(paragraph)
    return "\n\n".join(left)


_KINDS = (
    re.compile(r"[\w.,' ]+: (\(|shapes |any shape)"),  # shapes
    re.compile(r"d\S+ = |dh_t"),  # gradients
)
