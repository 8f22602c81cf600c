"""A tensor that records what it was made from, and hands a gradient back along the record.

    from npnet.autograd import Tensor

    w = Tensor([[0.5, -1.0]], requires_grad=True)
    loss = (x @ w.T).tanh().sum()
    loss.backward()
    w.grad

tensor       Tensor: data, grad, creators, creation_op, the operators and methods
operations   one function an operation: arrays in, y and its vjp out
graph        recording, `no_grad`, and the walk back
"""

from npnet.autograd.graph import no_grad as no_grad
from npnet.autograd.tensor import Tensor as Tensor
