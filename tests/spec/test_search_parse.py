"""How a query string reads. https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xinglin.core.search.naming import MAX_DEPTH
from xinglin.core.search.parse import parse
from xinglin.core.search.query import (
    And,
    Chain,
    CompositeValue,
    DateValue,
    Has,
    Include,
    Match,
    Missing,
    Not,
    NumberValue,
    Or,
    ReferenceValue,
    TextValue,
    TokenValue,
)
from xinglin.core.search.querystring import pairs
from xinglin.core.search.values import date_range, fold, number_range, prefix_end
from xinglin.kernel.errors import Invalid, Problem


def conditions(text: str, type_name: str = "Observation"):
    return parse(text, type_name).branches[0].conditions


def one(text: str, type_name: str = "Observation") -> Match:
    (found,) = conditions(text, type_name)
    assert isinstance(found, Match)
    return found


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("code=a", [TokenValue(None, "a")]),
        ("code=a,b", [TokenValue(None, "a"), TokenValue(None, "b")]),
        ("code=http://loinc.org|a", [TokenValue("http://loinc.org", "a")]),
        ("code=|a", [TokenValue("", "a")]),
        ("code=http://loinc.org|", [TokenValue("http://loinc.org", None)]),
        ("code=a%5C%2Cb", [TokenValue(None, "a,b")]),
        ("code=a%5C%7Cb", [TokenValue(None, "a|b")]),
        ("value-string=a+b%5C%5C", [TextValue("a b\\")]),
        ("value-string=%E7%8E%8B", [TextValue("王")]),
        ("subject=Patient/1", [ReferenceValue("Patient/1")]),
        ("subject=Patient/1/_history/2", [ReferenceValue("Patient/1")]),
        ("patient=1", [ReferenceValue(None, "1", ("Patient",))]),
        ("subject:Device=1", [ReferenceValue(None, "1", ("Device",))]),
        ("subject=urn:uuid:1", [ReferenceValue("urn:uuid:1")]),
        ("value-quantity=5.4", [NumberValue("eq", 5.4, 5.35, 5.45)]),
        ("value-quantity=lt5.40||mg", [NumberValue("lt", 5.4, 5.395, 5.405, "", "mg")]),
        ("code-value-quantity=a$ge5", [CompositeValue((TokenValue(None, "a"), NumberValue("ge", 5, 4.5, 5.5)))]),
    ],
)
def test_values(text: str, values: list[object]) -> None:
    assert list(one(text).values) == values


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2024", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("2024-02", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        ("2024-12", "2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
        ("2024-02-29T10:00+08:00", "2024-02-29T02:00:00Z", "2024-02-29T02:01:00Z"),
        ("2024-02-29T10:00:00+08:00", "2024-02-29T02:00:00Z", "2024-02-29T02:00:01Z"),
    ],
)
def test_a_date_is_the_range_its_precision_allows(text: str, low: str, high: str) -> None:
    assert date_range(text) == (date_range(low)[0], date_range(high)[0])
    assert one(f"date=ge{text.replace('+', '%2B')}").values == (DateValue("ge", *date_range(text)),)


@pytest.mark.parametrize(("text", "low", "high"), [("100", 99.5, 100.5), ("100.00", 99.995, 100.005), ("1e2", 50, 150)])
def test_a_number_is_the_range_its_precision_allows(text: str, low: float, high: float) -> None:
    assert number_range(text)[1:] == (low, high)


def test_repeated_parameters_are_and_commas_are_or() -> None:
    assert [len(part.values) for part in conditions("code=a,b&code=c")] == [2, 1]


def test_modifiers() -> None:
    assert one("name:exact=A", "Patient").modifier == "exact"
    assert conditions("gender:not=male", "Patient") == (Not(one("gender=male", "Patient")),)
    (missing,) = conditions("gender:missing=true", "Patient")
    assert isinstance(missing, Missing) and missing.missing


def test_a_chain_unfolds_over_the_types_that_know_the_parameter() -> None:
    (found,) = conditions("subject.birthdate=2024")
    assert isinstance(found, Chain) and found.target == "Patient"
    (found,) = conditions("performer.name=a")
    assert isinstance(found, Or)
    assert {part.target for part in found.parts} >= {"Practitioner", "Organization", "Patient"}
    (found,) = conditions("subject:Patient.general-practitioner:Practitioner.identifier=a")
    assert isinstance(found, Chain) and isinstance(found.inner, Chain)


def test_reverse_chains_nest() -> None:
    (found,) = conditions("_has:Observation:patient:_has:AuditEvent:entity:agent=Practitioner/1", "Patient")
    assert isinstance(found, Has) and isinstance(found.inner, Has)
    assert found.inner.parameter.name == "AuditEvent.entity"


def test_filter_reads_from_the_left() -> None:
    (found,) = conditions('_filter=gender eq "male" or name sw "a" and active eq "true"', "Patient")
    assert isinstance(found, And) and isinstance(found.parts[0], Or)
    (found,) = conditions('_filter=general-practitioner[name eq "a"].identifier pr true', "Patient")
    assert isinstance(found, Or)


def test_result_parameters() -> None:
    query = parse(
        "_sort=-date,code&_count=7&_total=accurate&_include:iterate=Observation:subject:Patient", "Observation"
    )
    assert [(sort.parameter.code, sort.descending) for sort in query.branches[0].sort] == [
        ("date", True),
        ("code", False),
    ]
    assert (query.count, query.total) == (7, "accurate")
    assert query.includes == (Include("Observation", "subject", "Patient", True, False),)
    assert parse("_count=0", "Patient").counts_only


def test_compartment_membership_is_any_of_its_parameters() -> None:
    (found,) = parse("", "Observation", within=("Patient", "1")).branches[0].conditions
    assert isinstance(found, Or) and len(found.parts) == 2
    whole = parse("", None, within=("Patient", "1"))
    assert {branch.type for branch in whole.branches} > {"Observation", "Patient"}
    assert "Practitioner" not in {branch.type for branch in whole.branches}


def test_unknown_parameters_are_refused_or_told_of() -> None:
    with pytest.raises(Invalid, match="no search parameter 'colour'"):
        parse("colour=red", "Patient")
    query = parse("colour=red&gender=male&_sort=colour", "Patient", lenient=True)
    assert len(query.branches[0].conditions) == 1
    assert query.used == (("gender", "male"),)
    assert {issue.severity for issue in query.issues} == {"warning"} and len(query.issues) == 2


def test_what_took_effect_stays_in_the_links() -> None:
    """The next page is found by them: what one of several types knows, one of several keys or includes, is kept."""
    text = "_type=Patient,Organization&family=a&colour=b&_sort=-date,_id,name&_include=Patient:x&_include=Patient:link"
    query = parse(text, None, lenient=True)
    kept = ["_type=Patient,Organization", "family=a", "_include=Patient:link", "_sort=_id,name"]
    assert [f"{name}={value}" for name, value in query.used] == kept
    assert [[sort.parameter.code for sort in branch.sort] for branch in query.branches] == [["_id", "name"]] * 2
    assert {issue.expression for issue in query.issues} == {"family", "colour", "_sort", "_include"}
    assert parse("_sort=name,-_id&gender=male", "Patient").used == (("_sort", "name,-_id"), ("gender", "male"))
    with pytest.raises(Invalid, match="date"):
        parse("_type=Patient,Observation&_sort=date", None)
    with pytest.raises(Invalid, match="same kind"):  # a text, and a code
        parse("_type=Immunization,Medication&_sort=lot-number", None)


def test_types_that_cannot_be_asked_for_are_told_of() -> None:
    with pytest.raises(Invalid, match="_type"):
        parse("_type=Observation", "Patient")
    lenient = parse("_type=Observation", "Patient", lenient=True)
    assert lenient.issues and not lenient.used
    assert not parse("_type=Observation,Patient", "Patient").issues
    with pytest.raises(Invalid, match="not part of the compartment"):
        parse("_type=Practitioner", None, within=("Patient", "1"))


@pytest.mark.parametrize(
    ("type_name", "text"),
    [
        ("Patient", "birthdate=2024-13"),
        ("Patient", "birthdate=xx2024"),
        ("Patient", "birthdate:exact=2024"),
        ("Patient", "gender:missing=maybe"),
        ("Patient", "name.family=a"),
        ("Patient", "identifier:of-type=a|b"),
        ("Patient", "_id=../../etc/passwd"),
        ("Patient", "general-practitioner=#inside"),
        ("Patient", "name=%FF"),
        ("Patient", "name=%00"),
        ("Patient", "name=a,,b"),
        ("Patient", "_count=-1"),
        ("Patient", "_total=some"),
        ("Patient", "_include=Patient:name"),
        ("Patient", "_include=Nonsense:name"),
        ("Patient", "_filter=name eq"),
        ("Patient", '_filter=name eq "a'),
        ("Patient", "_filter=" + "(" * 100),
        ("Patient", "_has:Observation:code:status=final"),
        ("Patient", "_has:Observation:patient=1"),
        ("Observation", "code-value-quantity=a$b$c"),
        ("Observation", "code-value-quantity=a$5|x"),
        ("Observation", "code-value-quantity=a|$5"),
        ("Observation", "value-quantity=" + "9" * 400),
        ("Observation", "value-quantity=1e999999999"),
        ("Observation", "code=" + ",".join(["a"] * 1001)),
        ("Observation", "code=" + "a" * 2001),
        ("Observation", "part-of." * (MAX_DEPTH + 2) + "code=a"),
        ("Observation", "focus.focus.focus.focus.focus.focus.code=a"),
        ("Nonsense", "a=b"),
        ("Patient", "&".join(["gender=male"] * 101)),
        ("Patient", "name=" + "a" * 70_000),
    ],
)
def test_what_makes_no_sense_is_refused_whether_strict_or_lenient(type_name: str, text: str) -> None:
    for lenient in (False, True):
        with pytest.raises(Problem):
            parse(text, type_name, lenient=lenient)


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(text: str) -> None:
    for prefix in ("", "code=", "_filter=", "date=", "subject.", "_has:", "value-quantity=", "_include="):
        with suppress(Problem):
            parse(prefix + text, "Observation", lenient=True)


@given(st.text(), st.text())
def test_texts_that_start_with_a_prefix_lie_in_its_range(prefix: str, rest: str) -> None:
    if prefix and not any("\ud800" <= c <= "\udfff" for c in prefix + rest):
        end = prefix_end(prefix)
        assert prefix <= prefix + rest and (end is None or (prefix + rest).encode() < end.encode())


@pytest.mark.parametrize(
    ("text", "folded"), [("Müller-Lüdenscheid", "muller ludenscheid"), (" O'Neil ", "o neil"), ("王 芳", "王 芳")]
)
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_pairs_decode() -> None:
    assert pairs("a=b+c&d=%26&&e") == [("a", "b c"), ("d", "&"), ("e", "")]
