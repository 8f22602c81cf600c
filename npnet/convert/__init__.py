"""Checkpoints of other frameworks: their names and layouts, and states moved by them."""

from npnet.convert.tables import FRAMEWORKS as FRAMEWORKS
from npnet.convert.tables import Input as Input
from npnet.convert.tables import Proof as Proof
from npnet.convert.tables import Row as Row
from npnet.convert.tables import There as There
from npnet.convert.tables import absent as absent
from npnet.convert.tables import inputs as inputs
from npnet.convert.tables import proof as proof
from npnet.convert.tables import rows as rows
