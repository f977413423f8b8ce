"""No request takes more than its share (attack cases 70-75, 83-85): the worst found so far, by counted work.

Bounds are on processor time of this process, which serves the request: what others do to the machine does not count.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from xinglin.core import ucum
from xinglin.core.schema import decode
from xinglin.core.search.extract import extract
from xinglin.kernel.errors import Problem, TooLarge

if TYPE_CHECKING:
    from serving import Client

pytest_plugins = ("serving",)

SLOWEST = 2.0  # seconds of one request


def repeated(head: str, item: str, tail: str, size: int) -> bytes:
    """`item`, as often as it goes into `size` bytes, as the elements of an array."""
    return (head + ",".join([item] * (size // (len(item) + 1))) + tail).encode()


PATIENT = '{"resourceType":"Patient","name":['
PARTS = '{"resourceType":"Parameters","parameter":['
BINARY = '{"resourceType":"Binary","contentType":"a/b","data":"'
WRONG = {"resource": {"resourceType": "Patient", "nmae": 1}, "request": {"method": "POST", "url": "Patient"}}
BODIES = {
    "values that are nothing": repeated(PATIENT, "{}", "]}", 60 << 20),
    "numbers": repeated(PATIENT, "1", "]}", 60 << 20),
    "one error at the end": repeated(PATIENT, '{"text":"a"}', '],"colour":1}', 2_900_000),
    "one error at the end of parts": repeated(PARTS, '{"name":"a"}', ',{"name":1}]}', 2_900_000),
    "brackets": b"[" * (60 << 20),
    "escapes": ('{"resourceType":"Patient","name":[{"text":"' + "\\u0022" * (10 << 20) + '"}]}').encode(),
    "base64 that is none": (BINARY + "QUJD " * (4 << 20) + '!"}').encode(),
    "tags": (
        '{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">'
        + "<p>a</p>" * (2 << 20)
        + '</div>"}}'
    ).encode(),
}


@pytest.mark.parametrize("name", BODIES)
def test_70_75_a_bad_body_costs_little_however_large(name: str) -> None:
    start = time.process_time()
    with pytest.raises(Problem) as refused:
        decode.check(BODIES[name])
    assert time.process_time() - start < SLOWEST
    assert refused.value.issues[0].code in ("too-long", "too-costly", "value", "structure")


def test_73_a_check_that_gives_up_says_so() -> None:
    with pytest.raises(Problem) as refused:
        decode.check(BODIES["one error at the end"])
    assert refused.value.issues[0].code == "too-costly"
    assert "200000" in refused.value.issues[0].text


def test_73_pairs_of_a_composite_do_not_multiply_without_end() -> None:
    many = [{"system": "http://example.org", "code": str(number)} for number in range(3000)]
    component = {"code": {"coding": many}, "valueCodeableConcept": {"coding": many}}
    start = time.process_time()
    with pytest.raises(TooLarge):
        extract({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "component": [component]})
    assert time.process_time() - start < SLOWEST


@pytest.mark.parametrize("unit", ["km999999999", "10*999999999", "Pm999.Pm999.Pm999", "(km.km.km)9", "m" * 200])
def test_85_a_unit_beyond_all_measure_is_none(unit: str) -> None:
    start = time.process_time()
    ucum.parse(unit)
    assert time.process_time() - start < 0.5


def entries(entry: dict[str, Any], count: int) -> bytes:
    text = json.dumps(entry)
    return repeated('{"resourceType":"Bundle","type":"batch","entry":[', text, "]}", count * (len(text) + 1))


BUNDLES = {
    "reads": (entries({"request": {"method": "GET", "url": "Patient/a"}}, 5000), 413),
    "addresses": (entries({"request": {"method": "GET", "url": "Patient/" + "/" * 20_000}}, 90), 200),
    "nothing": (entries({}, 400_000), 413),
    "many that are wrong": (entries(WRONG, 5000), 200),
}


@pytest.mark.parametrize("name", BUNDLES)
async def test_83_a_bundle_of_thousands_is_bounded(still: Client, name: str) -> None:
    body, status = BUNDLES[name]
    start = time.process_time()
    answer = await still("POST", "", body)
    assert time.process_time() - start < SLOWEST
    assert answer.status_code == status, answer.text[:300]


async def test_83_a_patch_shares_out_one_budget(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", {"resourceType": "Patient", "id": "p", "name": [{"text": "a"}] * 200})
    slow = {
        "name": "path",
        "valueString": "Patient.where(descendants().where(%resource.descendants().count() > 0).empty())",
    }
    operation = {"name": "operation", "part": [{"name": "type", "valueCode": "delete"}, slow]}
    start = time.process_time()
    answer = await fhir("PATCH", "Patient/p", {"resourceType": "Parameters", "parameter": [operation] * 1000})
    assert time.process_time() - start < SLOWEST
    assert answer.status_code in (200, 400)
    grow = [{"op": "add", "path": "/contact", "value": [{"name": {"text": "x" * 500_000}}]}]
    grow += [{"op": "copy", "from": "/contact/0", "path": "/contact/-"}] * 900
    start = time.process_time()
    answer = await fhir("PATCH", "Patient/p", grow, content_type="application/json-patch+json")
    assert time.process_time() - start < SLOWEST
    assert answer.status_code == 413
