"""Attack cases 68-76 (parsers) and 83-88 (denial of service): a clear refusal, in bounded time, and never a 500.

Every answer is held to this by the client itself (`serving.check_answer`).
"""

from __future__ import annotations

import asyncio
import gzip
import json
import string
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from serving import Client, Server

pytest_plugins = ("serving",)

SLOWEST = 2.0  # seconds of one request

PATIENT = {"resourceType": "Patient", "name": [{"family": "王"}]}


async def timed(fhir: Client, *arguments: Any, **headers: str) -> Any:
    start = time.process_time()
    answer = await fhir(*arguments, **headers)
    assert time.process_time() - start < SLOWEST, arguments[:2]
    return answer


async def nothing_stored(fhir: Client) -> bool:
    return (await fhir("GET", "Patient?_summary=count")).json()["total"] == 0


# 68, 69: XML never reaches a parser ---------------------------------------------------------------------------------

XXE = '<?xml version="1.0"?><!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><Patient xmlns="http://hl7.org/fhir">&x;</Patient>'


@pytest.mark.parametrize(
    "kind", ["application/fhir+xml", "application/xml", "text/xml", "application/xslt+xml", "text/html", ""]
)
async def test_68_69_xml_is_no_content_type_of_ours(still: Client, kind: str) -> None:
    answer = await timed(still, "POST", "Patient", XXE, content_type=kind)
    assert answer.status_code == 415
    assert "application/fhir+json" in answer.json()["issue"][0]["diagnostics"]


async def test_68_xml_named_json_is_malformed(still: Client) -> None:
    answer = await timed(still, "POST", "Patient", XXE)
    assert answer.status_code == 400
    assert "root" not in answer.text


async def test_68_xml_is_not_given_out_either(still: Client) -> None:
    for query in ("_format=xml", "_format=application/fhir%2Bxml", "_format=ttl"):
        assert (await still("GET", f"Patient?{query}")).status_code == 406


# 70-75: JSON that is too deep, too much, or says two things ---------------------------------------------------------


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


QUANTITY = '{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":%s}}'
BAD_JSON = {
    "70_deep arrays": '{"resourceType":"Patient","name":' + nested(1000) + "}",
    "70_very deep arrays": '{"resourceType":"Patient","name":' + nested(200_000) + "}",
    "70_deep objects": '{"resourceType":"Patient","extension":'
    + nested(1000, '[{"extension":', "}]").replace(":}", ":[]}")
    + "}",
    "unclosed": "[" * 100_000,
    "71_duplicate key": '{"resourceType":"Patient","active":true,"active":false}',
    "71_duplicate type": '{"resourceType":"Patient","resourceType":"Person"}',
    "71_escaped duplicate": '{"resourceType":"Patient","active":true,"\\u0061ctive":false}',
    "74_huge number": QUANTITY % ("9" * 100_000),
    "74_huge exponent": QUANTITY % "1e999999999",
    "not a number": QUANTITY % "NaN",
    "74_huge integer": '{"resourceType":"Patient","multipleBirthInteger":' + "9" * 5000 + "}",
    "nul character": '{"resourceType":"Patient","name":[{"family":"a\\u0000b"}]}',
    "lone surrogate": '{"resourceType":"Patient","name":[{"family":"\\ud800"}]}',
    "array for the resource": "[]",
    "text for the resource": '"Patient"',
    "no type": "{}",
    "type that is none": '{"resourceType":"Pateint"}',
    "type of another kind": '{"resourceType":{"a":1}}',
    "abstract type": '{"resourceType":"DomainResource"}',
    "comment": '{"resourceType":"Patient" /* x */}',
    "trailing text": '{"resourceType":"Patient"} {"resourceType":"Patient"}',
    "single quotes": "{'resourceType':'Patient'}",
    "empty": "",
    "blank": "  \n ",
    "byte order mark": "\ufeff" + '{"resourceType":"Patient"}',
    "72_contained in contained": json.dumps(
        {
            "resourceType": "Patient",
            "contained": [
                {"resourceType": "Patient", "id": "a", "contained": [{"resourceType": "Patient", "id": "b"}]}
            ],
        }
    ),
    "72_the same contained twice": json.dumps(
        {"resourceType": "Patient", "contained": [{"resourceType": "Patient", "id": "a"}] * 2}
    ),
    "null element": '{"resourceType":"Patient","active":null}',
    "empty array": '{"resourceType":"Patient","name":[]}',
    "empty object": '{"resourceType":"Patient","maritalStatus":{}}',
    "prototype": '{"resourceType":"Patient","__proto__":{"a":1}}',
}


@pytest.mark.parametrize("name", BAD_JSON)
async def test_70_75_bad_json_is_refused_and_nothing_stored(still: Client, name: str) -> None:
    text = BAD_JSON[name]
    kind = "Observation" if '"Observation"' in text[:40] else "Patient"
    answer = await timed(still, "POST", kind, text)
    assert answer.status_code in (400, 422), answer.text[:300]
    assert answer.json()["issue"][0]["severity"] in ("error", "fatal")
    assert await nothing_stored(still)


async def test_malformed_json_is_refused_with_its_place(still: Client) -> None:
    answer = await still("POST", "Patient", '{"resourceType":"Patient",\n "name": [}')
    assert "line 2" in answer.json()["issue"][0]["diagnostics"]


async def test_70_not_utf8_is_refused_with_its_place(still: Client) -> None:
    for raw in (b'{"resourceType":"Patient","id":"\xff"}', '{"resourceType":"Patient"}'.encode("utf-16")):
        answer = await still("POST", "Patient", raw)
        assert answer.status_code == 400


async def test_73_a_hundred_thousand_elements_are_counted_in_time(fhir: Client) -> None:
    many = {"resourceType": "Patient", "name": [{"given": ["x"] * 100_000}]}
    assert (await timed(fhir, "POST", "Patient", many)).status_code in (201, 413, 422)
    wrong = {"resourceType": "Patient", "name": [{"colour": "x"}] * 50_000}
    answer = await timed(fhir, "POST", "Patient", wrong)
    assert answer.status_code == 422
    assert len(answer.content) < 100_000


# 75: bombs ----------------------------------------------------------------------------------------------------------


async def test_75_a_gzip_bomb_is_stopped_while_it_unpacks(still: Client) -> None:
    bomb = gzip.compress(b"0" * (200 << 20), 9)
    assert len(bomb) < 1 << 20
    answer = await timed(still, "POST", "Patient", bomb, content_encoding="gzip")
    assert answer.status_code == 413


async def test_75_gzip_that_is_cut_off_or_none_is_refused(still: Client) -> None:
    packed = gzip.compress(json.dumps(PATIENT).encode())
    for body in (packed[:-9], packed[:5], b"not gzip", b"\x1f\x8b"):
        answer = await still("POST", "Patient", body, content_encoding="gzip")
        assert answer.status_code == 400, body
    assert (await still("POST", "Patient", packed, content_encoding="br")).status_code == 415
    assert await nothing_stored(still)


async def test_a_body_beyond_the_limit_is_refused_whether_declared_or_streamed(still: Client) -> None:
    answer = await timed(still, "POST", "Patient", b"x" * (3 << 20))
    assert answer.status_code == 413

    async def chunks() -> Any:
        for _ in range(64):
            yield b"x" * (1 << 20)

    streamed = await still.http.post(
        still.base + "/Patient", content=chunks(), headers={"content-type": "application/json"}
    )
    assert streamed.status_code == 413


# 76: addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "Patient/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "Patient/%2e%2e",
        "Patient/..%00",
        "Patient/" + "a" * 65,
        "Patient/" + "a" * 5000,
        "Patient/a%20b",
        "Patient/a;b",
        "Patient/%ff",
        "Patient/王",
        "Patient/a'--",
        "Patient//a",
        "%2e%2e/metadata",
        "Patient/a/_history/1/2/3",
        "Patient/a/_history/%2e%2e",
        "metadata/x",
        "$nothing",
        "Patient/$",
        "Patient/a/Pateint",
        "*",
    ],
)
async def test_76_strange_addresses_are_refused(still: Client, path: str) -> None:
    for method in ("GET", "PUT", "DELETE", "POST", "PATCH"):
        body = {**PATIENT, "id": "a"} if method in ("PUT", "POST", "PATCH") else None
        answer = await timed(still, method, path, body)
        assert answer.status_code in (400, 404, 405), (method, path, answer.status_code)
    assert await nothing_stored(still)


async def test_76_a_path_that_climbs_stays_in_its_room(server: Server) -> None:
    """As sent on the wire: clients tidy such paths away."""

    async def status(path: str) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        lines = (f"GET {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {server.token}", "Connection: close")
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        status = int(answer.split()[1])
        assert (status == 200 or b"OperationOutcome" in answer) and b"Traceback" not in answer
        return status

    for path in ("Patient/../metadata", "../fhir/metadata", "Patient/..", "Patient/%2e%2e", "Patient/%2e%2e%2fx", "."):
        assert await status(f"/fhir/{path}") in (400, 404), path
    assert await status("/fhir/Patient?family=王") == 200  # not percent-encoded, as curl sends it


async def test_methods_that_are_not_served_say_which_are(still: Client) -> None:
    answer = await still("PUT", "metadata", PATIENT)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert (await still("TRACE", "Patient/a")).status_code == 405
    assert (await still("OPTIONS", "Patient")).status_code == 405


async def test_82_what_a_caller_sent_comes_back_as_json_only(still: Client) -> None:
    for path in ("Patient?<script>alert(1)</script>=1", "<script>", "Patient/<script>"):
        answer = await still("GET", path, prefer="handling=strict", accept="text/html,*/*")
        assert answer.status_code in (400, 404)
        assert answer.headers["content-type"].startswith("application/fhir+json")
        assert "default-src 'none'" in answer.headers["content-security-policy"]


# 83-88: asking for too much -----------------------------------------------------------------------------------------

HEAVY = [
    "Patient?_count=1000000000",
    "Patient?_count=99999999999999999999999",
    "Patient?_count=-1",
    "Patient?_include=*&_revinclude=*&_include:iterate=*",
    "Observation?subject.general-practitioner.organization.partof.partof.partof.partof.partof.partof.name=a",
    "Patient?name:contains=" + "(a%2B)%2B" * 200 + "$",
    "Patient?name:contains=%25%25%25%25%25%25%25_%5C",
    "Patient?name=" + ",".join("a" * 3 for _ in range(5000)),
    "Patient?" + "&".join(f"name={number}" for number in range(2000)),
    "Patient?name=" + "a" * 60_000,
    "Patient?_has:Observation:patient:_has:Observation:subject:code=1",
    "Patient?" + "_has:Observation:patient:" * 60 + "code=1",
    "Patient?_filter=" + "(" * 3000 + "name eq a" + ")" * 3000,
    "Patient?_filter=name eq",
    "Patient?_sort=" + ",".join(["-birthdate"] * 500),
    "Patient?_page=AAAA",
    "Patient?_lastUpdated=ge99999999",
    "Patient?birthdate=2024-02-31",
    "Patient?birthdate=eb0000-00-00T99:99:99Z",
    "Observation?value-quantity=1e400",
    "Observation?value-quantity=" + "9" * 400,
    "Observation?code=%00",
    "Observation?code=%ff%fe",
    "Observation?code=|||||",
    "Observation?code:in=",
    "?_type=" + ",".join(["Patient"] * 1000),
    "Patient/_history?_since=9999-99-99",
    "Patient/_history?_since=0001-01-01T00:00:00%2B14:00",
    "Patient/_history?_at=9999-12-31T23:59:60Z",
    "Patient/_history?_count=99999999999999999999",
]


@pytest.mark.parametrize("path", HEAVY, ids=lambda path: path[:50])
async def test_83_85_a_wish_too_large_is_cut_or_refused_in_time(still: Client, path: str) -> None:
    answer = await timed(still, "GET", path)
    assert answer.status_code in (200, 400, 413, 414, 422, 503), answer.status_code


async def test_86_a_stranger_is_refused_before_the_body_is_read(fhir: Client) -> None:
    read = 0

    async def chunks() -> Any:
        nonlocal read
        read += 1
        yield b"{}"

    del fhir.http.headers["authorization"]
    for path in ("", "/Patient", "/Patient/_search", "/Patient/a/$meta-add", "/Patient/$validate"):
        answer = await fhir.http.post(fhir.base + path, content=chunks(), headers={"content-type": "application/json"})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert read == 0
    answer = await fhir.http.get(f"{fhir.base}/Patient", headers={"authorization": "Bearer of-nobody"})
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_86_a_real_server_answers_a_stranger_while_the_body_is_still_coming(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = ("POST /fhir/Patient HTTP/1.1", "Host: x", "Content-Type: application/fhir+json", "Content-Length: 1000000")
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n{")
    await writer.drain()
    status = await asyncio.wait_for(reader.readline(), 5)
    assert b" 401 " in status
    writer.close()


async def test_87_a_slow_body_is_given_up(still: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from xinglin.core.rest import body

    monkeypatch.setattr(body, "IDLE_SECONDS", 0.05)

    async def drip() -> Any:
        yield b"{"
        await asyncio.sleep(5)
        yield b"}"

    start = time.monotonic()
    answer = await still.http.post(
        still.base + "/Patient", content=drip(), headers={"content-type": "application/fhir+json"}
    )
    assert answer.status_code == 408
    assert time.monotonic() - start < 2


async def test_88_strangers_leave_no_flood_in_the_audit_log(fhir: Client, house: Any) -> None:
    """Nobody's requests are answered without a line each: a log that strangers can fill is a way to hide in it."""

    async def lines() -> int:
        async with house.database.connection() as connection:
            return int(await connection.fetchval("SELECT count(*) FROM audit"))

    before = await lines()
    for _ in range(50):
        await fhir.http.get(fhir.base + "/Patient/a", headers={"authorization": "Bearer xl_wrong"})
    assert await lines() == before


# anything else ------------------------------------------------------------------------------------------------------

words = st.text(alphabet=string.printable + "王\x00é", max_size=12)
NAMES = (
    "name birthdate _id _lastUpdated identifier gender _sort _count _include _has:Observation:patient:code _filter "
    "_summary _elements _total _type _page general-practitioner link:Patient.name name:exact name:foo _format _pretty "
    "_list _tag"
)
names = st.sampled_from(NAMES.split()) | words
queries = st.lists(
    st.tuples(names, words | st.sampled_from(["1", "2024", "a|b", "Patient/1", "ge2024-01-01"])), max_size=4
)
paths = st.lists(
    st.sampled_from(
        [
            "Patient",
            "Observation",
            "_search",
            "_history",
            "a",
            "1",
            "*",
            "$everything",
            "$validate",
            "metadata",
            "",
        ]
    )
    | words,
    max_size=4,
)
values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            words | st.sampled_from(["resourceType", "name", "id", "entry", "type", "request"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
bodies = st.builds(
    lambda kind, more: {**(more if isinstance(more, dict) else {"name": more}), "resourceType": kind},
    st.sampled_from(["Patient", "Bundle", "Parameters", "Observation", "Nothing"]),
    values,
)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]),
    path=paths,
    query=queries,
    body=bodies | values,
    kind=st.sampled_from(
        ["application/fhir+json", "application/json-patch+json", "application/x-www-form-urlencoded", "text/plain"]
    ),
    header=st.tuples(
        st.sampled_from(
            ["if-match", "if-none-match", "if-none-exist", "if-modified-since", "prefer", "accept", "accept-encoding"]
        ),
        words,
    ),
)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
async def test_whatever_is_asked_gets_a_clear_answer(
    fhir: Client,
    method: str,
    path: list[str],
    query: list[tuple[str, str]],
    body: Any,
    kind: str,
    header: tuple[str, str],
) -> None:
    from urllib.parse import quote, urlencode

    segments = (quote(segment, safe="$*").replace(".", "%2E") for segment in path)
    address = "/".join(segments).replace("%2E%2E", "dots") + ("?" + urlencode(query) if query else "")
    content = None if method in ("GET", "HEAD", "DELETE") else json.dumps(body)
    value = header[1].encode("ascii", "ignore").decode().translate({ord(c): None for c in "\r\n\x00\x0b\x0c"}).strip()
    given_headers = {header[0]: value, "content-type": kind}
    answer = await timed(fhir, method, address, content, **given_headers)
    assert answer.status_code < 500, (method, address, answer.text)
