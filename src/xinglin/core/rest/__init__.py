"""The FHIR HTTP door: `door.py` routes a request to its interaction, and each interaction has a file.

It knows the gate only as a contract (`gate.py`): the application hands each request the records that its principal
may reach, and nothing here reads patient data in another way. Bodies travel as the bytes that are stored: a Bundle is
joined, not re-serialised (`bundles.py`).
"""
