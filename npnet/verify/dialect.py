"""A dialect: a twin under another convention, as another framework or a book has it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from npnet.contract import Forward, Grads, Nested
from npnet.verify.adapt.layout import Axes
from npnet.verify.candidate import Candidate
from npnet.verify.case import Case, map_leaves
from npnet.verify.spec import Answer, Spec

Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Dialect:
    """A variant of a twin that can be executed, so that its bounds are derived as the twin's are.

    name: what a candidate declares, as "tensorflow"
    origin: where it is at home: "TensorFlow, Keras"
    text: what it does, and what torch does instead
    answer: as that of a Spec
    layout: the axis orders in which a candidate is asked, where these are what differs
    """

    name: str
    twin: str
    origin: str
    text: str
    answer: Callable[..., Answer]
    layout: "Layout | None" = None

    def held(self, candidate: Candidate, spec: Spec) -> tuple[Candidate, Spec]:
        """The candidate and the spec of its twin as one is held against the dialect."""
        if self.layout is not None:
            candidate = replace(candidate, function=self.layout.held(candidate.function))
        return candidate, replace(spec, answer=self.answer)


@dataclass(frozen=True)
class Layout:
    """Axis orders, torch's -> the dialect's: "o i -> i o".

    images: of the first input and of the outputs
    state: of the state's entries, by pattern ("weight*")
    """

    images: str | None = None
    state: Mapping[str, str] = field(default_factory=dict)

    def held(self, function: Any) -> Function:
        """The function in torch's axis orders; one in another process arranges it there."""
        elsewhere = getattr(function, "within", None)
        held: Function = self.around(function) if elsewhere is None else elsewhere(self)
        return held

    def around(self, function: Function) -> Function:
        """The function in torch's axis orders, of one that has its arrays in these."""
        images = None if self.images is None else Axes.parse(self.images)
        entries = {pattern: Axes.parse(text) for pattern, text in self.state.items()}

        def of(name: str) -> Axes | None:
            return next((a for pattern, a in entries.items() if fnmatchcase(name, pattern)), None)

        def call(case: Case) -> Any:
            x, *others = case.inputs
            mine = {name: _mine(of(name), a) for name, a in case.state.items()}
            reply = function(replace(case, inputs=(_mine(images, x), *others), state=mine))
            if not isinstance(reply, tuple) or not 2 <= len(reply) <= 3 or not callable(reply[1]):
                return reply  # what is wrong with it, the engine says
            forward = Forward(*reply)

            def back(found: Mapping[str, Any]) -> dict[str, Any]:
                return {
                    n: _theirs(of(n), a, case.state[n]) if n in case.state else a
                    for n, a in found.items()
                }

            def vjp(dy: Any) -> Any:
                grads = forward.vjp(_each(dy, lambda a: _mine(images, a)))
                if not isinstance(grads, tuple) or len(grads) != 2 or not grads[0]:
                    return grads
                dx, *more = grads[0]
                return Grads((_theirs(images, dx, x), *more), back(grads[1]))

            y = _each(forward.y, lambda a: _theirs(images, a, x))
            return Forward(y, vjp, back(forward.updates))

        return call


def _each(nested: Nested, function: Callable[[Any], Any]) -> Any:
    return map_leaves(nested, "", lambda _, a: function(a))


def _mine(axes: Axes | None, a: Any) -> Any:
    return a if axes is None or a is None else axes.to_mine(a)


def _theirs(axes: Axes | None, a: Any, like: Any) -> Any:
    return a if axes is None or a is None else axes.to_theirs(a, axes.sizes(like.shape))
