"""Texts into the record, for `xinglin load` and `$import` alike.

entries.py   a unit's text to the writes of its resources; stable ids
storing.py   units through the gate, each refusal with its place
report.py    what was stored and what was refused
"""
