"""Searches against PostgreSQL beyond what the twin compares: page links, terminologies, timeouts, whole systems."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import orjson
import pytest

from xinglin.core.schema.definitions import SearchParameterDef
from xinglin.core.search import includes, plan, prepared
from xinglin.core.search.execute import SearchResult, search
from xinglin.core.search.extract import extract
from xinglin.core.search.parameters import REGISTRY
from xinglin.core.search.parse import parse
from xinglin.core.search.querystring import encoded
from xinglin.core.store.keys import TYPE_NUMBERS, key_of
from xinglin.core.store.visibility import UNRESTRICTED, Bind
from xinglin.kernel.errors import Invalid, TooCostly

NOW = 1_735_689_600_000_000


async def store(connection: asyncpg.Connection, *resources: dict[str, Any]) -> None:
    for number, resource in enumerate(resources):
        rows, key, id_ = extract(resource), key_of(resource["resourceType"], resource["id"]), resource["id"]
        head = (key, TYPE_NUMBERS[resource["resourceType"]], 1, False, rows.person, 0, 1)
        record = (*head, rows.date, rows.date_end, NOW + number, rows.present, id_, orjson.dumps(resource))
        await connection.copy_records_to_table("resource", records=[record])
        tokens = [(hashed, rows.person, rows.date, key, system, 0) for hashed, system in rows.tokens]
        await connection.copy_records_to_table("token", records=tokens)
        for table in ("string", "moment", "quantity"):
            found = {"string": rows.strings, "moment": rows.moments, "quantity": rows.quantities}[table]
            await connection.copy_records_to_table(table, records=[(*row, key, rows.person) for row in found])


def patient(id_: str, **parts: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, **parts}


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


async def ask(connection: asyncpg.Connection, text: str, type_name: str | None, **options: Any) -> SearchResult:
    return await search(connection, parse(text, type_name), UNRESTRICTED, now=NOW, secret=b"s", **options)


def ids(result: SearchResult) -> list[str]:
    return [match.id for match in result.matches]


async def test_pages_stay_whole_while_others_write(connection: asyncpg.Connection) -> None:
    await store(connection, *(patient(f"p{number:02}") for number in range(0, 20, 2)))
    first = await ask(connection, "_sort=_id&_count=4", "Patient")
    await store(connection, patient("p01"), patient("p09"))
    await connection.execute("DELETE FROM resource WHERE id = 'p06'")
    query = replace(parse("_sort=_id&_count=100", "Patient"), page=first.next)
    rest = await search(connection, query, UNRESTRICTED, now=NOW, secret=b"s")
    assert ids(first) == ["p00", "p02", "p04", "p06"]
    assert ids(rest) == ["p08", "p09", "p10", "p12", "p14", "p16", "p18"]


@pytest.mark.parametrize("tampered", ["AAAA", "é", "x" * 500])
async def test_a_page_link_of_another_search_is_refused(connection: asyncpg.Connection, tampered: str) -> None:
    await store(connection, patient("a"), patient("b"))
    first = await ask(connection, "_count=1", "Patient", context="alice")
    assert first.next
    for page, context in ((first.next, "bob"), (tampered + first.next, "alice"), (first.next[:-3], "alice")):
        query = replace(parse("_count=1", "Patient"), page=page)
        with pytest.raises(Invalid, match="page link"):
            await search(connection, query, UNRESTRICTED, now=NOW, secret=b"s", context=context)


async def test_a_page_ends_before_its_bodies_grow_too_heavy(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "MOST_BYTES", 20_000)
    prepared.prepared.cache_clear()
    heavy = [patient(f"p{n}", name=[{"family": "x", "text": "x" * 8_000}]) for n in range(7)]
    encounter = {"resourceType": "Encounter", "id": "e", "status": "planned", "class": {"code": "AMB"}}
    await store(connection, *heavy, {**encounter, "subject": {"reference": "Patient/p0"}})
    for text, type_name in (("_count=100", "Patient"), ("_sort=_id&name=x", "Patient"), ("_type=Patient", None)):
        page, seen, sizes = None, [], []
        while page is not None or not seen:
            found = await search(
                connection, replace(parse(text, type_name), page=page), UNRESTRICTED, now=NOW, secret=b"s"
            )
            seen, page = seen + ids(found), found.next
            sizes.append(len(found.matches))
        assert sorted(seen) == [f"p{n}" for n in range(7)] and sizes == [3, 3, 1], text
    monkeypatch.setattr(plan, "MOST_BYTES", 100)
    monkeypatch.setattr(includes, "MOST_BYTES", 100)
    whole = await ask(connection, "_include=Encounter:subject", "Encounter")
    assert [one.id for one in whole.included] == ["p0"] and whole.issues[0].code == "incomplete"
    prepared.prepared.cache_clear()


class Colours:
    """A terminology of one value set and a two-level hierarchy."""

    async def codes(self, value_set: str) -> Sequence[tuple[str, str]]:
        return [("urn:c", "red"), ("urn:c", "blue")] if value_set == "http://colours" else []

    async def above(self, system: str | None, code: str) -> Sequence[tuple[str, str]]:
        return [("urn:c", code), ("urn:c", "colour")]

    async def below(self, system: str | None, code: str) -> Sequence[tuple[str, str]]:
        return [("urn:c", "colour"), ("urn:c", "red"), ("urn:c", "blue")] if code == "colour" else [("urn:c", code)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("code:in=http://colours", {"red", "blue"}),
        ("code:not-in=http://colours", {"colour", "other", "none"}),
        ("code:below=urn:c|colour", {"red", "blue", "colour"}),
        ("code:above=urn:c|red", {"red", "colour"}),
        ('_filter=code in "http://colours" and not(code eq "red")', {"blue"}),
    ],
)
async def test_value_sets_stand_for_their_codes(connection: asyncpg.Connection, text: str, expected: set[str]) -> None:
    for code, system in (
        ("red", "urn:c"),
        ("blue", "urn:c"),
        ("colour", "urn:c"),
        ("other", "urn:c"),
        ("none", "urn:x"),
    ):
        coding = {"system": system, "code": "red" if code == "none" else code}
        await store(connection, {"resourceType": "Condition", "id": code, "code": {"coding": [coding]}})
    assert set(ids(await ask(connection, text, "Condition", terminology=Colours()))) == expected
    with pytest.raises(Invalid, match="not stored"):
        await ask(connection, text, "Condition")


def concept(code: str, *below: dict[str, Any], **properties: str) -> dict[str, Any]:
    held = [{"code": name, "valueCode": value} for name, value in properties.items()]
    return {"code": code, **({"property": held} if held else {}), **({"concept": list(below)} if below else {})}


def value_set(id_: str, *include: dict[str, Any], **parts: Any) -> dict[str, Any]:
    compose = {"compose": {"include": list(include), **parts}} if include else parts
    return {"resourceType": "ValueSet", "id": id_, "url": f"http://vs/{id_}", "version": "1", **compose}


ANIMALS = {
    "resourceType": "CodeSystem",
    "id": "animals",
    "url": "urn:animals",
    "content": "complete",
    "concept": [
        concept("animal", concept("cat", concept("lion", legs="four")), concept("bird", legs="two")),
        concept("bat", parent="bird", legs="two"),
        concept("stone"),
    ],
}
WHOLE = {"system": "urn:animals"}
SETS = [
    value_set("listed", {**WHOLE, "concept": [{"code": "cat"}, {"code": "stone"}]}),
    value_set("whole", WHOLE, exclude=[{**WHOLE, "concept": [{"code": "stone"}]}]),
    value_set("cats", {**WHOLE, "filter": [{"property": "concept", "op": "is-a", "value": "cat"}]}),
    value_set("below", {**WHOLE, "filter": [{"property": "concept", "op": "descendent-of", "value": "bird"}]}),
    value_set("two", {**WHOLE, "filter": [{"property": "legs", "op": "=", "value": "two"}]}),
    value_set("both", {"valueSet": ["http://vs/two", "http://vs/below"]}, {"valueSet": ["http://vs/cats|1"]}),
    value_set("grown", expansion={"contains": [{"contains": [{"system": "urn:animals", "code": "lion"}]}]}),
    value_set("round", {"valueSet": ["http://vs/round"]}),
    value_set("odd", {**WHOLE, "filter": [{"property": "code", "op": "regex", "value": "(a+)+b"}]}),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("code:in=http://vs/listed", {"cat", "stone"}),
        ("code:in=ValueSet/listed", {"cat", "stone"}),
        ("code:in=http://vs/listed|1", {"cat", "stone"}),
        ("code:not-in=http://vs/whole", {"stone"}),
        ("code:in=http://vs/cats", {"cat", "lion"}),
        ("code:in=http://vs/below,http://vs/grown", {"bat", "lion"}),
        ("code:in=http://vs/two", {"bird", "bat"}),
        ("code:in=http://vs/both", {"bat", "cat", "lion"}),
        ("code:below=urn:animals|bird", {"bird", "bat"}),
        ("code:above=urn:animals|lion", {"animal", "cat", "lion"}),
        ("code:above=urn:animals|bat", {"animal", "bird", "bat"}),
        ("severity:in=http://hl7.org/fhir/ValueSet/condition-severity", None),
        ("code:in=http://vs/listed|2", None),
        ("code:in=http://vs/round", None),
        ("code:in=http://vs/odd", None),
        ("code:in=ValueSet/none", None),
        ("code:below=bird", None),
        ("code:below=urn:none|bird", None),
    ],
)
async def test_stored_value_sets_and_hierarchies(
    connection: asyncpg.Connection, text: str, expected: set[str] | None
) -> None:
    """Also what is refused: an answer from a set that is not whole would be wrong, and nobody would see it."""
    await store(connection, ANIMALS, *SETS)
    for code in ("animal", "cat", "lion", "bird", "bat", "stone"):
        coding = [{"system": "urn:animals", "code": code}]
        await store(connection, {"resourceType": "Condition", "id": code, "code": {"coding": coding}})
    if expected is None:
        with pytest.raises(Invalid):
            await ask(connection, text, "Condition")
    else:
        assert set(ids(await ask(connection, text, "Condition"))) == expected


async def test_a_value_set_that_one_may_not_see_is_not_there(connection: asyncpg.Connection) -> None:
    await store(connection, *SETS, patient("p", gender="male"))
    seen = parse("gender:in=http://hl7.org/fhir/ValueSet/administrative-gender", "Patient")
    assert ids(await search(connection, seen, UNRESTRICTED, now=NOW)) == ["p"]  # R4's own
    with pytest.raises(Invalid, match="not stored"):
        await search(connection, parse("gender:in=http://vs/listed", "Patient"), Nothing(), now=NOW)


class Nothing:
    """Rules by which nothing may be seen."""

    unrestricted = False

    def predicate(self, alias: str, bind: Bind) -> str:
        return "false"

    def past(self, alias: str, bind: Bind) -> str:
        return "false"


async def test_a_search_of_the_whole_system(connection: asyncpg.Connection) -> None:
    tag = {"tag": [{"code": "t"}]}
    basic = {"resourceType": "Basic", "id": "b", "meta": tag, "subject": {"reference": "Patient/p"}}
    await store(connection, patient("p", meta=tag), basic, patient("q"))
    assert {m.reference for m in (await ask(connection, "_tag=t", None)).matches} == {"Patient/p", "Basic/b"}
    assert {m.reference for m in (await ask(connection, "_id=p", None)).matches} == {"Patient/p"}
    newest = await ask(connection, "_sort=-_lastUpdated&_count=2&_type=Patient,Basic&_total=accurate", None)
    assert [m.reference for m in newest.matches] == ["Patient/q", "Basic/b"] and newest.total == 3
    whole = await search(connection, parse("", None, within=("Patient", "p")), UNRESTRICTED, now=NOW)
    assert {m.reference for m in whole.matches} == {"Patient/p", "Basic/b"}


async def test_types_are_sorted_together_by_what_all_of_them_have(connection: asyncpg.Connection) -> None:
    for number in range(3):
        owner = {"resourceType": "Organization", "id": f"o{number}", "name": f"b{number}"}
        await store(connection, patient(f"p{number}", name=[{"text": f"b{number}"}]), owner)
    ordered = await ask(connection, "_type=Patient,Organization&_sort=-name,_id", None)
    assert ids(ordered) == ["o2", "p2", "o1", "p1", "o0", "p0"]
    text = "_type=Patient,Organization&_sort=-birthdate,-_id&family=b1&_count=2"
    first = parse(text, None, lenient=True)
    page = await search(connection, first, UNRESTRICTED, now=NOW)
    following = replace(parse(encoded(first.used), None, lenient=True), page=page.next)
    rest = await search(connection, following, UNRESTRICTED, now=NOW)
    assert ids(page) + ids(rest) == ["o2", "o1", "o0"]
    everywhere = parse("_sort=name", None, lenient=True)
    assert len((await search(connection, everywhere, UNRESTRICTED, now=NOW)).matches) == 6


async def test_a_composite_whose_code_is_written_last(connection: asyncpg.Connection) -> None:
    for id_, relations in {"a": [("x", "appends"), ("y", "replaces")], "b": [("y", "appends")], "c": []}.items():
        related = [{"code": code, "target": {"reference": f"DocumentReference/{to}"}} for to, code in relations]
        content = {"resourceType": "DocumentReference", "id": id_, "status": "current", "content": [{}]}
        await store(connection, {**content, **({"relatesTo": related} if related else {})})
    system = "http://hl7.org/fhir/document-relationship-type"
    for text, expected in {
        "relationship=DocumentReference/y$appends": ["b"],
        f"relationship=x${system}|appends": ["a"],
        "relationship=DocumentReference/x$replaces": [],
        "relationship=y$appends,y$replaces&_sort=_id": ["a", "b"],
        "relationship:missing=true": ["c"],
    }.items():
        assert ids(await ask(connection, text, "DocumentReference")) == expected, text


async def test_a_chain_to_nearly_all_of_a_type_looks_at_each_once(connection: asyncpg.Connection) -> None:
    observed = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    many = [{**observed, "id": f"o{n}", "subject": {"reference": "Patient/p"}} for n in range(800)]
    await store(connection, *many, {**many[0], "id": "group", "hasMember": [{"reference": "Observation/o7"}]})
    await connection.execute("ANALYZE; SET statement_timeout = 1000")
    for text in ("has-member.status:not=amended", "has-member.focus:missing=true", "has-member._id:not=o8"):
        assert ids(await ask(connection, text, "Observation")) == ["group"], text
    assert ids(await ask(connection, "has-member._id:not=o7&status=final", "Observation")) == []


async def test_what_takes_too_long_says_which_part(connection: asyncpg.Connection) -> None:
    await store(connection, *(patient(f"p{number}", name=[{"family": "a"}]) for number in range(3)))
    await connection.execute(
        "ALTER TABLE string RENAME TO strings;"
        "CREATE VIEW string AS SELECT path, value || pg_sleep(1) AS value, exact, key, person FROM strings"
    )
    await connection.execute("SET statement_timeout = 200")
    with pytest.raises(TooCostly, match="name"):
        await ask(connection, "name:contains=a&gender:missing=true", "Patient")


async def test_a_parameter_posted_at_run_time(connection: asyncpg.Connection) -> None:
    definition = SearchParameterDef(
        "urn:eye", "eye", "eye", ("Patient",), "token", "Patient.extension('urn:eye').value", (), (), (), (), True, True
    )
    REGISTRY.register(definition)
    try:
        assert REGISTRY.pending() == {"urn:eye"}
        await store(connection, patient("a", extension=[{"url": "urn:eye", "valueCode": "blue"}]), patient("b"))
        with pytest.raises(Invalid, match="still being indexed"):
            await ask(connection, "eye=blue", "Patient")
        REGISTRY.mark_ready("urn:eye")
        assert not REGISTRY.pending()
        assert ids(await ask(connection, "eye=blue", "Patient")) == ["a"]
        assert ids(await ask(connection, "eye:missing=true", "Patient")) == ["b"]
    finally:
        REGISTRY.remove("urn:eye")
    with pytest.raises(Invalid, match="no branch"):
        REGISTRY.register(replace(definition, expression="Observation.code"))


async def test_estimates_and_counts(connection: asyncpg.Connection) -> None:
    await store(connection, *(patient(f"p{number}", active=True) for number in range(5)))
    assert (await ask(connection, "_summary=count&active=true", "Patient")).total == 5
    assert (await ask(connection, "_total=estimate&_count=2", "Patient")).total == 5
    assert (await ask(connection, "_count=2", "Patient")).total is None


@pytest.mark.parametrize("codes", ["a,b", "a,b,c", "urn:x|a,urn:y|a,b", "|a,b", ",".join("abcdefghij")])
async def test_a_resource_that_matches_twice_is_found_and_counted_once(
    connection: asyncpg.Connection, codes: str
) -> None:
    both = [{"system": "urn:x", "code": "a"}, {"system": "urn:y", "code": "a"}, {"code": "a"}, {"code": "b"}]
    for number in range(3):
        await store(connection, {"resourceType": "Condition", "id": f"c{number}", "code": {"coding": both}})
    found = await ask(connection, f"code={codes}&_total=accurate&_count=2", "Condition")
    rest = replace(parse(f"code={codes}&_count=2", "Condition"), page=found.next)
    following = await search(connection, rest, UNRESTRICTED, now=NOW, secret=b"s")
    assert sorted([*ids(found), *ids(following)]) == ["c0", "c1", "c2"]
    assert found.total == following.total == 3
