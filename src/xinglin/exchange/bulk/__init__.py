"""Bulk Data (FHIR Bulk Data Access IG, STU 2): a record of millions of resources as NDJSON files, out and in.

asking.py      what a kick-off asks for, understood before a job is made
operations.py  the $operations: kick-off, status, files
exporting.py   the job: stretch after stretch through the gate into files
folders.py     the files of a job on disk
background.py  what a node's background process runs
"""
