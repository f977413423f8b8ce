"""Scripts and files that hide something: what is stored is never served so that a browser or computer runs it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from attacked import County, county, observation, ref
from xinglin.core.schema.narrative import problem
from xinglin.web.chart.documents import PREAMBLE, content_of
from xinglin.web.workspace.access_log import inert

__all__ = ["county"]

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
HTML = b"<html><script>alert(1)</script><p onclick='x()'>Plain</p><img src=x onerror=alert(1)></html>"
XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'


def held(content_type: str, data: bytes) -> dict[str, Any]:
    return {"contentType": content_type, "data": base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    "inside",
    ["<script>alert(1)</script>", "<p onclick='x()'>a</p>", "<img src='x' onerror='x()'/>", "<iframe src='x'/>",
     "<p style='background:url(javascript:x())'>a</p>", "<svg onload='x()'/>", "<object data='x'/>"],
)  # fmt: skip
async def test_case_77_a_script_in_a_narrative_is_refused_or_inert(county: County, inside: str) -> None:
    div = f"<div {XHTML}>{inside}</div>"
    assert problem(div)
    body = observation("n1", "a1", text={"status": "generated", "div": div})
    answer = await county.ask("backend-a", "PUT", "Observation/n1", body)
    if answer.status_code < 300:
        answer = await county.ask("dr-a", "GET", "Observation/n1", accept="text/html,*/*")
        assert "json" in answer.headers["content-type"] and answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_case_77_a_document_is_shown_without_what_runs() -> None:
    html = content_of(held("text/html", HTML)).html
    assert "Plain" in html and not any(word in html for word in ("script", "onclick", "onerror", "<img", "alert"))
    text = content_of(held("text/plain", b"<script>alert(1)</script>")).html
    assert "<script" not in text and "&lt;script" in text


@pytest.mark.parametrize(
    "url",
    [
        "\tjavascript:alert(1)",
        "java\nscript:alert(1)",
        " JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "&#9;javascript:alert(1)",
        "&#x6A;avascript:alert(1)",
    ],
)
def test_case_78_no_link_runs(url: str) -> None:
    assert problem(f'<div {XHTML}><a href="{url}">a</a></div>')
    shown = content_of(held("text/html", f'<a href="{url}">a</a>'.encode())).html
    assert "href" not in shown


@pytest.mark.parametrize(
    ("content_type", "data"), [("image/svg+xml", SVG), ("text/html", HTML), ("application/xhtml+xml", HTML)]
)
async def test_case_79_an_attachment_is_never_served_inline(county: County, content_type: str, data: bytes) -> None:
    body = {"resourceType": "Binary", "id": "evil", "securityContext": ref("Patient/a1"), **held(content_type, data)}
    assert (await county.ask("backend-a", "PUT", "Binary/evil", body)).status_code < 300
    for accept in (content_type, "text/html", "*/*", "application/fhir+json"):
        answer = await county.ask("dr-a", "GET", "Binary/evil", accept=accept)
        kind = answer.headers["content-type"]
        assert kind.startswith("application/fhir+json") or answer.status_code == 406, kind
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert data not in answer.content
    content = content_of(body)
    assert not content.html or "script" not in content.html  # what is no text is downloaded, as octet-stream


@pytest.mark.parametrize("program", [b"MZ\x90\x00", b"\x7fELF\x02", b"#!/bin/sh\n"])
def test_case_80_an_image_is_no_program(program: bytes) -> None:
    dicom = program.ljust(PREAMBLE, b"\x01") + b"DICM" + b"the image"
    data = content_of(held("application/dicom", dicom)).data
    assert data[:PREAMBLE] == bytes(PREAMBLE) and data[PREAMBLE:] == dicom[PREAMBLE:]
    plain = bytes(PREAMBLE) + b"DICM"
    assert content_of(held("application/dicom", plain)).data == plain


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "=cmd|' /C calc'!A0"])
def test_case_81_no_cell_of_a_table_is_a_formula(cell: str) -> None:
    assert inert(cell).startswith("'")
    assert inert("Dr Wang") == "Dr Wang"
