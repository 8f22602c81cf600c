"""What the adapters share: a case carried over into somebody else's names, axes and arguments."""

import functools
import inspect
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, Grads
from npnet.verify.adapt.layout import Axes
from npnet.verify.candidate import sources
from npnet.verify.case import Case
from npnet.verify.finding import Source

Layout: TypeAlias = Mapping[str, str]
Arguments: TypeAlias = Mapping[str, Any] | Callable[[Mapping[str, Any]], Mapping[str, Any]] | None
Layouts: TypeAlias = str | Mapping[str, str | None] | Sequence[str | None] | None

EMPTY: Layout = {}


class Adapted:
    """A function of a Case, called as one; knows where the code stands that it wraps.

    on: makes the same of a device, for code that runs on several
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        code: Any,
        found: dict[str, Source],
        on: "Callable[[str], Adapted] | None" = None,
    ) -> None:
        self.function, self.on = function, on
        self.__name__ = name_of(code)
        self.sources = found

    def __call__(self, case: Any) -> Any:
        """Ask the wrapped code."""
        return self.function(case)


@dataclass(frozen=True)
class Entry:
    """One line of a layout: my name for an entry of the twin's state, and its axes."""

    mine: str
    theirs: str
    axes: Axes | None

    @classmethod
    def parse(cls, mine: str, text: str) -> "Entry":
        """Read "weight: o i -> i o", or "weight" for the same axes."""
        if not isinstance(mine, str) or not isinstance(text, str) or not text.strip():
            raise ConfigError(
                'a layout maps your names to torch\'s, as in {"W": "weight: o i -> i o", '
                f'"b": "bias"}}, but has {mine!r}: {text!r}.'
            )
        theirs, colon, order = text.partition(":")
        if "->" in theirs or not theirs.strip():
            raise ConfigError(
                f"the layout {text!r} of {mine!r} must begin with torch's name, as in "
                '"weight: o i -> i o".'
            )
        return cls(mine, theirs.strip(), Axes.parse(order.strip()) if colon else None)

    def to_mine(self, a: Array) -> Array:
        """The entry in my axes."""
        return a if self.axes is None else self.axes.to_mine(a, self.theirs)

    def to_theirs(self, a: Any, shape: tuple[int, ...]) -> Any:
        """My array with the axes of an entry of this shape."""
        return a if self.axes is None else self.axes.to_theirs(a, self.axes.sizes(shape))


@dataclass(frozen=True)
class Wiring:
    """How a twin's cases are carried over; the same for every case."""

    layout: tuple[Entry, ...]
    buffers: tuple[Entry, ...]
    config: Arguments
    inputs: tuple[Axes | None, ...]
    outputs: tuple[Axes | None, ...] | None

    @classmethod
    def of(
        cls,
        layout: Layout,
        buffers: Layout,
        config: Arguments,
        inputs: Layouts,
        outputs: Layouts,
    ) -> "Wiring":
        """Check and parse an adapter's arguments."""
        if config is not None and not isinstance(config, Mapping) and not callable(config):
            raise ConfigError(
                'config must map your arguments to torch\'s, as in {"pad": "padding"}, or be a '
                f"function of torch's configuration, but is {config!r}."
            )
        for name, entries in (("layout", layout), ("buffers", buffers)):
            if not isinstance(entries, Mapping):
                raise ConfigError(
                    f'{name} must map your names to torch\'s, as in {{"W": "weight: o i -> i o", '
                    f'"b": "bias"}}, but is {entries!r}.'
                )
        return cls(
            tuple(Entry.parse(mine, text) for mine, text in layout.items()),
            tuple(Entry.parse(mine, text) for mine, text in buffers.items()),
            config,
            _axes("inputs", inputs) or (),
            _axes("outputs", outputs),
        )

    def open(self, case: Case) -> "Crossing":
        """Carry one case over."""
        return Crossing(self, case)


def _axes(what: str, layouts: Layouts) -> tuple[Axes | None, ...] | None:
    if layouts is None:
        return None
    each = (layouts,) if isinstance(layouts, str) else tuple(layouts)
    if isinstance(layouts, Mapping):
        each = tuple(layouts.values())
    for text in each:
        if text is not None and not isinstance(text, str):
            raise ConfigError(
                f'{what} must be layouts, as in {{"x": "n c h w -> n h w c"}}, but has {text!r}.'
            )
    return tuple(Axes.parse(text) if text else None for text in each)


class Crossing:
    """One case in my names and axes, and the way back for its outputs and gradients.

    state: copies of the parameters and buffers that this case has, in my names and axes
    inputs: torch's inputs in my axes
    """

    def __init__(self, wiring: Wiring, case: Case) -> None:
        self._wiring = wiring
        self._case = case
        _check_names((*wiring.layout, *wiring.buffers), case)
        known = [e for e in (*wiring.layout, *wiring.buffers) if e.theirs in case.state]
        self._entries = {e.mine: e for e in known}
        self.state = {e.mine: e.to_mine(case.state[e.theirs]).copy() for e in known}
        self.parameters = [e.mine for e in wiring.layout if e.theirs in case.state]
        self.buffers = [e.mine for e in wiring.buffers if e.theirs in case.state]
        self.layout = [e.mine for e in wiring.layout]
        self._axes: list[Axes | None] = []
        self._sizes: list[dict[str, int]] = []
        xs = []
        for i, x in enumerate(case.inputs):
            axes = wiring.inputs[i] if i < len(wiring.inputs) else None
            if not isinstance(x, np.ndarray):
                axes = None
            self._axes.append(axes)
            self._sizes.append({} if axes is None else axes.sizes(x.shape, f"input {i}"))
            xs.append(x if axes is None else axes.to_mine(x, f"input {i}"))
        self.inputs = tuple(xs)
        self._outputs: list[Axes | None] = []
        self._scalar = True

    # ---- arguments ---------------------------------------------------------------------------

    def told(self, *receivers: "Takes") -> dict[str, Any]:
        """The configuration in my names; by default what one of the receivers has a name for."""
        config = self._wiring.config
        known = {**self._case.config, "rng": self._case.rng}
        if config is None:
            names = {name for takes in receivers for name in takes.names}
            mine = {e.mine for e in (*self._wiring.layout, *self._wiring.buffers)}
            return {name: known[name] for name in known if name in names - mine}
        if not isinstance(config, Mapping):
            return dict(config(known))
        return {mine: _argument(mine, theirs, known) for mine, theirs in config.items()}

    def call(self, function: Any, takes: "Takes", args: Sequence[Any], kwargs: Any) -> Any:
        """Call it; what it is not made for is told in terms of the adapter."""
        if takes.signature is not None:
            try:
                takes.signature.bind(*args, **kwargs)
            except TypeError as error:
                raise ConfigError(
                    f"{name_of(function)}{takes.signature} cannot be called: {error}. The twin has "
                    f"{dict(self._case.config)} and the state {sorted(self._case.state)}. Name "
                    "what is missing in layout= or config=, or leave such cases out with only=."
                ) from None
        return function(*args, **kwargs)

    # ---- the way back --------------------------------------------------------------------------

    def returned(self, y: Any) -> Any:
        """My output, or the tuple of several, in torch's axes."""
        several = isinstance(y, tuple | list)
        ys = tuple(y) if several else (y,)
        self._outputs = [self._of_output(i, y) for i, y in enumerate(ys)]
        self._scalar = all(np.ndim(y) == 0 for y in ys)
        sizes = self._all_sizes()
        back = tuple(
            y if axes is None else axes.to_theirs(y, sizes)
            for y, axes in zip(ys, self._outputs, strict=True)
        )
        return back if several else back[0]

    def _of_output(self, i: int, y: Any) -> Axes | None:
        outputs = self._wiring.outputs
        if outputs is not None:
            return outputs[i] if i < len(outputs) else None
        for axes, sizes in zip(self._axes, self._sizes, strict=True):
            if axes is not None and np.ndim(y) == axes.count(sizes):
                return axes
        return None

    def _all_sizes(self) -> dict[str, int]:
        return {name: size for sizes in reversed(self._sizes) for name, size in sizes.items()}

    def cotangents(self, dy: Any) -> tuple[Any, ...]:
        """dL/dy of every output in my axes."""
        dys = dy if isinstance(dy, tuple) else (dy,)
        return tuple(
            d if axes is None or d is None else axes.to_mine(d, "dy")
            for d, axes in zip(dys, self._outputs, strict=True)
        )

    def unit(self, name: str) -> None:
        """Check that dL/dy is one number, by which gradients of a loss can be scaled."""
        if not self._scalar:
            raise ConfigError(
                f"{name} is a loss whose backward takes dL/dy = 1 for granted, but its output is "
                "no scalar. Leave such cases out with "
                'only={"reduction": st.sampled_from(["mean", "sum"])}, or set unit_loss=False.'
            )

    def split(self, returned: tuple[Any, ...], name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What backward returned, dx first, as gradients of inputs and of parameters."""
        xs, n = len(self.inputs), len(returned)
        for names in (self.layout, self.parameters):
            if n == xs + len(names):
                found = dict(zip(names, returned[xs:], strict=True))
                return returned[:xs], {mine: found[mine] for mine in self.parameters}
        if self.parameters or n > xs:
            raise ConfigError(
                f"{name} returned {n} gradients, but the case has {xs} inputs and the parameters "
                f"{self.parameters} (from the layout). They must be returned in this order."
            )
        return returned, {}

    def grads(self, inputs: tuple[Any, ...], params: Mapping[str, Any], by: Any = None) -> Grads:
        """My gradients in torch's names and axes, scaled by dL/dy where they are of a unit loss.

        Inputs for which nothing was returned have no gradient.
        """
        if len(inputs) > len(self.inputs):
            raise ConfigError(
                f"backward returned {len(inputs)} gradients, but there are {len(self.inputs)} "
                "inputs. If gradients of parameters come with them, set grads='return'."
            )
        missing = (None,) * (len(self.inputs) - len(inputs))
        found = [
            g if axes is None or g is None else axes.to_theirs(g, sizes)
            for g, axes, sizes in zip((*inputs, *missing), self._axes, self._sizes, strict=True)
        ]
        named = {}
        for mine, g in params.items():
            e = self._entries[mine]
            named[e.theirs] = e.to_theirs(g, self._case.state[e.theirs].shape)
        if by is not None:
            found = [None if g is None else g * by for g in found]
            named = {name: None if g is None else g * by for name, g in named.items()}
        return Grads(tuple(found), named)

    def updates(self, after: Mapping[str, Any]) -> dict[str, Array]:
        """Of my entries as the forward pass left them, those that it changed, in torch's terms."""
        found = {}
        for mine, a in after.items():
            e = self._entries[mine]
            before = self._case.state[e.theirs]
            now = e.to_theirs(a, before.shape)
            if not np.array_equal(now, before, equal_nan=before.dtype.kind == "f"):
                found[e.theirs] = np.array(now)
        return found


def _check_names(entries: Sequence[Entry], case: Case) -> None:
    """A name that torch does not have is either left out by the configuration or misspelt."""
    unclaimed = sorted(case.state.keys() - {e.theirs for e in entries})
    for e in entries:
        if e.theirs not in case.state:
            near = get_close_matches(e.theirs, unclaimed, 1, 0.7)
            near = near or [name for name in unclaimed if name.startswith(e.theirs)]
            if near:
                raise ConfigError(
                    f"the layout of {e.mine!r} names {e.theirs!r}, which the twin's state_dict "
                    f"does not have. Did you mean {near[0]!r}?"
                )


def _argument(mine: str, theirs: Any, known: Mapping[str, Any]) -> Any:
    if callable(theirs):
        return theirs(known)
    if not isinstance(theirs, str):
        return theirs
    if theirs not in known:
        near = get_close_matches(theirs, list(known), 1, 0.5)
        hint = f"Did you mean {near[0]!r}?" if near else f"It has {sorted(known)}."
        raise ConfigError(
            f"config gives {mine!r} the twin's argument {theirs!r}, which does not exist. {hint}"
        )
    return known[theirs]


# ---- somebody else's code ---------------------------------------------------------------------


@dataclass(frozen=True)
class Takes:
    """What a function takes.

    names: of the arguments that can be given by name; any_name: whether others can be, too
    positional: how many can be given by position (None: any number); required: how many must be
    """

    signature: inspect.Signature | None = None
    names: frozenset[str] = frozenset()
    any_name: bool = False
    positional: int | None = None
    required: int = 0

    @classmethod
    def of(cls, function: Any) -> "Takes":
        """Read off the signature, where there is one."""
        try:
            return cls.reading(inspect.signature(function))
        except (TypeError, ValueError):
            return cls()

    @classmethod
    def reading(cls, signature: inspect.Signature) -> "Takes":
        """What a signature says."""
        each = signature.parameters.values()
        kinds = [p.kind for p in each]
        placed = [p for p in each if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        return cls(
            signature,
            frozenset(p.name for p in each if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)),
            inspect.Parameter.VAR_KEYWORD in kinds,
            None if inspect.Parameter.VAR_POSITIONAL in kinds else len(placed),
            sum(p.default is p.empty for p in placed),
        )

    def accepts(self, name: str) -> bool:
        """Whether an argument can be given by this name."""
        return name in self.names or (self.any_name and name.isidentifier())


def name_of(code: Any) -> str:
    """What to call it."""
    plain = unwrapped(code)
    return str(getattr(plain, "__name__", type(plain).__name__))


def unwrapped(code: Any) -> Any:
    """The function inside of partials and decorators."""
    while isinstance(code, functools.partial) or hasattr(code, "__wrapped__"):
        code = code.func if isinstance(code, functools.partial) else code.__wrapped__
    return code


def places(forward: Any, backward: Any) -> dict[str, Source]:
    """Where forward and backward stand."""
    return sources(unwrapped(forward), unwrapped(backward))


def method(layer: Any, name: str) -> Callable[..., Any]:
    """A method of somebody else's object."""
    found = getattr(layer, name, None)
    if not callable(found):
        raise ConfigError(
            f"{type(layer).__name__} has no method {name!r}. Set forward= and backward= to the "
            "names of its methods."
        )
    return found  # type: ignore[no-any-return]


def as_tuple(x: Any) -> tuple[Any, ...]:
    """One thing as a tuple of one."""
    return tuple(x) if isinstance(x, tuple | list) else (x,)


def follow(thing: Any, path: str) -> Any:
    """thing.a.b, where a step may be an attribute, a key of a dict or an index of a list.

    Raises LookupError with the step that is missing.
    """
    for step in path.split("."):
        try:
            thing = _step(thing, step)
        except (AttributeError, LookupError, ValueError):
            raise LookupError(step) from None
    return thing


def put(thing: Any, path: str, value: Any) -> None:
    """Set thing.a.b, which must be there already."""
    *way, last = path.split(".")
    owner = follow(thing, ".".join(way)) if way else thing
    follow(owner, last)
    if isinstance(owner, list):
        owner[int(last)] = value
    elif isinstance(owner, MutableMapping):
        owner[last] = value
    else:
        setattr(owner, last, value)


def _step(thing: Any, step: str) -> Any:
    if isinstance(thing, Mapping):
        return thing[step]
    if isinstance(thing, list | tuple):
        return thing[int(step)]
    return getattr(thing, step)
