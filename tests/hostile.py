"""Candidates that do what a stranger's code may do: crash, hang, flood, lie, and meddle.

Each is a right Tanh but for one thing, said in EXPECTED with the verdict that it must get.
"""

import collections
import contextlib
import ctypes
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

from npnet.contract import Forward, Grads
from npnet.verify import candidate

EXPECTED = {}
"""Verdict by the name of the candidate."""


def attack(verdict):
    """Declare `f(x, case) -> y or None`, which is called before a right answer; y takes its place.

    The rest of the answer, the gradient, is right.
    """

    def declare(f):
        def forward(case):
            (x,) = case.inputs
            told = f(x, case)
            y = np.tanh(x) if told is None else told
            return Forward(y, lambda dy: Grads((dy * (1 - np.tanh(x) ** 2),)))

        c = candidate("Tanh", name=f.__name__)(forward)
        EXPECTED[c.name] = verdict
        return c

    return declare


# ---- ends ---------------------------------------------------------------------------------------


@attack("CRASH")
def segfault(x, case):
    ctypes.string_at(0)


@attack("CRASH")
def abort(x, case):
    os.abort()


@attack("CRASH")
def exits_quietly(x, case):
    os._exit(0)


@attack("CRASH")
def exits(x, case):
    sys.exit(0)


@attack("CRASH")
def interrupts(x, case):
    raise KeyboardInterrupt


@attack("CRASH")
def raises_a_base_exception(x, case):
    raise type("Odd", (BaseException,), {})("odd")


@attack("CRASH")
def kills_itself(x, case):
    os.kill(os.getpid(), signal.SIGKILL)


@attack("CRASH")
def recursion(x, case):
    return recursion(case)


@attack("CRASH")
def a_long_message(x, case):
    raise ValueError("long " * 1_000_000)


@attack("CRASH")
def reads_input(x, case):
    input()


@attack("CRASH")
def closes_everything(x, case):
    os.closerange(3, 256)


@attack("CRASH")
def writes_into_the_connection(x, case):
    for descriptor in range(3, 32):
        with contextlib.suppress(OSError):
            os.write(descriptor, b"garbage" * 100)


@attack("CRASH")
def fills_the_disk(x, case):
    with open("large", "wb") as file:
        for _ in range(1000):
            file.write(bytes(1 << 20))


# ---- hangs, and takes what there is --------------------------------------------------------------


@attack("TIMEOUT")
def loops(x, case):
    while True:
        pass


@attack("TIMEOUT")
def loops_inside_c(x, case):
    collections.deque(itertools.repeat(0), maxlen=0)


@attack("TIMEOUT")
def a_slow_pattern(x, case):
    re.match(r"(a+)+$", "a" * 60 + "b")


@attack("TIMEOUT")
def ignores_signals(x, case):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)


@attack("TIMEOUT")
def swallows_the_deadline(x, case):
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(3600)


@attack("OUT_OF_MEMORY")
def one_large_array(x, case):
    np.ones(1 << 40)


@attack("OUT_OF_MEMORY")
def more_and_more(x, case):
    kept = []
    while True:
        kept.append(bytes(1 << 26))


# ---- leaves something behind --------------------------------------------------------------------


@attack("CONTRACT")
def leaves_a_thread(x, case):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


@attack("CONTRACT")
def leaves_a_process(x, case):
    subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL)


@attack("CONTRACT")
def leaves_a_session(x, case):
    subprocess.Popen(["sleep", "60"], start_new_session=True)


@attack("CONTRACT")
def forks_and_forks(x, case):
    for _ in range(20):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)


@attack("PASS")
def forks_and_returns_twice(x, case):
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)


@attack("PASS")
def a_daemon(x, case):
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)


# ---- meddles ------------------------------------------------------------------------------------


@attack("CONTRACT")
def patches_numpy(x, case):
    np.array_equal = lambda *a, **k: True


@attack("CONTRACT")
def sets_numpy_errors(x, case):
    np.seterr(all="raise")


@attack("CONTRACT")
def sets_print_options(x, case):
    np.set_printoptions(precision=2)


@attack("CONTRACT")
def seeds_numpy(x, case):
    np.random.__dict__["seed"](0)


@attack("CONTRACT")
def seeds_random(x, case):
    random.seed(0)


@attack("CONTRACT")
def changes_directory(x, case):
    os.chdir("/")


@attack("CONTRACT")
def removes_its_directory(x, case):
    here = tempfile.mkdtemp()
    os.chdir(here)
    shutil.rmtree(here)


@attack("CONTRACT")
def changes_the_environment(x, case):
    os.environ["OMP_NUM_THREADS"] = "64"


@attack("CONTRACT")
def handles_signals(x, case):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@attack("CONTRACT")
def changes_the_configuration(x, case):
    case.config["added"] = 1


@attack("CONTRACT")
def writes_beside_its_input(x, case):
    if x.flags.c_contiguous and x.flags.writeable and x.ndim:
        ctypes.memset(x.ctypes.data + x.nbytes, 1, 8)


# ---- returns what is no plain array -------------------------------------------------------------


@attack("CONTRACT")
def a_masked_array(x, case):
    return np.ma.masked_array(np.tanh(x))


@attack("CONTRACT")
def objects(x, case):
    return np.tanh(x).astype(object)


@attack("CONTRACT")
def a_generator(x, case):
    return (v for v in np.tanh(x).reshape(-1))


@attack("CONTRACT")
def another_byte_order(x, case):
    return np.tanh(x).astype(x.dtype.newbyteorder(">"))


@attack("CONTRACT")
def one_axis_less(x, case):
    return np.tanh(x).sum()


@attack("CONTRACT")
def an_enormous_shape(x, case):
    return np.broadcast_to(np.zeros((), x.dtype), (1 << 30, 1 << 20))


@attack("CONTRACT")
def a_pickle(x, case):
    class Bomb:
        def __reduce__(self):
            return os.system, ("touch /tmp/npnet-was-here",)

    return Bomb()


@attack("CONTRACT")
def no_text(x, case):
    class Mute:
        def __repr__(self):
            raise ValueError

        __str__ = __repr__

    return Mute()


@attack("PASS")
def a_memory_map(x, case):
    y = np.tanh(x)
    if not y.size:
        return y
    with tempfile.TemporaryFile() as file:
        kept = np.memmap(file, y.dtype, "w+", shape=y.shape)
        kept[...] = y
        return kept


_CACHE = {}


@attack("CONTRACT")
def a_view_of_a_cache(x, case):
    y = _CACHE.setdefault((x.shape, x.dtype), np.empty_like(x))
    np.tanh(x, out=y)
    return y


# ---- wrong now and then --------------------------------------------------------------------------

_COUNT = itertools.count(1)
_ASKED = set()


@attack("CONTRACT")
def nan_now_and_then(x, case):
    return np.full_like(x, np.nan) if next(_COUNT) % 40 == 0 else None


@attack("CONTRACT")
def wrong_once(x, case):
    return -np.tanh(x) if next(_COUNT) == 50 else None


@attack("CONTRACT")
def wrong_the_second_time(x, case):
    known = x.tobytes() in _ASKED
    _ASKED.add(x.tobytes())
    return np.tanh(x) + 1 if known else None


@attack("WRONG")
def wrong_for_some_numbers(x, case):
    return np.tanh(x) + 1 if x.size and x.reshape(-1)[0] > 0.5 else None


# ---- noise --------------------------------------------------------------------------------------


@attack("PASS")
def floods(x, case):
    print("flood " * 100_000)


@attack("CRASH")
def a_message_with_markup(x, case):
    raise ValueError("<script>alert(1)</script>\x1b[31m\x07\n::error::red")


@attack("CONTRACT")
def writes_into_its_input(x, case):
    if x.flags.writeable:
        x += 1
        return np.tanh(x - 1)
    return None


@candidate("Tanh")
def writes_into_dy(case):
    (x,) = case.inputs
    y = np.tanh(x)

    def vjp(dy):
        if dy.flags.writeable:
            dy *= 1 - y * y
            return Grads((dy,))
        return Grads((dy * (1 - y * y),))

    return Forward(y, vjp)


EXPECTED["writes_into_dy"] = "CONTRACT"
