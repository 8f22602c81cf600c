"""The process that holds a candidate: it loads it, answers questions, and knows no torch.

    python -m npnet.verify.isolate.worker READ WRITE

READ and WRITE are file descriptors. Nothing that a candidate prints gets in between: standard
output and error go elsewhere, standard input is empty.
"""

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import Any

from npnet.verify.ask import ask
from npnet.verify.candidate import Candidate
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

    buffer = bytearray()

    def read(n: int) -> bytes:
        while len(buffer) < n:
            part = os.read(reading, 1 << 20)
            if not part:
                os._exit(0)
            buffer.extend(part)
        found = bytes(buffer[:n])
        del buffer[:n]
        return found

    def send(document: Any, arrays: Any = ()) -> None:
        frame = memoryview(pack(document, arrays))
        while frame:
            frame = frame[os.write(writing, frame) :]

    document, _ = receive(read, _MOST)
    try:
        sys.path[:] = document["path"]
        candidates = load(document["target"])
    except BaseException as error:
        send({"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()})
        os._exit(1)
    tempfile.tempdir = os.environ["TMPDIR"] = document["directory"]
    os.chdir(document["directory"])
    limit()
    send({"loaded": True})
    function: Any = None
    example: Any = None
    while True:
        document, arrays = receive(read, _MOST)
        if "choose" in document:
            try:
                function = _chosen(candidates, document)
                send({"chosen": True})
            except ValueError as error:
                send({"error": str(error)})
            continue
        if "example" in document:
            example = to_example(document["example"], arrays)
        reply = ask(function, example, *document["ask"])
        if os.getpid() != own:
            os._exit(0)  # a copy of this process that the candidate has made
        send(*of_reply(reply))


def _chosen(candidates: Sequence[Candidate], document: Any) -> Any:
    """The function of a candidate, in torch's axis orders."""
    found = next((c for c in candidates if c.name == document["choose"]), None)
    if found is None:
        raise ValueError(f"there is no candidate {document['choose']!r} any more")
    function = found.placed(document["device"]).function
    if document["layout"] is None:
        return function
    images, state = document["layout"]
    return Layout(images, dict(state)).around(function)


if __name__ == "__main__":
    main()
