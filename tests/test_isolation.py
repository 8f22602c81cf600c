"""Candidates in processes of their own: what comes through, what is limited, what is left."""

import os
import struct
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings

from npnet.contract import ConfigError
from npnet.verify import run
from npnet.verify.case import Example
from npnet.verify.engine import run_all
from npnet.verify.isolate import Isolated, isolate
from npnet.verify.isolate.limits import descendants
from npnet.verify.isolate.messages import of_example, to_example
from npnet.verify.isolate.wire import Unreadable, pack, receive
from npnet.verify.settings import Settings
from npnet.verify.spec import examples
from npnet.verify.targets import resolve, specs
from tests.hostile import EXPECTED
from tests.studies import hostile

QUICK = [
    "segfault",
    "exits_quietly",
    "interrupts",
    "writes_into_the_connection",
    "loops_inside_c",
    "one_large_array",
    "leaves_a_session",
    "patches_numpy",
    "a_pickle",
    "a_masked_array",
    "writes_beside_its_input",
    "wrong_once",
    "floods",
]

RIGHT = """
import numpy as np
from npnet.contract import Forward, Grads
from npnet.verify import candidate

@candidate("Tanh")
def mine(case):
    y = np.tanh(case.inputs[0])
    return Forward(y, lambda dy: Grads((dy * (1 - y * y){more},)))
"""


def write(tmp_path, more=""):
    file = tmp_path / "mine.py"
    file.write_text(RIGHT.replace("{more}", more))
    return str(file)


@pytest.mark.parametrize("name", QUICK)
def test_a_hostile_candidate_gets_its_verdict_and_leaves_nothing(name, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    assert hostile.verdict(name, 20) == EXPECTED[name]

    assert not list(tmp_path.iterdir())


def test_the_next_candidate_is_unaffected(tmp_path):
    broken, _ = resolve(f"{hostile.FILE}::kills_itself")
    right, _ = resolve(write(tmp_path))

    report = run_all([*broken, *right], Settings(10, ("float64",)))

    assert [r.outcomes["float64"].verdict.value for r in report.layers] == ["CRASH", "PASS"]


def test_a_file_whose_import_ends_the_process_is_told(tmp_path):
    file = tmp_path / "fatal.py"
    file.write_text("import os\nos._exit(7)\n")

    report = run(str(file), examples=2)

    assert report.exit_code == 3
    assert "exit code 7" in report.findings[0].message


@pytest.mark.parametrize("more", ["", " * 2", " + 0.1 * dy", ".astype(object)"])
def test_both_ways_of_asking_say_the_same(tmp_path, more):
    file = write(tmp_path, more)

    here, there = (run(file, examples=20, in_process=p) for p in (True, False))

    assert here.exit_code == there.exit_code
    told = [[(f.quantity, f.verdict, f.dtype) for f in r.findings] for r in (here, there)]
    assert told[0] == told[1]


def test_a_worker_knows_no_torch(tmp_path):
    file = tmp_path / "curious.py"
    source = RIGHT.replace("{more}", "").replace("import numpy", "import sys\nimport numpy")
    check = '    assert "torch" not in sys.modules, "torch is here"\n    y = np'
    source = source.replace("    y = np", check)
    file.write_text(source)

    assert run(str(file), examples=5, dtypes=("float64",)).findings == []


def test_what_it_prints_is_in_the_finding(tmp_path):
    file = Path(write(tmp_path, " * 2"))
    file.write_text(
        file.read_text().replace("    y = np", '    print("hello from it")\n    y = np')
    )

    report = run(str(file), examples=5)

    assert "hello from it" in report.findings[0].printed


def test_closing_ends_what_it_has_started(tmp_path):
    (c,), _ = resolve(write(tmp_path))
    c = isolate(c)
    assert isinstance(c.function, Isolated)
    worker = c.function._running()
    assert descendants(worker.mark)

    c.function.close()

    assert not descendants(worker.mark)
    assert not worker.directory.exists()


def test_frames_come_back_exactly():
    arrays = [np.arange(6.0).reshape(2, 3), np.zeros((0, 3), ">i4"), np.array(True)]
    frame = pack({"a": [1, None]}, arrays)

    document, found = receive(reader(frame), 1 << 20)

    assert document == {"a": [1, None]}
    for a, b in zip(arrays, found, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert (a == b).all()


@pytest.mark.parametrize("name", list(specs()))
def test_every_question_travels(name):
    @settings(max_examples=5, database=None, deadline=None, phases=[Phase.generate])
    @given(examples(specs()[name], {}, "float64", 2))
    def check(drawn):
        sent, _ = drawn
        document, arrays = receive(reader(pack(*of_example(sent))), 1 << 40)
        came = to_example(document, arrays)

        for what in ("spec", "config", "kwargs", "inputs", "outputs", "draws", "sets", "seed"):
            assert repr(getattr(came, what)) == repr(getattr(sent, what))
        assert list(came.arrays) == list(sent.arrays)
        for name, a in sent.arrays.items():
            b = came.arrays[name]
            assert (b.dtype, b.shape, b.tobytes()) == (a.dtype, a.shape, a.tobytes())

    check()


def test_what_cannot_travel_is_said(tmp_path):
    file = tmp_path / "odd.py"
    only = '"Tanh", only={"odd": st.just(abs)}'
    source = RIGHT.replace("{more}", "").replace('"Tanh"', only)
    file.write_text("from hypothesis import strategies as st\n" + source)

    (c,), _ = resolve(str(file))
    example = Example("Tanh", {"odd": abs}, {}, 1, ("normal",))

    with pytest.raises(ConfigError, match="--in-process"):
        isolate(c).function.ask(example, 0, "plain", False, 1.0)


def header(dtype=b"<f8", ndim=1, shape=(1,)):
    return struct.pack("<8sI16Q", dtype, ndim, *shape, *[0] * (16 - len(shape)))


@pytest.mark.parametrize(
    "frame",
    [
        b"garbage" * 4,
        struct.pack("<4sII", b"npn1", 1 << 30, 0),
        struct.pack("<4sII", b"npn1", 2, 1) + b"{}" + header(shape=(1 << 50,)),
        struct.pack("<4sII", b"npn1", 2, 1) + b"{}" + header(dtype=b"|O"),
        struct.pack("<4sII", b"npn1", 2, 1) + b"{}" + header(ndim=99),
        struct.pack("<4sII", b"npn1", 2, 0) + b"{]",
    ],
    ids=["garbage", "long JSON", "enormous", "objects", "axes", "no JSON"],
)
def test_a_frame_is_not_believed(frame):
    with pytest.raises(Unreadable):
        receive(reader(frame), 1 << 20)


def reader(frame):
    left = bytearray(frame)

    def read(n):
        part = bytes(left[:n])
        del left[:n]
        return part

    return read


def test_a_worker_dies_with_the_run(tmp_path):
    pid = os.fork()
    if pid == 0:
        (c,), _ = resolve(write(tmp_path))
        isolated = isolate(c).function
        isolated._running()
        (tmp_path / "mark").write_text(isolated._mark)
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    mark = (tmp_path / "mark").read_text()

    stop = time.monotonic() + 5
    while descendants(mark) and time.monotonic() < stop:
        time.sleep(0.05)

    assert not descendants(mark)


def test_a_diagnosis_leaves_no_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    file = write(tmp_path).replace("mine.py", "conv.py")
    source = (tmp_path / "mine.py").read_text().replace("Tanh", "Conv2d")
    Path(file).write_text(source)  # wrong, and of a twin that has dialects with other axes

    assert run(file, examples=5).exit_code == 1

    assert not list((tmp_path / "temporary").iterdir())
