"""Data to train on: digits, files in the IDX format, texts; what damages them is named."""

import gzip
import struct
import sys

import numpy as np
import pytest

from npnet.contract import ConfigError
from npnet.train import data, digits, mnist, read_idx, text

NAMES = [
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
]


def idx(a, kind=0x08):
    """An array as a file in the IDX format."""
    sizes = struct.pack(f">{a.ndim}I", *a.shape)
    return bytes([0, 0, kind, a.ndim]) + sizes + a.astype(a.dtype.newbyteorder(">")).tobytes()


def images(count):
    return np.random.default_rng(count).integers(0, 256, (count, 4, 5), np.uint8)


def labels(count):
    return (np.arange(count) % 3).astype(np.uint8)


@pytest.fixture
def place(tmp_path):
    """A folder with the four files, one of them packed, one with the other mark in its name."""
    made = [images(7), labels(7), images(3), labels(3)]
    for name, a in zip(NAMES, made, strict=True):
        (tmp_path / name).write_bytes(idx(a))
    (tmp_path / (NAMES[0] + ".gz")).write_bytes(gzip.compress((tmp_path / NAMES[0]).read_bytes()))
    (tmp_path / NAMES[0]).unlink()
    (tmp_path / NAMES[3]).rename(tmp_path / NAMES[3].replace("-idx", ".idx"))
    return tmp_path


def test_digits_are_always_the_same():
    found = digits()
    assert (found.x.shape, found.x_test.shape) == ((1437, 1, 8, 8), (360, 1, 8, 8))
    assert (found.x.dtype, found.y.dtype, found.classes) == (np.float32, np.int64, 10)
    assert (found.x.min(), found.x.max()) == (0, 1)
    assert found.y[:8].tolist() == digits().y[:8].tolist()
    assert np.bincount(found.y_test).min() > 25  # of every digit


def test_mnist_from_four_files(place):
    found = mnist(place)
    np.testing.assert_array_equal(found.x, images(7)[:, None].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(found.y_test, labels(3))
    assert (found.x.dtype, found.y.dtype, found.classes, found.name) == (
        np.float32, np.int64, 3, place.name,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")],
)
def test_every_kind_of_number(tmp_path, kind, dtype):
    a = np.array([[1, -2], [3, 100]]).astype(dtype)
    (tmp_path / "a").write_bytes(idx(a, kind))
    found = read_idx(tmp_path / "a")
    np.testing.assert_array_equal(found, a)
    assert found.dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d[:-1], r"needs 140 bytes behind its header.*\(7, 4, 5\), but has 139.*cut off"),
        (lambda d: d + b"x", "but has 141. It holds more than it says"),
        (lambda d: d[:9], "needs a header of 16 bytes, but ends after 9. It is cut off"),
        (lambda d: b"", "but begins with nothing"),
        (lambda d: b"\x89PNG" + d, "whose first bytes are 00 00 08 03.*begins with 89 50 4e 47"),
        (lambda d: b"\0\0\x07" + d[3:], "needs to be in the IDX format"),
        (lambda d: b"\0\0\x08\x01" + d[4:], "needs to hold 3 axes, but its header says 1"),
        (lambda d: gzip.compress(d)[:-9], "cannot be unpacked.*downloaded again"),
        (lambda d: gzip.compress(d)[:30] + b"?" * 60, "cannot be unpacked.*downloaded again"),
        (lambda d: idx(images(6)), "holds 6 images and .* 7 labels"),
        (lambda d: b"\0\0\x08\x03" + b"\xff" * 12, "but has 0. It is cut off"),
    ],
)
def test_a_damaged_file_is_named(place, change, message):
    path = place / NAMES[0]
    path.write_bytes(change(idx(images(7))))
    with pytest.raises(ConfigError, match=message) as raised:
        mnist(place)
    assert str(path) in str(raised.value)


def test_a_folder_without_the_files_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"train-images-idx3-ubyte or .*gz, but holds nothing"):
        mnist(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ConfigError, match=r"but holds notes\.txt"):
        mnist(tmp_path)
    with pytest.raises(ConfigError, match=r"in a folder, but .* is none"):
        mnist(tmp_path / "nowhere")


def test_scikit_learn_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "sklearn.datasets", raising=False)
    with pytest.raises(ConfigError, match=r"needs scikit-learn.*pip install 'npnet\[train\]'"):
        digits()


def test_texts(tmp_path, capsys):
    zen = text.zen()
    assert len(zen) == 856
    assert zen.startswith("The Zen of Python, by Tim Peters\n")
    assert capsys.readouterr().out == ""
    characters = text.Characters.of("abcab")
    x, y = text.windows(characters.numbers("abcab"), 2, 1)
    assert [characters.text(row) for row in x] == ["ab", "bc", "ca"]
    assert [characters.text(row) for row in y] == ["bc", "ca", "ab"]
    with pytest.raises(ConfigError, match="characters 'abc', but has"):
        characters.numbers("abd")
    with pytest.raises(ConfigError, match="longer than a window of 9 characters, but has 5"):
        text.windows(characters.numbers("abcab"), 9, 1)
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    with pytest.raises(ConfigError, match="needs to be UTF-8"):
        text.read_text(tmp_path / "latin")


def test_samples_with_the_extreme_labels():
    x, y = np.zeros((9, 2)), np.array([3, 3, 3, 7, 3, 1, 3, 3, 3])
    assert data.samples(x, y).extremes().tolist() == [3, 5]
    assert data.samples(x, y.astype(float)).extremes().tolist() == [0, 1]
    assert data.samples((x, x), (y[:, None], y)).extremes().tolist() == [3, 5]
    assert data.samples(x, y).fingerprint() != data.samples(x, y[::-1]).fingerprint()
