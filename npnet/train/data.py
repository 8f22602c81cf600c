"""Data: samples and their batches, scikit-learn's digits, MNIST from files in the IDX format."""

import gzip
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npnet.contract import Array, ConfigError, ShapeError
from npnet.train.extra import needed
from npnet.train.walk import several

# ---- samples -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Samples:
    """Inputs and targets, sample by sample along the first axis.

    x, y: an array, or a tuple of arrays; y may be ()
    """

    x: Any
    y: Any

    def __len__(self) -> int:
        return len(several(self.x)[0])

    def take(self, indices: Array | slice) -> tuple[Any, Any]:
        """These samples: (x, y)."""
        return _taken(self.x, indices), _taken(self.y, indices)

    def batches(self, size: int) -> Iterator[tuple[Any, Any]]:
        """All of them in order, so many at a time; the last may be fewer."""
        for start in range(0, len(self), size):
            yield self.take(slice(start, start + size))

    def extremes(self) -> Array:
        """Two samples: with the least and with the largest label; the first two without labels."""
        labels = [a for a in several(self.y) if a.dtype.kind in "iu" and a.ndim]
        if not labels:
            return np.arange(min(2, len(self)))
        flat = labels[0].reshape(len(self), -1)
        if not flat.shape[1]:
            return np.arange(min(2, len(self)))
        return np.unique([flat.min(1).argmin(), flat.max(1).argmax()])

    def fingerprint(self) -> int:
        """A number that other data would have by chance only."""
        found = 0
        for a in (*several(self.x), *several(self.y)):
            found = zlib.crc32(f"{a.shape} {a.dtype.str}".encode(), found)
            found = zlib.crc32(np.ascontiguousarray(a).data, found)
        return found


def samples(x: Any, y: Any = ()) -> Samples:
    """Inputs and targets of the same number of samples. Raises ConfigError, ShapeError."""
    found = Samples(_arrays("x", x), _arrays("y", y))
    counts = {
        f"{name}{f'[{i}]' if isinstance(part, tuple) else ''}": len(a)
        for name, part in (("x", found.x), ("y", found.y))
        for i, a in enumerate(several(part))
    }
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} has {n}" for name, n in counts.items())
        raise ShapeError(
            f"x and y need the same number of samples, along their first axis, but {told}."
        )
    if not len(found):
        raise ConfigError("there needs to be one sample or more, but there is none.")
    return found


def held_out(validation: Any, count: int) -> int:
    """How many of the samples a part of them is, rounded down. Raises ConfigError."""
    if isinstance(validation, bool) or not isinstance(validation, int | float):
        raise ConfigError(
            "validation needs to be (x, y), or a part of the samples such as 0.1, but is "
            f"{type(validation).__name__}."
        )
    size = int(validation * count) if math.isfinite(validation) else 0
    if not 0 < validation < 1 or not size:
        raise ConfigError(
            f"validation needs to be a part of the {count} samples that is more than none and less "
            f"than all of them, but is {validation}."
        )
    return size


def _arrays(what: str, x: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(_array(f"{what}[{i}]", part) for i, part in enumerate(x))
    return _array(what, x)


def _array(what: str, x: Any) -> Array:
    found = np.asarray(x)
    if found.dtype.kind not in "biuf" or not found.ndim:
        raise ConfigError(
            f"{what} needs to be an array of numbers with the samples along its first axis, but is "
            f"{type(x).__name__} of dtype {found.dtype} and shape {found.shape}."
        )
    return found


def _taken(x: Any, indices: Array | slice) -> Any:
    return tuple(a[indices] for a in x) if isinstance(x, tuple) else x[indices]


# ---- data sets -----------------------------------------------------------------------------------


class Dataset(NamedTuple):
    """Images to train on and to test on: x (N, 1, H, W) from 0 to 1, float32; y labels, int64."""

    name: str
    x: Array
    y: Array
    x_test: Array
    y_test: Array

    @property
    def classes(self) -> int:
        """How many labels there are."""
        return int(max(self.y.max(), self.y_test.max())) + 1


def digits(test: int = 360) -> Dataset:
    """scikit-learn's 1797 handwritten digits of 8 x 8 pixels; so many, always the same, to test.

    Raises ConfigError where scikit-learn is not installed.
    Source: Alpaydin & Kaynak (1998), UCI, doi:10.24432/C50P49.
    """
    loaded = needed("sklearn.datasets").load_digits()
    x = (loaded.images / 16).astype(np.float32)[:, np.newaxis]
    y = loaded.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(x))
    a, b = order[test:], order[:test]
    return Dataset("digits", x[a], y[a], x[b], y[b])


def mnist(folder: str | Path) -> Dataset:
    """MNIST, or what comes in the same four files, from a folder; each file gzipped or not.

    train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte,
    t10k-labels-idx1-ubyte; "." may stand for the second "-", ".gz" may follow.

    Raises ConfigError for a file that is missing or damaged.
    Source: LeCun, Cortes & Burges (1998), the MNIST database.
    """
    place = Path(folder)
    if not place.is_dir():
        raise ConfigError(f"the data need to be in a folder, but {place} is none.")
    parts: list[Array] = []
    for part in ("train", "t10k"):
        images, labels = _found(place, f"{part}-images", 3), _found(place, f"{part}-labels", 1)
        x, y = read_idx(images, axes=3), read_idx(labels, axes=1)
        if len(x) != len(y):
            raise ConfigError(
                f"every image needs a label, but {images} holds {len(x)} images and {labels} "
                f"{len(y)} labels."
            )
        scale = np.iinfo(x.dtype).max if x.dtype.kind in "iu" else 1
        parts += [(x / scale).astype(np.float32)[:, np.newaxis], y.astype(np.int64)]
    return Dataset(place.resolve().name, *parts)


def _found(place: Path, name: str, axes: int) -> Path:
    stems = [f"{name}{mark}idx{axes}-ubyte" for mark in "-."]
    wanted = [place / f"{stem}{end}" for stem in stems for end in ("", ".gz")]
    for path in wanted:
        if path.is_file():
            return path
    there = sorted(p.name for p in place.iterdir())
    listed = ", ".join(there[:8]) + (", …" if len(there) > 8 else "") if there else "nothing"
    raise ConfigError(
        f"{place} needs to hold {wanted[0].name} or {wanted[1].name}, but holds {listed}. "
        "They are the files of the MNIST database, as they are downloaded."
    )


_KINDS = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | Path, axes: int | None = None) -> Array:
    """The array in a file of the IDX format, gzipped or not; axes: how many it has to have.

    Two bytes of 0, one that says the kind of number, one the number of axes; the size of each as
    four bytes, the numbers: all with the highest byte first.

    Raises ConfigError for a file that is another, or damaged.
    """
    path = Path(path)
    data = _unpacked(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _KINDS:
        raise ConfigError(
            f"{path} needs to be in the IDX format, whose first bytes are 00 00 08 03 for images "
            f"and 00 00 08 01 for labels, but begins with {data[:4].hex(' ') or 'nothing'}."
        )
    kind, ndim = np.dtype(_KINDS[data[2]]), data[3]
    if axes is not None and ndim != axes:
        raise ConfigError(f"{path} needs to hold {axes} axes, but its header says {ndim}.")
    begin = 4 + 4 * ndim
    if len(data) < begin:
        raise ConfigError(
            f"{path} needs a header of {begin} bytes, but ends after {len(data)}. It is cut off: "
            "it needs to be copied or downloaded again."
        )
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", ndim, 4))
    wanted, held = math.prod(shape) * kind.itemsize, len(data) - begin
    if held != wanted:
        wrong = "is cut off" if held < wanted else "holds more than it says"
        raise ConfigError(
            f"{path} needs {wanted} bytes behind its header, for an array of shape {shape}, but "
            f"has {held}. It {wrong}: it needs to be copied or downloaded again."
        )
    found = np.frombuffer(data, kind, offset=begin).reshape(shape)
    return found.astype(kind.newbyteorder("="))


def _unpacked(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ConfigError(
            f"{path} cannot be unpacked: {error}. It needs to be copied or downloaded again."
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
