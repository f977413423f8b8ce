"""One person: finding people, linking the Patient resources that are the same person, reviewing the doubtful.

docs/explanation/persons.md tells the rules and their reasons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xinglin.access.house import House


async def catch_up(house: House) -> int:
    """Link what the change feed brought since last time; the number of versions read, 0 when there is nothing new."""
    from xinglin.access.persons.linking import catch_up  # the gate imports this package, and linking writes through it

    return await catch_up(house)
