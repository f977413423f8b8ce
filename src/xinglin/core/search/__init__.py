"""FHIR search: parse -> resolve -> plan -> one SQL statement, and the index rows that answer it.

parameters.py  which parameters a type has; branches.py  their expressions as walks over JSON
extract.py     a resource -> its index rows (ingest); rows.py, composites.py, hashes.py, units.py, values.py
parse.py       a query string -> query.py's frozen values; texts.py, filters.py
resolve.py     value sets and lists -> codes and ids
conditions.py  a condition -> compiled.py's two forms, by matches.py and joins.py; scope.py is the one way to
               bring a resource, with its visibility, into a statement
plan.py        which index drives, and the statement; ordering.py, pages.py
execute.py     all of it in order, and includes.py
reference.py   the slow and obvious twin
"""
