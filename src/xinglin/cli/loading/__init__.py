"""Loading files: reader (bytes to units) -> worker processes (units to writes) -> the gate; the report collects.

sources.py   which files, opened and unpacked as streams; units of bounded size
pool.py      worker processes, and how units reach them with bounded memory

What a unit becomes stands in xinglin/exchange/loading, which `$import` uses too.
"""
