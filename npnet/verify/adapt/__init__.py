"""Bring your own layer: each adapter turns one common style of code into a candidate's function.

    candidate("Linear")(adapt.stateful(Affine, {"W": "weight: o i -> i o", "b": "bias"}))

stateful         a class with forward(x) and backward(dy) that keeps cache and gradients on itself
operation        operations in a row whose backward leaves param_grad behind
pair             forward(x, w, b) -> (y, cache) and backward(dy, cache) -> (dx, dw, db)
tensors          a function of autograd tensors that have .data, .grad and .backward()
optimizer        f(config, params, grads_per_step), or a class with update(params, grads)
schedule         f(config, steps) -> the learning rate of every step
torch_function   an nn.Module, an autograd.Function or a function of torch tensors

What they have in common:

layout   where the twin's parameters are in your code, and in which axis order:
         {"W": "weight: o i -> i o", "b": "bias"} reads "my W is torch's weight with its axes o, i
         in the order i, o; my b is torch's bias". The same line carries parameters in, as copies,
         and gradients back. A parameter that a case does not have (bias=False) is not handed over.
config   what your code is told of the twin's constructor arguments: {"pad": "padding"} hands over
         torch's padding as pad. A value may be a function of the whole configuration, and so may
         config itself: lambda c: {"pad": c["padding"][0]}. Without config, your code gets what it
         has a parameter of the same name for. "rng" is the case's Generator.
inputs   the layout of each input, in order: {"x": "n c h w -> n h w c"} says that your code is
         channels-last; a string alone is for the first. What comes back is turned back.
outputs  the layouts of the outputs. Without it, an output with as many axes as an input that has a
         layout shares that one.

Mistakes in these raise ConfigError, here where they can be seen, else when the code is asked.
Arrays go in with the dtype of the case and come out with whatever dtype your code gives them.
"""

from importlib import import_module
from typing import Any

from npnet.verify.adapt.functions import pair as pair
from npnet.verify.adapt.functions import tensors as tensors
from npnet.verify.adapt.objects import operation as operation
from npnet.verify.adapt.objects import stateful as stateful
from npnet.verify.adapt.optimizers import optimizer as optimizer
from npnet.verify.adapt.schedules import schedule as schedule


def __getattr__(name: str) -> Any:
    if name == "torch_function":  # loaded by name and on demand: the engine does not know torch
        return import_module("npnet.twins.function").torch_function
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
