"""Reading JSON: exact, strict, bounded; what is wrong is said with its place."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xinglin.core.schema import decode
from xinglin.core.schema.json_text import MAX_DEPTH, too_deep
from xinglin.kernel.errors import Invalid, Problem, TooLarge, Unprocessable

PATIENT = b'{"resourceType":"Patient","id":"p1","name":[{"family":"\xe9\x99\x88"}]}'


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


def test_decimals_keep_their_digits() -> None:
    text = b'{"a":1.00,"b":[0.0010,-5,1E+5],"c":"1.0"}'
    assert decode.parse(text)["a"] == Decimal("1.00")
    assert decode.encode(decode.parse(text)) == text


REFUSED = {
    "nothing": (b"", "empty"),
    "white space": (b" \n ", "empty"),
    "cut off": (PATIENT[:-2], "line 1"),
    "on the third line": (b'{\n "a": 1,\n "b" 2}', "line 3"),
    "two values": (PATIENT + b"{}", "column"),
    "a list": (b"[]", "an array"),
    "a number": (b"1", "a number"),
    "XML": (b"<Patient xmlns='http://hl7.org/fhir'/>", "XML"),
    "a byte order mark": (b"\xef\xbb\xbf" + PATIENT, "byte order mark"),
    "UTF-16": ("\ufeff{}".encode("utf-16-le"), "byte order mark"),
    "GBK": ('{"a":"陈"}'.encode("gbk"), "not UTF-8"),
    "a cut UTF-8 character": (b'{"a":"\xe9\x99"}', "not UTF-8"),
    "a lone surrogate": (b'{"a":"\\ud800"}', "malformed"),
    "an encoded surrogate": (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
    "NUL": (b'{"a":"x\\u0000"}', "U+0000"),
    "NaN": (b'{"a":NaN}', "malformed"),
    "a number with many digits": (b'{"a":0.' + b"1" * 10_000 + b"}", "number"),
    "an integer with many digits": (b'{"a":' + b"1" * 70 + b"}", "number"),
    "a long integer": (b'{"a":' + b"1" * 10_000 + b"}", "number"),
    "a vast number": (b'{"a":1e400}', "number"),
    "an exponent beyond all": (b'{"a":1e99999999999999999999}', "number"),
    "a tiny number": (b'{"a":1e-99999999}', "number"),
    "a repeated key": (b'{"a":[{"b":1,"b":2}]}', "'b' stands twice"),
    "a repeated key behind escapes": (b'{"ab":"\\u0022\\u0022","ab":""}', "'ab' stands twice"),
    "depth": (nested(MAX_DEPTH + 1), "deeper"),
    "depth that would exhaust a stack": (b"[" * 400_000, "deeper"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_reason(name: str) -> None:
    text, reason = REFUSED[name]
    for read in (decode.parse, decode.check, decode.read):
        with pytest.raises(Invalid) as refusal:
            read(text)
        assert reason in str(refusal.value)
        assert len(str(refusal.value)) < 400


def test_a_repeated_key_is_told_by_its_place() -> None:
    with pytest.raises(Invalid) as refusal:
        decode.check(b'{"resourceType":"Patient","name":[{"family":"a","family":"a"}]}')
    assert refusal.value.issues[0].expression == "name[0]"


def test_the_number_of_bytes_is_bounded() -> None:
    for read in (decode.parse, decode.check, decode.read):
        with pytest.raises(TooLarge):
            read(PATIENT, max_bytes=20)


def test_brackets_in_strings_are_not_depth() -> None:
    text = decode.encode({"resourceType": "Basic", "a": ['[{"\\' * 200] * 60, "b": [[1]] * 60})
    assert not too_deep(text)
    assert decode.parse(text)["a"][0].count("[") == 200


@given(
    st.recursive(
        st.none() | st.text('[]{}"\\,a', max_size=4),
        lambda inner: st.lists(inner) | st.dictionaries(st.text('[]{}"\\a'), inner),
        max_leaves=40,
    )
)
def test_depth_agrees_with_counting(value: object) -> None:
    def depth(inner: object) -> int:
        parts = inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else ()
        return max((depth(part) for part in parts), default=0) + 1 if isinstance(inner, (dict, list)) else 0

    wrapped = json.dumps([value] * 30)
    for extra in (0, 120 - depth(value)):
        text = "[" * extra + wrapped + "]" * extra
        assert too_deep(text.encode()) is (depth(value) + 1 + extra > MAX_DEPTH)


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
LEAVES = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | TEXTS


@given(
    st.dictionaries(
        TEXTS, LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(TEXTS, LEAVES, max_size=3), max_size=4
    )
)
def test_parse_agrees_with_the_standard_library(value: dict[str, object]) -> None:
    parsed = decode.parse(json.dumps(value).encode())
    assert parsed == value == decode.parse(decode.encode(parsed))


def test_check_takes_text_as_it_comes() -> None:
    decode.check(PATIENT, expected_type="Patient")
    decode.check(memoryview(PATIENT))
    decode.check(json.dumps(json.loads(PATIENT), indent=4).encode())
    decode.check(b'{"name":[{"family":"a"}],"resourceType":"Patient"}')
    assert decode.read(PATIENT)["id"] == "p1"


def test_the_expected_type_is_expected() -> None:
    with pytest.raises(Unprocessable, match="is a Patient; a Group is expected"):
        decode.check(PATIENT, expected_type="Group")


@pytest.mark.parametrize(
    "text", [b'{"resourceType":"Patient"}{', b'{"resourceType":"\\ud800"}', b'{"resourceType":', b"\x00\xff"]
)
def test_garbage_is_refused_and_never_crashes(text: bytes) -> None:
    with pytest.raises(Problem):
        decode.check(text)
