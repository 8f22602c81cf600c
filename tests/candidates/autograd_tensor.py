"""A small autograd tensor that remembers its creators and the operation that made it."""

import numpy as np
from hypothesis import strategies as st

from npnet.verify import adapt, candidate


class Tensor:
    def __init__(self, data, autograd=False, creators=None, creation_op=None):
        self.data = np.asarray(data)
        self.autograd = autograd
        self.creators = creators
        self.creation_op = creation_op
        self.grad = None
        self.children = {}
        for c in creators or ():
            c.children[id(self)] = c.children.get(id(self), 0) + 1

    def _new(self, data, creators, creation_op):
        """A tensor that an operation made."""
        tracked = [c for c in creators if c.autograd]
        if not tracked:
            return type(self)(data)
        return type(self)(data, autograd=True, creators=creators, creation_op=creation_op)

    def all_children_grads_accounted_for(self):
        return all(count == 0 for count in self.children.values())

    def backward(self, grad=None, grad_origin=None):
        if not self.autograd:
            return
        if grad is None:
            grad = type(self)(np.ones_like(self.data))
        if grad_origin is not None:
            self.children[id(grad_origin)] -= 1
        self.accumulate(grad)
        if self.creators is None or not (
            self.all_children_grads_accounted_for() or grad_origin is None
        ):
            return
        for creator, g in zip(self.creators, self.creators_grads(), strict=True):
            creator.backward(g, self)

    def accumulate(self, grad):
        self.grad = grad if self.grad is None else type(self)(self.grad.data + grad.data)

    def creators_grads(self):
        """The gradient for each creator, from mine."""
        T, op, grad, each = type(self), self.creation_op, self.grad.data, self.creators
        if op == "add":
            return T(grad), T(grad)
        if op == "sub":
            return T(grad), T(-grad)
        if op == "neg":
            return (T(-grad),)
        if op == "mul":
            return T(grad * each[1].data), T(grad * each[0].data)
        if op == "mm":
            return T(grad @ each[1].data.T), T(each[0].data.T @ grad)
        if op == "transpose":
            return (T(grad.T),)
        if op.startswith("sum"):
            dim = int(op.split("_")[1])
            return (T(grad).expand(dim, each[0].data.shape[dim]),)
        if op.startswith("expand"):
            return (T(grad).sum(int(op.split("_")[1])),)
        if op == "sigmoid":
            return (T(grad * self.data * (1 - self.data)),)
        if op == "tanh":
            return (T(grad * (1 - self.data * self.data)),)
        if op == "index_select":
            return (T(self.index_grad(np.zeros_like(each[0].data), grad)),)
        assert op == "cross_entropy"
        return (T(grad * self.softmax_grad()),)

    def index_grad(self, new_grad, grad):
        indices = self.index_select_indices.reshape(-1)
        rows = grad.reshape(len(indices), grad.shape[-1])
        for i, row in zip(indices, rows, strict=True):
            new_grad[i] += row
        return new_grad

    def softmax_grad(self):
        counted = self.targets != self.ignored
        delta = self.softmax_output.copy()
        delta[np.arange(len(delta)), self.targets] -= 1
        number = delta.dtype.type(counted.sum())
        return np.where(counted[:, np.newaxis], delta / number, 0)

    def __add__(self, other):
        return self._new(self.data + other.data, [self, other], "add")

    def __sub__(self, other):
        return self._new(self.data - other.data, [self, other], "sub")

    def __neg__(self):
        return self._new(-self.data, [self], "neg")

    def __mul__(self, other):
        return self._new(self.data * other.data, [self, other], "mul")

    def mm(self, other):
        return self._new(self.data @ other.data, [self, other], "mm")

    def transpose(self):
        return self._new(self.data.T, [self], "transpose")

    def sum(self, dim):
        return self._new(self.data.sum(dim), [self], f"sum_{dim}")

    def expand(self, dim, copies):
        data = np.repeat(np.expand_dims(self.data, dim), copies, axis=dim)
        return self._new(data, [self], f"expand_{dim}")

    def sigmoid(self):
        return self._new(1 / (1 + np.exp(-self.data)), [self], "sigmoid")

    def tanh(self):
        return self._new(np.tanh(self.data), [self], "tanh")

    def index_select(self, indices):
        new = self._new(self.data[indices.data], [self], "index_select")
        new.index_select_indices = indices.data
        return new

    def cross_entropy(self, target_indices, ignored):
        shifted = self.data - self.data.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        counted = target_indices.data != ignored
        chosen = log_p[np.arange(len(log_p)), target_indices.data]
        loss = -np.where(counted, chosen, 0).sum() / log_p.dtype.type(counted.sum())
        new = self._new(loss, [self], "cross_entropy")
        new.softmax_output = np.exp(log_p)
        new.targets, new.ignored = target_indices.data, ignored
        return new


def tracked(kind):
    """Wrap an array; integers have no gradient."""
    return lambda a: kind(a, autograd=a.dtype.kind == "f")


def linear(x, weight, bias):
    return x.mm(weight) + bias.expand(0, len(x.data))


def sigmoid(x):
    return x.sigmoid()


def tanh(x):
    return x.tanh()


def embedding(indices, weight):
    return weight.index_select(indices)


def cross_entropy(x, target, ignore_index):
    return x.cross_entropy(target, ignore_index)


def mse(pred, target, reduction):
    difference = pred - target
    loss = difference * difference
    while reduction == "sum" and loss.data.ndim:
        loss = loss.sum(0)
    return loss


LAYOUT = {"weight": "weight: o i -> i o", "bias": "bias"}
ROWS = {"batch": st.sampled_from([(2,), (3,), (1,)]), "bias": st.just(True)}
TABLE = {
    "padding_idx": st.just(None),
    "max_norm": st.just(None),
    "scale_grad_by_freq": st.just(False),
    "_weight": st.just("drawn"),
}
INDICES = {
    "target": st.just("indices"),
    "class weights": st.just(False),
    "label_smoothing": st.just(0.0),
    "size_average": st.just(None),
    "reduce": st.just(None),
    "reduction": st.just("mean"),
    "ignore_index": st.just(-1),
    "batch": st.sampled_from([(3,), (1,), (7,)]),
    "trailing axes": st.just(()),
}
SQUARES = {
    "shapes": st.sampled_from([((2, 3), (2, 3)), ((3,), (3,)), ((2, 3, 2), (2, 3, 2))]),
    "size_average": st.just(None),
    "dtype of the target": st.just("floating"),
    "reduce": st.just(None),
    "reduction": st.sampled_from(["none", "sum"]),
}


def linear_of(kind):
    return candidate("Linear", only=ROWS)(adapt.tensors(linear, tracked(kind), LAYOUT))


def embedding_of(kind):
    adapted = adapt.tensors(embedding, tracked(kind), {"weight": "weight"})
    return candidate("Embedding", only=TABLE)(adapted)


def tanh_of(kind):
    return candidate("Tanh")(adapt.tensors(tanh, tracked(kind)))


def cross_entropy_of(kind):
    return candidate("CrossEntropyLoss", only=INDICES)(adapt.tensors(cross_entropy, tracked(kind)))


def mse_of(kind):
    return candidate("MSELoss", only=SQUARES)(adapt.tensors(mse, tracked(kind)))


linear_layer = linear_of(Tensor)
sigmoid_layer = candidate("Sigmoid")(adapt.tensors(sigmoid, tracked(Tensor)))
tanh_layer = tanh_of(Tensor)
embedding_layer = embedding_of(Tensor)
cross_entropy_loss = cross_entropy_of(Tensor)
mse_loss = mse_of(Tensor)


# ---- mistakes -----------------------------------------------------------------------------------


class KeepsTheLast(Tensor):
    """A tensor that is used twice forgets the first gradient."""

    def accumulate(self, grad):
        self.grad = grad


class Impatient(Tensor):
    """Passes its gradient on before all of it is there, and again afterwards."""

    def all_children_grads_accounted_for(self):
        return True


class MinusForgotten(Tensor):
    def creators_grads(self):
        if self.creation_op == "sub":
            return self.grad, self.grad
        return super().creators_grads()


class TanhNotSquared(Tensor):
    def creators_grads(self):
        if self.creation_op == "tanh":
            return (type(self)(self.grad.data * (1 - self.data)),)
        return super().creators_grads()


class TanhOfGradient(Tensor):
    def creators_grads(self):
        if self.creation_op == "tanh":
            return (type(self)(1 - self.data * self.data),)
        return super().creators_grads()


class RepeatsLost(Tensor):
    def index_grad(self, new_grad, grad):
        indices = self.index_select_indices
        new_grad[indices] += grad
        return new_grad


class RowsAssigned(Tensor):
    def index_grad(self, new_grad, grad):
        indices = self.index_select_indices.reshape(-1)
        for i, row in zip(indices, grad.reshape(-1, new_grad.shape[1]), strict=True):
            new_grad[i] = row
        return new_grad


class SumOfLosses(Tensor):
    def softmax_grad(self):
        counted = self.targets != self.ignored
        return super().softmax_grad() * self.data.dtype.type(counted.sum())


class IgnoredCounted(Tensor):
    def cross_entropy(self, target_indices, ignored):
        new = super().cross_entropy(target_indices, ignored)
        share = (target_indices.data != ignored).mean()
        new.data = new.data * new.data.dtype.type(share)
        return new


class ExpandUnsummed(Tensor):
    def creators_grads(self):
        if self.creation_op.startswith("expand"):
            return (type(self)(self.grad.data[0]),)
        return super().creators_grads()


class ProductsSwapped(Tensor):
    def creators_grads(self):
        if self.creation_op == "mm":
            x, w = (c.data for c in self.creators)
            grad = self.grad.data
            return type(self)(grad @ w.T), type(self)((grad.T @ x).reshape(w.shape))
        return super().creators_grads()


WRONG = {
    "gradient overwritten": (mse_of(KeepsTheLast), "gradient of input 0"),
    "gradient passed on too early": (mse_of(Impatient), "gradient of input 0"),
    "minus forgotten": (mse_of(MinusForgotten), "gradient of input 1"),
    "tanh not squared": (tanh_of(TanhNotSquared), "gradient of input 0"),
    "gradient left out": (tanh_of(TanhOfGradient), "gradient of input 0"),
    "repeated rows lost": (embedding_of(RepeatsLost), "gradient of weight"),
    "rows assigned": (embedding_of(RowsAssigned), "gradient of weight"),
    "not divided by the batch": (cross_entropy_of(SumOfLosses), "gradient of input 0"),
    "ignored targets counted": (cross_entropy_of(IgnoredCounted), "y"),
    "bias gradient of one row": (linear_of(ExpandUnsummed), "gradient of bias"),
    "product the other way round": (linear_of(ProductsSwapped), "gradient of weight"),
}
