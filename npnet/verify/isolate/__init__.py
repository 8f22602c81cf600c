"""A stranger's code in a process of its own: it may do what it likes, and the run goes on."""

from npnet.verify.isolate.isolated import Isolated, isolate, spares_closed, without_fatal

__all__ = ["Isolated", "isolate", "spares_closed", "without_fatal"]
