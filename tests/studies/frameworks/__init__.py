"""The tables of npnet.convert, held against the frameworks that they speak of."""
