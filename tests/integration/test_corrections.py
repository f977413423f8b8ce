"""A correction: the person says what is wrong in an entry of theirs, the institution that keeps it answers, once."""

from __future__ import annotations

import orjson
import pytest

from xinglin.access import oversight
from xinglin.access.house import House
from xinglin.access.oversight import CHALLENGE, CORRECTED, CORRECTION, JUSTIFIED, LOOKS, REFUSED
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.core.schema.decode import parse
from xinglin.kernel.errors import Conflict, Forbidden, Invalid, NotFound

RECORD = (
    ("h1", {"resourceType": "Organization", "id": "h1", "name": "One"}),
    ("h2", {"resourceType": "Organization", "id": "h2", "name": "Two"}),
    ("h1", {"resourceType": "Patient", "id": "p1", "name": [{"family": "Zhao"}]}),
    ("h1", {"resourceType": "Patient", "id": "p2", "name": [{"family": "Qian"}]}),
    ("h2", {"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/p1"}, "code": {"text": "gout"}}),
    ("h1", {"resourceType": "Condition", "id": "c2", "subject": {"reference": "Patient/p2"}, "code": {"text": "gout"}}),
)
PERSON = Principal("zhao", "Zhao", Role.PATIENT, Purpose.OWN, patients=("p1",))


def officer(institution: str) -> Principal:
    return Principal(f"officer.{institution}", "Officer", Role.PRIVACY, Purpose.OPERATIONS, institution)


@pytest.fixture
async def county(house: House) -> House:
    for holder, resource in RECORD:
        write = Write("PUT", str(resource["resourceType"]), str(resource["id"]), parse(orjson.dumps(resource)))
        await Records(house, NODE).write([write], custodian=holder)
    return house


async def test_the_holder_of_the_entry_answers_and_the_person_reads_it(county: House) -> None:
    mine, theirs = Records(county, PERSON), Records(county, officer("h2"))
    asked = await oversight.ask_correction(mine, "Condition", "c1", "It was the other foot")
    [waiting] = await oversight.judgements(theirs)
    assert (waiting.kind, waiting.focus, waiting.words) == (CORRECTION, "Condition/c1", "It was the other foot")
    assert not await oversight.judgements(Records(county, officer("h1"))), (
        "the other institution has nothing to do with it"
    )
    assert not await oversight.judgements(mine, LOOKS), "it is no question about a look"
    for wrong in (JUSTIFIED, "", "x"):
        with pytest.raises(Invalid):
            await oversight.judge(theirs, asked.id, waiting.version, wrong, "words")
    await oversight.judge(theirs, asked.id, waiting.version, CORRECTED, "Right: it is the left foot now")
    [answered] = await oversight.judgements(mine, (CORRECTION,))
    assert (answered.finding, answered.answer) == (CORRECTED, "Right: it is the left foot now")
    with pytest.raises(Conflict):
        await oversight.judge(theirs, asked.id, answered.version, REFUSED, "no, after all")
    lines = await mine.audit_trail()
    assert CORRECTION in {line.interaction for line in lines}


async def test_an_entry_is_asked_about_once_for_each_version(county: House) -> None:
    mine = Records(county, PERSON)
    await oversight.ask_correction(mine, "Condition", "c1", "It was the other foot")
    with pytest.raises(Conflict):
        await oversight.ask_correction(mine, "Condition", "c1", "again")
    body = {**RECORD[4][1], "code": {"text": "gout, left"}}
    await Records(county, NODE).write([Write("PUT", "Condition", "c1", parse(orjson.dumps(body)))], custodian="h2")
    await oversight.ask_correction(mine, "Condition", "c1", "now it is the wrong toe")
    assert len(await oversight.judgements(mine, (CORRECTION,), open_only=True)) == 2


@pytest.mark.parametrize(
    ("type", "id"), [("Condition", "c2"), ("Patient", "p2"), ("Condition", "none"), ("Organization", "h1")]
)
async def test_what_is_not_theirs_is_not_there(county: House, type: str, id: str) -> None:
    with pytest.raises(NotFound):
        await oversight.ask_correction(Records(county, PERSON), type, id, "wrong")


async def test_only_the_person_asks_and_only_in_words(county: House) -> None:
    with pytest.raises(Invalid):
        await oversight.ask_correction(Records(county, PERSON), "Condition", "c1", "  ")
    with pytest.raises(Forbidden):
        await oversight.ask_correction(Records(county, officer("h2")), "Condition", "c1", "wrong")
    clinician = Principal("li", "Li", Role.CLINICIAN, Purpose.TREATMENT, "h2")
    asked = await oversight.ask_correction(Records(county, PERSON), "Condition", "c1", "wrong")
    with pytest.raises((Forbidden, NotFound)):
        await oversight.judge(Records(county, clinician), asked.id, 1, CORRECTED, "done")
    assert oversight.FINDINGS[CHALLENGE] != oversight.FINDINGS[CORRECTION]
