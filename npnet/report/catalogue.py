"""What npnet has twins for, what is drawn of each, and what torch has besides."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st

from npnet.verify.draw import Pick, describe
from npnet.verify.spec import Spec
from npnet.verify.targets import own_names, specs

_NO_TWIN = frozenset(
    {
        *("Module", "RNNBase", "RNNCellBase", "Optimizer"),  # base classes
        *("Container", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList"),
        *("DataParallel", "SyncBatchNorm"),  # about several devices
        "NLLLoss2d",  # another name of NLLLoss
    }
)


def twins() -> Iterator[dict[str, Any]]:
    """Every twin as plain data: names, options with the values drawn."""
    own = set(own_names())
    for name, spec in specs().items():
        place = "" if name.startswith("optim.") else "nn."
        yield {
            "name": name,
            "torch": f"torch.{place}{name}",
            "npnet": f"npnet.{place}{name}" if name in own else None,
            "options": _options(spec),
        }


def _options(spec: Spec, examples: int = 20) -> dict[str, list[str]]:
    """The options of a twin and the values that are drawn for each."""
    found: dict[str, dict[str, None]] = {}

    @st.composite
    def universes(draw: st.DrawFn) -> Mapping[str, tuple[Any, ...]]:
        pick = Pick(draw, {})
        spec.draw(pick)
        return pick.universe

    def see(universe: Mapping[str, tuple[Any, ...]]) -> None:
        for option, values in universe.items():
            found.setdefault(option, {}).update(dict.fromkeys(describe(v) for v in values))

    run = settings(
        max_examples=examples,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(with_seed(0)(given(universes())(see)))
    run()
    return {option: list(values) for option, values in found.items()}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The twins as text: name, whether npnet has its own, options."""
    width = max((len(row["name"]) for row in rows), default=0)
    found = []
    for row in rows:
        options = " · ".join(f"{n}: {', '.join(vs)}" for n, vs in row["options"].items())
        lead = f"{row['name']:<{width}}  {'npnet' if row['npnet'] else '-':<6} "
        text = textwrap.fill(
            options or "no options",
            100,
            initial_indent=lead,
            subsequent_indent=" " * len(lead),
            break_on_hyphens=False,
        )
        found.append(text)
    return "\n".join(found)


def missing() -> list[str]:
    """Differentiable modules and optimizers of torch without a spec; Lazy ones become others."""
    known = specs()
    nn, optim = import_module("torch.nn"), import_module("torch.optim")
    found = []
    for prefix, package, base in (("", nn, nn.Module), ("optim.", optim, optim.Optimizer)):
        for name, value in sorted(vars(package).items()):
            is_one = isinstance(value, type) and issubclass(value, base) and name not in _NO_TWIN
            if is_one and not name.startswith(("_", "Lazy")) and prefix + name not in known:
                found.append(f"torch.{prefix or 'nn.'}{name}")
    return found
