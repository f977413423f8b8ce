"""A person's copy of all that is held of them: as FHIR for machines, on paper for people.

copying.py    gathers it through the gate: the record at every institution, what it refers to, and who looked
paper.py      the copy as a PDF; what a line shows of each type is data (layout.json)

The right to a copy: Personal Information Protection Law of China, art. 45; GDPR, art. 15 and 20.
"""
