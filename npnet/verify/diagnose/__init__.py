"""Why a candidate diverges: every suspicion is held against its answers, and the best are told.

    record         what a run has seen: failing examples, conditions, options
    probe          one question in full, and further questions to both sides
    relation, reduction, normalisation, term, step, otherwise, place, numerics, shape
                   suspicions: a view of the answers in, readings of it out
    reading        a suspicion on a probe, and which of them explain all probes
    condition, derivative, protocol
                   what is said beside: when, which pass, what the message knows
    dialects       which dialect of its twin a candidate is in
    explain        ranked explanations of one finding, and which findings have one cause

A suspicion explains something only if it reconstructs the candidate's answer on every probe that
it is tried on. Where none does, where and when it diverges is said, and no cause is claimed.
"""

from npnet.verify.diagnose.explain import Diagnosis, related, spoken
from npnet.verify.diagnose.record import Record

__all__ = ["Diagnosis", "Record", "related", "spoken"]
