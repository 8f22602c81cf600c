"""The tensor: an array that remembers what it was made from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

import numpy as np

from npnet.autograd import operations as ops
from npnet.autograd.graph import Joint, Node, recording, walk_back
from npnet.autograd.operations import Axes, Made
from npnet.contract import Array, ConfigError, DtypeError, Forward, Grads, ShapeError, State

Operand = Union["Tensor", Array, float]


class Tensor(Node):
    """An array, the gradient of it, and what it was made from.

    data: the array; from Python numbers float64, as NumPy has it
    requires_grad: whether backward() leaves a gradient here; of floating-point data only
    grad: dL/ddata after backward(), added up over several; None before
    creators, creation_op: what it was made from, and how: "matmul"

    `+ - * / ** @` and the methods broadcast as NumPy does. Gradients add up where a tensor is used
    several times. Raises DtypeError for a gradient of integers.
    Twin: torch.Tensor with autograd, whose `backward` it follows; grad is an array, not a tensor.
    """

    __slots__ = ("creation_op", "data", "grad", "keeps_grad")
    __array_priority__ = 1000  # array * tensor is the tensor's

    data: Array
    grad: Array | None
    creation_op: str

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.data = np.asarray(data.data if isinstance(data, Tensor) else data)
        if self.data.dtype.kind not in "biuf":
            raise DtypeError(f"a Tensor needs numbers, but has {self.data.dtype}.")
        self.grad, self.keeps_grad = None, False
        self.creators, self.vjp, self.creation_op = (), None, ""
        self.requires_grad_(requires_grad)

    # ---- the record ----------------------------------------------------------------------------

    def backward(self, grad: Any = None, keep: bool = False) -> None:
        """Leave dL/dx in the `grad` of every tensor x with requires_grad that this was made from.

        grad: dL/d(this), in this shape; 1 where this is one number, and grad is left out
        keep: keep the record, so that backward can be called again; else it is let go of

        Raises ShapeError for a grad of another shape, or a missing one; ConfigError where nothing
        was recorded; GoneError where the record is gone.
        """
        if not self.requires_grad:
            raise ConfigError(
                "backward needs a tensor that was made from one with requires_grad=True, outside "
                "of no_grad, but this was not."
            )
        if grad is None:
            if self.data.size != 1:
                raise ShapeError(
                    f"backward without grad needs one number, but this has shape "
                    f"{self.data.shape}. Give it dL/d(this), or call .sum() first."
                )
            grad = np.ones_like(self.data)
        given = np.asarray(grad.data if isinstance(grad, Tensor) else grad)
        if given.shape != self.data.shape:
            raise ShapeError(
                f"grad must have the tensor's shape {self.data.shape}, but has {given.shape}."
            )
        walk_back(self, given.astype(self.data.dtype, copy=False), keep)

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Ask for a gradient here from now on, or no longer; return this tensor.

        Raises DtypeError for integers, ConfigError for what was made from others.
        """
        if requires_grad and self.data.dtype.kind != "f":
            raise DtypeError(
                f"only floating-point data has a gradient, but this is {self.data.dtype}. "
                "Use data.astype(np.float64)."
            )
        if self.creators:
            raise ConfigError(
                f"whether {self.creation_op} needs a gradient follows from what it was made of. "
                "Use retain_grad() to see its gradient, detach() to have none."
            )
        self.requires_grad = requires_grad
        return self

    def receive(self, gradient: Any) -> None:
        """Add a gradient to `grad`, where it is kept: of what was made from nothing, always."""
        if self.keeps_grad or self.vjp is None:
            self.grad = np.array(gradient) if self.grad is None else self.grad + gradient

    def retain_grad(self) -> "Tensor":
        """Keep the gradient of this tensor, too, though it was made from others; return it."""
        self.keeps_grad = self.requires_grad
        return self

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def detach(self) -> "Tensor":
        """The same data, made from nothing."""
        return Tensor(self.data)

    # ---- what it is ----------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the data."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """The format of the data."""
        return self.data.dtype

    @property
    def T(self) -> "Tensor":
        """With its axes reversed."""
        return self.transpose()

    def item(self) -> float:
        """The number, where it is one."""
        return float(self.data.item())

    def numpy(self) -> Array:
        """The data."""
        return self.data

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        made = f", creation_op={self.creation_op!r}" if self.creation_op else ""
        wants = ", requires_grad=True" if self.requires_grad and not made else ""
        return f"Tensor({self.data!r}{made}{wants})"

    # ---- operators -----------------------------------------------------------------------------

    def __radd__(self, other: Operand) -> "Tensor":
        return _binary("add", ops.add, other, self)

    def __rsub__(self, other: Operand) -> "Tensor":
        return _binary("sub", ops.subtract, other, self)

    def __rmul__(self, other: Operand) -> "Tensor":
        return _binary("mul", ops.multiply, other, self)

    def __rtruediv__(self, other: Operand) -> "Tensor":
        return _binary("div", ops.divide, other, self)

    def __rpow__(self, other: Operand) -> "Tensor":
        return _binary("pow", ops.power, other, self)

    def __rmatmul__(self, other: Operand) -> "Tensor":
        return _binary("matmul", ops.matmul, other, self)

    # ---- methods -------------------------------------------------------------------------------

    def add(self, other: Operand) -> "Tensor":
        """y = x + other."""
        return _binary("add", ops.add, self, other)

    def sub(self, other: Operand) -> "Tensor":
        """y = x - other."""
        return _binary("sub", ops.subtract, self, other)

    def mul(self, other: Operand) -> "Tensor":
        """y = x · other, element by element."""
        return _binary("mul", ops.multiply, self, other)

    def div(self, other: Operand) -> "Tensor":
        """y = x / other."""
        return _binary("div", ops.divide, self, other)

    def pow(self, other: Operand) -> "Tensor":
        """y = x to the power other; 0 to the 0 is 1, and nothing follows from either 0."""
        return _binary("pow", ops.power, self, other)

    def matmul(self, other: Operand) -> "Tensor":
        """y = x other, products of the last two axes, the others broadcast; vectors as NumPy's."""
        return _binary("matmul", ops.matmul, self, other)

    def neg(self) -> "Tensor":
        """y = -x."""
        return _made("neg", ops.negative(self.data), (self,))

    def index(self, at: Any) -> "Tensor":
        """y = x[at]; a place that is taken several times has the sum of the gradients.

        at: what NumPy takes. Among arrays an integer counts as one, as NumPy has it: x[0, :, i] has
        the axis of i first, where torch has it last.
        """
        parts = at if isinstance(at, tuple) else (at,)
        plain = tuple(part.data if isinstance(part, Tensor) else part for part in parts)
        where = plain if isinstance(at, tuple) else plain[0]
        return _made("index", ops.index(self.data, where), (self,))

    __add__, __sub__, __mul__, __truediv__, __pow__, __matmul__ = add, sub, mul, div, pow, matmul
    __neg__, __getitem__ = neg, index

    def exp(self) -> "Tensor":
        """y = eˣ."""
        return _made("exp", ops.exp(self.data), (self,))

    def log(self) -> "Tensor":
        """y = ln x."""
        return _made("log", ops.log(self.data), (self,))

    def sum(self, axis: Axes = None, keepdims: bool = False) -> "Tensor":
        """y = Σ x over the axes, over all without any."""
        return _made("sum", ops.sum_(self.data, axis, keepdims), (self,))

    def mean(self, axis: Axes = None, keepdims: bool = False) -> "Tensor":
        """y = Σ x / n over the axes, over all without any."""
        return _made("mean", ops.mean(self.data, axis, keepdims), (self,))

    def max(self, axis: Axes = None, keepdims: bool = False) -> "Tensor":
        """y = the largest over the axes; equal ones share the gradient, as torch.amax has it."""
        return _made("max", ops.max_(self.data, axis, keepdims), (self,))

    def expand(self, *shape: int) -> "Tensor":
        """y = x, broadcast to a shape; -1 leaves an axis as it is."""
        return _made("expand", ops.expand(self.data, _sizes(shape)), (self,))

    def reshape(self, *shape: int) -> "Tensor":
        """y = x in another shape of as many elements."""
        return _made("reshape", ops.reshape(self.data, _sizes(shape)), (self,))

    def transpose(self, *axes: int) -> "Tensor":
        """y = x with its axes in this order; reversed without one, as NumPy has it."""
        return _made("transpose", ops.transpose(self.data, _sizes(axes) or None), (self,))

    def index_select(self, axis: int, indices: Any) -> "Tensor":
        """y = the slices at these indices along an axis."""
        chosen = np.asarray(indices.data if isinstance(indices, Tensor) else indices)
        if chosen.dtype.kind not in "iu":
            raise DtypeError(f"index_select needs integers, but has {chosen.dtype}.")
        return _made("index_select", ops.index_select(self.data, axis, chosen), (self,))

    def sigmoid(self) -> "Tensor":
        """y = 1 / (1 + e⁻ˣ)."""
        return _made("sigmoid", ops.sigmoid(self.data), (self,))

    def tanh(self) -> "Tensor":
        """y = tanh x."""
        return _made("tanh", ops.tanh(self.data), (self,))

    def relu(self) -> "Tensor":
        """y = max(x, 0); its gradient at 0 is 0."""
        return _made("relu", ops.relu(self.data), (self,))

    def softmax(self, axis: int = -1) -> "Tensor":
        """y = eˣ / Σ eˣ along an axis."""
        return self._through("Softmax", {}, dim=axis)

    def cross_entropy(self, target: Any, **options: Any) -> "Tensor":
        """y = -ln softmax(x)[target], their mean; options and shapes are CrossEntropyLoss's."""
        weight = options.get("weight")
        state = {} if weight is None else {"weight": weight}
        return self._through("CrossEntropyLoss", state, target, **options)

    def _through(self, layer: str, state: State, *more: Any, **options: Any) -> "Tensor":
        from npnet import nn

        found: Tensor = Tensor.apply(getattr(nn, layer)(**options), self, *more, state=state)
        return found

    # ---- anything else -------------------------------------------------------------------------

    @staticmethod
    def apply(
        f: Callable[..., Any],
        *inputs: Any,
        state: Mapping[str, Any] | None = None,
        updates: dict[str, Array] | None = None,
        **options: Any,
    ) -> Any:
        """A layer of npnet, or a function that returns (y, vjp), applied to tensors.

            Tensor.apply(nn.Linear(3, 4), x, state={"weight": W, "bias": b})
            Tensor.apply(lambda x: (x * x, lambda dy: 2 * x * dy), x)

        f: called with arrays: of the inputs, after the state where there is one
        inputs: tensors, arrays, None, or tuples of these
        state: what a layer's state holds, tensors or arrays by name; {} for a layer without
        updates: gets the entries of the state that the pass has changed, as running_mean
        options: handed on as they are, as rng

        y may be a tuple; its tensors are then returned as one. vjp(dy) returns Grads, a tuple of
        one gradient per input, or the gradient alone where there is one input.
        """
        given: list[Tensor] = []
        form: list[Any] = []
        arrays = [_plain(x, given, form) for x in inputs]
        names: list[str] = []
        if state is None:
            made = Forward(*f(*arrays, **options))
        else:
            entries = {}
            for n, x in state.items():
                if isinstance(x, Tensor):
                    names.append(n)
                    given.append(x)
                    x = x.data
                elif isinstance(x, tuple):
                    raise ConfigError(f"an entry of a state needs to be one array, but {n} is not.")
                entries[n] = x
            made = f(entries, *arrays, **options)
        if updates is not None and made.updates:
            updates |= made.updates

        y, back, _ = made

        def vjp(dy: Any) -> list[Any]:  # which holds on to what `back` needs, and to nothing else
            grads = back(dy)
            found: list[Any] = []
            if isinstance(grads, Grads):
                _collect(form, grads.inputs, found)
                found += [grads.params.get(name) for name in names]
            else:
                _collect(form, grads if isinstance(grads, tuple) else (grads,), found)
            return found

        name = type(f).__name__ if state is not None else getattr(f, "__name__", type(f).__name__)
        creators = tuple(given)
        if isinstance(y, tuple):
            return _several(name, y, vjp, creators)
        return _made(name, (np.asarray(y), vjp), creators)


def _plain(x: Any, given: list["Tensor"], form: list[Any]) -> Any:
    """An array in the place of a tensor, in tuples, too.

    The tensors are added to those given; to the form, whether it is one, or the form of a tuple.
    """
    if isinstance(x, Tensor):
        given.append(x)
        form.append(True)
        return x.data
    if isinstance(x, tuple):
        inner: list[Any] = []
        form.append(inner)
        return tuple(_plain(part, given, inner) for part in x)
    form.append(False)
    return x


def _collect(form: list[Any], grads: Any, found: list[Any]) -> None:
    """The gradients of the tensors among the inputs, in order, nested as these are."""
    for i, part in enumerate(form):
        if part is False:
            continue
        g = grads[i] if i < len(grads) else None
        if part is True:
            found.append(g)
        else:
            _collect(part, g if isinstance(g, tuple) else (g,) * len(part), found)


def _sizes(shape: tuple[Any, ...]) -> Sequence[int]:
    """(2, 3), or the one tuple that was given."""
    return shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape


def _binary(name: str, f: Callable[[Array, Array], Made], a: Operand, b: Operand) -> Tensor:
    one = a if isinstance(a, Tensor) else _like(a, b)
    two = b if isinstance(b, Tensor) else _like(b, a)
    if one.data.dtype != two.data.dtype:
        both = np.result_type(one.data, two.data)
        one, two = _in_format(one, both), _in_format(two, both)
    return _made(name, f(one.data, two.data), (one, two))


def _in_format(x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """The tensor in another format; its gradient comes back in its own."""
    own = x.data.dtype
    made = x.data.astype(dtype), lambda dy: (dy.astype(own),)
    return x if dtype == own else _made("astype", made, (x,))


def _like(x: Operand, other: Operand) -> Tensor:
    """A tensor of an array; of a Python number in the other's format, as NumPy has it."""
    if isinstance(x, int | float) and isinstance(other, Tensor):
        return Tensor(np.asarray(x, other.data.dtype))
    return Tensor(x)


def _made(name: str, made: Made, creators: tuple[Tensor, ...]) -> Tensor:
    """The result of an operation, recorded where anything that it was made from asks for it."""
    y, vjp = made
    t: Tensor = Tensor.__new__(Tensor)
    t.data, t.grad, t.keeps_grad, t.creation_op = y, None, False, name
    for creator in creators:
        if creator.requires_grad and recording.on:
            t.requires_grad, t.creators, t.vjp = True, creators, vjp
            return t
    t.requires_grad, t.creators, t.vjp = False, (), None
    return t


def _several(
    name: str, ys: tuple[Array, ...], vjp: Callable[[Any], Any], creators: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """The results of an operation that has several."""
    if not (recording.on and any(c.requires_grad for c in creators)):
        return tuple(_made(name, (np.asarray(y), vjp), ()) for y in ys)
    joint = Joint(creators, vjp, ys)
    found = []
    for i, y in enumerate(ys):
        t = _made(name, (np.asarray(y), vjp), ())
        if t.data.dtype.kind == "f":
            t.requires_grad, t.creators, t.vjp = True, (joint,), joint.part(i)
        found.append(t)
    return tuple(found)
