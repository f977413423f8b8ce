"""Attack cases 41-46: what a bulk export must not give, and what an import must not take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bulk import begin, client, county, exported, lines, names, observation, put, work
from xinglin.access import bulk as gate
from xinglin.access.categories import categories
from xinglin.access.consent import provision
from xinglin.access.house import House
from xinglin.access.identity import tokens
from xinglin.access.principal import Role
from xinglin.exchange.bulk import exporting, operations
from xinglin.exchange.bulk.background import handlers
from xinglin.kernel import clock, jobs
from xinglin.kernel.errors import Gone

__all__ = ["county"]

CONSENT_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
P1 = {"Patient/p1", "Observation/p1-0", "Observation/p1-1", "Observation/p1-2"}


def of_people(found: set[str]) -> set[str]:
    return {name for name in found if name.startswith(("Patient/", "Observation/"))}


def opened(end: str) -> dict[str, object]:
    """p3, known at B, opens what B holds to programs of A until `end`."""
    given = provision(
        custodian="B",
        grantee="A",
        category_codes=[category.code for category in categories()],
        label_codes=[],
        start="2020-01-01",
        end=end,
        purpose="HSYSADMIN",
    )
    return {
        "resourceType": "Consent",
        "id": "c3",
        "status": "active",
        "scope": {"coding": [{"system": CONSENT_SCOPE, "code": "patient-privacy"}]},
        "category": [{"text": "sharing"}],
        "patient": {"reference": "Patient/p3"},
        "provision": given,
    }


async def test_41_a_group_export_leaves_siblings_out(county: House) -> None:
    """Only active members; not the group's other people, nor other groups that a member is in."""
    other = [{"entity": {"reference": f"Patient/{id}"}} for id in ("p1", "p2")]
    group = {"resourceType": "Group", "id": "other", "type": "person", "actual": True, "member": other}
    await put(county, "A", group)
    async with client(county) as fhir:
        assert names(await lines(fhir, await exported(county, fhir, "Group/g/$export"))) == P1
        assert (await fhir("GET", "Group/g/$export?_type=Group")).status_code == 400
        body = {
            "resourceType": "Parameters",
            "parameter": [{"name": "patient", "valueReference": {"reference": "Patient/p2"}}],
        }
        assert await lines(fhir, await exported(county, fhir, "Group/g/$export", body)) == []


@pytest.mark.parametrize("path", ["$export", "Patient/$export", "Group/mixed/$export"])
async def test_42_rules_hold_at_every_level(county: House, path: str) -> None:
    """A program of A, limited to A by its token, gets nothing of B's; one limited to a scope gets its types alone."""
    members = [{"entity": {"reference": f"Patient/{id}"}} for id in ("p1", "p2", "p3")]
    await put(
        county, "A", {"resourceType": "Group", "id": "mixed", "type": "person", "actual": True, "member": members}
    )
    mine = {name.replace("p1", id) for name in P1 for id in ("p1", "p2")}
    async with client(county, institution="A") as fhir:
        assert of_people(names(await lines(fhir, await exported(county, fhir, path)))) == mine
    async with client(county, institution="A", scopes=["system/Patient.rs", "system/Group.rs"]) as fhir:
        found = names(await lines(fhir, await exported(county, fhir, path)))
        assert of_people(found) == {"Patient/p1", "Patient/p2"}
    async with client(county, scopes=["system/Patient.r", "system/Observation.s", "system/Group.rs"]) as fhir:
        assert of_people(names(await lines(fhir, await exported(county, fhir, path)))) == set()


async def test_42_a_group_that_may_not_be_seen_is_not_there(county: House) -> None:
    async with client(county, institution="B") as fhir:
        hidden, missing = await fhir("GET", "Group/g/$export"), await fhir("GET", "Group/none/$export")
        assert hidden.status_code == missing.status_code == 404
        assert hidden.text.replace("/g", "/none") == missing.text


async def test_42_a_person_takes_their_own_record_and_nobody_elses(county: House) -> None:
    async with client(county, Role.PATIENT, patient="p1") as fhir:
        assert names(await lines(fhir, await exported(county, fhir, "Patient/$export"))) == P1
        assert of_people(names(await lines(fhir, await exported(county, fhir, "$export")))) == P1


@pytest.mark.parametrize("role", [Role.CLINICIAN, Role.CLERK, Role.MANAGER, Role.PHARMACIST])
async def test_42_staff_do_not_export_in_bulk(county: House, role: Role) -> None:
    async with client(county, role, institution="A") as fhir:
        assert (await fhir("GET", "$export")).status_code == 403


async def test_43_a_status_and_a_file_are_their_owners_alone(county: House) -> None:
    async with client(county) as owner, client(county) as other:
        where = await begin(owner, "$export")
        await work(county)
        file = (await owner("GET", where)).json()["output"][0]["url"].removeprefix(f"{owner.base}/")
        for method, address in (("GET", where), ("GET", file), ("DELETE", where)):
            hidden = await other(method, address)
            missing = await other(method, "$export-status?job=00000000-0000-0000-0000-000000000000")
            assert (hidden.status_code, hidden.text) == (404, missing.text)
        assert (await owner("GET", file)).status_code == 200


@pytest.mark.parametrize("name", ["..", "../../x", "Patient-1.ndjson/..", "/etc/passwd", "Patient-2.ndjson", ""])
async def test_43_only_files_of_the_manifest_are_served(county: House, name: str) -> None:
    async with client(county) as fhir:
        where = await begin(fhir, "$export")
        await work(county)
        job = where.partition("job=")[2]
        assert (await fhir("GET", f"$export-file?job={job}&name={name}")).status_code == 404


async def test_44_nothing_is_served_once_the_token_is_revoked(county: House) -> None:
    async with client(county) as fhir:
        where = await begin(fhir, "$export")
        await work(county)
        file = (await fhir("GET", where)).json()["output"][0]["url"].removeprefix(f"{fhir.base}/")
        assert (await fhir("GET", file)).status_code == 200
        await tokens.revoke(county.database, fhir.token_id)  # type: ignore[attr-defined]
        assert (await fhir("GET", file)).status_code == 401
        assert (await fhir("GET", where)).status_code == 401


async def test_44_a_revoked_owner_stops_the_job(county: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with client(county) as fhir:
        where = await begin(fhir, "$export")
        await tokens.revoke(county.database, fhir.token_id)  # type: ignore[attr-defined]
        await work(county)
        async with county.database.connection() as connection:
            job = await jobs.find(connection, where.partition("job=")[2])
        assert job is not None and job.state == jobs.FAILED and "no longer valid" in job.error
        assert list((county.settings.home / "exports").iterdir()) == []


async def test_44_consent_withdrawn_stops_the_rest_and_closes_the_files(
    county: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "STRETCH", 1)
    monkeypatch.setattr(exporting, "SYNC_BYTES", 0)
    await put(county, "B", opened("2099-01-01"))
    async with client(county, institution="A") as fhir:
        open_to_a = of_people(names(await lines(fhir, await exported(county, fhir, "Patient/$export"))))
        assert {"Patient/p3", "Observation/p3-2"} <= open_to_a
        where = await begin(fhir, "Patient/$export?_type=Observation,Patient")
        running = await jobs.claim(county.database, [exporting.KIND])
        assert running is not None
        folder = county.settings.home / "exports" / where.partition("job=")[2]
        save, withdrawn = running.save, False

        def written() -> str:
            return "".join(path.read_text() for path in folder.iterdir())

        async def saving(connection: object) -> None:
            nonlocal withdrawn
            await save(connection)  # type: ignore[arg-type]
            if not withdrawn and '"id":"p3-' in written():
                withdrawn = True
                await put(county, "B", opened("2024-02-01"))

        running.save = saving  # type: ignore[method-assign]
        await handlers(county)[exporting.KIND](running)
        await running.finish(jobs.DONE)
        assert written().count('"id":"p3-') == 1
        assert '"id":"p3"' not in written()
        assert (await fhir("GET", where)).status_code == 410
        assert not folder.exists()


async def test_44_files_made_before_a_withdrawal_are_not_handed_out(county: House) -> None:
    await put(county, "B", opened("2099-01-01"))
    async with client(county, institution="A") as fhir:
        where = await begin(fhir, "Patient/$export")
        await work(county)
        manifest = (await fhir("GET", where)).json()
        await put(county, "B", opened("2024-02-01"))
        file = manifest["output"][0]["url"].removeprefix(f"{fhir.base}/")
        assert (await fhir("GET", file)).status_code == 410
        again = await exported(county, fhir, "Patient/$export")
        assert not any("p3" in name for name in names(await lines(fhir, again)))


async def test_44_a_download_under_way_ends_with_the_acknowledgement_of_a_withdrawal(
    county: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(county, "B", opened("2099-01-01"))
    async with client(county, institution="A") as fhir:
        manifest = await exported(county, fhir, "Patient/$export?_type=Observation")
        file = manifest["output"][0]["url"].removeprefix(f"{fhir.base}/")
        read = []

        async def pieces(path: Path, size: int, start: int) -> AsyncIterator[bytes]:
            """The file line by line; the person withdraws, and is told so, before the third."""
            text = await asyncio.to_thread(path.read_bytes)
            for number, line in enumerate(text[start : start + size].splitlines(keepends=True)):
                if number == 2:
                    await put(county, "B", opened("2024-02-01"))
                read.append(line)
                yield line

        assert len((await fhir("GET", file)).text.splitlines()) > 3
        monkeypatch.setattr(operations, "parts", pieces)
        with pytest.raises(Gone):  # the server ends the connection
            await fhir("GET", file)
        assert len(read) == 3, "the third was read and not sent"
        assert (await fhir("GET", file)).status_code == 404, "the files are gone"


async def test_44_files_are_closed_when_a_consent_runs_out(county: House) -> None:
    await put(county, "B", opened("2099-01-01"))
    async with client(county, institution="A") as fhir:
        where = await begin(fhir, "Patient/$export")
        await work(county)
        assert (await fhir("GET", where)).status_code == 200
        async with county.database.connection() as connection:
            await connection.execute("UPDATE access_grant SET ends = $1", clock.micros(clock.now()))
        assert (await fhir("GET", where)).status_code == 410


@pytest.mark.parametrize(
    "query",
    [
        "Observation?_id=p3-0",
        "Observation?subject=Patient/p3",
        "Observation?subject:Patient.name=p3",
        "Observation?_filter=subject eq Patient/p3",
    ],
)
async def test_45_a_filter_narrows_and_never_widens(county: House, query: str) -> None:
    async with client(county, institution="A") as fhir:
        assert await lines(fhir, await exported(county, fhir, f"Patient/$export?_typeFilter={query}")) is not None
        found = await lines(fhir, await exported(county, fhir, f"$export?_type=Observation&_typeFilter={query}"))
        assert found == []


@pytest.mark.parametrize(
    "query",
    [
        "Patient?_has:Observation:subject:code=code-1",
        "Patient?_has:Observation:subject:_id=b-about-p1",
    ],
)
async def test_45_a_filter_cannot_ask_about_what_is_hidden(county: House, query: str) -> None:
    """B wrote about p1: to A, limited to its own, a filter answers as if that did not exist."""
    await put(county, "B", observation("b-about-p1", "p1", 7))
    async with client(county, institution="A") as fhir:
        found = names(await lines(fhir, await exported(county, fhir, f"$export?_type=Patient&_typeFilter={query}")))
        assert found == ({"Patient/p1", "Patient/p2"} if "code-1" in query else set())


async def test_every_person_that_is_disclosed_is_in_the_access_log(county: House) -> None:
    async with client(county) as fhir:
        where = await begin(fhir, "Group/g/$export")
        await work(county)
        job = where.partition("job=")[2]
        await lines(fhir, (await fhir("GET", where)).json())
        async with county.database.connection() as connection:
            rows = await connection.fetch("SELECT * FROM audit WHERE target LIKE $1 ORDER BY seq", f"$export {job}%")
        shown = {row["person"] for row in rows} - {0}
        assert shown == set(gate.patient_keys(["p1"]))
        assert {row["login"] for row in rows} == {f"token:{fhir.token_id}"}  # type: ignore[attr-defined]
        assert any(row["target"].endswith("Observation-1.ndjson") for row in rows)


async def test_89_an_export_for_research_heeds_opt_outs_and_names_the_law_where_it_does_not(county: House) -> None:
    refusal = {
        **opened("9999"),
        "id": "no",
        "patient": {"reference": "Patient/p1"},
        "provision": {"type": "deny", "purpose": [{"code": "HRESCH"}, {"code": "PUBHLTH"}]},
    }
    async with client(county) as fhir:
        research = "$export?_type=Patient,Observation&_purpose=HRESCH"
        early = await exported(county, fhir, research)
        assert "Patient/p1" in names(await lines(fhir, early))
        await put(county, "A", refusal)
        address = early["output"][0]["url"].removeprefix(f"{fhir.base}/")
        assert (await fhir("GET", address, accept="application/fhir+ndjson")).status_code == 410
        assert "Patient/p1" not in names(await lines(fhir, await exported(county, fhir, research)))
        reported = "$export?_type=Patient&_purpose=PUBHLTH&_legalBasis=statutory-reporting"
        assert "Patient/p1" in names(await lines(fhir, await exported(county, fhir, reported)))
        for wrong in ("_purpose=BORED", "_purpose=HRESCH&_legalBasis=statutory-reporting", "_legalBasis=mine"):
            assert (await fhir("GET", f"$export?{wrong}", prefer="respond-async")).status_code in (400, 403)
    async with county.database.connection() as connection:
        told = await connection.fetchval("SELECT count(*) FROM audit WHERE why LIKE 'statutory-reporting: PIPL%'")
    assert told
