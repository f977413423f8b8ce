"""What a person may ask of those who hold their data: that it goes, where no law keeps it.

retention.py    what must be kept, until when, by which article (data/retention.json): a pure decision
erasing.py      the erasure: deleted through the gate, then every version of it
"""
