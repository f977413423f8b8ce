"""Who can sign in to the demo: staff of every role, and patients whose stories are worth showing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xinglin.demo.county import County, charts_of, population
from xinglin.demo.institutions import BY_PREFIX, STAFF, Member
from xinglin.demo.life import Life
from xinglin.demo.names import pinyin
from xinglin.demo.records import Record
from xinglin.demo.roster import BLOCK, Person, block_of_people

LOOKED_AT = 600  # people among whom the stories are sought, so that a large county answers as fast as a small one


@dataclass(frozen=True, slots=True)
class Account:
    """A sign-in to be made: `reference` is the Practitioner or Patient that the user is; passwords are not set here."""

    login: str
    role: str
    name_zh: str
    name_en: str
    organization: str
    reference: str
    story: str


# login, id of the staff member, what this user is for
STAFF_LOGINS: tuple[tuple[str, str, str], ...] = (
    ("clinician", "hx-s01", "内科医师 physician, county hospital"),
    ("cardiology", "hx-s03", "心血管内科 cardiologist, county hospital"),
    ("endocrinology", "hx-s05", "内分泌科 endocrinologist, county hospital"),
    ("paediatrics", "hx-s09", "儿科 paediatrician, county hospital"),
    ("obstetrics", "hx-s11", "妇产科 obstetrician, county hospital"),
    ("psychiatry", "hx-s14", "精神科 psychiatrist, county hospital"),
    ("tcm", "tc-s02", "中医科 physician, traditional-medicine hospital"),
    ("township", "qn-s01", "全科 general practitioner, Qingnang"),
    ("township2", "jj-s01", "全科 general practitioner, Jujing"),
    ("pharmacist", "hx-s18", "药师 pharmacist, county hospital"),
    ("pharmacy", "xh-s01", "药师 pharmacist, community pharmacy"),
    ("clerk", "hx-s22", "登记员 registration clerk, county hospital"),
    ("clerk2", "tc-s12", "登记员 registration clerk, traditional-medicine hospital"),
    ("manager", "hx-s23", "质控 quality manager, county hospital"),
    ("manager2", "tc-s13", "质控 quality manager, traditional-medicine hospital"),
    ("privacy", "hx-s23", "个人信息保护 privacy officer, county hospital"),
    ("privacy2", "tc-s13", "个人信息保护 privacy officer, traditional-medicine hospital"),
)
PRIVACY: tuple[str, ...] = ("privacy", "privacy2")
"""Logins of those who judge accesses: a second account of the person who looks after quality."""


def _chronic_in_two(person: Person, records: tuple[Record, ...], life: Life, consented: bool) -> bool:
    return "hypertension" in life.onset and _shared(records) and not consented and person.death is None


def _open_in_two(person: Person, records: tuple[Record, ...], life: Life, consented: bool) -> bool:
    return consented and _shared(records) and person.death is None


def _pregnant(person: Person, records: tuple[Record, ...], life: Life, consented: bool) -> bool:
    return person.due is not None


def _mother(person: Person, records: tuple[Record, ...], life: Life, consented: bool) -> bool:
    return bool(person.births) and (life.end - person.births[-1].toordinal()) < 3 * 365


def _sensitive(person: Person, records: tuple[Record, ...], life: Life, consented: bool) -> bool:
    return "depression" in life.onset and person.death is None


def _shared(records: tuple[Record, ...]) -> bool:
    """Known to two institutions, the second having written the name and number right, so that they link unasked."""
    clinical = [r for r in records if r.institution != "xh"]
    return len(clinical) > 1 and clinical[1].variation == "same"


Story = Callable[[Person, tuple[Record, ...], Life, bool], bool]
STORIES: tuple[tuple[str, str, Story], ...] = (
    ("patient", "hypertension, known to two institutions, no consent given yet", _chronic_in_two),
    ("patient2", "known to two institutions, consent given", _open_in_two),
    ("pregnant", "expecting a child", _pregnant),
    ("mother", "mother of a small child", _mother),
    ("private", "a sensitive diagnosis", _sensitive),
)


def accounts(county: County) -> list[Account]:
    """Users of every role; a story that nobody in a very small county lives is left out, save for `patient`."""
    by_id = {member.id: member for member in STAFF}
    staff = [_of_member(login, by_id[who], story) for login, who, story in STAFF_LOGINS]
    return staff + _patients(county)


def _of_member(login: str, member: Member, story: str) -> Account:
    organization = BY_PREFIX[member.prefix].id
    role = "privacy" if login in PRIVACY else member.role
    return Account(login, role, member.name, member.pinyin, organization, member.reference, story)


def _patients(county: County) -> list[Account]:
    few = County(county.seed, min(county.people, LOOKED_AT), county.today, county.years)
    found: dict[str, Account] = {}
    first: Account | None = None
    for person, records in population(few):
        life, consented = _life(few, person, records)
        for login, story, fits in STORIES:
            if login not in found and fits(person, records, life, consented):
                found[login] = _of_person(login, person, records[0], story)
                break
        if first is None and person.death is None:
            first = _of_person("patient", person, records[0], "an inhabitant")
        if len(found) == len(STORIES):
            break
    if first and "patient" not in found:
        found["patient"] = first
    return [found[login] for login, _, _ in STORIES if login in found]


def _life(county: County, person: Person, records: tuple[Record, ...]) -> tuple[Life, bool]:
    people = block_of_people(county.seed, county.today, county.years, person.index // BLOCK)
    charts, life = charts_of(county, people, person, records)
    return life, any(r["resourceType"] == "Consent" for chart in charts for r in chart.resources)


def _of_person(login: str, person: Person, record: Record, story: str) -> Account:
    organization = BY_PREFIX[record.institution].id
    latin = pinyin(person.name).text
    return Account(login, "patient", person.name.text, latin, organization, f"Patient/{record.patient_id}", story)
