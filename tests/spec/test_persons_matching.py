"""When two Patients are one person: the rules of rules.json, each by an example, and identifiers."""

from __future__ import annotations

from typing import Any

import pytest

from xinglin.access.persons import identifiers
from xinglin.access.persons.matching import Band, decide, rules
from xinglin.access.persons.traits import FIELDS, Traits, Verdict, compare_births

RESIDENT = "urn:oid:2.16.156.10011.1.3"
ID = "11010519491231002X"
HAN, LATIN, BORN, ALSO = "王小明", "Wang Xiaoming", "1980-05-03", "13800138000"


def with_check(stem: str) -> str:
    return next(stem + c for c in "0123456789X" if identifiers.is_resident_id(stem + c))


OTHER_ID = with_check("29012119800503001")


def who(
    name: str | None = HAN, birth: str = BORN, id: str | None = None, sex: str = "male", **more: Any
) -> dict[str, Any]:
    """A Patient; `id` is a resident ID, `phone`, `address`, `twin`, `passport` as they say."""
    patient: dict[str, Any] = {"resourceType": "Patient", "gender": sex}
    if name:
        patient["name"] = [{"text": name}]
    if birth:
        patient["birthDate"] = birth
    patient["identifier"] = [{"system": "urn:mrn", "value": "1", "type": {"coding": [{"code": "MR"}]}}]
    if id:
        patient["identifier"].append({"system": RESIDENT, "value": id})
    if passport := more.get("passport"):
        patient["identifier"].append({"type": {"coding": [{"code": "PPN"}]}, "system": "urn:cn", "value": passport})
    if phone := more.get("phone"):
        patient["telecom"] = [{"system": "phone", "value": phone}]
    if address := more.get("address"):
        patient["address"] = [{"text": address}]
    if twin := more.get("twin"):
        patient["multipleBirthInteger"] = twin
    return patient


EXAMPLES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("the same in all", who(id=ID), who(id=ID), "identifier-and-name"),
    ("traditional characters", who("張偉強", id=ID), who("张伟强", "", id=ID), "identifier-and-name"),
    ("written in pinyin", who(HAN, "", id=ID), who(LATIN, id=ID), "identifier-and-name"),
    ("pinyin, given name first", who(HAN, "", id=ID), who("Xiaoming Wang", id=ID), "identifier-and-name"),
    ("a surname read its own way", who("单田芳", "", id=ID), who("Shan Tianfang", id=ID), "identifier-and-name"),
    ("the name, but another birth date", who(id=ID), who(birth="1951-01-01", id=ID), "identifier-and-name"),
    ("a homophone", who("王小明", id=ID), who("王晓明", id=ID), "identifier-and-birth-date"),
    ("abbreviated", who("王小明", id=ID), who("王明", id=ID), "identifier-and-birth-date"),
    ("a double surname cut short", who("欧阳锋", id=ID), who("欧锋", id=ID), "identifier-and-birth-date"),
    ("a typing error in Latin", who("John Smith", id=ID), who("Jhon Smith", id=ID), "identifier-and-birth-date"),
    (
        "another surname, as after marriage",
        who("Ana Lopez", id=ID),
        who("Ana Garcia", id=ID),
        "identifier-and-birth-date",
    ),
    ("no name yet", who(None, id=ID), who(id=ID), "identifier-and-birth-date"),
    ("a passport", who(birth="", passport="E12345678"), who(passport="E12345678"), "identifier-and-name"),
    ("the identifier alone", who("", "", id=ID), who("", "", id=ID), "identifier-alone"),
    ("somebody else's card", who("王小明", id=ID), who("李红", "1951-01-01", id=ID), "identifier-alone"),
    ("a relative's card", who("王小明", id=ID), who("王建国", "1951-01-01", id=ID), "identifier-alone"),
    ("a twin with the other's number", who("王佳怡", id=ID), who("王佳琪", id=ID), "identifier-alone"),
    ("a twin, said to be one", who(id=ID, twin=1), who(id=ID, twin=2), "identifier-but-twins"),
    ("a homophone born another day", who("王小明", id=ID), who("王晓明", "1951-01-01", id=ID), "identifier-alone"),
    ("the sex speaks against it", who(id=ID), who(id=ID, sex="female"), "identifier-but-sex-differs"),
    ("sex unknown does not", who(id=ID), who(id=ID, sex="unknown"), "identifier-and-name"),
    (
        "passport the same, ID not",
        who(id=ID, passport="E12345678"),
        who(id=OTHER_ID, passport="E12345678"),
        "identifiers-conflict",
    ),
    ("a number that fails its check", who(id=ID), who(id=ID[:-1] + "0"), "name-and-birth-date"),
    ("namesakes of one day", who(id=ID), who(id=OTHER_ID), "identifiers-differ"),
    ("a stranger's number", who(id=ID, phone=ALSO), who(id=OTHER_ID, phone=ALSO), "all-but-the-identifier"),
    ("no identifier", who(), who(id=ID), "name-and-birth-date"),
    ("no identifier, in pinyin", who(HAN), who(LATIN), "name-and-birth-date"),
    ("no identifier, sex unknown", who(sex="unknown"), who(), "nothing-in-common"),
    ("no identifier, but the phone", who(sex="unknown", phone=ALSO), who(phone="+86 " + ALSO), "name-and-birth-date"),
    ("a homophone and the phone", who("王晓明", phone=ALSO), who(phone=ALSO), "close-name-and-birth-date"),
    (
        "a homophone and the address",
        who("王晓明", address="杏林县 青囊镇"),
        who(address="杏林县青囊镇"),
        "close-name-and-birth-date",
    ),
    ("a homophone alone", who("王晓明"), who(), "nothing-in-common"),
    ("day and month swapped", who(birth="1980-03-05", phone=ALSO), who(phone=ALSO), "name-and-close-birth-date"),
    ("a family on one phone", who("王红", "1982-01-01", phone=ALSO), who(phone=ALSO), "nothing-in-common"),
    ("twins on one phone", who("王佳怡", phone=ALSO), who("王佳琪", phone=ALSO), "nothing-in-common"),
    ("boy and girl", who(), who(sex="female"), "sex-differs"),
    ("two of one birth", who(twin=1), who(twin=2), "twins"),
    ("the same record number only", who("李红", "1990-01-01"), who(), "nothing-in-common"),
]


@pytest.mark.parametrize(("what", "a", "b", "rule"), EXAMPLES, ids=[example[0] for example in EXAMPLES])
def test_each_pair_falls_under_its_rule(what: str, a: dict[str, Any], b: dict[str, Any], rule: str) -> None:
    decision = decide(Traits.of(a), Traits.of(b))
    assert (decision.rule, decision.rule) == (rule, decide(Traits.of(b), Traits.of(a)).rule), decision


def test_every_rule_has_an_example_and_known_words() -> None:
    assert {rule.rule for rule in rules()} <= {example[3] for example in EXAMPLES}
    for rule in rules():
        for field, verdicts in (*rule.when.items(), *rule.any.items()):
            assert field in FIELDS and set(verdicts) <= set(Verdict), rule
        assert rule.zh and rule.en
        if rule.band is Band.LINKED:
            others = {"name", "birth-date"} & set(rule.when)
            assert "identifier" in rule.when and others, "a link needs a second attribute"
            assert any(rule.when[field] == ["agree"] for field in others)


def test_birth_dates() -> None:
    cases = [("19800503", "19800503", "agree"), ("1980", "19800503", "close"), ("1980", "1980", "close")]
    cases += [("19800305", "19800503", "close"), ("19800503", "19810503", "close"), ("", "1980", "absent")]
    cases += [("19800503", "19810504", "differ"), ("198005", "19800612", "differ")]
    assert [(a, b, str(compare_births(a, b))) for a, b, _ in cases] == cases


def test_resident_ids() -> None:
    """GB 11643: the sample of the standard; residence permits (81, 83) are valid; dates and check characters count."""
    assert identifiers.is_resident_id("11010519491231002X")
    assert identifiers.resident_gender("11010519491231002X") == "female"
    assert str(identifiers.resident_birth("11010519491231002X")) == "1949-12-31"
    for stem in ("81000019800503001", "83000019800503001", "29012119800503001"):
        assert identifiers.is_resident_id(with_check(stem))
    for wrong in ("110105194912310021", "11010519491331002X", "11010519490230001X", "1101051949123100", "", "١" * 18):
        assert not identifiers.is_resident_id(wrong)


def test_every_slip_of_a_digit_is_caught() -> None:
    valid = with_check("29012119800503001")
    for place in range(18):
        for other in "0123456789":
            assert other == valid[place] or not identifiers.is_resident_id(valid[:place] + other + valid[place + 1 :])
        swapped = valid[:place] + valid[place : place + 2][::-1] + valid[place + 2 :]
        assert swapped == valid or not identifiers.is_resident_id(swapped)


def test_nhs_numbers() -> None:
    assert identifiers.is_nhs_number("9434765919")
    for wrong in ("0000000000", "9876543210", "9434765918", "943476591", "1111111111", "12345678901"):
        assert not identifiers.is_nhs_number(wrong)


def test_what_counts_as_a_strong_identifier() -> None:
    def of(**entry: Any) -> int:
        return len(identifiers.strong_identifiers({"identifier": [entry]}))

    assert of(system=RESIDENT, value=ID) and of(system=RESIDENT, value=f" {ID.lower()} ")
    assert not of(system=RESIDENT, value="110105194912310021"), "the check character is wrong"
    assert not of(system=RESIDENT, value=ID, use="old") and not of(system="urn:mrn", value=ID)
    assert not of(type={"coding": [{"code": "MR"}]}, value="E12345678")
    assert of(type={"coding": [{"code": "PPN"}]}, value="E12345678")
    assert not of(type={"coding": [{"code": "PPN"}]}, value="000000000"), "a dummy"
