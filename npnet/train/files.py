"""Files: written at once or not at all; a state as safetensors, a checkpoint as npz."""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, DtypeError, ShapeError, State
from npnet.train.extra import needed

FORMAT = 1
"""Of checkpoints."""

_TREE = "checkpoint.json"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that, whatever happens, it holds what it held before or all of the data.

    A link stays one: what it leads to is written.
    """
    path = Path(os.path.realpath(path))
    new = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        _sync(path.parent)
    except KeyboardInterrupt:
        new.unlink(missing_ok=True)
        raise
    except OSError as error:
        raise ConfigError(
            f"{path} needs to be a place to write to, but cannot be ({error.strerror})."
        ) from None


def _sync(folder: Path) -> None:
    """Have the name of what was renamed on disk, too, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# ---- a state -------------------------------------------------------------------------------------


def save_state(path: str | Path, state: State) -> None:
    """Write a state to a safetensors file."""
    tensors = {name: np.array(a, order="C") for name, a in state.items()}
    write_whole(Path(path), needed("safetensors.numpy").save(tensors))


def load_state(path: str | Path, like: State) -> dict[str, Array]:
    """The state in a safetensors file, with the names, the shapes and the kinds of numbers of this.

    The width of floating-point numbers is the file's. Raises ConfigError, ShapeError, DtypeError.
    """
    path = Path(path)
    safetensors, reader = needed("safetensors"), needed("safetensors.numpy")
    try:
        found: dict[str, Array] = reader.load(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path} needs to be a safetensors file of numbers that NumPy has, but cannot be read "
            f"as one ({error})."
        ) from None
    require_alike(str(path), found, like)
    return {name: found[name] for name in like}


def require_alike(what: str, found: State, like: State) -> None:
    """The entries of a state are those of another, of the same shapes and kinds of numbers.

    Raises ConfigError, ShapeError, DtypeError.
    """
    missing = [name for name in like if name not in found]
    more = [name for name in found if name not in like]
    if missing or more:
        told = []
        for name in missing[:3]:
            near = get_close_matches(name, more, 1)
            told.append(f"{name!r} is missing" + (f" (it has {near[0]!r})" if near else ""))
        for name in more[: 3 - len(told)]:
            near = get_close_matches(name, like, 1)
            told.append(f"{name!r} is unknown" + (f" (near to {near[0]!r})" if near else ""))
        rest = len(missing) + len(more) - len(told)
        raise ConfigError(
            f"{what} needs to hold the entries of this model, but {', '.join(told)}"
            + (f", and {rest} more differ." if rest > 0 else ".")
        )
    for name, wanted in like.items():
        if found[name].shape != wanted.shape:
            raise ShapeError(
                f"{what} needs {name!r} to have shape {wanted.shape}, but it has "
                f"{found[name].shape}."
            )
        if found[name].dtype.kind != wanted.dtype.kind:
            raise DtypeError(
                f"{what} needs {name!r} to be of a dtype such as {wanted.dtype}, but it is "
                f"{found[name].dtype}."
            )
    floats = sorted({str(a.dtype) for a in found.values() if a.dtype.kind == "f"})
    if len(floats) > 1:
        raise DtypeError(f"{what} needs floats of one dtype, but holds {' and '.join(floats)}.")


# ---- a checkpoint --------------------------------------------------------------------------------


def save_tree(path: Path, tree: Mapping[str, Any]) -> None:
    """Write mappings and lists of numbers, texts, None and arrays to one file."""
    arrays: dict[str, Array] = {}
    text = json.dumps(_packed({"format": FORMAT, **tree}, "", arrays))
    buffer = io.BytesIO()
    entries = {_TREE: np.frombuffer(text.encode(), np.uint8), **arrays}
    np.savez(buffer, **entries)  # type: ignore[arg-type]  # of all names, one is an option of savez
    write_whole(path, buffer.getvalue())


def load_tree(path: str | Path) -> dict[str, Any]:
    """What save_tree has written. Raises ConfigError."""
    path = Path(path)
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        tree: dict[str, Any] = _unpacked(json.loads(arrays.pop(_TREE).tobytes()), arrays)
    except FileNotFoundError:
        raise ConfigError(f"a checkpoint needs to be there, but {path} is not.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, AttributeError) as error:
        raise ConfigError(
            f"{path} needs to be a checkpoint of npnet.train, but cannot be read as one ({error})."
        ) from None
    if tree.get("format") != FORMAT:
        raise ConfigError(
            f"{path} needs to be a checkpoint of format {FORMAT}, but has {tree.get('format')!r}. "
            "Another version of npnet has written it."
        )
    return tree


def _packed(tree: Any, at: str, arrays: dict[str, Array]) -> Any:
    if isinstance(tree, Mapping):
        return {str(k): _packed(v, f"{at}/{k}".lstrip("/"), arrays) for k, v in tree.items()}
    if isinstance(tree, np.ndarray):
        arrays[at] = tree
        return {"array": at}
    if isinstance(tree, list | tuple):
        return [_packed(v, f"{at}/{i}", arrays) for i, v in enumerate(tree)]
    return tree.item() if isinstance(tree, np.generic) else tree


def _unpacked(tree: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(tree, dict):
        if tree.keys() == {"array"} and isinstance(tree["array"], str):
            return arrays[tree["array"]]
        return {k: _unpacked(v, arrays) for k, v in tree.items()}
    return [_unpacked(v, arrays) for v in tree] if isinstance(tree, list) else tree
