"""What passes between the two processes: a fixed header, plain JSON, raw bytes. Never pickle.

    frame    magic (4), length of the JSON (u32), number of arrays (u32), then the JSON
    array    dtype (8 characters, as "<f8"), number of axes (u32), shape (16 × u64), then the bytes

Sizes are checked before anything is allocated: a frame from a stranger's process is data, and what
it claims is not believed.
"""

import json
import math
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npnet.contract import Array

_FRAME = struct.Struct("<4sII")
_ARRAY = struct.Struct("<8sI16Q")
_MAGIC = b"npn1"
_AXES = 16
_JSON = 1 << 24
_ARRAYS = 100_000
_DTYPE = re.compile(r"^[<>|=][biufc](1|2|4|8|16|32)$")

Receive = Callable[[int], bytes]
"""Exactly so many bytes; raises EOFError where the other side is gone."""


class Unreadable(Exception):
    """What came is no frame."""


def travels(a: Any) -> bool:
    """Whether an array can be sent: numbers of a fixed size, in at most 16 axes."""
    is_one = isinstance(a, np.ndarray | np.generic)
    return is_one and bool(_DTYPE.match(a.dtype.str)) and a.ndim <= _AXES


def pack(document: Any, arrays: Sequence[Array]) -> bytes:
    """A frame."""
    text = json.dumps(document).encode()
    parts = [_FRAME.pack(_MAGIC, len(text), len(arrays)), text]
    for a in arrays:
        shape = (*a.shape, *[0] * (_AXES - a.ndim))
        parts += [_ARRAY.pack(a.dtype.str.encode(), a.ndim, *shape), np.asarray(a).tobytes()]
    return b"".join(parts)


def receive(read: Receive, most: int) -> tuple[Any, list[Array]]:
    """A frame whose arrays have at most so many bytes together; raises Unreadable."""
    magic, length, count = _FRAME.unpack(read(_FRAME.size))
    if magic != _MAGIC or length > _JSON or count > _ARRAYS:
        raise Unreadable("it does not begin as a reply does")
    try:
        document = json.loads(read(length))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it holds no JSON ({error})") from None
    arrays = []
    for _ in range(count):
        dtype, ndim, *shape = _ARRAY.unpack(read(_ARRAY.size))
        text = dtype.rstrip(b"\0").decode("ascii", "replace")
        if not _DTYPE.match(text) or ndim > _AXES:
            raise Unreadable(f"it holds an array of dtype {text!r} with {ndim} axes")
        try:
            form = np.dtype(text)
        except TypeError:
            raise Unreadable(f"it holds an array of dtype {text!r}") from None
        size = math.prod(shape[:ndim]) * form.itemsize
        if size > most:
            raise Unreadable(
                f"it claims an array of shape {tuple(shape[:ndim])}, which is too large"
            )
        most -= size
        arrays.append(np.frombuffer(read(size), form).reshape(shape[:ndim]).copy())
    return document, arrays
