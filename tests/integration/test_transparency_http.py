"""Heads, proofs and receipts over HTTP: what everybody may check, what only some may see, what a witness answers."""

from __future__ import annotations

import re

import httpx
import pytest

from serving import Client
from xinglin.access.audit import Access, heads, merkle, notes, tree, witness
from xinglin.access.audit.notes import Head, Key, Signer
from xinglin.access.audit.tree import leaf_of
from xinglin.access.house import House
from xinglin.access.identity import tokens
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.core.store.keys import key_of

pytest_plugins = ("serving",)

BASE = "http://127.0.0.1:8080/log"


@pytest.fixture
async def http(fhir: Client, house: House) -> httpx.AsyncClient:
    """A stranger, at a node whose log has some lines."""
    for id in ("a1", "a2"):
        await Records(house, NODE).write([Write("PUT", "Patient", id, {"resourceType": "Patient", "id": id})])
    await grow(house)
    del fhir.http.headers["authorization"]
    return fhir.http


async def grow(house: House, reads: int = 3) -> Head:
    for _ in range(reads):
        await Records(house, NODE, why="ward round").read("Patient", "a1")
    await tree.catch_up(house.database)
    return await heads.sign(house.database, house.settings)


async def bearer(house: House, role: Role, **whose: str) -> dict[str, str]:
    token, _ = await tokens.issue(house.database, role, 1, **whose)  # type: ignore[arg-type]
    return {"authorization": f"Bearer {token}"}


async def test_a_stranger_follows_the_log_from_head_to_head(http: httpx.AsyncClient, house: House) -> None:
    first = notes.read((await http.get(f"{BASE}/checkpoint")).text)
    key = notes.key_of_text((await http.get(f"{BASE}/key")).text.splitlines()[0])
    assert first.signature_of(key) is not None
    await grow(house)
    second = notes.read((await http.get(f"{BASE}/checkpoint")).text)
    asked = {"from": first.size, "to": second.size}
    path = (await http.get(f"{BASE}/consistency", params=asked)).json()["path"]
    proof = [bytes.fromhex(one) for one in path]
    assert merkle.verify_consistency(first.size, second.size, first.root, second.root, proof)
    found = (await http.get(f"{BASE}/inclusion", params={"leaf": 1, "size": first.size})).json()
    path = [bytes.fromhex(one) for one in found["path"]]
    assert merkle.verify_inclusion(bytes.fromhex(found["hash"]), 1, first.size, path, first.root)
    listed = (await http.get(f"{BASE}/heads")).json()["heads"]
    assert [one["size"] for one in listed][:2] == [second.size, first.size]
    assert (await http.get(f"{BASE}/heads/{first.size}")).text == first.text


async def test_what_everybody_sees_holds_no_personal_data(http: httpx.AsyncClient, house: House) -> None:
    for path in ("checkpoint", "key", "heads", "inclusion?leaf=0", "inclusion?event=a1", "consistency?from=1&to=3"):
        answer = await http.get(f"{BASE}/{path}")
        assert answer.status_code == 200, path
        assert not re.search(r"Patient|ward|dr-a|salt|login", answer.text), path
    assert (await http.get(f"{BASE}/entry/a1")).status_code == 401


async def test_a_receipt_is_for_the_person_and_their_institution(http: httpx.AsyncClient, house: House) -> None:
    head = await grow(house)
    seq = await house.database.pool.fetchval(
        "SELECT seq FROM audit WHERE target = 'Patient/a1' AND action = 'R' AND person = $1 LIMIT 1",
        key_of("Patient", "a1"),
    )
    address = f"{BASE}/entry/a{seq}"
    own = (await http.get(address, headers=await bearer(house, Role.PATIENT, patient="a1"))).json()
    hashed = leaf_of(own["line"], bytes.fromhex(own["salt"]))
    assert hashed.hex() == own["hash"] and own["line"]["why"] == "ward round"
    assert notes.read(own["head"]).root == head.root
    path = [bytes.fromhex(one) for one in own["path"]]
    assert merkle.verify_inclusion(hashed, own["leaf"], head.size, path, head.root)
    for whose in (
        await bearer(house, Role.PATIENT, patient="a2"),
        await bearer(house, Role.MANAGER, institution="B"),
    ):
        assert (await http.get(address, headers=whose)).status_code == 404
    doctor = await bearer(house, Role.CLINICIAN, institution="A", practitioner="pa")
    assert (await http.get(address, headers=doctor)).status_code == 403
    manager = await bearer(house, Role.MANAGER, institution="A")
    probe = Principal("dr-a", "Dr A", Role.CLINICIAN, Purpose.TREATMENT, institution="A", practitioner="pa")
    patient, person = await bearer(house, Role.PATIENT, patient="a1"), (key_of("Patient", "a1"),)
    for outcome, told in ((0, 200), (4, 404)):  # who guesses in vain is not told that there would be something
        await house.audit.write(Access(probe, "read", "Observation/guess", person, outcome=outcome))
        await grow(house)
        seq = await house.database.pool.fetchval("SELECT max(seq) FROM audit WHERE target = 'Observation/guess'")
        assert (await http.get(f"{BASE}/entry/a{seq}", headers=patient)).status_code == 200
        assert (await http.get(f"{BASE}/entry/a{seq}", headers=manager)).status_code == told


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("inclusion", 400),
        ("inclusion?leaf=x", 400),
        ("inclusion?leaf=-1", 400),
        ("inclusion?leaf=99999999999999999999", 400),
        ("inclusion?leaf=0&size=10000", 404),
        ("inclusion?leaf=5000", 404),
        ("inclusion?event=Patient/a1", 404),
        ("inclusion?event=a99999", 404),
        ("consistency?from=5&to=2", 404),
        ("consistency?from=1", 400),
        ("heads/0x1", 400),
        ("heads/12345", 404),
        ("heads?before=%EF%BC%91", 400),
    ],
)
async def test_what_is_no_proof_is_refused_in_a_sentence(http: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await http.get(f"{BASE}/{path}")
    assert answer.status_code == status and answer.headers["content-type"].startswith("text/plain")
    assert "Traceback" not in answer.text and len(answer.text.splitlines()) == 1


async def test_the_node_is_a_witness_of_logs_that_it_knows(http: httpx.AsyncClient, house: House) -> None:
    log = Signer.of("other.example/log", b"k" * 32)
    leaves = [merkle.leaf_hash(str(number).encode()) for number in range(9)]

    def head(size: int) -> Head:
        return Head(log.key.name, size, merkle.root_of(leaves[:size])).signed(log)

    async def ask(request: witness.Request) -> httpx.Response:
        return await http.post(f"{BASE}/add-checkpoint", content=request.text)

    assert (await ask(witness.Request(0, (), head(4)))).status_code == 404
    async with house.database.connection() as connection:
        await heads.trust(connection, log.key)
    signed = await ask(witness.Request(0, (), head(4)))
    node = notes.key_of_text((await http.get(f"{BASE}/key")).text.splitlines()[1])
    assert notes.read(head(4).text + signed.text).signature_of(node) is not None
    other = await ask(witness.Request(2, (), head(8)))
    assert (other.status_code, other.text) == (409, "4\n")
    assert other.headers["content-type"].startswith("text/x.tlog.size")
    proof = tuple(merkle.value(part, merkle.grow(0, leaves[:8], {})) for part in merkle.consistency(4, 8))
    assert (await ask(witness.Request(4, proof[:-1], head(8)))).status_code == 422
    forked = Head(log.key.name, 8, bytes(32)).signed(log)
    assert (await ask(witness.Request(4, proof, forked))).status_code == 422
    assert (await ask(witness.Request(4, proof, Head(log.key.name, 8, head(8).root)))).status_code == 403
    assert (await ask(witness.Request(4, proof, head(8)))).status_code == 200
    assert (await ask(witness.Request(8, (), head(8)))).status_code == 200  # the same head again
    assert (await ask(witness.Request(8, (), head(4)))).status_code == 422  # an older tree
    damaged = b"old 0\n" + b"A" * 100 + b"\n\n" + head(4).text.encode()
    for text in (b"", b"old x\n\n", b"\xff\xfe", damaged, b"old 0\n" * 9000):
        answer = await http.post(f"{BASE}/add-checkpoint", content=text)
        assert answer.status_code in (400, 413), text[:20]


async def test_a_witnesss_signature_is_kept_and_shown(http: httpx.AsyncClient, house: House) -> None:
    watcher = Signer.of("watcher.example/witness", b"w" * 32, notes.WITNESS)
    head = await grow(house)
    cosigned = head.also(head.cosigned(watcher, 1_700_000_000)).text

    async def send(text: str) -> int:
        return (await http.post(f"{BASE}/cosignature", content=text)).status_code

    assert await send(cosigned) == 403
    async with house.database.connection() as connection:
        await heads.trust(connection, watcher.key)
    assert await send(cosigned) == 200
    shown = notes.read((await http.get(f"{BASE}/checkpoint")).text)
    assert shown.signature_of(Key("watcher.example/witness", watcher.key.public, notes.WITNESS)) is not None
    assert await send(cosigned.replace(str(head.size), str(head.size + 1), 1)) == 409
