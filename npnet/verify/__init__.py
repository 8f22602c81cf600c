"""The engine: asks a candidate and its twin the same questions, and reports where they diverge.

from npnet.verify import candidate, adapt, run

affine = candidate("Linear")(adapt.stateful(Affine, {"W": "weight: o i -> i o", "b": "bias"}))
run(affine).raise_if_diverged()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from npnet.verify.candidate import Candidate as Candidate
from npnet.verify.candidate import candidate as candidate
from npnet.verify.case import Case as Case
from npnet.verify.case import OptimizerCase as OptimizerCase
from npnet.verify.finding import Diverged as Diverged
from npnet.verify.finding import Finding as Finding
from npnet.verify.finding import Report as Report
from npnet.verify.finding import Verdict as Verdict
from npnet.verify.parametrize import parametrize as parametrize

if TYPE_CHECKING:
    from npnet.verify.engine import run as run
    from npnet.verify.whole import Network as Network
    from npnet.verify.whole import TrainingRun as TrainingRun
    from npnet.verify.whole import compare as compare
    from npnet.verify.whole import model as model

_LATE = {
    "run": "engine",
    "Network": "whole",
    "TrainingRun": "whole",
    "compare": "whole",
    "model": "whole",
}
"""What a worker that only answers has no use for, by where it stands."""


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f"npnet.verify.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
