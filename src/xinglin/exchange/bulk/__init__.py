"""Bulk Data (FHIR Bulk Data Access IG, STU 2): a record of millions of resources as NDJSON files, out and in.

asking.py      what a kick-off of $export asks for, understood before a job is made
operations.py  the $operations: kick-off, status, files
exporting.py   the job: stretch after stretch through the gate into files
bringing.py    what a kick-off of $import brings: NDJSON, or addresses of it
importing.py   the job: lines through the gate, as their owner
fetching.py    a file from a listed host, and from nowhere else
folders.py     the files of a job on disk
ranges.py      a download that broke off goes on
background.py  what a node's background process runs
"""
