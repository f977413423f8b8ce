"""The demo county as its users rely on it: who lives there, who knows them, and that the whole repeats to the byte."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import date
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import orjson
import pytest

from xinglin.access.consent import compile_consent
from xinglin.core.schema.decode import check
from xinglin.core.store.keys import reference_key
from xinglin.demo import INSTITUTIONS, County, accounts, bundles, directory, truth
from xinglin.demo.county import DemoBundle, population
from xinglin.demo.identity import ID_PROVINCE, MOBILE_PREFIX, RESIDENT_ID_SYSTEM
from xinglin.demo.names import Name, pinyin
from xinglin.kernel.errors import Invalid

COUNTY = County()
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def county() -> list[DemoBundle]:
    return [*directory(COUNTY), *bundles(COUNTY)]


@pytest.fixture(scope="module")
def patients(county: list[DemoBundle]) -> dict[str, dict]:
    return {r["id"]: r for b in county for r in b.resources if r["resourceType"] == "Patient"}


def lines(county: County, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join(bundle.ndjson() for bundle in bundles(county, start, stop))


def strings(value: object, key: str = ""):
    """Every (key, string) in a resource, however deep."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from strings(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner, key)
    elif isinstance(value, str):
        yield key, value


# The same every time


def test_person_is_the_same_whatever_the_county_size_or_range() -> None:
    whole = lines(County(people=120))
    assert whole == b"".join(lines(County(people=100_000), n, n + 30) for n in (0, 30, 60, 90))
    assert whole.startswith(lines(County(people=33)))


def test_another_seed_is_another_county() -> None:
    assert lines(County(seed=1, people=20)) != lines(County(seed=2, people=20))


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_says_the_same(hash_seed: str) -> None:
    """Nothing hangs on the order of a set or on a clock."""
    program = (
        "import hashlib,sys; from xinglin.demo import *\n"
        "d=hashlib.sha256(); [d.update(b.ndjson()) for b in bundles(County(people=60))]; print(d.hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": "America/Lima"}
    told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == sha256(lines(County(people=60))).hexdigest()


def test_memory_stays_flat() -> None:
    """A tenfold county takes no more memory: what is told is forgotten."""
    program = (
        "import resource; from xinglin.demo import *\n"
        "peak=lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "[None for b in bundles(County(people=2000), 0, 200)]; first=peak()\n"
        "for b in bundles(County(people=2000), 200): pass\n"
        "print(peak()-first)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(told.stdout) < 8_000, "kilobytes gained between 200 and 2,000 people"


@pytest.mark.parametrize("people", [0, -1, 1_000_001])
def test_impossible_sizes_are_refused(people: int) -> None:
    with pytest.raises(Invalid, match=r"1 to 1,000,000"):
        County(people=people)


# Sound FHIR


def test_every_resource_and_transaction_is_sound(county: list[DemoBundle]) -> None:
    for bundle in county:
        for line in bundle.ndjson().splitlines():
            check(line)
    check(orjson.dumps(county[9].transaction()))


def test_ids_are_unique_and_carry_their_institution(county: list[DemoBundle]) -> None:
    prefix_of = {i.id: i.prefix for i in INSTITUTIONS}
    seen = set()
    for bundle in county:
        for resource in bundle.resources:
            identity = f"{resource['resourceType']}/{resource['id']}"
            assert identity not in seen
            seen.add(identity)
            assert re.fullmatch(r"[A-Za-z0-9.-]{1,64}", resource["id"])
            assert resource["id"].startswith(prefix_of[bundle.custodian] + "-")


def test_references_stay_in_the_bundle_or_the_directory(county: list[DemoBundle]) -> None:
    """So that bundles load in any order, by any worker, once the directory is there."""
    common: set[str] = set()
    for number, bundle in enumerate(county):
        own = {f"{r['resourceType']}/{r['id']}" for r in bundle.resources}
        if number < len(INSTITUTIONS):
            common |= own
        for resource in bundle.resources:
            for key, value in strings(resource):
                if key in ("reference", "url") and re.match(r"^[A-Z][A-Za-z]+/", value):
                    assert value in own or value in common, f"{resource['id']} points to {value}"


def test_nothing_happens_before_birth_after_death_or_tomorrow(county: list[DemoBundle]) -> None:
    whose = truth(COUNTY)
    people = {person.index: person for person, _ in population(COUNTY)}
    ahead = {"valueDateTime", "end"}  # a day of delivery that is expected; the end of a consent or of a prescription
    for bundle in county[len(INSTITUTIONS) :]:
        person = people[whose[bundle.resources[0]["id"]]]
        last = (person.death or COUNTY.today).isoformat()
        for resource in bundle.resources[1:]:
            if resource["resourceType"] == "RelatedPerson":
                continue
            for key, value in strings(resource):
                if re.match(r"^\d{4}-\d{2}-\d{2}", value):
                    date.fromisoformat(value[:10])
                    early = key == "valueDateTime" or value[:10] >= person.birth.isoformat()
                    assert early, f"{resource['id']} {key} {value} before birth"
                    assert key in ahead or value[:10] <= last, f"{resource['id']} {key} {value} after {last}"
            if resource["resourceType"] == "Encounter":
                assert resource["period"]["start"] <= resource["period"]["end"]
                assert resource["period"]["end"][:10] <= last


# Who lives there


def check_character(stem: str) -> str:
    """GB 11643-1999 by its other definition: weights are powers of two modulo 11."""
    total = sum(int(figure) * pow(2, 17 - place, 11) for place, figure in enumerate(stem))
    return "0123456789X"[(12 - total % 11) % 11]


def test_check_character_of_the_published_example() -> None:
    assert check_character("11010519491231002") == "X"


def test_resident_ids_are_valid_and_nobodys() -> None:
    ids = {person.resident_id: person for person, _ in population(County(people=2000))}
    assert len(ids) == 2000, "no two people share one"
    for number, person in ids.items():
        assert number[:2] == ID_PROVINCE == "29"
        assert number[6:14] == person.birth.strftime("%Y%m%d")
        assert int(number[16]) % 2 != person.female
        assert number[17] == check_character(number[:17])


def test_phones_are_nobodys_and_shared_in_families() -> None:
    people = [person for person, _ in population(County(people=600))]
    assert all(re.fullmatch(MOBILE_PREFIX + r"\d{8}", p.phone) for p in people)
    shared = Counter((p.household, p.phone) for p in people)
    assert sum(count > 1 for count in shared.values()) > 50


def test_ages_are_those_of_a_county() -> None:
    """Shares of the seventh census for counties: children about 18 %, sixty and over about 20 %."""
    ages = [person.age(COUNTY.today) for person, _ in population(County(people=3000))]
    young, old = sum(a < 15 for a in ages) / len(ages), sum(a >= 60 for a in ages) / len(ages)
    assert 0.14 < young < 0.24 and 0.13 < old < 0.27
    assert max(ages) < 100


def test_the_county_has_everybody_the_pages_need() -> None:
    people = [person for person, _ in population(COUNTY)]
    assert sum(p.twin > 0 for p in people) >= 2
    assert sum((COUNTY.today - p.birth).days < 60 for p in people) >= 2
    assert sum(p.due is not None for p in people) >= 5
    assert 1 <= sum(p.hiv for p in people) <= 5
    assert any(p.death for p in people)
    several = {"单": "Shan", "解": "Xie", "查": "Zha", "仇": "Qiu", "区": "Ou", "尉迟": "Yuchi", "曾": "Zeng"}
    assert {family: pinyin(Name(family, "伟")).family for family in several} == several
    families = {p.name.family for p, _ in population(County(people=3000))}
    assert several.keys() <= families and {"欧阳", "禤"} <= families


# Who knows them


def test_a_seventh_are_known_to_two_institutions_under_different_numbers() -> None:
    for seed in range(5):
        shared = 0
        for _, records in population(County(seed=seed)):
            clinical = [r for r in records if r.institution != "xh"]
            shared += len(clinical) == 2
            assert len({r.institution for r in records}) == len(records)
            assert len({r.number for r in records}) == len(records)
        assert shared >= 40


def test_second_records_are_written_differently_in_every_way() -> None:
    kinds = Counter(
        r.variation for _, records in population(County(people=3000)) for r in records[1:] if r.institution != "xh"
    )
    expected = {"same", "no-id", "homophone", "traditional", "pinyin", "abbreviated", "day-month", "old-phone"}
    assert expected | {"mistyped-id", "other-id"} <= kinds.keys()
    assert kinds["same"] < 0.7 * kinds.total()


def test_no_single_identifier_can_be_trusted(patients: dict[str, dict]) -> None:
    """Different people share a resident ID, a phone, or name and birth date: linking needs two that agree."""
    whose = truth(COUNTY)
    assert whose.keys() == patients.keys()
    holders = {kind: defaultdict(set) for kind in ("id", "phone", "name and birth")}
    for identity, patient in patients.items():
        person = whose[identity]
        for number in patient["identifier"]:
            if number["system"] == RESIDENT_ID_SYSTEM:
                holders["id"][number["value"]].add(person)
        holders["phone"][patient["telecom"][0]["value"]].add(person)
        holders["name and birth"][patient["name"][0]["text"], patient["birthDate"]].add(person)
    strangers = {kind: [who for who in found.values() if len(who) > 1] for kind, found in holders.items()}
    assert len(strangers["id"]) >= 5
    assert len(strangers["name and birth"]) >= 5
    household = {p.index: p.household for p, _ in population(COUNTY)}
    assert sum(any(household[a] != household[b] for a, b in combinations(w, 2)) for w in strangers["phone"]) >= 5


def test_patients_carry_han_and_pinyin(patients: dict[str, dict]) -> None:
    for patient in patients.values():
        codes = [name["extension"][0]["valueCode"] for name in patient["name"]]
        assert codes in (["IDE", "ABC"], ["ABC"], ["IDE"])
        for name, code in zip(patient["name"], codes, strict=True):
            assert name["text"].isascii() == (code == "ABC")


# What they allow, who may sign in


def test_consents_compile_to_grants(county: list[DemoBundle]) -> None:
    found = [(b.custodian, r) for b in county for r in b.resources if r["resourceType"] == "Consent"]
    assert len(found) >= 5
    for custodian, consent in found:
        grants = compile_consent(consent)  # what it opens, and the person's name and number with it
        assert grants and all(grant.permit for grant in grants)
        for grant in grants:
            assert grant.custodian == reference_key(f"Organization/{custodian}")
            assert grant.grantee != grant.custodian
            assert grant.purposes == ("TREAT",)


def test_what_is_sensitive_is_labelled() -> None:
    """Whatever betrays HIV, a psychiatric illness or a use of substances bears the label the gate looks for."""
    words = {"B24": "HIV", "J05AR11": "HIV", "20447-9": "HIV", "24467-3": "HIV", "F32.9": "PSY", "N06AB06": "PSY",
             "44261-6": "PSY", "F10.2": "SUD"}  # fmt: skip
    seen = set()
    for bundle in bundles(County(people=600)):
        for line in bundle.ndjson().splitlines():
            for word in re.findall(rb'"code":"([^"]+)"', line):
                if label := words.get(word.decode()):
                    labels = {s["code"] for s in orjson.loads(line).get("meta", {}).get("security", ())}
                    assert label in labels, f"{word!r} told without its label: {line[:80]!r}"
                    seen.add(label)
    assert seen == {"HIV", "PSY", "SUD"}


def test_accounts_of_every_role_are_real(county: list[DemoBundle]) -> None:
    users = accounts(COUNTY)
    exists = {f"{r['resourceType']}/{r['id']}" for b in county for r in b.resources}
    assert {user.role for user in users} == {"patient", "clinician", "pharmacist", "clerk", "manager", "privacy"}
    assert len({user.login for user in users}) == len(users)
    for user in users:
        assert user.reference in exists and f"Organization/{user.organization}" in exists
    assert {"patient", "patient2", "pregnant", "mother", "private"} <= {user.login for user in users}
    assert accounts(County(people=1))[-1].login == "patient"


def test_the_reference_page_names_every_institution_and_user() -> None:
    page = (REPOSITORY / "docs/reference/demo-county.md").read_text()
    for institution in INSTITUTIONS:
        assert f"| `{institution.id}` | {institution.prefix} | {institution.name_zh} | {institution.name_en} |" in page
    for user in accounts(COUNTY):
        assert f"`{user.login}`" in page
