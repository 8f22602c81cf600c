"""Files of tensors: safetensors, npz, and torch's through npnet.twins. No pickle is ever loaded."""

import importlib
import io
import json
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, DtypeError
from npnet.convert.moving import BF16

TORCH = (".pt", ".pth", ".bin")
SUFFIXES = (".safetensors", ".npz", *TORCH)

_NAMES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32",
    "U16": "uint16", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
_EXPORT = (
    " In Keras: np.savez('weights.npz', **{w.path: np.asarray(w) for w in model.weights}), and "
    "give npnet convert that file."
)


def require_suffix(path: Path, what: str) -> None:
    """The name says what is in the file. Raises ConfigError."""
    if path.suffix in SUFFIXES:
        return
    fix = ""
    if path.suffix in (".h5", ".hdf5", ".keras"):
        fix = _EXPORT
    elif path.suffix in (".pkl", ".pickle", ".joblib", ".npy"):
        fix = " A pickle can run any code, and is never loaded: write np.savez('weights.npz', **d)."
    elif path.suffix in (".msgpack", ".orbax"):
        fix = (
            " In Flax: np.savez('weights.npz', **flax.traverse_util.flatten_dict(variables, "
            "sep='/')), and give npnet convert that file."
        )
    raise ConfigError(f"{what} needs a name that ends in {', '.join(SUFFIXES)}: {path}.{fix}")


def read(path: str | Path) -> dict[str, Array]:
    """The tensors of a file, in its order; bfloat16 as its bits. Raises ConfigError, DtypeError."""
    path = Path(path)
    require_suffix(path, "a checkpoint")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    found: dict[str, Array]
    if path.suffix in TORCH:
        found = _twins().load(path, data)
    else:
        found = _of_npz(path, data) if path.suffix == ".npz" else _of_safetensors(path, data)
    if not found:
        raise ConfigError(f"{path} needs to hold tensors, but holds none.")
    return {name: _native(path, name, a) for name, a in found.items()}


def _native(path: Path, name: str, a: Array) -> Array:
    """Real numbers of a size that all formats have, in this machine's order of bytes."""
    if a.dtype == BF16:
        return a
    if a.dtype.kind not in "biuf":
        hint = " JAX's bfloat16 looks so in an npz: write a.astype('float32')."
        raise DtypeError(
            f"{path} needs to hold real numbers, but {name!r} is {a.dtype}."
            + hint * (a.dtype.kind == "V")
        )
    if a.dtype.itemsize > 8:
        raise DtypeError(
            f"{path} needs numbers of 64 bits at most, but {name!r} is {a.dtype}. Write "
            "a.astype('float64')."
        )
    return a.astype(a.dtype.newbyteorder("="), copy=False)


def require_place(path: Path) -> None:
    """A file can be written there. Raises ConfigError."""
    path = Path(os.path.realpath(path))
    above = next(p for p in path.parents if p.exists())
    why = ""
    if path.is_dir():
        why = "it is a folder"
    elif not above.is_dir():
        why = f"{above} is a file"
    elif not os.access(above, os.W_OK):
        why = f"nothing can be written into {above}"
    if why:
        raise ConfigError(f"OUT needs to be a place to write to, but cannot be {path}: {why}.")


def write(path: str | Path, tensors: Mapping[str, Array]) -> None:
    """Write a file, at once or not at all. Raises ConfigError, DtypeError."""
    from npnet.train.files import write_whole

    path = Path(path)
    require_suffix(path, "what is written")
    if path.suffix in TORCH:
        data = _twins().dumped(tensors)
    elif path.suffix == ".npz":
        data = _as_npz(path, tensors)
    else:
        data = _as_safetensors(tensors)
    write_whole(path, data)


def _twins() -> Any:
    """What touches torch, where it is needed."""
    try:
        return importlib.import_module("npnet.twins.checkpoints")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError(
            "files of torch need torch, which is not installed. Install it with: pip install "
            "'npnet[torch]', or use .safetensors or .npz."
        ) from None


def _safetensors() -> Any:
    try:
        return importlib.import_module("safetensors")
    except ModuleNotFoundError as error:
        if error.name != "safetensors":
            raise
        raise ConfigError(
            "this needs safetensors, which is not installed. Install it with: pip install "
            "'npnet[torch]', or use .npz."
        ) from None


def _of_npz(path: Path, data: bytes) -> dict[str, Array]:
    try:
        if not zipfile.is_zipfile(io.BytesIO(data)):
            single = data.startswith(b"\x93NUMPY")
            raise ValueError(
                "it is one array of .npy: np.savez gives it a name" if single else "it is no zip"
            )
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        strange = [n for n, a in found.items() if not isinstance(a, np.ndarray)]
        if strange:
            raise ValueError(f"{strange[0]!r} in it is no .npy")
        return found
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, RuntimeError) as error:
        pickled = "pickle" in str(error).lower()
        why = "it holds pickled objects, which are never loaded" if pickled else str(error)
        raise ConfigError(f"{path} cannot be read as an npz file of arrays ({why}).") from None


def _as_npz(path: Path, tensors: Mapping[str, Array]) -> bytes:
    buffer = io.BytesIO()
    for name, a in tensors.items():
        if a.dtype == BF16:
            raise DtypeError(
                f"an npz file has no bfloat16, which {name!r} is. Write {path.with_suffix('')}"
                ".safetensors, or .pt."
            )
    with zipfile.ZipFile(buffer, "w") as file:  # of all names, np.savez takes one as an option
        for name, a in tensors.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(a), allow_pickle=False)
    return buffer.getvalue()


def _of_safetensors(path: Path, data: bytes) -> dict[str, Array]:
    library = _safetensors()
    try:
        listed = library.deserialize(data)
    except library.SafetensorError as error:
        raise ConfigError(f"{path} cannot be read as a safetensors file ({error}).") from None
    found = {}
    for name, entry in sorted(listed, key=lambda one: _natural(one[0])):
        dtype = _NAMES.get(entry["dtype"])
        if dtype is None:
            raise DtypeError(
                f"{path} holds {name!r} as {entry['dtype']}, which NumPy does not have. Convert it "
                "to float16 or float32 first."
            )
        kind = BF16 if dtype == "bfloat16" else np.dtype(dtype)
        found[name] = np.frombuffer(bytes(entry["data"]), kind).reshape(entry["shape"]).copy()
    return found


def _as_safetensors(tensors: Mapping[str, Array]) -> bytes:
    """Written by hand: what the library takes differs from version to version, and has no bits."""
    codes = {name: code for code, name in _NAMES.items()}
    head: dict[str, Any] = {}
    body, begin = [], 0
    for name, a in sorted(tensors.items(), key=lambda one: -one[1].dtype.itemsize):
        code = "BF16" if a.dtype == BF16 else codes[str(a.dtype)]
        data = np.array(a, order="C").tobytes()
        end = begin + len(data)
        head[name] = {"dtype": code, "shape": list(a.shape), "data_offsets": [begin, end]}
        body.append(data)
        begin = end
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *body])


def _natural(name: str) -> list[Any]:
    """Numbers in a name by their size: layer 10 comes after layer 2."""
    return [(0, int(t), "") if t.isdigit() else (1, 0, t) for t in re.split(r"(\d+)", name)]
