"""The command line: one file per verb, `main.py` puts them together."""
