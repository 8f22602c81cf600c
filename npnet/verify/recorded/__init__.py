"""Recorded answers: what torch said once, kept with its bounds, so that code is judged without it.

question  a Recorded: an example of one value set, the twin's answer to it, and how it is put
choose    which of many drawn examples are worth their bytes
files     a record as NAME.safetensors and NAME.json, and back
replay    the Spec of a record: it asks what is recorded, and answers that and nothing else
answers   a file of answers, written by a program in any language, as a candidate
"""

from npnet.verify.recorded.answers import answered_layer as answered_layer
from npnet.verify.recorded.answers import written as written
from npnet.verify.recorded.choose import record as record
from npnet.verify.recorded.files import read as read
from npnet.verify.recorded.files import write as write
from npnet.verify.recorded.question import Record as Record
from npnet.verify.recorded.replay import recorded_specs as recorded_specs
