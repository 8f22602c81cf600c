"""A record as two files: arrays in DEVICE.safetensors, everything else in DEVICE.json.

What the files hold is described in reference/README.md, for programs in other languages.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from npnet.contract import Array
from npnet.verify.case import Example
from npnet.verify.recorded.choose import rounded_up
from npnet.verify.recorded.question import LICENCE, Record, Recorded
from npnet.verify.spec import Answer, Expected
from npnet.verify.store import BOUND, FileFormatError, check_schema, decode, encode

SCHEMA = "npnet-reference/1"


def write(record: Record, folder: Path) -> int:
    """Write a record into folder/LAYER/; return its bytes. The same record gives the same bytes."""
    place = folder / record.layer
    place.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Array] = {}
    questions = [_question(q, tensors) for q in record.questions]
    data = save_tensors({n: np.asarray(a, order="C") for n, a in tensors.items()})
    document = {
        "schema": SCHEMA,
        "layer": record.layer,
        "kind": "optimizer" if record.optimizer else "schedule" if record.schedule else "layer",
        "device": record.device,
        **record.facts,
        "licence": LICENCE,
        "seed": record.seed,
        "sha256": hashlib.sha256(data).hexdigest(),
        "exact": record.exact,
        "masks": None
        if record.masks is None
        else [[list(x), list(mask)] for x, mask in record.masks.items()],
        "options": {name: list(values) for name, values in record.universe.items()},
    }
    head = json.dumps(document, indent=1, allow_nan=False)
    lines = ",\n".join("  " + json.dumps(q, allow_nan=False) for q in questions)
    text = f'{head[:-2]},\n "questions": [\n{lines}\n ]\n}}\n'
    (place / f"{record.device}.safetensors").write_bytes(data)
    (place / f"{record.device}.json").write_text(text, encoding="utf-8")
    return len(data) + len(text.encode())


def _question(q: Recorded, tensors: dict[str, Array]) -> dict[str, Any]:
    """A question as JSON values; its arrays are added to the tensors."""
    e = q.example
    tensors |= {f"{q.name}/{name}": a[0, ...] for name, a in e.arrays.items()}
    quantities, optional, without, dtypes = [], [], [], {}
    for name, expected in q.answer.expected.items():
        quantities.append(name)
        if _is_nothing(expected):
            without.append(name)
            continue
        tensors[f"{q.name}/{name}"] = expected.value[0, ...]
        if expected.error is not None:
            error = np.broadcast_to(expected.error[0, ...], expected.value.shape[1:])
            tensors[f"{q.name}/{BOUND}{name}"] = np.asarray(rounded_up(error, q.dtype))
        if not expected.required or 0 in expected.absent:
            optional.append(name)
        if expected.dtype != _dtype(expected.value, q.dtype):
            dtypes[name] = None if expected.dtype is None else str(expected.dtype)
    document = {
        "name": q.name,
        "dtype": q.dtype,
        "protocol": q.protocol,
        "family": e.themes[0],
        "config": _plain(e.config),
        "inputs": encode(e.inputs),
        "kwargs": _plain(e.kwargs),
        "outputs": list(e.outputs),
        "given": list(e.arrays),
        "answers": quantities,
        "options": _plain(_beside(q.choices, e.config)),
    }
    extras = {
        "optional": optional,
        "without": without,
        "dtypes": dtypes,
        "refused": [[list(a), list(b)] for a, b in q.refused],
    }
    document |= {name: value for name, value in extras.items() if value}
    return document | ({"rng": e.seed} if e.draws else {})


def _is_nothing(expected: Expected) -> bool:
    """Whether torch has no such gradient: nothing, None and zeros are accepted."""
    exact = expected.error is None and expected.dtype is None and not expected.required
    return exact and not expected.value.any()


def _dtype(value: Array, dtype: str) -> np.dtype[Any]:
    """What a result has that nothing else is said of."""
    return np.dtype(dtype) if value.dtype.kind == "f" else value.dtype


def _beside(choices: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What was drawn and does not stand in the configuration as it is."""
    return {n: v for n, v in choices.items() if n not in config or str(config[n]) != str(v)}


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration by name; an option that is drawn and never read may be a text."""
    return {name: encode(value) for name, value in options.items()}


def read(folder: Path, layer: str, device: str) -> Record:
    """The record of a twin. Raises FileFormatError where there is none, or it is damaged."""
    path = folder / layer / f"{device}.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        data = path.with_suffix(".safetensors").read_bytes()
    except FileNotFoundError as error:
        raise FileFormatError(
            f"there is no {error.filename}. A record is made where torch is installed: "
            f"npnet record {layer} --reference {folder}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} is damaged: {error}.") from None
    check_schema(path, document, SCHEMA)
    try:
        if hashlib.sha256(data).hexdigest() != document["sha256"]:
            raise ValueError("its arrays are others than those that were recorded with it")
        return _record(document, load_tensors(data))
    except KeyError as error:
        raise FileFormatError(f"{path} is damaged: {error} is missing.") from None
    except (AttributeError, TypeError, ValueError, RecursionError, SafetensorError) as error:
        raise FileFormatError(f"{path} is damaged: {error}.") from None


_OWN = ("schema", "layer", "kind", "device", "licence", "seed", "sha256", "exact", "masks")


def _record(document: Mapping[str, Any], tensors: Mapping[str, Array]) -> Record:
    layer, kind, masks = document["layer"], document["kind"], document["masks"]
    facts = {
        name: str(value)
        for name, value in document.items()
        if name not in (*_OWN, "options", "questions")
    }
    return Record(
        layer,
        document["device"],
        facts,
        document["seed"],
        kind == "optimizer",
        kind == "schedule",
        document["exact"],
        {name: tuple(values) for name, values in document["options"].items()},
        tuple(_recorded(layer, q, tensors) for q in document["questions"]),
        None if masks is None else {tuple(x): tuple(mask) for x, mask in masks},
    )


def _recorded(layer: str, q: Mapping[str, Any], tensors: Mapping[str, Array]) -> Recorded:
    name, dtype = q["name"], q["dtype"]
    arrays = {given: tensors[f"{name}/{given}"][np.newaxis] for given in q["given"]}
    example = Example(
        layer,
        _options(q["config"]),
        arrays,
        1,
        (q["family"],),
        q.get("rng", 0),
        decode(q["inputs"]),
        _options(q["kwargs"]),
        {},
        "rng" in q,
        None,
        tuple(q["outputs"]),
    )
    expected = {quantity: _expected(name, quantity, dtype, q, tensors) for quantity in q["answers"]}
    options = {option: _choice(value) for option, value in q["options"].items()}
    choices = {**example.config, **options}
    refused = tuple((tuple(a), tuple(b)) for a, b in q.get("refused", ()))
    answer = Answer(expected)
    return Recorded(name, dtype, q["protocol"], example, answer, choices, refused)


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: decode(value) for name, value in given.items()}


def _choice(value: Any) -> Any:
    try:
        return decode(value)
    except ValueError:  # nothing reads it but the count of what is covered
        return str(value)


def _expected(
    name: str, quantity: str, dtype: str, q: Mapping[str, Any], tensors: Mapping[str, Array]
) -> Expected:
    if quantity in q.get("without", ()):
        given = quantity.removeprefix("gradient of ")
        given = given if given in q["given"] else f"state {given}"
        zeros = np.zeros(tensors[f"{name}/{given}"].shape)
        return Expected(zeros[np.newaxis], None, None, required=False)
    value = tensors[f"{name}/{quantity}"]
    error = tensors.get(f"{name}/{BOUND}{quantity}")
    kind = q.get("dtypes", {}).get(quantity, _dtype(value, dtype))
    return Expected(
        value[np.newaxis],
        None if error is None else error[np.newaxis].astype(np.float64),
        None if kind is None else np.dtype(kind),
        required=quantity not in q.get("optional", ()),
    )
