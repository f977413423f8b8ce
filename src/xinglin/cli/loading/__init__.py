"""Loading files: reader (bytes to units) -> worker processes (units to writes) -> the gate; the report collects.

sources.py   which files, opened and unpacked as streams; units of bounded size
entries.py   a unit's text to the writes of its resources; stable ids
pool.py      worker processes, and how units reach them with bounded memory
report.py    what was stored and what was refused, with its place
"""
