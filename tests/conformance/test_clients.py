"""Two public FHIR clients, fhirpy and fhirclient, read, search and create against the program as it is served."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from fhirclient import client as smart
from fhirclient.models.fhirdate import FHIRDate
from fhirclient.models.fhirreference import FHIRReference
from fhirclient.models.humanname import HumanName
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

if TYPE_CHECKING:
    from serving import Server

pytest_plugins = ("serving",)


def observation(subject: str, value: float) -> dict[str, Any]:
    return {
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": subject},
        "effectiveDateTime": "2024-03-01",
        "valueQuantity": {"value": value, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
    }


async def test_fhirpy_creates_reads_searches_patches_deletes(server: Server) -> None:
    client = AsyncFHIRClient(server.base, authorization=f"Bearer {server.token}")
    patient = client.resource("Patient", name=[{"family": "王", "given": ["小明"]}], birthDate="1980-05-03")
    await patient.save()
    assert patient.id
    for value in (60, 61.5, 62):
        await client.resource("Observation", **observation(patient.to_reference().reference, value)).save()
    read = await client.reference("Patient", patient.id).to_resource()
    assert read["name"][0]["family"] == "王"
    found = await client.resources("Patient").search(family="王", birthdate__ge="1980").fetch()
    assert [one.id for one in found] == [patient.id]
    observations = client.resources("Observation").search(patient=patient.id)
    assert await observations.count() == 3
    assert len(await observations.limit(1).fetch_all()) == 3
    included = await observations.include("Observation", "subject").fetch_raw()
    assert {entry.resource["resourceType"] for entry in included.entry} == {"Observation", "Patient"}
    await patient.patch(active=True)
    patient["birthDate"] = "1981-01-01"
    await patient.save()
    changed = await client.reference("Patient", patient.id).to_resource()
    assert (changed["active"], changed["birthDate"]) == (True, "1981-01-01")
    made, was_made = (
        await client.resources("Patient")
        .search(family="王")
        .get_or_create(client.resource("Patient", name=[{"family": "王"}]))
    )
    assert (made.id, was_made) == (patient.id, False)
    with pytest.raises(OperationOutcome):
        await client.resource("Patient", birthDate="1980-13-01").save()
    await changed.delete()
    with pytest.raises((ResourceNotFound, OperationOutcome)):
        await client.reference("Patient", patient.id).to_resource()


async def test_fhirpy_asks_for_everything_and_the_statement(server: Server) -> None:
    def ask() -> tuple[Any, Any]:
        client = SyncFHIRClient(server.base, authorization=f"Bearer {server.token}")
        patient = client.resource("Patient", name=[{"family": "李"}])
        patient.save()
        statement = client.execute("metadata", method="get")
        return statement, patient.execute("$everything", method="get")

    statement, everything = await asyncio.to_thread(ask)
    assert statement["resourceType"] == "CapabilityStatement"
    assert everything["entry"][0]["resource"]["name"][0]["family"] == "李"


async def test_fhirclient_creates_reads_searches(server: Server) -> None:
    def ask() -> None:
        settings = {"app_id": "test", "api_base": server.base}
        connected = smart.FHIRClient(settings=settings)
        connected.server.session.headers["Authorization"] = f"Bearer {server.token}"
        patient = Patient()
        patient.name = [HumanName({"family": "赵", "given": ["敏"]})]
        patient.birthDate = FHIRDate("1980-05-03")
        made = patient.create(connected.server)
        read = Patient.read(made["id"], connected.server)
        assert read.name[0].family == "赵"
        seen = Observation(observation(f"Patient/{made['id']}", 72.5) | {"resourceType": "Observation"})
        assert isinstance(seen.subject, FHIRReference)
        seen.create(connected.server)
        found = Observation.where({"patient": made["id"], "code": "8867-4"}).perform_resources(connected.server)
        assert [one.valueQuantity.value for one in found] == [72.5]
        read.active = True
        read.update(connected.server)
        assert Patient.read(made["id"], connected.server).active is True
        assert len(Patient.where({"family": "赵"}).perform_resources(connected.server)) == 1

    await asyncio.to_thread(ask)
