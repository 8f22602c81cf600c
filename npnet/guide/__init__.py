"""The porting guide: a page per module, optimizer and schedule, made of what was verified.

Every sentence of a page comes from a place where it is tested: the layer's docstring and source,
the signatures of both libraries, the claims of the spec, the tables of npnet.convert, code that
runs while the page is built, and the evidence of the last run (npnet/guide/evidence).
"""
