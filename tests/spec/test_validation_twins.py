"""The fast pass never accepts what the slow pass refuses: any resource type, sound instances and mutated ones."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from copy import deepcopy
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xinglin.core.schema import decode, primitives
from xinglin.core.schema.definitions import (
    Element,
    TypeDef,
    json_name,
    resource_types,
    type_def,
    value_set_codes,
    value_set_order,
)
from xinglin.core.validation import structure
from xinglin.kernel.errors import Problem, Unprocessable

SOUND = {
    "boolean": [True, False],
    "integer": [0, -5, 2**31 - 1],
    "unsignedInt": [0, 7],
    "positiveInt": [1, 42],
    "decimal": [Decimal("1.50"), 0, Decimal("-0.001"), Decimal("1E+5"), 12],
    "string": ["陈桂英", " a  b ", 'q"uo\\te', "<b>"],
    "markdown": ["*a*\n\nb"],
    "id": ["a-1", "A.9", "x" * 64],
    "code": ["x", "a b", "zh-CN"],
    "uri": ["http://example.org/x", "urn:oid:1.2.3", "#a"],
    "url": ["https://example.org"],
    "canonical": ["http://example.org/x|1"],
    "oid": ["urn:oid:2.16.840.1.113883"],
    "uuid": ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
    "base64Binary": ["AAAA", "aGVsbG8=", "YQ=="],
    "date": ["2024", "2024-02", "2024-02-29", "1959-12-31"],
    "dateTime": ["2024", "2024-05", "2024-02-29", "2024-05-31T08:30:00+08:00", "2024-02-29T23:59:59.999Z"],
    "instant": ["2024-05-31T08:30:00.123+08:00", "2024-02-29T00:00:00Z"],
    "time": ["08:30:00", "23:59:59.5"],
    "xhtml": [
        '<div xmlns="http://www.w3.org/1999/xhtml">ok</div>',
        '<div xmlns="http://www.w3.org/1999/xhtml"><p>a</p></div>',
    ],
}
ODD: list[Any] = [
    None, True, 0, -1, 2**31, 10**70, Decimal("1.0"), Decimal("1E-250"), "", " ", "a ", " a", "a  b", "a\tb",
    "a\u3000b", "x" * 65, "2024-02-30", "2023-02-29", "2024-13",
    "0000-01-01", "2024-05-31T08:30:00", "2024-05-31 08:30:00Z",
    "2024-05-31t08:30:00z", "2024-05-31T08:30Z", "2024-05-31T08:30:00+0800", "2024-05-31T24:00:00Z", "8:30:00", "AAA",
    "AA==AA==", "_-AA", "urn:oid:3.1", "urn:uuid:1", "Medication/1", "http://a.b/Medication/1", "Medication?x=1", "#1",
    "Patient/1", "nonsense", "<div>no namespace</div>", '<div xmlns="http://www.w3.org/1999/xhtml"><script/></div>',
    '<div xmlns="http://www.w3.org/1999/xhtml"> </div>', [], {}, [None], [[]], {"a": 1}, ["a", None], [{}],
    {"resourceType": "Patient"}, {"extension": [{"url": "u", "valueCode": "a"}]}, {"id": "a"},
    {"reference": "Medication/1"}, {"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},
    {"coding": [{"code": "nonsense"}]}, {"type": "Nothing"},
]  # fmt: skip
ODD_TEXTS = [odd for odd in ODD if isinstance(odd, str)]
SOME_TYPES = sorted(
    {"Patient", "Observation", "Bundle", "Parameters", "Questionnaire", "MedicationRequest", "Condition"}
)


class Maker:
    """Random sound resources, written from the definitions."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def resource(self, name: str, depth: int = 0) -> dict[str, Any]:
        definition = type_def(name)
        assert definition is not None
        body = {"resourceType": name, **self.object(definition, depth)}
        if depth:
            body.pop("contained", None)
            body["id"] = f"i{self.random.randrange(10**9)}"
        return body

    def object(self, definition: TypeDef, depth: int) -> dict[str, Any]:
        optional = [e for e in definition.elements.values() if not e.min]
        chosen = self.random.sample(optional, min(len(optional), self.random.choice([1, 2, 3] if depth < 4 else [1])))
        names = {e.name for e in chosen}
        value = {}
        for element in definition.elements.values():
            if element.min or element.name in names:
                code = self.random.choice(element.types)
                value[json_name(element, code)] = self.element(element, code, depth)
        return value

    def element(self, element: Element, code: str, depth: int) -> Any:
        if not element.repeats:
            return self.value(element, code, depth)
        return [self.value(element, code, depth) for _ in range(self.random.choice([1, 1, 2]))]

    def value(self, element: Element, code: str, depth: int) -> Any:
        if code == "Resource":
            return self.resource(self.random.choice(["Basic", "Patient", "Binary"]), depth + 1)
        definition = type_def(code)
        assert definition is not None
        required = element.binding is not None and element.binding[0] == "required"
        if code == "code" and required and value_set_order(element.binding[1]):
            return self.random.choice(value_set_order(element.binding[1]))
        if code == "CodeableConcept" and required and value_set_codes(element.binding[1]):
            system, concept = self.random.choice(sorted(value_set_codes(element.binding[1])))
            return {"coding": [{"system": system, "code": concept}]}
        if code == "Reference":
            return {"reference": f"{self.random.choice(element.targets or ('Patient',))}/1"}
        if definition.kind == "primitive-type":
            return self.random.choice(SOUND[code])
        return self.object(definition, depth + 1) or {"id": "x"}


def containers(value: Any) -> Iterator[Any]:
    if isinstance(value, (dict, list)) and value:
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


def mutate(body: dict[str, Any], chance: random.Random) -> None:
    target = chance.choice(list(containers(body)) or [body])
    odd = deepcopy(chance.choice(ODD))
    if isinstance(target, list):
        target.insert(chance.randrange(len(target) + 1), odd)
        if chance.random() < 0.5:
            target.pop(0)
        return
    key = chance.choice(list(target) or ["id"])
    target.setdefault(key, odd)
    chance.choice(
        [
            lambda: target.pop(key),
            lambda: target.__setitem__(key, odd),
            lambda: target.__setitem__(key, chance.choice(ODD_TEXTS) if isinstance(target[key], str) else odd),
            lambda: target.__setitem__(key + "x", target.pop(key)),
            lambda: target.__setitem__("_" + key, odd),
            lambda: target.__setitem__("_" + key, [odd]),
            lambda: target.__setitem__(key, [target[key]]),
            lambda: target.__setitem__(key, target[key][0] if isinstance(target[key], list) and target[key] else odd),
            lambda: target.__setitem__(chance.choice(["valueString", "deceasedBoolean", "effectiveDateTime"]), odd),
            lambda: target.__setitem__(
                chance.choice(["id", "extension", "contained", "reference", "system", "type"]), odd
            ),
        ]
    )()


def slow_accepts(text: bytes) -> bool:
    try:
        return not structure.validate(decode.parse(text))
    except Problem:
        return False


@pytest.mark.parametrize("name", resource_types())
def test_every_type_has_sound_instances_that_the_fast_pass_takes(name: str) -> None:
    taken = 0
    for seed in range(30):
        text = decode.encode(Maker(seed).resource(name))
        decode.check(text, expected_type=name)
        taken += decode._is_sound(text, name)
    assert taken, "the fast pass must know sound resources by itself"


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(resource_types()) | st.sampled_from(SOME_TYPES), st.integers(0, 2**32), st.integers(0, 3))
def test_the_fast_pass_never_accepts_what_the_slow_pass_refuses(name: str, seed: int, mutations: int) -> None:
    body = Maker(seed).resource(name)
    chance = random.Random(seed)
    for _ in range(mutations):
        mutate(body, chance)
    text = decode.encode(body)
    if decode._is_sound(text, None):
        assert not structure.validate(decode.parse(text))
    if slow_accepts(text):
        decode.check(text)
    else:
        with pytest.raises(Problem) as refusal:
            decode.check(text)
        assert not isinstance(refusal.value, Unprocessable) or all(i.text for i in refusal.value.issues)


@given(st.dates() | st.sampled_from([date(year, 2, 28) for year in range(4, 2401, 4)]), st.integers(0, 3))
def test_both_passes_know_the_calendar(day: date, beyond: int) -> None:
    text = f"{day:%Y-%m}-{day.day + beyond:02}".zfill(10)
    for code, value in (("date", text), ("dateTime", f"{text}T08:30:00Z"), ("instant", f"{text}T08:30:00Z")):
        fast = re.fullmatch(primitives.FAST_PATTERNS[code], value) is not None
        sound = primitives.problem(code, value) is None
        assert sound or not fast
        assert fast or not sound or (day.month == 2 and day.year % 400 == 0)


SCRAPS = [
    *(bytes([byte]) for byte in b'"{}[],:\\ \n\0\xff0-.e'),
    b"\\u0022", b"\\u0000", b"\\ud800", b"null", b"{}", b"[]", b"1e5", b"1e-999", b"0" * 70, b"9" * 5000,
    b"1e9999999999999999999", b'"id":"a",', b'"extension":[{"url":"a","valueCode":"b"}],',
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(resource_types()), st.integers(0, 2**32), st.integers(1, 3))
def test_damaged_text_is_refused_alike_and_never_crashes(name: str, seed: int, damages: int) -> None:
    chance = random.Random(seed)
    text = decode.encode(Maker(seed).resource(name))
    for _ in range(damages):
        start = chance.randrange(len(text) + 1)
        text = text[:start] + chance.choice([*SCRAPS, b""]) + text[start + chance.choice([0, 0, 1, 5]) :]
    accepted = slow_accepts(text)
    assert accepted or not decode._is_sound(text, None)
    for read in (decode.check, decode.read):
        try:
            read(text)
        except Problem:
            assert not accepted
        else:
            assert accepted
