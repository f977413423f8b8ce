"""Dates, numbers, names and ages as a person reads them, in both languages and in the clinic's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from xinglin.ui import formats, i18n


def both(function, *arguments) -> tuple[str, str]:
    with i18n.speaking("zh-Hans"):
        chinese = function(*arguments)
    with i18n.speaking("en"):
        return chinese, function(*arguments)


@pytest.mark.parametrize(
    ("value", "chinese", "english"),
    [
        ("2024-05-01", "2024年5月1日", "1 May 2024"),
        ("2024-05", "2024年5月", "May 2024"),
        ("2024", "2024年", "2024"),
        ("2024-04-30T16:30:00Z", "2024年5月1日", "1 May 2024"),
        (date(2024, 5, 1), "2024年5月1日", "1 May 2024"),
        (datetime(2024, 4, 30, 16, 30, tzinfo=UTC), "2024年5月1日", "1 May 2024"),
        ("last spring", "last spring", "last spring"),
        (None, "", ""),
    ],
)
def test_a_day_keeps_its_precision_and_only_instants_move_with_the_zone(value, chinese, english) -> None:
    assert both(formats.day, value) == (chinese, english)


def test_moments_are_in_the_clinics_zone() -> None:
    assert both(formats.moment, "2024-04-30T16:30:00Z") == ("2024年5月1日 00:30", "1 May 2024, 00:30")
    with i18n.speaking("en", ZoneInfo("Asia/Urumqi")):
        assert formats.short_moment("2024-04-30T16:30:00Z") == "2024-04-30 22:30"
    assert both(formats.moment, "2024-05-01") == ("2024年5月1日", "1 May 2024")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"value": Decimal("5.60"), "unit": "mmol/L"}, "5.60\u202fmmol/L"),
        ({"value": 12500, "unit": "IU"}, "12,500\u202fIU"),
        ({"value": "7.1", "unit": "%"}, "7.1%"),
        ({"value": "0.05", "comparator": "<", "code": "ng/mL"}, "<\u202f0.05\u202fng/mL"),
        ({"value": -2}, "\u22122"),
        ({"unit": "mg"}, "mg"),
        ({}, ""),
        (None, ""),
        ({"value": 4.73, "unit": "10*12/L"}, "4.73\u202f×10¹²/L"),
    ],
)
def test_a_quantity_keeps_the_digits_it_was_recorded_with(value, shown) -> None:
    assert formats.quantity(value) == shown


def test_reference_ranges_include_their_ends() -> None:
    assert formats.reference_range("3.9", "6.1") == "3.9\u20136.1"
    assert formats.reference_range(None, {"value": 140}) == "≤\u202f140"
    assert formats.reference_range() == ""
    assert [formats.flagged(v, "3.9", "6.1") for v in ("3.8", "3.9", "6.1", "6.10", "6.11", None)] == [
        "low",
        "",
        "",
        "",
        "high",
        "",
    ]


@pytest.mark.parametrize(
    ("name", "chinese", "english"),
    [
        ({"family": "王", "given": ["秀英"]}, "王秀英", "王秀英"),
        ({"text": "王 秀英"}, "王秀英", "王秀英"),
        ({"family": "Smith", "given": ["Ann", "B."]}, "Ann B. Smith", "Ann B. Smith"),
        ([{"family": "王", "given": ["秀英"]}, {"text": "Wang Xiuying"}], "王秀英", "王秀英 Wang Xiuying"),
        ([{"use": "old", "text": "李四"}, {"text": "王五"}], "王五", "王五"),
        ([], "姓名未记录", "No name recorded"),
        ("阿卜杜拉·买买提", "阿卜杜拉·买买提", "阿卜杜拉·买买提"),
    ],
)
def test_names(name, chinese, english) -> None:
    assert both(formats.person_name, name) == (chinese, english)


@pytest.mark.parametrize(
    ("born", "on", "chinese", "english"),
    [
        ("2024-01-31", "2024-01-31", "0天", "0 days"),
        ("2024-01-31", "2024-02-10", "10天", "10 days"),
        ("2024-01-31", "2024-02-29", "29天", "29 days"),
        ("2024-01-31", "2024-03-01", "1个月1天", "1 month 1 day"),
        ("2024-01-15", "2024-12-20", "11个月5天", "11 months 5 days"),
        ("2020-02-29", "2021-02-28", "11个月30天", "11 months 30 days"),
        ("2020-02-29", "2021-03-01", "1岁", "1 year"),
        ("2020-03-01", "2023-08-01", "3岁5个月", "3 years 5 months"),
        ("1956-03-12", "2026-03-11", "69岁", "69 years"),
        ("1956-03-12", "2026-03-12T01:00:00Z", "70岁", "70 years"),
        ("1956", "2026-03-12", "约70岁", "about 70 years"),
        ("2030-01-01", "2026-01-01", "", ""),
        ("", "2026-01-01", "", ""),
    ],
)
def test_age(born, on, chinese, english) -> None:
    assert both(formats.age, born, on) == (chinese, english)


def test_concepts_speak_the_readers_language_where_they_can() -> None:
    translation = {
        "url": "http://hl7.org/fhir/StructureDefinition/translation",
        "extension": [{"url": "lang", "valueCode": "zh-CN"}, {"url": "content", "valueString": "高血压"}],
    }
    coding = {"code": "I10", "display": "Hypertension", "_display": {"extension": [translation]}}
    assert both(formats.concept, {"coding": [coding]}) == ("高血压", "Hypertension")
    assert both(formats.concept, {"text": "Own words", "coding": [{"code": "x"}]}) == ("Own words", "Own words")
    assert both(formats.concept, {"coding": [{"code": "I10"}]}) == ("I10", "I10")
    assert both(formats.concept, None) == ("", "")


def test_masked_shows_only_the_ends() -> None:
    assert formats.masked("990101195603120024") == "990***********0024"
    assert formats.masked("1234") == "****"
