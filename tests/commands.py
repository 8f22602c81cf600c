"""The command line in tests: called in this process, in a folder with candidates to ask."""

from click.testing import CliRunner, Result

from npnet import cli

AFFINE = """
from npnet.contract import Forward, Grads
from npnet.verify import candidate


def affine(case, factor=1.0):
    (x,) = case.inputs
    weight = case.state["weight"]
    y = x @ weight.T + case.state.get("bias", 0)

    def vjp(dy):
        flat, rows = dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])
        params = {"weight": flat.T @ rows}
        if "bias" in case.state:
            params["bias"] = flat.dtype.type(factor) * flat.sum(0)
        return Grads((dy @ weight,), params)

    return Forward(y, vjp)

"""
"""The start of a file of candidates; a factor other than 1 makes the gradient of bias wrong."""

KINK = """
from npnet.contract import Forward, Grads
from npnet.verify import candidate


@candidate("ReLU")
def kink(case):
    (x,) = case.inputs
    return Forward(x * (x > 0), lambda dy: Grads((dy * (x >= 0),)))


@candidate("Tanh")
def other(case):
    (x,) = case.inputs
    return Forward(x, lambda dy: Grads((dy,)))
"""
"""Two candidates that diverge: one at the kink, one everywhere."""


def npnet_(*arguments: str) -> Result:
    """The command `npnet` with these arguments."""
    return CliRunner().invoke(cli.cli, arguments)
