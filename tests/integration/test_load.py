"""Loading into a real database: whole or not at all, the same again, and every refusal with its place."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from xinglin.access.principal import NODE
from xinglin.access.records import House, Records
from xinglin.cli.loading.sources import Reader, find
from xinglin.exchange.loading.report import Refusal, Report
from xinglin.exchange.loading.storing import Storing
from xinglin.kernel.config import Settings
from xinglin.kernel.database import with_database
from xinglin.kernel.errors import Gone

Resource = dict[str, Any]
HERE = "h1"


class Loader:
    """Loads texts as the workers do, in this process."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house = house
        self.folder = folder
        self.records = Records(house, NODE)

    async def text(self, text: bytes | str, custodian: str = HERE, name: str = "input.json") -> Report:
        file = self.folder / name
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        storing = Storing(Records(self.house, NODE), {custodian: f"Hospital {custodian}"})
        report = Report()
        for part in Reader(find([str(file)]), custodian, 1 << 20):
            if isinstance(part, Refusal):
                report.refuse([part], 0)
            else:
                report.add(await storing.store(part))
        return report

    async def bundle(self, *entries: Resource, type: str = "transaction", custodian: str = HERE) -> Report:
        document = {"resourceType": "Bundle", "type": type, "entry": list(entries)}
        return await self.text(json.dumps(document, indent=1), custodian)

    async def lines(self, *lines: Resource | str, custodian: str = HERE) -> Report:
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        return await self.text("\n".join(texts), custodian, "input.ndjson")

    async def stored(self, type: str, id: str) -> Resource:
        return json.loads((await self.records.read(type, id)).body)

    async def count(self) -> int:
        """Resources of every kind, besides the institutions that hold them."""
        return await self.house.database.pool.fetchval("SELECT count(*) FROM resource WHERE id !~ '^h[0-9]$'")

    async def versions(self) -> int:
        return await self.house.database.pool.fetchval("SELECT count(*) FROM history")


@pytest.fixture(scope="module")
async def house(postgres: str, template: str) -> AsyncIterator[House]:
    """One database for all tests of this file; `loader` empties it."""
    admin = await asyncpg.connect(postgres)
    await admin.execute("DROP DATABASE IF EXISTS test_load WITH (FORCE)")
    await admin.execute(f"CREATE DATABASE test_load TEMPLATE {template} STRATEGY file_copy")
    opened = await House.open(Settings(database_url=with_database(postgres, "test_load")), pool_size=2)
    yield opened
    await opened.close()
    await admin.execute("DROP DATABASE test_load WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def loader(house: House, tmp_path: Path) -> Loader:
    tables = await house.database.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    names = [row["tablename"] for row in tables]
    kept = {"migration", "node_secret", *(name for name in names if name.startswith("audit"))}  # the log stays
    emptied = "; ".join(f"DELETE FROM {name}" for name in names if name not in kept)
    await house.database.pool.execute(emptied)
    return Loader(house, tmp_path)


def patient(id: str | None = None, family: str = "Li") -> Resource:
    return {"resourceType": "Patient", **({"id": id} if id else {}), "name": [{"family": family}]}


def condition(subject: str, id: str | None = None, text: str = "cough") -> Resource:
    named = {"id": id} if id else {}
    return {"resourceType": "Condition", **named, "subject": {"reference": subject}, "code": {"text": text}}


def entry(resource: Resource, url: str | None = None, method: str = "POST", **request: str) -> Resource:
    target = resource["resourceType"] + (f"/{resource['id']}" if method == "PUT" else "")
    return {
        **({"fullUrl": url} if url else {}),
        "resource": resource,
        "request": {"method": method, "url": target, **request},
    }


UUID = "7d9e3a10-40a5-4d6c-9a0f-0123456789ab"


# what can be loaded --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["transaction", "batch", "collection", "searchset"])
async def test_bundles_are_taken_apart(loader: Loader, kind: str) -> None:
    report = await loader.bundle(
        {"fullUrl": f"urn:uuid:{UUID}", "resource": patient()},
        {"resource": condition(f"urn:uuid:{UUID}", "c1")},
        type=kind,
    )
    assert report.refused == [] and report.created == Counter(Patient=1, Condition=1)
    assert (await loader.stored("Condition", "c1"))["subject"]["reference"] == f"Patient/{UUID}"


async def test_lines_and_single_resources_load_packed_or_not(loader: Loader) -> None:
    await loader.text(json.dumps(patient("p1"), indent=2))
    await loader.text(gzip.compress(b"\n".join(json.dumps(patient(f"q{n}")).encode() for n in range(900))))
    line = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient("r1")}]})
    report = await loader.lines(line, patient("r2"))
    assert report.created == Counter(Patient=2)
    assert await loader.count() == 903


async def test_a_document_is_one_resource(loader: Loader) -> None:
    composition = {
        "resourceType": "Composition", "status": "final", "type": {"text": "Summary"}, "date": "2026-11-01",
        "author": [{"display": "Dr Wu"}], "title": "Summary",
    }  # fmt: skip
    identifier = {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{UUID}"}
    document = {
        "resourceType": "Bundle", "id": "d1", "type": "document", "timestamp": "2026-11-01T08:00:00Z",
        "identifier": identifier, "entry": [{"fullUrl": f"urn:uuid:{UUID}", "resource": composition}],
    }  # fmt: skip
    report = await loader.text(json.dumps(document))
    assert report.refused == [] and report.created == Counter(Bundle=1)


async def test_the_institution_is_created_once_and_never_overwritten(loader: Loader) -> None:
    await loader.lines(patient("p1"), custodian="h2")
    assert (await loader.stored("Organization", "h2"))["name"] == "Hospital h2"
    await loader.lines({"resourceType": "Organization", "id": "h2", "name": "县人民医院"}, custodian="h2")
    await loader.lines(patient("p2"), custodian="h2")
    assert (await loader.stored("Organization", "h2"))["name"] == "县人民医院"


# the same again ------------------------------------------------------------------------------------------------------


async def test_a_repeated_load_changes_nothing(loader: Loader) -> None:
    entries = (
        entry(patient(), f"urn:uuid:{UUID}"),
        entry(condition(f"urn:uuid:{UUID}")),  # no id, and the same twice: two conditions
        entry(condition(f"urn:uuid:{UUID}")),
    )
    first = await loader.bundle(*entries)
    again = await loader.bundle(*entries)
    assert first.created == again.unchanged == Counter(Patient=1, Condition=2)
    lines = [patient("p1"), patient(family="No id")]
    assert (await loader.lines(*lines)).created == (await loader.lines(*lines)).unchanged == Counter(Patient=2)
    assert await loader.count() == 5 and await loader.versions() == 0


async def test_what_has_no_id_is_another_resource_at_another_institution(loader: Loader) -> None:
    await loader.lines(patient(), custodian="h1")
    await loader.lines(patient(), custodian="h2")
    assert await loader.count() == 2


async def test_a_line_brings_the_record_to_what_it_says(loader: Loader) -> None:
    for family in ("Li", "Wang", "Li"):
        await loader.lines(patient("p1", family))
    stored = await loader.stored("Patient", "p1")
    assert stored["name"][0]["family"] == "Li" and stored["meta"]["versionId"] == "3"


async def test_a_creation_that_was_carried_out_is_not_carried_out_again(loader: Loader) -> None:
    await loader.bundle(entry(patient("p1", "Li")))
    await loader.bundle(entry(patient("p1", "Wang")))
    report = await loader.bundle(entry(patient("p1", "Li")))
    assert report.unchanged == Counter(Patient=1)
    assert (await loader.stored("Patient", "p1"))["name"][0]["family"] == "Wang"


async def test_a_conditional_create_meets_what_exists(loader: Loader) -> None:
    known = patient("p1") | {"identifier": [{"system": "urn:mrn", "value": "1"}]}
    await loader.bundle(entry(known))
    fresh = {name: value for name, value in known.items() if name != "id"}
    report = await loader.bundle(
        entry(fresh, f"urn:uuid:{UUID}", ifNoneExist="identifier=urn:mrn|1"),
        entry(condition(f"urn:uuid:{UUID}", "c1")),
    )
    assert report.refused == []
    assert (await loader.stored("Condition", "c1"))["subject"]["reference"] == "Patient/p1"
    assert await loader.count() == 2


async def test_the_same_id_twice_in_lines_is_its_later_state(loader: Loader) -> None:
    await loader.lines(patient("p1", "Li"), patient("p2"), patient("p1", "Wang"))
    assert (await loader.stored("Patient", "p1"))["name"][0]["family"] == "Wang"


# refused -------------------------------------------------------------------------------------------------------------


async def test_a_bundle_is_stored_whole_or_not_at_all(loader: Loader) -> None:
    wrong = patient("p3") | {"gender": "unheard"}
    report = await loader.bundle(entry(patient("p1")), entry(patient("p2")), entry(wrong), entry(patient("p4")))
    assert await loader.count() == 0 and report.refused_resources == 4
    assert [(one.entry, one.expression) for one in report.refused] == [(2, "Patient.gender")]


async def test_each_refused_line_is_named_and_the_others_are_stored(loader: Loader) -> None:
    lines: list[Resource | str] = [patient(f"p{n}") for n in range(1, 41)]
    lines[6] = patient("p7") | {"birthDate": "yesterday"}
    lines[11] = '{"resourceType": "Patient", "id": "p12", "name":'
    lines[29] = condition("urn:uuid:to-nobody", "c1")  # only the gate can tell
    lines[30] = patient("p 31")
    report = await loader.lines(*lines)
    assert [one.line for one in sorted(report.refused, key=lambda one: one.line or 0)] == [7, 12, 30, 31]
    assert await loader.count() == 36 and report.created == Counter(Patient=36)
    assert all(one.entry is None for one in report.refused)


@pytest.mark.parametrize("url", [f"urn:uuid:{UUID}", None])
async def test_the_same_id_twice_in_a_bundle_is_refused(loader: Loader, url: str | None) -> None:
    report = await loader.bundle(entry(patient("p1")), entry(patient("p2")), entry(patient("p1", "Other"), url))
    assert [one.entry for one in report.refused] == [2] and "twice" in report.refused[0].text
    assert await loader.count() == 0


async def test_what_another_institution_holds_is_refused(loader: Loader) -> None:
    await loader.lines(patient("p1"), patient("p2"), custodian="h1")
    report = await loader.lines(patient("p1"), patient("p2", "Other"), patient("p3"), custodian="h2")
    assert [(one.line, "another institution" in one.text) for one in report.refused] == [(2, True)]
    assert report.unchanged == Counter(Patient=1) and report.created == Counter(Patient=1)


async def test_an_unresolved_reference_refuses_its_bundle(loader: Loader) -> None:
    report = await loader.bundle(entry(patient("p1")), entry(condition(f"urn:uuid:{UUID}", "c1")))
    assert report.refused[0].entry == 1 and UUID in report.refused[0].text
    assert await loader.count() == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<Patient xmlns='http://hl7.org/fhir'/>", "XML"),
        ("[1, 2]", "array"),
        ("name,birth\nLi,1980", "not FHIR JSON"),
        ("\x00\x01\x02", "not FHIR JSON"),
        ('{"resourceType": "Patient",\n "name": [}', "JSON"),
        ('{"resourceType": "Bundle", "type": "transaction",\n "entry": [', "JSON"),
        ('{"resourceType": "Bundle", "type": "transaction",\n "entry": [{"resource": 5}]}', "entry[0]"),
        ('{"resourceType": "Bundle", "type": "transaction",\n "entry": {"resource": {}}}', "Bundle.entry"),
        ('{"resourceType": "Bundle", "type": "history", "entry": []}', "history"),
        ('{"resourceType": "Bundle", "type": "batch", "entry": [{"fullUrl": "urn:uuid:1"}]}', "no resource"),
        ('{"resourceType": "Pateint"}', "Pateint"),
        ('{"id": "1"}', "resourceType"),
        ('{"resourceType": "Patient", "id": "../../etc/passwd"}', "Patient.id"),
        ('{"resourceType": "Patient", "nmae": "Li"}', "nmae"),
        ('{"resourceType": "Patient", "extension":' + '[{"extension":' * 200 + "1", "nested"),
        ('{"resourceType": "Patient", "name": [{"family": "\\ud800"}]}', "input.json"),
        ('{"resourceType": "Patient", "name": [{"family": "a\\u0000b"}]}', "U+0000"),
        (b'{"resourceType": "Patient", "name": [{"family": "\xff\xfe"}]}', "input.json"),
    ],
)
async def test_what_is_no_fhir_gets_a_clear_answer(loader: Loader, text: bytes | str, says: str) -> None:
    report = await loader.text(text)
    assert report.refused_total >= 1 and await loader.count() == 0
    said = " ".join(one.sentence() for one in report.refused)
    assert says in said and "Traceback" not in said and "Xinglin failed" not in said


@pytest.mark.parametrize("method", ["GET", "PATCH", "HEAD"])
async def test_a_bundle_with_anything_but_writes_is_refused(loader: Loader, method: str) -> None:
    report = await loader.bundle(entry(patient("p1")), entry(patient("p2"), method=method))
    assert [(one.entry, one.expression) for one in report.refused] == [(1, "request.method")]
    assert await loader.count() == 0


async def test_html_in_a_name_is_stored_as_the_text_it_is(loader: Loader) -> None:
    await loader.lines(patient("p1", "<script>alert(1)</script>"))
    assert (await loader.stored("Patient", "p1"))["name"][0]["family"] == "<script>alert(1)</script>"


async def test_a_delete_deletes(loader: Loader) -> None:
    await loader.lines(patient("p1"))
    report = await loader.bundle({"request": {"method": "DELETE", "url": "Patient/p1"}})
    assert report.deleted == Counter(Patient=1)
    with pytest.raises(Gone):
        await loader.records.read("Patient", "p1")


# the command ---------------------------------------------------------------------------------------------------------


def run(url: str, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [str(Path(sys.executable).parent / "xinglin"), "load", *words]
    environment = {**os.environ, "XINGLIN_DATABASE_URL": url}
    return subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=300)


async def test_standard_input_and_the_report(database_url: str) -> None:
    lines = [json.dumps(patient("p1")), json.dumps(patient("p2") | {"gender": "?"}), json.dumps(patient("p3"))]
    done = run(database_url, "-", "--custodian", "h1", "--json", "--workers", "2", stdin="\n".join(lines).encode())
    report = json.loads(done.stdout)
    assert done.returncode == 1 and report["created"] == {"Patient": 2}
    assert [(one["source"], one["line"], one["expression"]) for one in report["refused"]] == [
        ("standard input", 2, "Patient.gender")
    ]


async def test_refusals_are_named_on_standard_error(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"resourceType": "Bundle", "type": "x"}))
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps(patient("p1"), indent=1).encode())[:-9])
    done = run(database_url, str(tmp_path), "--workers", "1")
    said = done.stderr.decode()
    assert done.returncode == 1 and "a.json" in said and "Bundle.type" in said
    assert "b.json.gz" in said and "cut off" in said and "Traceback" not in said


@pytest.mark.shared
async def test_all_the_sample_bundles_load_and_load_again(database_url: str, shared: Path) -> None:
    folder = shared / "data" / "synthea"
    files = list(folder.glob("*.json.gz"))
    there = {
        (one["resource"]["resourceType"], one["resource"]["id"])
        for file in files
        for one in json.loads(gzip.decompress(file.read_bytes()))["entry"]
    }
    first = run(database_url, str(folder), "--custodian", "synthea", "--json")
    assert first.returncode == 0 and len(files) == 110
    report = json.loads(first.stdout)
    assert report["created"] == dict(Counter(type for type, _ in there))
    again = json.loads(run(database_url, str(folder), "--custodian", "synthea", "--json").stdout)
    assert again["created"] == again["updated"] == {} and again["resources"] == report["resources"]
