"""What npnet has twins for, what is drawn of each, and what torch has besides."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st

from npnet.contract import ConfigError
from npnet.report import words
from npnet.report.jsonl import read
from npnet.verify.draw import Pick, describe
from npnet.verify.spec import Spec
from npnet.verify.targets import nearest, own_names, specs

LEFT_OUT: Mapping[str, str] = {
    "nn.Module": "a base class",
    "nn.RNNBase": "a base class",
    "nn.RNNCellBase": "a base class",
    "nn.Container": "a base class",
    "nn.ModuleDict": "a container without arithmetic",
    "nn.ModuleList": "a container without arithmetic",
    "nn.ParameterDict": "a container without arithmetic",
    "nn.ParameterList": "a container without arithmetic",
    "nn.DataParallel": "spreads a module over devices, without arithmetic of its own",
    "nn.SyncBatchNorm": "needs a process group",
    "nn.NLLLoss2d": "a deprecated alias of NLLLoss",
    "optim.Optimizer": "a base class",
    "optim.lr_scheduler.LRScheduler": "a base class",
}
"""What torch has and npnet leaves out, and why."""

_LAZY = "infers shapes only, and becomes the layer without Lazy in its name"


def twins(run: Path | None = None, layers: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Every twin as plain data: names, options with the values drawn, what the run covered.

    layers: names or patterns of those that are wanted; all, if there are none. Raises ConfigError
    for one that nothing has.
    """
    own = set(own_names())
    last = {} if run is None else _covered(run)
    known = specs()
    wanted = {n for layer in layers for n in _named(layer, list(known))} if layers else set(known)
    for name, spec in known.items():
        if name not in wanted:
            continue
        yield {
            "name": name,
            "torch": words.in_torch(name),
            "npnet": f"npnet.{words.full(name)}" if name in own else None,
            "options": _options(spec),
            "claims": [claim.text for claim in spec.claims],
            "last_run": last.get(name),
        }


def _named(layer: str, known: Sequence[str]) -> list[str]:
    found = [n for n in known if fnmatchcase(n.lower(), layer.lower())]
    if not found:
        raise ConfigError(f"there is no twin {layer!r}.{nearest(layer, known)}")
    return found


def last_run(places: Iterable[Path]) -> Path | None:
    """The results of the latest run below these directories, or None."""
    found = [path for place in places for path in place.glob("*/results.jsonl")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _covered(run: Path) -> dict[str, dict[str, Any]]:
    """What a run covered of the options of npnet's own layers, and the fallbacks it took."""
    found = {}
    for event in read(run):
        if event["event"] != "layer" or event["result"]["layer"] != event["result"]["twin"]:
            continue
        result = event["result"]
        fallbacks = {f for outcome in result["outcomes"].values() for f in outcome["fallbacks"]}
        found[result["twin"]] = {
            "covered": result["covered"],
            "coverable": result["coverable"],
            "uncovered": result["uncovered"],
            "fallbacks": sorted(fallbacks),
        }
    return found


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
    """The twins as text: name, npnet's own or not, what the last run covered, options."""
    width = max((len(row["name"]) for row in rows), default=0)
    known = any(row["last_run"] for row in rows)
    found = []
    for row in rows:
        options = " · ".join(f"{n}: {', '.join(vs)}" for n, vs in row["options"].items())
        lead = f"{row['name']:<{width}}  {'npnet' if row['npnet'] else '-':<6} "
        lead += f"{_coverage(row['last_run']):>13}  " if known else ""
        text = textwrap.fill(
            options or "no options",
            max(100, len(lead) + 40),
            initial_indent=lead,
            subsequent_indent=" " * len(lead),
            break_on_hyphens=False,
        )
        found.append(text)
        fallbacks = (row["last_run"] or {}).get("fallbacks")
        if fallbacks:
            found.append(f"{' ' * len(lead)}bounds by decomposition: {', '.join(fallbacks)}")
    return "\n".join(found)


def _coverage(run: Mapping[str, Any] | None) -> str:
    return "not asked" if run is None else f"{run['covered']} of {run['coverable']}"


def missing() -> list[str]:
    """What torch has that is neither held against a twin nor left out for a reason."""
    known = specs()
    found = (name for name in _of_torch() if name not in known and _why(name) is None)
    return [words.in_torch(name) for name in found]


def left_out() -> dict[str, str]:
    """What torch has and npnet leaves out on purpose, and why."""
    reasons = ((name, _why(name)) for name in _of_torch())
    return {words.in_torch(name): why for name, why in reasons if why is not None}


def _why(name: str) -> str | None:
    if name.startswith("Lazy"):
        return _LAZY
    return LEFT_OUT.get(words.full(name))


def _of_torch() -> Iterator[str]:
    """Every module, optimizer and schedule of torch, by the name that its spec would have."""
    nn, optim = import_module("torch.nn"), import_module("torch.optim")
    kinds = (
        ("", nn, nn.Module),
        ("optim.", optim, optim.Optimizer),
        ("lr_scheduler.", optim.lr_scheduler, optim.lr_scheduler.LRScheduler),
    )
    for prefix, package, base in kinds:
        for name, value in sorted(vars(package).items()):
            if isinstance(value, type) and issubclass(value, base) and not name.startswith("_"):
                yield prefix + name
