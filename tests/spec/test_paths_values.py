"""FHIRPath's values by the letter of the specification: numbers, units, text, conditions, and how large they may be."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from xinglin.core import paths
from xinglin.core.paths.numbers import CONTEXT

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "contact": [{"name": {"family": "Li", "given": ["Lei  Wei"]}}, {"name": {"family": "li", "given": ["lei \tWEI"]}}],
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # An Integer has 32 bits, a Long 64; what overflows is empty
        ("2147483647 + 1 | 65536 * 65536 | '2147483648'.toInteger()", []),
        ("2147483647L + 1", [2147483648]),
        ("(-2147483648).type().name | 4294967296.type().name", ["Integer", "Long"]),
        ("9223372036854775807L + 1 | '9223372036854775808'.toLong()", []),
        ("(7L div 2).type().name | (7L mod 2).type().name | 4294967296.5.floor().type().name", ["Long"]),
        # Numbers of quantities
        ("(1.25 'g').round(1).toString() | (-1.5 'g').truncate().toString()", ["1.3 'g'", "-1 'g'"]),
        ("(1.2 days).ceiling() = 2 days and (-1.2 'd').floor() = -2 'd'", [True]),
        ("2.5 'km'.unit | 2.5 'km'.value + 1", ["km", Decimal("3.5")]),
        ("0.00000002 'kg'.toString()", ["0.00000002 'kg'"]),
        ("3 + 2 '1'", [{"value": 5, "unit": "1", "system": "http://unitsofmeasure.org", "code": "1"}]),
        ("3 + 2 'cm' | 3 days * 2 'm' | 6 'm' / 3 hours", []),
        ("3 days * 2 = 6 days and 6 hours / 2 = 3 hours", [True]),
        ("1.comparable(2 '1') | 'a'.comparable(2)", [True]),
        # Into another unit: a calendar's lengths from calendar units, UCUM's from UCUM's
        ("7.toQuantity('m') = 7 'm' and 750 'cm'.toQuantity('m').value = 7.5", [True]),
        ("6 months.toQuantity('a').toString() | 73 days.toQuantity('year').toString()", ["0.5 'a'", "0.2 years"]),
        ("3 'a'.toQuantity('d').value | 2 weeks.toQuantity('d').value", [Decimal("1095.75"), 14]),
        ("40 'Cel'.toQuantity('[degF]').value", [104]),
        ("1 'g'.toQuantity('m') | 1 day.toQuantity('g') | 1 'g'.toQuantity('day')", []),
        # Equivalence
        ("'Ab\tc' ~ 'aB C' and 'a b' !~ 'a  b'", [True]),
        ("contact[0] ~ contact[1] and contact[0] != contact[1]", [True]),
        ("contact.name.given.select(replaceMatches('\\\\s+', ' ')).distinct().count()", [2]),
        ("contact[0].name.select(family) ~ contact[1].name.family and contact[0] ~ contact[0]", [True]),
        ("1 year ~ 11 months and 1 '[ft_i]' ~ 30 'cm'", [True]),
        # Text
        (r"'\ud83d\udc89'.length() | 'a\ud83d\udc89b'.toChars()", [1, "a", "💉", "b"]),
        (r"'\q\7' | '\u12'", ["q7", "u12"]),
        (r"'\u00a0 \t a\r\n'.trim()", ["\u00a0 \t a"]),
        ("'c3'.decode('hex') | 'wyg='.decode('base64')", []),
        # Conditions, parts and types
        ("iif('any', 1, 2) | iif(0, 3, 4) | iif({}, 5, 6)", [1, 3, 6]),
        ("'text'.yearOf() | @2024-05.timeOf() | @T10.monthOf()", []),
        ("contact.type().name | contact.first().is(BackboneElement)", ["BackboneElement", True]),
        ("{}.sum() | {}.max()", []),
        # Where the model says that nothing can be, functions still have an answer
        ("Observation.code.empty()", [True]),
        ("nothing.exists()", [False]),
        ("contact.nothing.where(true).count()", [0]),
        ("(text as Period).start.exists().not()", [True]),
    ],
)
def test_values_by_the_letter(expression: str, expected: list[Any]) -> None:
    assert paths.compile(expression)(PATIENT) == expected


def test_equivalence_looks_into_objects() -> None:
    one = {"coding": [{"code": "A"}, {"code": "b"}], "text": "Tea"}
    other = {"coding": [{"code": "B"}, {"code": "a"}], "text": "TEA"}
    world = paths.Environment(variables={"other": {"resourceType": "Basic", "code": other}})
    basic = {"resourceType": "Basic", "code": one}
    assert paths.compile("code ~ %other.code")(basic, world) == [True]
    assert paths.compile("code = %other.code")(basic, world) == [False]
    del other["coding"][0]
    assert paths.compile("code ~ %other.code")(basic, world) == [False]


@pytest.mark.parametrize(
    ("expression", "position", "words"),
    [
        (r"'\ud83d'", 1, "half of a character"),
        ("text.div", 5, "`div`"),
        ("1 + 1." + "1" * 61, 4, "at most 60 digits"),
        ("1 " * 50_001, 100_000, "more than 100000 characters"),
    ],
)
def test_what_cannot_be_read_says_where(expression: str, position: int, words: str) -> None:
    with pytest.raises(paths.PathError, match=words) as caught:
        paths.compile(expression)
    assert (caught.value.phase, caught.value.position) == ("syntax", position)
    line, caret = caught.value.caret().split("\n")
    assert len(line) < 130 and caret.endswith("^")


HUGE = ("1e999999999999", "-1e-999999999999", "1" * 100_000 + ".5", "1." + "1" * 100_000)


@pytest.mark.parametrize("digits", HUGE, ids=lambda digits: digits[:15])
def test_the_numbers_of_a_document_may_be_of_any_size(digits: str) -> None:
    """Whatever is asked of them is answered at once: empty, or a value, or an error of the language."""
    quantity = {"value": Decimal(digits), "code": "d", "system": "http://unitsofmeasure.org"}
    resource = {"resourceType": "Observation", "valueQuantity": quantity}
    calls = ("truncate", "floor", "round", "abs", "exp", "ln", "sqrt", "toString", "precision", "lowBoundary")
    asked = [f"value.value.{name}()" for name in (*calls, "highBoundary", "toInteger", "toLong", "toQuantity")]
    asked += ["value.value.log(2)", "value.value.power(3)", "2.power(value.value)", "value.abs()"]
    asked += [f"value.value {sign} 3" for sign in ("+", "-", "*", "/", "div", "mod", "=", "~", "<", "in")]
    asked += ["-value.value", "-value", "value.floor()", "value.toString()", "value.toQuantity('h')", "value ~ 1 'h'"]
    asked += ["value.value.toQuantity('year') = 1 month", "value.toQuantity('year')", "(value | 1 'd').sum()"]
    asked += ["@2024-01-31 + value", "@T10 - value", "value + value", "value * value", "value | 1 'd'"]
    start = time.process_time()
    for expression in asked:
        try:
            paths.compile(expression)(resource)
        except paths.PathError:
            continue
    assert time.process_time() - start < 2
    assert CONTEXT.Emax == 999


@pytest.mark.parametrize(
    "expression",
    [
        "name.given.where(matches('.{1,900}a.{1,900}' & $index.toString())).count()",  # each to be compiled
        "name.select('" + "ab" * 20_000 + "').where(matches('(a|b)*a(a|b){90}c')).count()",  # too wide for an automaton
        "'x'.matches('" + "a?" * 20_000 + "')",
        "name.first().given.first().replaceMatches('" + "(a)" * 4_000 + "', 'b')",
    ],
    ids=("many", "wide", "long", "groups"),
)
def test_regular_expressions_are_counted_as_work(expression: str) -> None:
    patient = {"resourceType": "Patient", "name": [{"given": ["a" * 50, "b"]} for _ in range(3_000)]}
    start = time.process_time()
    with pytest.raises(paths.PathTooCostly) as caught:
        paths.compile(expression)(patient)
    assert caught.value.position > 0
    assert time.process_time() - start < 5  # about one second; slow machines included
