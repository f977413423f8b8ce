"""Lines as AuditEvents: complete, valid, no more than the reader may see; searched as a slow reading of them says."""

from __future__ import annotations

import random
from base64 import b64decode
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import orjson
import pytest
from fhirclient.models.auditevent import AuditEvent

from xinglin.access import audit, sharing
from xinglin.access.audit import Access, search
from xinglin.access.audit.events import PROFILE
from xinglin.access.bulk import patient_keys
from xinglin.access.house import House
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.core.schema.decode import parse
from xinglin.core.search.parameters import REGISTRY
from xinglin.core.store.keys import key_of
from xinglin.core.validation.structure import validate
from xinglin.kernel import clock
from xinglin.kernel.config import Settings
from xinglin.kernel.errors import Forbidden, Invalid, NotFound

Event = dict[str, Any]
BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
ANNA = Principal("anna", "Anna", Role.PATIENT, Purpose.OWN, patients=("a1",))
DOCTOR_A = Principal("dr-a", "Dr A", Role.CLINICIAN, Purpose.TREATMENT, institution="A", practitioner="pa")
DOCTOR_B = Principal("dr-b", "Dr B", Role.CLINICIAN, Purpose.TREATMENT, institution="B", practitioner="pb")
MANAGER_A = Principal("boss", "Boss", Role.MANAGER, Purpose.OPERATIONS, institution="A")
MANAGER_B = Principal("boss-b", "Boss", Role.MANAGER, Purpose.OPERATIONS, institution="B")


def observation(id: str, patient: str) -> dict[str, Any]:
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "category": [kind],
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
        "subject": {"reference": f"Patient/{patient}"},
    }


@pytest.fixture
async def county(house: House) -> House:
    """Two institutions; Anna and Ben are known at A. Anna opens her results to B."""
    for name in ("A", "B"):
        await put(house, name, {"resourceType": "Organization", "id": name, "name": name})
    await put(house, "A", *({"resourceType": "Patient", "id": id} for id in ("a1", "a2")))
    await put(house, "A", observation("o1", "a1"), observation("o2", "a2"))
    return house


async def put(house: House, custodian: str, *resources: dict[str, Any]) -> None:
    writes = [Write("PUT", one["resourceType"], one["id"], one) for one in resources]
    await Records(house, NODE).write(writes, custodian=custodian)


async def events(house: House, who: Principal, query: str = "_count=1000") -> list[Event]:
    """As the door serves them; each valid for us and for another's models."""
    found = [parse(stored.body) for stored in (await Records(house, who).search("AuditEvent", query)).matches]
    for event in found:
        assert validate(event) == (), event
        AuditEvent(orjson.loads(orjson.dumps(event)))  # raises what is wrong
        assert ("query" in str(event["entity"])) <= all("name" not in one for one in event["entity"])
    return found


def profiles(event: Event) -> list[str]:
    return [profile.removeprefix(BALP) for profile in event.get("meta", {}).get("profile", ())]


def agents(event: Event, code: str) -> list[Event]:
    return [one for one in event["agent"] if one["type"]["coding"][0]["code"] == code]


async def test_every_kind_of_access_is_an_event_of_its_profile(county: House) -> None:
    doctor = Records(county, DOCTOR_A)
    [made] = await doctor.write([Write("POST", "Observation", resource=observation("x", "a1"))])
    assert made.stored is not None
    id = made.stored.id
    await doctor.read("Observation", id)
    await doctor.vread("Observation", id, 1)
    await doctor.write([Write("PUT", "Observation", id, {**observation(id, "a1"), "status": "amended"})])
    await doctor.search("Observation", "status=amended")
    await doctor.search("Organization", "name=nobody")
    await doctor.write([Write("DELETE", "Observation", id)])
    await doctor.history("Observation", "o1")
    with pytest.raises(NotFound):
        await doctor.read("Observation", "none")
    done = [event for event in await events(county, NODE) if "dr-a" in str(event["agent"])][::-1]
    assert [profiles(event) for event in done] == [
        ["PatientCreate"],
        ["PatientRead"],
        ["PatientRead"],
        ["PatientUpdate"],
        ["PatientQuery"],
        ["Query"],
        ["PatientDelete"],
        [],
        [],
    ]
    assert [event["action"] for event in done] == ["C", "R", "R", "U", "E", "E", "D", "R", "R"]
    assert [event["outcome"] for event in done] == ["0"] * 8 + ["4"]
    read = done[1]
    assert read["entity"][0]["what"] == {"reference": f"Observation/{id}"}
    assert read["entity"][1]["what"] == {"reference": "Patient/a1"}
    [person] = agents(read, "IRCP")
    assert person["who"]["reference"] == "Practitioner/pa" and person["requestor"] and person["altId"] == "dr-a"
    assert read["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"
    assert [one["who"] for one in agents(read, "159541003")] == [{"reference": "Organization/A"}]
    assert b64decode(done[4]["entity"][0]["query"]) == b"Observation?status"  # names, never values


async def test_a_search_that_shows_two_people_is_an_event_for_each(county: House) -> None:
    await Records(county, DOCTOR_A).search("Observation", "")
    two = [event for event in await events(county, NODE) if "dr-a" in str(event["agent"])]
    assert {event["entity"][1]["what"]["reference"] for event in two} == {"Patient/a1", "Patient/a2"}
    assert len({event["entity"][2]["what"]["identifier"]["value"] for event in two}) == 1


async def test_what_another_institution_is_shown_is_a_disclosure_of_the_one_that_holds_it(county: House) -> None:
    await sharing.permit(Records(county, ANNA), custodian="A", grantee="B", category_codes=["laboratory"])
    await Records(county, DOCTOR_B).read("Observation", "o1")
    [event] = await events(county, NODE, "type=110106")
    assert profiles(event) == ["PrivacyDisclosure.Source"] and event["type"]["code"] == "110106"
    assert [one["code"] for one in event["subtype"]] == ["disclose", "read"]
    assert event["source"]["observer"] == agents(event, "110153")[0]["who"]
    assert agents(event, "110152")[0]["who"] == {"reference": "Organization/B"}
    assert [one["who"]["reference"] for one in agents(event, "159541003")] == ["Organization/A"]
    [told] = await events(county, ANNA, "type=110106")
    assert told["entity"][1]["what"] == {"reference": "Patient/a1"}


async def test_readers_see_no_more_of_a_person_than_they_may(county: House) -> None:
    await Records(county, DOCTOR_A).read("Observation", "o1")
    [event] = await events(county, MANAGER_A, "entity=Observation/o1")
    assert event["entity"][1]["what"]["extension"][0]["valueCode"] == "masked" and "Patient/a1" not in str(event)
    for oracle in ("patient=a1", "patient=Patient/a1", "entity=Patient/a1"):
        assert await events(county, MANAGER_A, oracle) == [] and len(await events(county, ANNA, oracle)) > 0
    assert await events(county, MANAGER_B, "entity=Observation/o1") == []
    [own] = await events(county, ANNA, "agent=Practitioner/pa")
    assert own["entity"][1]["what"] == {"reference": "Patient/a1"}
    assert await events(county, ANNA, "patient=a2") == []
    with pytest.raises(Forbidden):
        await events(county, DOCTOR_A)
    [seen] = await events(county, MANAGER_A, "_id=" + event["id"])
    assert seen == parse((await Records(county, MANAGER_A).read("AuditEvent", event["id"])).body)
    with pytest.raises(NotFound):
        await Records(county, MANAGER_B).read("AuditEvent", event["id"])


async def test_nobody_writes_into_the_log(county: House) -> None:
    event = (await events(county, NODE))[0]
    for method in ("POST", "PUT"):
        with pytest.raises(Forbidden):
            await Records(county, NODE).write([Write(method, "AuditEvent", event["id"], event)])


# search against a slow reading of the events --------------------------------------------------------------------------


def codes(values: Any) -> set[str]:
    return {one.get("code", "") for one in values}


def people(event: Event) -> list[Event]:
    return [one for one in event["agent"] if one["requestor"]]


def named(event: Event) -> list[str]:
    return [one.get("what", {}).get("reference", "").partition("/_history")[0] for one in event["entity"]]


def roles(event: Event) -> set[str]:
    return {code for one in people(event) for role in one["role"] for code in codes(role["coding"])}


TWIN: dict[str, Callable[[Event, str], bool]] = {
    "patient": lambda event, value: any(
        one["type"]["code"] == "1" and one["what"].get("reference") == f"Patient/{value}" for one in event["entity"]
    ),
    "entity": lambda event, value: value in named(event),
    "agent": lambda event, value: any(one["who"].get("reference") == value for one in event["agent"]),
    "_profile": lambda event, value: f"{PROFILE}{value}" in event.get("meta", {}).get("profile", []),
    "site": lambda event, value: event["source"]["site"] == value,
    "address": lambda event, value: any(
        one.get("network", {}).get("address", "").startswith(value) for one in event["agent"]
    ),
    "altid": lambda event, value: any(one.get("altId") == value for one in people(event)),
    "agent-name": lambda event, value: any(one["name"].lower().startswith(value.lower()) for one in people(event)),
    "agent-role": lambda event, value: value in roles(event),
    "action": lambda event, value: event["action"] == value,
    "outcome": lambda event, value: event["outcome"] == value,
    "type": lambda event, value: event["type"]["code"] == value,
    "subtype": lambda event, value: value in codes(event["subtype"]),
    "purpose": lambda event, value: any(value in codes(one["coding"]) for one in event["purposeOfEvent"]),
    "entity-role": lambda event, value: any(one.get("role", {}).get("code") == value for one in event["entity"]),
    "entity-type": lambda event, value: any(one["type"]["code"] == value for one in event["entity"]),
    "_id": lambda event, value: event["id"] == value,
}
NEGATED = {"action", "outcome", "type", "subtype", "purpose", "altid"}
VALUES = {
    "patient": ["a1", "a2", "a3"],
    "entity": ["Observation/o1", "Observation/o2", "Patient/a1", "Organization/A"],
    "agent": ["Practitioner/pa", "Practitioner/pb", "Patient/a1", "Organization/A", "Organization/B"],
    "_profile": ["PatientRead", "Read", "PatientQuery", "Query", "PatientCreate", "Delete", "PrivacyDisclosure.Source"],
    "site": [Settings().public_base, "elsewhere"],
    "address": [Settings().public_base[:9], "10.0.0.1"],
    "altid": ["dr-a", "dr-b", "anna", "xinglin"],
    "agent-name": ["Dr", "dr a", "Anna", "Z"],
    "agent-role": ["clinician", "patient", "system", "clerk"],
    "action": ["R", "E", "C", "U", "D", "X"],
    "outcome": ["0", "4", "8", "12"],
    "type": ["rest", "110106", "110107"],
    "subtype": ["read", "search", "disclose", "create", "export", "nothing"],
    "purpose": ["TREAT", "BTG", "PATRQT", "HSYSADMIN"],
    "entity-role": ["1", "4", "24"],
    "entity-type": ["1", "2"],
    "_id": ["a3", "a17", "a99999", "nonsense"],
}


DONE = [
    ("read", "Observation/o1"),
    ("vread", "Observation/o2/_history/1"),
    ("search", "Observation?code"),
    ("create", "Patient/a1"),
    ("update", "Observation/o2"),
    ("delete", "Organization/A"),
    ("export", "$export 1"),
    ("import", "$import 2"),
    ("break-glass", "Patient/a2"),
    ("history", "Observation/*"),
]


async def some_lines(house: House, dice: random.Random) -> None:
    """Lines of all kinds, at moments that share seconds."""
    emergency = DOCTOR_A.for_purpose(Purpose.EMERGENCY)
    holders = [(), (key_of("Organization", "A"),), (key_of("Organization", "B"),)]
    lines = []
    for _ in range(150):
        who = dice.choice([ANNA, DOCTOR_A, DOCTOR_B, NODE, emergency, MANAGER_A])
        done, target = dice.choice(DONE)
        persons = patient_keys(dice.sample(["a1", "a2"], dice.randrange(3)))
        held = tuple(dice.choice(holders) for _ in persons or (0,))
        lines.append(Access(who, done, target, persons, dice.choice([0, 0, 4, 8]), "why", held))
    start = clock.now().replace(microsecond=0)
    async with house.database.connection() as connection:
        for number, access in enumerate(lines):
            moment = start + timedelta(milliseconds=350 * (number // 7))
            clock.set_source(partial(lambda at: at, moment))
            await audit.record(connection, [access])
    clock.set_source(None)


async def test_a_search_finds_what_a_slow_reading_finds(county: House) -> None:
    dice = random.Random(11)
    await some_lines(county, dice)
    everything = await events(county, NODE)
    known = {event["id"] for event in everything}
    for _ in range(250):
        chosen = dice.sample(sorted(TWIN), dice.choice([1, 1, 2, 3]))
        wanted, parts = everything, []
        for name in chosen:
            values = dice.sample(VALUES[name], dice.choice([1, 1, 2]))
            negated = name in NEGATED and dice.random() < 0.3
            named = [f"{PROFILE}{value}" if name == "_profile" else value for value in values]
            parts.append(f"{name}{':not' if negated else ''}={','.join(named)}")
            twin = TWIN[name]
            wanted = [one for one in wanted if any(twin(one, value) for value in values) is not negated]
        query = "&".join([*parts, "_count=1000", "_total=accurate"])
        page = await Records(county, NODE).search("AuditEvent", query)
        found = [stored.id for stored in page.matches if stored.id in known]
        assert found == [one["id"] for one in wanted], query
        assert page.total == len(page.matches)


async def test_a_code_is_of_its_system(county: House) -> None:
    """What an event bears is found by system and code, and by no other system."""
    await some_lines(county, random.Random(14))
    event = next(one for one in await events(county, NODE) if one["type"]["code"] == "110106")
    role = people(event)[0]["role"][0]["coding"][0]
    worn = {
        "type": [event["type"]], "subtype": event["subtype"], "agent-role": [role],
        "entity-type": [one["type"] for one in event["entity"]], "purpose": event["purposeOfEvent"][0]["coding"],
        "entity-role": [one["role"] for one in event["entity"] if "role" in one],
    }  # fmt: skip
    for name, codings in worn.items():
        for coding in codings:
            for system, found in ((f"{coding['system']}|", True), ("", True), ("urn:other|", False), ("|", False)):
                query = f"_id={event['id']}&{name}={system}{coding['code']}"
                assert bool((await Records(county, NODE).search("AuditEvent", query)).matches) is found, query


async def test_dates_with_every_prefix(county: House) -> None:
    await some_lines(county, random.Random(12))
    everything = await events(county, NODE)
    known = {event["id"] for event in everything}
    middle = everything[len(everything) // 2]["recorded"]
    second = middle[:19]
    for value, low, high in ((middle, middle, middle), (f"{second}Z", f"{second}.000Z", f"{second}.999Z")):
        for prefix in ("", "eq", "ne", "gt", "sa", "lt", "eb", "ge", "le"):
            page = await Records(county, NODE).search("AuditEvent", f"date={prefix}{value}&_count=1000")
            found = {stored.id for stored in page.matches} & known
            wanted = {one["id"] for one in everything if keeps(prefix, str(one["recorded"]), low, high)}
            assert found == wanted, (prefix, value)


def keeps(prefix: str, at: str, low: str, high: str) -> bool:
    """The moment against the range that a date means, as R4 says for each prefix."""
    within = low <= at <= high
    if prefix in ("gt", "sa"):
        return at > high
    if prefix in ("lt", "eb"):
        return at < low
    return {"ge": at >= low, "le": at <= high, "ne": not within}.get(prefix, within)


async def test_pages_meet_without_gap_in_both_orders(county: House) -> None:
    await some_lines(county, random.Random(13))
    for order in ("-date", "date"):
        query = f"_sort={order}&_count=17&outcome=4"
        seen: list[str] = []
        page = await Records(county, NODE).search("AuditEvent", query)
        while True:
            seen += [stored.id for stored in page.matches]
            if page.next is None:
                break
            page = await Records(county, NODE).search("AuditEvent", f"{query}&_page={page.next}")
        numbers = [int(id[1:]) for id in seen]
        assert numbers == sorted(set(numbers), reverse=order == "-date") and len(numbers) > 34


SENSELESS = [
    "date=yesterday",
    "date=gt",
    "entity=x y",
    "agent=Nobody",
    "_count=x",
    "_sort=name",
    "_total=x",
    "_page=-1",
]


@pytest.mark.parametrize("query", [*SENSELESS, "patient=Patient/ü", "action=" + ",".join("ABCDE" * 30)])
async def test_a_search_that_makes_no_sense_is_refused_with_its_place(county: House, query: str) -> None:
    with pytest.raises(Invalid):
        await Records(county, NODE).search("AuditEvent", query)


async def test_unknown_parameters_are_told_or_refused(county: House) -> None:
    page = await Records(county, NODE).search("AuditEvent", "colour=blue&date:missing=true&outcome=4")
    assert len(page.warnings) == 2 and "colour" not in page.query and "outcome=4" in page.query
    with pytest.raises(Invalid):
        await Records(county, NODE).search("AuditEvent", "colour=blue", strict=True)


OF_ALL_TYPES = {"_content", "_text", "_filter", "_has", "_list", "_query", "_security", "_source"}


def test_every_parameter_of_r4_is_understood() -> None:
    rest = set(REGISTRY.of_type("AuditEvent")) - set(search.PARAMETERS) - search.CONTROL
    assert rest <= OF_ALL_TYPES | {"_tag", "_in", "_type"}
