"""The code of an optimizer, a few steps of it, and of a schedule, its first rates."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from npnet.guide.example.plainest import drawn, spoken
from npnet.guide.example.text import Name, call, listed, shown
from npnet.report.repro import first_rate
from npnet.verify.spec import Spec
from npnet.verify.targets import build

_STEPS = 3  # of an optimizer
_RATES = 8  # of a schedule


def of_optimizer(name: str, spec: Spec) -> tuple[str, str, str]:
    """A few steps of one parameter, and what is kept of it."""
    config, arrays, _ = drawn(name, spec)
    own = name.removeprefix("optim.")
    told = spoken(name, config)
    shape = arrays["param p0"].shape
    sparse, closure = "indices 1 p0" in arrays, "centre p0" in arrays
    kept = [] if closure else _kept(name, config, shape)
    numpy = [
        "import numpy as np",
        "from npnet import optim" + "\nfrom npnet.contract import SparseGrad" * sparse,
        "",
        "np.set_printoptions(precision=6, suppress=True)",
        "",
        "rng = np.random.default_rng(0)",
        f'params = {{"w": rng.standard_normal({shape})}}',
        f"optimizer = {call(f'optim.{own}', told)}",
        "state = optimizer.init(params)",
    ]
    torch = [
        "import torch",
        "",
        "rng = np.random.default_rng(0)  # the same numbers once more",
        f"w = torch.tensor(rng.standard_normal({shape}), requires_grad=True)",
        f"optimizer = {call(f'torch.optim.{own}', {'params': Name('[w]'), **told})}",
    ]
    steps = f"for _ in range({_STEPS}):"
    if closure:
        numpy += [
            "",
            "def closure(params):",
            '    """A valley: the loss, and its gradient."""',
            '    w = params["w"]',
            '    return ((w - 1) ** 4).sum(), {"w": 4 * (w - 1) ** 3}',
            "",
            steps,
            "    params, state = optimizer.step(params, closure, state)",
        ]
        torch += [
            "",
            "def closure():",
            "    optimizer.zero_grad()",
            "    loss = ((w - 1) ** 4).sum()",
            "    loss.backward()",
            "    return loss",
            "",
            steps,
            "    optimizer.step(closure)",
        ]
    elif sparse:
        numpy += [
            "",
            steps,
            "    indices, values = rng.integers(0, 3, (1, 2)), rng.standard_normal(2)",
            f'    grads = {{"w": SparseGrad(indices, values, {shape})}}',
            "    params, state = optimizer.step(params, grads, state)",
        ]
        torch += [
            "",
            steps,
            "    indices, values = rng.integers(0, 3, (1, 2)), rng.standard_normal(2)",
            f"    w.grad = torch.sparse_coo_tensor(indices, torch.tensor(values), {shape})",
            "    optimizer.step()",
        ]
    else:
        numpy += [
            "",
            steps,
            f'    grads = {{"w": rng.standard_normal({shape})}}',
            "    params, state = optimizer.step(params, grads, state)",
        ]
        torch += [
            "",
            steps,
            f"    w.grad = torch.tensor(rng.standard_normal({shape}))",
            "    optimizer.step()",
        ]
    numpy.append("    " + shown("w", 'params["w"]'))
    torch.append("    " + shown("w", "w.detach().numpy()"))
    for entry in kept:
        numpy.append(shown(entry, f'state.{entry}["w"]'))
        torch.append(shown(entry, f'optimizer.state[w]["{entry}"].numpy()'))
    return "\n".join(numpy), "\n".join(torch), ""


def _kept(name: str, config: Mapping[str, Any], shape: tuple[int, ...]) -> list[str]:
    """The arrays that the optimizer keeps of a parameter."""
    return [
        n for n, a in build(name, config).entries(np.zeros(shape)).items() if np.shape(a) == shape
    ]


# ---- schedules -----------------------------------------------------------------------------------


def of_schedule(name: str, spec: Spec) -> tuple[str, str, str]:
    """The rates of the first steps; momenta where they move."""
    config, _, _ = drawn(name, spec)
    told = spoken(name, config)
    own = name.removeprefix("lr_scheduler.")
    lr, plateau = first_rate(config), own == "ReduceLROnPlateau"
    momenta = bool(config.get("cycle_momentum"))
    numpy = ["from npnet import optim", ""]
    torch = ["import torch", "", "w = torch.zeros(1, requires_grad=True)"]
    torch += [f"optimizer = torch.optim.SGD([w], lr={lr}{', momentum=0.9' * momenta})"]
    torch += [f"scheduler = {_scheduler(name, told)}"]
    numpy += [f"schedule = {call(f'optim.lr_scheduler.{own}', told)}"]
    if plateau:
        metrics = f"metrics = {[1.0] * (config['patience'] + 2) + [0.5]}"
        numpy += [metrics, "state = schedule.init()", "for metric in metrics:"]
        numpy += ["    state = schedule.step(metric, state)", "    print(round(state.lr, 6))"]
        torch += ["for metric in metrics:", "    scheduler.step(metric)"]
        torch += ['    print(round(optimizer.param_groups[0]["lr"], 6))']
    else:
        steps = min(config.get("total_steps") or _RATES, _RATES)
        rates = ["round(schedule(step), 6)"] + ["round(schedule.momentum(step), 6)"] * momenta
        numpy += [f"for step in range({steps}):", f"    print({', '.join(rates)})"]
        group = "optimizer.param_groups[0]"
        rates = [f'round({group}["lr"], 6)'] + [f'round({group}["momentum"], 6)'] * momenta
        torch += [f"for step in range({steps}):", f"    print({', '.join(rates)})"]
        torch += ["    optimizer.step()", "    scheduler.step()"]
    return "\n".join(numpy), "\n".join(torch), ""


def _scheduler(name: str, config: Mapping[str, Any]) -> str:
    """torch's call: the optimizer comes first, and its rate is not an argument."""
    own = name.removeprefix("lr_scheduler.")
    inner = {n: v for n, v in config.items() if n not in ("lr", "schedulers")}
    parts = [_scheduler(part.layer, part.config) for part in config.get("schedulers", ())]
    named: dict[str, Any] = {"schedulers": Name(f"[{listed(parts)}]")} if parts else {}
    first = {} if own == "ChainedScheduler" else {"optimizer": Name("optimizer")}
    return call(f"torch.optim.lr_scheduler.{own}", first | named | inner)
