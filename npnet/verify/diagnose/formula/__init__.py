"""The smallest change to the right formula that gives the candidate's answer."""

from npnet.verify.diagnose.formula.own import Formula

__all__ = ["Formula"]
