"""Failures on disk: a Finding with its arrays in a folder, read back exactly, and asked again.

    failures/<id>/case.json    everything but the arrays, with the schema's name and the versions
    failures/<id>/arrays.npz   the case ("input 0", "state weight", "dy"), its comparison, its probe

Arrays are saved, not seeds: a replay does not depend on how a random generator works. Nothing is
pickled: a stored failure is data, and may come from a stranger.
"""

import json
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, NpnetError
from npnet.verify.case import Example, LayerConfig, Power, Slot
from npnet.verify.environment import environment
from npnet.verify.finding import Comparison, Explanation, Finding, Source, Verdict, Worst

SCHEMA = "npnet-failure/1"
BOUND = "bound of "
"""What the name of an array of bounds begins with, in files that hold what they bound as well."""

_VERSIONS = ("npnet", "python", "numpy", "torch")
_PLAIN = (
    "id",
    "layer",
    "twin",
    "quantity",
    "dtype",
    "device",
    "message",
    "protocol",
    "traceback",
    "target",
)
_COUNTS = ("wrong", "size", "failed", "asked", "first", "step")
_LATER = {"step": 0}  # which some files of 0.1 do not have
_SIDES = {"got": "got", "want": "torch", "allowed": "allowed"}  # field -> its name in arrays.npz
_TWIN = "twin"  # torch's own answer, where it was kept


class FileFormatError(NpnetError, ValueError):
    """A file that npnet should have written is damaged, or something else wrote it."""


@dataclass(frozen=True)
class Stored:
    """A failure read back from a folder, and the versions under which it was found."""

    finding: Finding
    versions: Mapping[str, str | None]
    folder: Path


# ---- values as JSON ------------------------------------------------------------------------------


def encode(value: Any) -> Any:
    """A configuration value as JSON that `decode` turns back exactly.

    Tuples, slices, an Ellipsis, non-finite floats, mappings, LayerConfig, Power and Slot are
    objects with one tag each.
    What has no stored form becomes {"opaque": its repr}: writing never fails, reading it back does.
    """
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, tuple):
        return {"tuple": [encode(x) for x in value]}
    if isinstance(value, list):
        return [encode(x) for x in value]
    if isinstance(value, slice):
        return {"slice": [encode(x) for x in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"ellipsis": []}
    if isinstance(value, LayerConfig):
        return {"layer": value.layer, "config": encode(dict(value.config))}
    if isinstance(value, Slot):
        return {"slot": value.name}
    if isinstance(value, Power):
        return {"power": [encode(value.base), encode(value.scale)]}
    if isinstance(value, Mapping):
        return {"mapping": [[encode(k), encode(x)] for k, x in value.items()]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        flat = [encode(x) for x in value.reshape(-1).tolist()]
        return {"array": flat, "shape": list(value.shape), "dtype": str(value.dtype)}
    return {"opaque": repr(value)[:200]}


def decode(value: Any) -> Any:
    """What `encode` was given. Raises ValueError for anything that it does not write."""
    if isinstance(value, list):
        return [decode(x) for x in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"float": str(text), **rest} if not rest:
            return float(text)
        case {"tuple": list(parts), **rest} if not rest:
            return tuple(decode(x) for x in parts)
        case {"slice": [start, stop, step], **rest} if not rest:
            return slice(decode(start), decode(stop), decode(step))
        case {"ellipsis": [], **rest} if not rest:
            return Ellipsis
        case {"layer": str(layer), "config": config, **rest} if not rest:
            return LayerConfig(_identifier(layer), _config(config))
        case {"slot": str(name), **rest} if not rest:
            return Slot(name)
        case {"power": [int() | float() as base, int() | float() as scale], **rest} if not rest:
            return Power(base, scale)
        case {"mapping": list(pairs), **rest} if not rest:
            return {decode(k): decode(x) for k, x in pairs}
        case {"array": list(flat), "shape": list(shape), "dtype": str(dtype), **rest} if not rest:
            return np.array([decode(x) for x in flat], dtype).reshape(shape)
        case {"opaque": str(text), **rest} if not rest:
            raise ValueError(f"{text} has no stored form")
    raise ValueError(f"{str(value)[:80]} is no stored value")


def _config(value: Any) -> dict[str, Any]:
    """Constructor arguments by name; a name is later written into a script, so it must be one."""
    config = decode(value)
    if not isinstance(config, dict):
        raise ValueError(f"a configuration must be a mapping, but is {str(config)[:80]}")
    return {_identifier(name): x for name, x in config.items()}


def _identifier(name: Any) -> str:
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f"{name!r} is not a name")
    return name


# ---- a finding as JSON and arrays ----------------------------------------------------------------


def save(finding: Finding, folder: Path) -> None:
    """Write a finding into a folder of its own. case.json comes last: it says that all is there."""
    folder.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {"schema": SCHEMA, "versions": _versions()}
    document |= {name: getattr(finding, name) for name in _PLAIN + _COUNTS}
    document["verdict"] = finding.verdict.value
    document["agrees"] = list(finding.agrees)
    document["dialect"] = finding.dialect
    document["cause"], document["printed"] = finding.cause, finding.printed
    document["explanations"] = [
        [e.kind, e.text, encode(e.residual), e.certain] for e in finding.explanations
    ]
    document["source"] = _as_list(finding.source)
    document["worst"] = _as_list(finding.worst)
    document["case"] = None if finding.case is None else example_document(finding.case)
    own = finding.case.arrays if finding.case else {}
    arrays = {_key(name, i): a for i, (name, a) in enumerate(own.items())}
    arrays |= {f"mask {i}": m for i, m in enumerate((finding.case and finding.case.masks) or ())}
    document["axes"] = {}
    for which in ("smallest", "probe"):
        comparison: Comparison | None = getattr(finding, which)
        if comparison is None:
            continue
        arrays |= {f"{which} {n}": getattr(comparison, side) for side, n in _SIDES.items()}
        if comparison.twin is not None:
            arrays[f"{which} {_TWIN}"] = comparison.twin
        document["axes"][which] = list(comparison.axes)
    kept = {name: np.asarray(a) for name, a in arrays.items()}
    kept = {name: a for name, a in kept.items() if a.dtype.kind in "biuf"}  # objects need pickle
    with (folder / "arrays.npz").open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **kept)
    text = json.dumps(document, indent=1, allow_nan=False)
    (folder / "case.json").write_text(text + "\n", encoding="utf-8")


def check_schema(path: Path, document: Any, wanted: str) -> None:
    """Raise FileFormatError for a document that says to be another one, or says nothing."""
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != wanted:
        raise FileFormatError(
            f"{path} must have the schema {wanted!r}, but has {schema!r}. It was written by "
            "another version of npnet, or by something else."
        )


def load(folder: Path) -> Stored:
    """Read a finding back. Raises FileFormatError where files are missing, damaged or foreign."""
    path = folder / "case.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileFormatError(
            f"{folder} holds no case.json. A stored failure is a folder that npnet verify wrote, "
            "as reports/<run>/failures/<id>."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} is damaged: {error}. Run npnet verify again.") from None
    check_schema(path, document, SCHEMA)
    try:
        arrays = _arrays(folder / "arrays.npz")
        finding = _finding(document, arrays)
        versions = {n: document["versions"].get(n) for n in _VERSIONS}
    except KeyError as error:
        raise FileFormatError(f"{folder} is damaged: {error} is missing.") from None
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{folder} is damaged: {error}.") from None
    return Stored(finding, versions, folder)


def _versions() -> dict[str, str | None]:
    facts = environment()
    return {name: facts.get(name) for name in _VERSIONS}


def _key(name: str, i: int) -> str:
    """The name of an array in arrays.npz: its own, unless a zip file would change it."""
    plain = re.fullmatch(r"[A-Za-z0-9_. -]+", name) and not name.endswith(".npy")
    return name if plain else f"array {i}"


def _as_list(record: Source | Worst | None) -> list[Any] | None:
    return None if record is None else [encode(getattr(record, f.name)) for f in fields(record)]


def example_document(example: Example) -> dict[str, Any]:
    """An example as JSON values, less the arrays, which it names."""
    return {
        "spec": example.spec,
        "config": encode(dict(example.config)),
        "arrays": {name: _key(name, i) for i, name in enumerate(example.arrays)},
        "sets": example.sets,
        "themes": list(example.themes),
        "seed": example.seed,
        "inputs": encode(example.inputs),
        "kwargs": encode(dict(example.kwargs)),
        "choices": encode({name: _choice(x) for name, x in example.choices.items()}),
        "draws": example.draws,
        "masks": None if example.masks is None else len(example.masks),
        "outputs": list(example.outputs),
    }


def _choice(value: Any) -> Any:
    """A drawn option, which nothing depends on: as text where it has no stored form."""
    try:
        return decode(encode(value))
    except ValueError:
        return str(value)


def _arrays(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise ValueError(f"{path.name} is missing") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        raise ValueError(f"{path.name} cannot be read ({error})") from None


def _finding(document: Mapping[str, Any], arrays: Mapping[str, Array]) -> Finding:
    document = _LATER | dict(document)
    for names, kind in ((_PLAIN, str), (_COUNTS, int)):
        for name in names:
            if not isinstance(document[name], kind):
                raise ValueError(f"{name} must be {kind.__name__}, but is {document[name]!r}")
    twin = document["twin"]
    source, worst, case = document["source"], document["worst"], document["case"]
    axes = document.get("axes", {})  # some files of 0.1 have none, nor what comes next
    later = {name: document.get(name, "") for name in ("cause", "printed")}
    for name, value in later.items():
        if not isinstance(value, str):
            raise ValueError(f"{name} must be str, but is {value!r}")
    comparisons = {
        which: _comparison(which, arrays, _names(axes.get(which, [])))
        for which in ("smallest", "probe")
        if all(f"{which} {n}" in arrays for n in _SIDES.values())
    }
    return Finding(
        **{name: document[name] for name in (*_PLAIN, *_COUNTS) if name != "twin"},
        twin=_identifier(twin) if twin else "",
        verdict=Verdict(document["verdict"]),
        case=None if case is None else example_of(case, arrays),
        smallest=comparisons.get("smallest"),
        probe=comparisons.get("probe"),
        worst=None if worst is None else Worst(*(decode(x) for x in worst)),
        agrees=tuple(document["agrees"]),
        explanations=tuple(
            Explanation(kind, text, decode(residual), *certain)
            for kind, text, residual, *certain in document["explanations"]
        ),
        **later,
        dialect=document["dialect"],
        source=None if source is None else Source(*source),
    )


def _comparison(which: str, arrays: Mapping[str, Array], axes: tuple[str, ...]) -> Comparison:
    got, want, allowed = (arrays[f"{which} {n}"] for n in _SIDES.values())
    return Comparison(got, want, allowed, axes, arrays.get(f"{which} {_TWIN}"))


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"axes must be a list of names, but are {str(value)[:80]}")
    return tuple(value)


def example_of(d: Mapping[str, Any], arrays: Mapping[str, Array]) -> Example:
    """The example of such a document. Raises ValueError where it is none."""
    sets, count = d["sets"], d["masks"]
    own = {name: arrays[key] for name, key in d["arrays"].items()}
    for name, a in own.items():
        if a.ndim == 0 or a.shape[0] != sets:
            raise ValueError(f"{name} must hold {sets} value sets, but has shape {a.shape}")
    return Example(
        _identifier(d["spec"]),
        _config(d["config"]),
        own,
        sets,
        tuple(d["themes"]),
        d["seed"],
        decode(d["inputs"]),
        _config(d["kwargs"]),
        decode(d["choices"]),
        d["draws"],
        None if count is None else tuple(arrays[f"mask {i}"] for i in range(count)),
        tuple(d["outputs"]),
    )


# ---- finding stored failures ---------------------------------------------------------------------


def folders(places: Sequence[Path]) -> dict[str, Path]:
    """Every stored failure by its id, the newest where several runs stored the same one.

    places: folders of one run each, or folders of such folders
    """
    found: dict[str, Path] = {}
    cases = (p for place in places for p in _cases(place))
    for path in sorted(cases, key=lambda p: (p.stat().st_mtime_ns, str(p))):
        found[path.parent.name] = path.parent
    return found


def _cases(place: Path) -> Iterator[Path]:
    yield from place.glob("failures/*/case.json")
    yield from place.glob("*/failures/*/case.json")


def find(wanted: str, known: Mapping[str, Path]) -> Path:
    """The folder of an id, of a unique beginning of one, or of a path. Raises ConfigError."""
    if wanted in known:
        return known[wanted]
    if (Path(wanted) / "case.json").is_file():
        return Path(wanted)
    matches = [name for name in known if name.startswith(wanted)]
    if len(matches) == 1:
        return known[matches[0]]
    if matches:
        raise ConfigError(f"{wanted!r} is the beginning of several: {', '.join(sorted(matches))}.")
    starts = {name[: len(wanted)]: name for name in known}
    near = get_close_matches(wanted, list(starts), 1, 0.5)
    hint = " No failure is stored." if not known else ""
    hint = f" Did you mean {starts[near[0]]}?" if near else hint
    raise ConfigError(f"there is no stored failure {wanted!r}.{hint}")


# ---- asking again --------------------------------------------------------------------------------

FIXED, DIVERGES, ERROR = "FIXED", "STILL DIVERGES", "ERROR"


def replay(stored: Stored, load_target: Callable[[Any], Any] | None = None) -> tuple[str, str]:
    """Ask a stored question again: FIXED, STILL DIVERGES or ERROR, and what there is to say."""
    from npnet.verify.examine import Examiner
    from npnet.verify.precision import PRECISIONS
    from npnet.verify.targets import held, resolve, specs
    from npnet.verify.whole.constants import either

    f = stored.finding
    if not f.target:
        return ERROR, "the candidate was an object, not a file or module: verify it where it is"
    try:
        if f.step:
            candidates, broken = _parts(f), []
        else:
            candidates, broken = (load_target or resolve)(f.target)
    except NpnetError as error:
        return ERROR, str(error)
    if broken:
        return ERROR, broken[0].message
    if f.case is None:
        if f.quantity == "import":
            return FIXED, "it can be loaded"
        command = "trace" if f.step else "verify"
        return ERROR, f"no single case shows it: run npnet {command} {f.target}"
    chosen = [c for c in candidates if c.twin == f.twin and c.name == f.layer]
    if not chosen:
        return ERROR, f"{f.target} holds no candidate {f.layer!r} of {f.twin}"
    if f.twin not in specs() or f.dtype not in PRECISIONS:
        return ERROR, f"there is no {f.twin or 'twin'} in {f.dtype or 'no dtype'} to ask"
    protocol = f.protocol if f.protocol != "history" else "plain"
    try:
        candidate, spec = held(chosen[0])
        spec = either(spec) if f.step else spec
        examiner = Examiner(candidate, spec, PRECISIONS[f.dtype])
        failures = examiner(f.case, protocols=(protocol,) * f.case.sets)
    except Exception as error:  # the stored case does not suit this version's twin
        return ERROR, f"torch could not be asked: {type(error).__name__}: {error}"
    same = [x for x in failures if x.quantity == f.quantity]
    if same:
        return DIVERGES, same[0].message
    if failures:
        return DIVERGES, f"{failures[0].quantity} instead: {failures[0].message}"
    return FIXED, "agrees with torch"


def _parts(f: Finding) -> list[Any]:
    """The layer of a training run that a finding is of, as a candidate.

    Raises ConfigError where the run, or the layer, is not there any more.
    """
    from npnet.verify.targets import object_of
    from npnet.verify.whole import TrainingRun, part_of

    try:
        run, _ = object_of(f.target, TrainingRun)
    except NpnetError:
        raise
    except (Exception, SystemExit) as error:
        message = f"{f.target} could not be loaded: {type(error).__name__}: {error}"
        raise ConfigError(message) from error
    return [part_of(run, f.layer)]
