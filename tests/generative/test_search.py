"""The compiled SQL and its slow twin give the same answers: results, order, totals, pages, includes.

Data, requests and what the principal may see are generated from small pools, so that most requests find something.
Every answer is also compared with the answer of a database that never held what the principal may not see.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from xinglin.core.search import plan
from xinglin.core.search import prepared as prepared_statements
from xinglin.core.search.execute import SearchResult, first_result, search
from xinglin.core.search.extract import extract
from xinglin.core.search.parse import parse
from xinglin.core.search.plan import plan_of
from xinglin.core.search.prepared import SHAPES, Prepared, Ready, prepared
from xinglin.core.search.query import Query
from xinglin.core.search.reference import Held, answer
from xinglin.core.search.scope import UNRULED, ruled
from xinglin.core.search.shapes import taken_apart
from xinglin.core.search.sharing import first_page, first_pages
from xinglin.core.store.keys import TYPE_NUMBERS, hash64
from xinglin.core.store.visibility import Bind

NOW = 1_735_689_600_000_000  # 2025-01-01
CUSTODIANS = [hash64(f"Organization/{name}") for name in ("county", "township")]
EXAMPLES = int(os.environ.get("XINGLIN_EXAMPLES", "150"))
PHASES = [Phase.explicit, Phase.reuse, Phase.generate] + ([Phase.shrink] if "XINGLIN_SHRINK" in os.environ else [])


@dataclass(frozen=True)
class Rule:
    """A principal who sees some institutions' resources, and some people wherever they are held."""

    custodians: tuple[int, ...]
    people: tuple[int, ...]
    everything: bool = False

    @property
    def unrestricted(self) -> bool:
        return self.everything

    def predicate(self, alias: str, bind: Bind) -> str:
        if self.everything:
            return "true"
        institutions, people = bind(list(self.custodians)), bind(list(self.people))
        return f"({alias}.custodian = ANY({institutions}::bigint[]) OR {alias}.person = ANY({people}::bigint[]))"

    def sees(self, held: Held) -> bool:
        return self.everything or held.custodian in self.custodians or extract(held.resource).person in self.people


async def rows_of(connection: asyncpg.Connection, held: list[Held]) -> None:
    """Put resources and their index rows into empty tables."""
    resources, tokens, strings, moments, quantities = [], [], [], [], []
    for one in held:
        rows, key = extract(one.resource), one.key
        body = orjson.dumps(one.resource)
        head = (key, TYPE_NUMBERS[one.type], 1, False, rows.person, one.custodian, 1)
        resources.append((*head, rows.date, rows.date_end, one.updated, rows.present, one.id, body))
        tokens += [(hashed, rows.person, rows.date, key, system) for hashed, system in rows.tokens]
        strings += [(*row, key, rows.person) for row in rows.strings]
        moments += [(*row, key, rows.person) for row in rows.moments]
        quantities += [(*row, key, rows.person) for row in rows.quantities]
    await connection.copy_records_to_table("resource", records=resources)
    await connection.copy_records_to_table("token", records=tokens)
    await connection.copy_records_to_table("string", records=strings)
    await connection.copy_records_to_table("moment", records=moments)
    await connection.copy_records_to_table("quantity", records=quantities)


# data --------------------------------------------------------------------------------------------

LOINC, SNOMED, LOCAL = "http://loinc.org", "http://snomed.info/sct", "urn:local"
ids = st.sampled_from(["1", "2", "3"])
systems = st.sampled_from([LOINC, SNOMED, LOCAL, None])
codes = st.sampled_from(["a", "b", "c|d", "8480-6"])
words = st.sampled_from(["Ann", "anna", "Änn", "Bob", "王", "王芳", "O'Neil", "a,b", "100%", "x_y"])
dates = st.sampled_from(
    ["2024", "2024-02", "2024-02-29", "2024-02-29T10:00:00+08:00", "2024-02-29T02:00:00Z", "2023-12-31T23:59:59.5Z"]
)
numbers = st.sampled_from([0, 5, 5.4, 5.35, 5.45, 97, 970, 100, -1, 0.00054])
units = st.sampled_from(["mg/dL", "g/L", "kg", "g", "{score}", ""])


def some(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object of which each part may be absent."""
    return st.fixed_dictionaries({}, optional=parts)


def coding(code: st.SearchStrategy[str] = codes) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda system, code, display: {
            **({"system": system} if system else {}),
            "code": code,
            **({"display": display} if display else {}),
        },
        systems,
        code,
        st.none() | words,
    )


concepts = some(coding=st.lists(coding(), min_size=1, max_size=3), text=words)
identifiers = st.builds(
    lambda system, value, kind: {
        **({"system": system} if system else {}),
        "value": value,
        **({"type": kind} if kind else {}),
    },
    systems,
    codes,
    st.none() | concepts,
)
periods = some(start=dates, end=dates)
quantities = st.builds(
    lambda value, unit, ucum, comparator: {
        "value": value,
        **({"code": unit, "system": "http://unitsofmeasure.org"} if ucum and unit else {"unit": unit} if unit else {}),
        **({"comparator": comparator} if comparator else {}),
    },
    numbers,
    units,
    st.booleans(),
    st.sampled_from([None, None, None, "<", ">="]),
)


def reference(*types: str) -> st.SearchStrategy[dict[str, Any]]:
    plain = st.builds(lambda name, id_: {"reference": f"{name}/{id_}"}, st.sampled_from(types), ids)
    versioned = st.builds(lambda name, id_: {"reference": f"{name}/{id_}/_history/2"}, st.sampled_from(types), ids)
    logical = st.builds(lambda identifier: {"identifier": identifier}, identifiers)
    other = st.sampled_from([{"reference": "#inside"}, {"reference": "http://elsewhere/Patient/1"}, {"display": "x"}])
    return st.one_of(plain, plain, plain, versioned, logical, other)


metas = some(tag=st.lists(coding(), max_size=2), profile=st.lists(st.sampled_from(["http://p/a", "http://p/a/b"])))
names = some(family=words, given=st.lists(words, min_size=1, max_size=2), text=words)
patients = some(
    meta=metas,
    name=st.lists(names, min_size=1, max_size=2),
    gender=st.sampled_from(["male", "female"]),
    birthDate=dates.filter(lambda date: "T" not in date),
    identifier=st.lists(identifiers, min_size=1, max_size=2),
    telecom=st.lists(st.fixed_dictionaries({"system": st.sampled_from(["phone", "email"]), "value": codes})),
    address=st.lists(some(city=words, line=st.lists(words)), min_size=1),
    generalPractitioner=st.lists(reference("Practitioner", "Organization"), min_size=1, max_size=2),
    active=st.booleans(),
)
values = st.one_of(
    st.builds(lambda q: {"valueQuantity": q}, quantities),
    st.builds(lambda c: {"valueCodeableConcept": c}, concepts),
    st.builds(lambda s: {"valueString": s}, words),
    st.builds(lambda d: {"valueDateTime": d}, dates),
    st.builds(lambda p: {"valuePeriod": p}, periods),
    st.just({}),
)
whens = st.one_of(
    st.builds(lambda d: {"effectiveDateTime": d}, dates),
    st.builds(lambda p: {"effectivePeriod": p}, periods),
    st.just({}),
)
observations = st.builds(
    lambda base, value, when, components: {**base, **value, **when, **components},
    some(
        meta=metas,
        code=concepts,
        category=st.lists(concepts, min_size=1, max_size=2),
        status=st.sampled_from(["final", "amended"]),
        subject=reference("Patient", "Device"),
        performer=st.lists(reference("Practitioner", "Patient"), min_size=1, max_size=2),
        encounter=reference("Encounter"),
        hasMember=st.lists(reference("Observation"), min_size=1),
    ),
    values,
    whens,
    some(component=st.lists(st.builds(lambda c, v: {"code": c, **v}, concepts, values), min_size=1, max_size=2)),
)
encounters = some(
    subject=reference("Patient"),
    period=periods,
    participant=st.lists(some(individual=reference("Practitioner")), min_size=1, max_size=2),
    partOf=reference("Encounter"),
    **{"class": coding()},
)
practitioners = some(name=st.lists(names, min_size=1), identifier=st.lists(identifiers, min_size=1))
questionnaires = some(url=st.sampled_from(["http://q/1", "http://q/2"]), title=words, date=dates)
responses = some(
    questionnaire=st.sampled_from(["http://q/1", "http://q/1|2", "Questionnaire/1"]), subject=reference("Patient")
)
lists = some(entry=st.lists(st.fixed_dictionaries({"item": reference("Patient", "Observation")}), max_size=3))
sequences = some(
    referenceSeq=some(
        chromosome=concepts,
        windowStart=st.sampled_from([1, 5]),
        windowEnd=st.sampled_from([5, 9]),
        strand=st.just("watson"),
    )
)
appointments = some(participant=st.lists(some(actor=reference("Patient", "Practitioner")), max_size=3), start=dates)
risks = some(prediction=st.lists(some(probabilityDecimal=numbers), min_size=1), subject=reference("Patient"))

TYPES = {
    "Patient": patients,
    "Observation": observations,
    "Encounter": encounters,
    "Practitioner": practitioners,
    "Questionnaire": questionnaires,
    "QuestionnaireResponse": responses,
    "List": lists,
    "MolecularSequence": sequences,
    "Appointment": appointments,
    "RiskAssessment": risks,
}


@st.composite
def worlds(draw: st.DrawFn) -> list[Held]:
    found: dict[str, Held] = {}
    for number in range(draw(st.integers(6, 16))):
        name = draw(st.sampled_from(["Observation", "Patient", *TYPES]))
        resource = {"resourceType": name, "id": draw(ids), **draw(TYPES[name])}
        held = Held(resource, NOW - number * 1000, draw(st.sampled_from(CUSTODIANS)))
        found.setdefault(held.reference, held)
    return list(found.values())


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    people = [hash64(f"Patient/{number}") for number in (1, 2, 3)]
    return Rule(
        tuple(draw(st.lists(st.sampled_from(CUSTODIANS), max_size=1))),
        tuple(draw(st.lists(st.sampled_from(people), max_size=2))),
        draw(st.booleans()),
    )


# requests ----------------------------------------------------------------------------------------

ESCAPED = {",": "\\,", "|": "\\|", "$": "\\$", "\\": "\\\\"}


def escape(text: str) -> str:
    return "".join(ESCAPED.get(character, character) for character in text)


token = st.one_of(
    codes.map(escape),
    st.builds(lambda s, c: f"{s or ''}|{escape(c)}", systems, codes),
    st.sampled_from([f"{LOINC}|", f"{LOCAL}|"]),
)
coded = token.filter(lambda written: not written.endswith("|"))
text = words.map(escape)
prefixes = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
date = st.builds(lambda p, d: p + d, prefixes, dates)
number = st.builds(lambda p, n: f"{p}{n}", prefixes, st.sampled_from(["5", "5.4", "5.40", "97", "100", "1e2", "-1"]))
quantity = st.builds(
    lambda n, unit: n + unit,
    number,
    st.sampled_from(["", "|http://unitsofmeasure.org|mg/dL", "|http://unitsofmeasure.org|g/L", "||g", "||{score}"]),
)
patient = st.sampled_from(["Patient/1", "2", "Patient/3", "http://elsewhere/Patient/1"])


def any_of(value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(value, min_size=1, max_size=2).map(",".join)


def pick(names: list[str], value: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.sampled_from(names), any_of(value))


missing = st.sampled_from(["true", "false"])
FILTERS = {
    "Patient": [
        'name sw "a"',
        'gender eq "male" and not(active eq "true")',
        'birthdate ge 2024-02 or name co "王"',
        'general-practitioner[name eq "ann"].identifier pr true',
        "birthdate po 2024-02",
    ],
    "Observation": ['code eq "a" or value-quantity gt 5', 'subject:Patient.name sw "a"', 'status ne "final"'],
}

CONDITIONS: dict[str, st.SearchStrategy[tuple[str, str]]] = {
    "Patient": st.one_of(
        pick(["name", "family", "given", "name:exact", "name:contains", "address", "address-city", "phonetic"], text),
        pick(["identifier", "gender:not", "gender", "telecom", "phone", "_tag", "identifier:not", "active"], token),
        pick(["gender"], st.sampled_from(["male", "http://hl7.org/fhir/administrative-gender|male"])),
        pick(["active"], st.sampled_from(["true", "false"])),
        pick(
            ["identifier:of-type"],
            st.builds(lambda s, c, v: f"{s or ''}|{escape(c)}|{escape(v)}", systems, codes, codes),
        ),
        pick(["birthdate", "_lastUpdated"], date),
        pick(["general-practitioner"], st.sampled_from(["Practitioner/1", "1", "Organization/2"])),
        pick(["general-practitioner:identifier"], token),
        pick(["general-practitioner.name", "general-practitioner:Practitioner.name"], text),
        pick(
            ["_has:Observation:patient:code", "_has:Observation:performer:code", "_has:Observation:subject:status"],
            token,
        ),
        pick(["_has:Encounter:patient:_has:Observation:encounter:code"], token),
        pick(["_has:Appointment:patient:date"], date),
        st.tuples(st.sampled_from(["name:missing", "birthdate:missing", "general-practitioner:missing"]), missing),
        pick(["_list", "_id"], ids),
        pick(["_profile", "_profile:below", "_profile:above"], st.sampled_from(["http://p/a", "http://p/a/b"])),
        st.sampled_from(FILTERS["Patient"]).map(lambda f: ("_filter", f)),
    ),
    "Observation": st.one_of(
        pick(["patient", "subject"], patient),
        pick(["patient", "subject"], patient),
        pick(["code", "combo-code", "category", "component-code", "combo-value-concept", "status", "code:not"], token),
        pick(["code:text", "category:text"], text),
        pick(["date", "value-date"], date),
        pick(["value-quantity", "combo-value-quantity", "component-value-quantity"], quantity),
        pick(["code-value-quantity", "combo-code-value-quantity"], st.builds(lambda c, q: f"{c}${q}", coded, quantity)),
        pick(["code-value-concept"], st.builds(lambda c, q: f"{c}${q}", coded, coded)),
        pick(["code-value-string"], st.builds(lambda c, q: f"{c}${q}", coded, text)),
        pick(["code-value-date"], st.builds(lambda c, q: f"{c}${q}", coded, date)),
        pick(["performer", "subject:Device", "performer:Patient"], ids),
        pick(["performer:identifier", "patient:identifier"], token),
        pick(["patient.name", "subject:Patient.name", "performer:Practitioner.name", "encounter.patient.name"], text),
        pick(["patient.birthdate", "encounter.date"], date),
        pick(["patient.general-practitioner.name", "encounter.participant:Practitioner.name"], text),
        pick(["encounter:Encounter._has:Observation:encounter:code", "has-member.code"], token),
        st.tuples(
            st.sampled_from(
                [
                    "date:missing",
                    "patient:missing",
                    "value-quantity:missing",
                    "code-value-quantity:missing",
                    "performer:missing",
                    "value-concept:missing",
                ]
            ),
            missing,
        ),
        pick(["value-string", "value-string:contains"], text),
        st.sampled_from(FILTERS["Observation"]).map(lambda f: ("_filter", f)),
    ),
    "Encounter": st.one_of(
        pick(["date"], date),
        pick(["class"], token),
        pick(["practitioner.name", "participant:Practitioner.name"], text),
        pick(["part-of.date"], date),
        pick(["patient"], patient),
        pick(["_has:Observation:encounter:date"], date),
    ),
    "Practitioner": st.one_of(
        pick(["_has:Encounter:practitioner:class"], token),
        pick(["name"], text),
        pick(["_has:Patient:general-practitioner:name"], text),
    ),
    "Questionnaire": st.one_of(
        pick(["url", "url:below", "url:above"], st.sampled_from(["http://q", "http://q/1", "http://q/1/2"])),
        pick(["_has:QuestionnaireResponse:questionnaire:patient"], patient),
        pick(["title"], text),
    ),
    "QuestionnaireResponse": st.one_of(
        pick(["questionnaire"], st.sampled_from(["http://q/1", "http://q/1|2", "http://q/1\\|2", "Questionnaire/1"])),
        pick(["questionnaire.title"], text),
        pick(["patient"], patient),
    ),
    "List": pick(["item"], patient),
    "MolecularSequence": pick(
        ["chromosome-window-coordinate"], st.builds(lambda c, a, b: f"{c}${a}${b}", coded, number, number)
    ),
    "Appointment": st.one_of(
        pick(["patient", "actor"], patient), pick(["date"], date), pick(["actor:Patient.name"], text)
    ),
    "RiskAssessment": st.one_of(pick(["probability"], number), pick(["patient"], patient)),
}

SORTS = {
    "Patient": [
        "name",
        "-name",
        "birthdate",
        "-birthdate",
        "gender,-name",
        "_id",
        "-_lastUpdated",
        "-_id",
        "identifier",
    ],
    "Observation": ["date", "-date", "code", "-value-quantity", "status,date", "-patient", "value-date"],
    "Encounter": ["-date", "date", "class"],
}
INCLUDES = {
    "Patient": [
        "_revinclude=Observation:patient",
        "_include=Patient:general-practitioner",
        "_revinclude:iterate=Encounter:*",
        "_include=Patient:general-practitioner:Practitioner",
        "_revinclude=*",
    ],
    "Observation": [
        "_include=Observation:subject",
        "_include=Observation:*",
        "_include:iterate=Observation:has-member",
        "_include=*",
        "_include=Observation:encounter&_include:iterate=Encounter:patient",
    ],
    "QuestionnaireResponse": ["_include=QuestionnaireResponse:questionnaire"],
    "Questionnaire": ["_revinclude=QuestionnaireResponse:questionnaire"],
}


Request = tuple[str | None, tuple[tuple[str, str], ...], tuple[str, str] | None]


@st.composite
def requests(draw: st.DrawFn) -> Request:
    name = draw(st.sampled_from(["Patient", "Observation", "Observation", *CONDITIONS]))
    given_ = draw(st.lists(CONDITIONS[name], max_size=draw(st.sampled_from([1, 1, 2, 3]))))
    given_.append(("_count", str(draw(st.integers(1, 4)))))
    if sort := draw(st.none() | st.sampled_from(SORTS.get(name, ["_id"]))):
        given_.append(("_sort", sort))
    if total := draw(st.sampled_from([None, "accurate", "none"])):
        given_.append(("_total", total))
    if include := draw(st.none() | st.sampled_from(INCLUDES.get(name, ["_include=*"]))):
        given_ += [tuple(part.split("=", 1)) for part in include.split("&")]  # type: ignore[misc]
    within = draw(st.sampled_from([None, None, None, ("Patient", "1")]))
    if within and name in ("Practitioner", "Questionnaire"):
        within = None
    return name, tuple(given_), within


@st.composite
def requests_of_types(draw: st.DrawFn) -> Request:
    """Over several types at once: they share statements, by twos and threes or all."""
    types = draw(
        st.lists(st.sampled_from(["Patient", "Observation", "Encounter", "Appointment"]), min_size=2, unique=True)
    )
    common = [("_id", "1"), ("_id", "1,3"), ("_tag", "a"), ("_lastUpdated", "ge2024-01-01")]
    given_: list[tuple[str, str]] = draw(st.lists(st.sampled_from(common), max_size=1))
    if sort := draw(st.sampled_from([None, None, "_id", "-_lastUpdated", "-date"])):
        types = [one for one in types if sort != "-date" or one != "Patient"]
        given_.append(("_sort", sort))
    given_ += [("_type", ",".join(types)), ("_count", str(draw(st.integers(1, 4))))]
    if total := draw(st.sampled_from([None, "accurate"])):
        given_.append(("_total", total))
    return None, tuple(given_), draw(st.sampled_from([None, ("Patient", "1"), ("Patient", "2")]))


# the comparison ----------------------------------------------------------------------------------


async def pages(connection: asyncpg.Connection, query: Query, rule: Rule) -> list[SearchResult]:
    """Every page, following the links."""
    found = [await search(connection, query, rule, now=NOW, secret=b"s", context="c")]
    while found[-1].next:
        assert len(found) < 50
        following = Query(**{name: getattr(query, name) for name in query.__slots__} | {"page": found[-1].next})
        found.append(await search(connection, following, rule, now=NOW, secret=b"s", context="c"))
    return found


def seen(result: SearchResult) -> tuple[list[str], set[str], int | None]:
    return [m.reference for m in result.matches], {i.reference for i in result.included}, result.total


@pytest.fixture(scope="module")
async def connection(postgres: str, template: str):
    admin = await asyncpg.connect(postgres)
    await admin.execute("DROP DATABASE IF EXISTS search_twin WITH (FORCE)")
    await admin.execute(f"CREATE DATABASE search_twin TEMPLATE {template}")
    opened = await asyncpg.connect(postgres, database="search_twin")
    yield opened
    await opened.close()
    await admin.execute("DROP DATABASE search_twin WITH (FORCE)")
    await admin.close()


@settings(max_examples=EXAMPLES, phases=PHASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    world=worlds(),
    asked=st.lists(requests() | requests_of_types(), min_size=3, max_size=8),
    rule=rules(),
    probe=st.sampled_from([0, 1, 2000]),
    room=st.sampled_from([0, 1500, prepared_statements.MOST_TEXT]),
)
async def test_sql_and_twin_agree(
    connection: asyncpg.Connection, world: list[Held], asked: list[Request], rule: Rule, probe: int, room: int
) -> None:
    prepared_statements.MOST_TEXT = room
    plan.PROBE = probe  # below it conditions count as rare: small worlds have to show the plans of large ones
    queries = [parse(given_, name, within=within) for name, given_, within in asked]
    transaction = connection.transaction()
    await transaction.start()
    try:
        await rows_of(connection, world)
        answers = [await pages(connection, query, rule) for query in queries]
    finally:
        await transaction.rollback()
    for query, found in zip(queries, answers, strict=True):
        expected = answer(query, world, rule.sees, NOW)
        concatenated = [m.reference for page in found for m in page.matches]
        assert concatenated == list(expected.matches), query.used
        assert {i.reference for i in found[0].included} == expected.included, query.used
        if query.total == "accurate":
            assert {page.total for page in found} == {len(expected.matches)}, query.used
    await same_without_the_invisible(connection, world, queries, rule, answers)


async def same_without_the_invisible(
    connection: asyncpg.Connection,
    world: list[Held],
    queries: list[Query],
    rule: Rule,
    answers: list[list[SearchResult]],
) -> None:
    """What a principal is told does not depend on what they may not see."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await rows_of(connection, [one for one in world if rule.sees(one)])
        again = [await pages(connection, query, rule) for query in queries]
    finally:
        await transaction.rollback()
    for query, before, after in zip(queries, answers, again, strict=True):
        assert [seen(page) for page in before] == [seen(page) for page in after], query.used


@settings(max_examples=EXAMPLES, phases=PHASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds(), asked=requests(), people=st.permutations("1234"), rule=rules())
async def test_pages_read_together_are_those_read_alone(
    connection: asyncpg.Connection, world: list[Held], asked: Request, people: list[str], rule: Rule
) -> None:
    name, given_, _ = asked
    ready = {}
    for person in people:
        query = parse([("patient", person), *given_], name, lenient=True)
        found = first_page(query, rule)
        if found is not None:
            ready.setdefault(found.driven, []).append((query, found))
    transaction = connection.transaction()
    await transaction.start()
    try:
        await rows_of(connection, world)
        for driven, alike in ready.items():
            together = await first_pages(connection, driven, alike[0][0].count + 1, [one.values for _, one in alike])
            for (query, _), rows in zip(alike, together, strict=True):
                result = first_result(query, driven.plan, rows, b"s", "c")
                assert result == await search(connection, query, rule, now=NOW, secret=b"s", context="c"), query.used
    finally:
        await transaction.rollback()


# compiled once, asked often -----------------------------------------------------------------------


@settings(max_examples=EXAMPLES * 2, phases=PHASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(request=requests(), rule=rules(), counts=st.lists(st.sampled_from([0, 5, 3000]), min_size=20, max_size=20))
def test_a_shape_gives_the_statements_of_its_query(request: Request, rule: Rule, counts: list[int]) -> None:
    """A query compiled by its shape, from whichever values came first, has the text and the arguments of a query
    compiled for itself."""
    name, given_, within = request
    for branch in parse(given_, name, within=within).branches:
        general, seen_ = ruled(rule)
        own = Prepared(plan_of(branch, general, NOW))
        apart = taken_apart(branch)
        if apart is None:
            continue
        shared, values = prepared(apart[0], general), apart[1]
        candidates = len(own.plan.candidates())
        if own.settled is None and shared.settled is None:
            assert shared.probe().given((values, seen_)) == own.probe().given(((), seen_))
        ours = Ready(shared.settled or shared.chosen(counts[:candidates]), (values, seen_))
        theirs = Ready(own.settled or own.chosen(counts[:candidates]), ((), seen_))
        cursor = None if theirs.driven.plan.ordering.custom else (1, 2, 3)
        for after in {None, cursor}:
            assert ours.page(21, after) == theirs.page(21, after)
        for limit in (None, 10_001):
            assert ours.total(limit) == theirs.total(limit)
        assert ours.driven.name == theirs.driven.name


def test_shapes_are_bounded_and_hold_no_values() -> None:
    """Hostile texts leave nothing behind but a bounded number of shapes."""
    prepared.cache_clear()
    for number in range(50):
        query = parse(f"code=http://loinc.org|c{number}&patient=p{number}&date=ge20{10 + number}", "Observation")
        shape, values = taken_apart(query.branches[0]) or pytest.fail("no shape")
        prepared(shape, UNRULED)
        assert values[:2] == (f"c{number}", f"p{number}")
    assert prepared.cache_info().currsize == 1
    assert taken_apart(parse(f"code={','.join('abc' * 20)}", "Observation").branches[0]) is None
    assert prepared.cache_info().maxsize == SHAPES
