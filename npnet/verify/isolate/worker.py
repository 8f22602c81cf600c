"""The process that holds a candidate: it loads it, answers questions, and knows no torch.

    python -m npnet.verify.isolate.worker READ WRITE

READ and WRITE are file descriptors. Nothing that a candidate prints gets in between: standard
output and error go elsewhere, standard input is empty.
"""

import os
import sys
import tempfile
import traceback
from typing import Any

from npnet.verify.ask import ask
from npnet.verify.dialect import Layout
from npnet.verify.isolate.limits import die_with_parent, limit
from npnet.verify.isolate.messages import of_reply, to_example
from npnet.verify.isolate.wire import pack, receive
from npnet.verify.targets import load

_MOST = 1 << 32


def main() -> None:
    """Load what the first frame names; then answer until nothing more is asked."""
    reading, writing = int(sys.argv[1]), int(sys.argv[2])
    for descriptor in (reading, writing):
        os.set_inheritable(descriptor, False)
    own = os.getpid()
    die_with_parent()

    def read(n: int) -> bytes:
        found = bytearray()
        while len(found) < n:
            part = os.read(reading, min(n - len(found), 1 << 20))
            if not part:
                os._exit(0)
            found += part
        return bytes(found)

    def send(document: Any, arrays: Any = ()) -> None:
        frame = memoryview(pack(document, arrays))
        while frame:
            frame = frame[os.write(writing, frame) :]

    document, _ = receive(read, _MOST)
    try:
        function = _loaded(document)
    except BaseException as error:
        send({"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()})
        os._exit(1)
    tempfile.tempdir = os.environ["TMPDIR"] = document["directory"]
    os.chdir(document["directory"])
    limit()
    send({"loaded": True})
    example: Any = None
    while True:
        document, arrays = receive(read, _MOST)
        if "example" in document:
            example = to_example(document["example"], arrays)
        asked = document["ask"]
        reply = ask(function, example, *asked)
        if os.getpid() != own:
            os._exit(0)  # a copy of this process that the candidate has made
        send(*of_reply(reply))


def _loaded(document: Any) -> Any:
    sys.path[:] = document["path"]
    candidates = load(document["target"])
    if not document["name"]:
        return None
    (found,) = [c for c in candidates if c.name == document["name"]]
    function = found.function
    if document["layout"] is not None:
        images, state = document["layout"]
        function = Layout(images, dict(state)).around(function)
    return function


if __name__ == "__main__":
    main()
