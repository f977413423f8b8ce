"""When two Patients are one person: the rules of rules.json, each by an example, and identifiers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from xinglin.access.persons import identifiers, spelling
from xinglin.access.persons.blocking import blocks_of
from xinglin.access.persons.comparisons import BIRTH, COMPARISONS, FIELDS
from xinglin.access.persons.matching import Band, decide, rules, threshold
from xinglin.access.persons.traits import LONGEST, Traits
from xinglin.access.persons.weights import shipped

RESIDENT = "urn:oid:2.16.156.10011.1.3"
HOME = "12 main street"
ID = "11010519491231002X"
HAN, LATIN, BORN, ALSO = "王小明", "Wang Xiaoming", "1980-05-03", "13800138000"


def with_check(stem: str) -> str:
    return next(stem + c for c in "0123456789X" if identifiers.is_resident_id(stem + c))


OTHER_ID = with_check("29012119800503001")
TWINS = with_check("29012119800503001"), with_check("29012119800503003")
FAMILY = {"phone": ALSO, "address": "青囊镇3村5号"}


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
    ("the same in all", who(id=ID), who(id=ID), "weight-linked"),
    ("traditional characters", who("張偉強", id=ID), who("张伟强", "", id=ID), "weight-linked"),
    ("written in pinyin", who(HAN, "", id=ID), who(LATIN, id=ID), "weight-linked"),
    ("pinyin, given name first", who(HAN, "", id=ID), who("Xiaoming Wang", id=ID), "weight-linked"),
    ("a surname read its own way", who("单田芳", "", id=ID), who("Shan Tianfang", id=ID), "weight-linked"),
    ("the name, but another birth date", who(id=ID), who(birth="1951-01-01", id=ID), "weight-review"),
    ("a homophone", who("王小明", id=ID), who("王晓明", id=ID), "weight-linked"),
    ("abbreviated", who("王小明", id=ID), who("王明", id=ID), "weight-linked"),
    ("a double surname cut short", who("欧阳锋", id=ID), who("欧锋", id=ID), "weight-linked"),
    ("a typing error in Latin", who("John Smith", id=ID), who("Jhon Smith", id=ID), "weight-linked"),
    (
        "another surname, as after marriage",
        who("Ana Lopez", id=ID),
        who("Ana Garcia", id=ID),
        "weight-linked",
    ),
    ("no name yet", who(None, id=ID), who(id=ID), "identifier-alone"),
    ("a passport", who(birth="", passport="E12345678"), who(passport="E12345678"), "weight-linked"),
    ("the identifier alone", who("", "", id=ID), who("", "", id=ID), "identifier-alone"),
    ("somebody else's card", who("王小明", id=ID), who("李红", "1951-01-01", id=ID), "identifier-and-no-name"),
    ("a relative's card", who("王小明", id=ID), who("王建国", "1951-01-01", id=ID), "identifier-and-no-name"),
    ("a twin with the other's number", who("王佳怡", id=ID), who("王佳琪", id=ID), "identifier-and-no-name"),
    ("a twin, said to be one", who(id=ID, twin=1), who(id=ID, twin=2), "identifier-but-twins"),
    ("a homophone born another day", who("王小明", id=ID), who("王晓明", "1951-01-01", id=ID), "weight-review"),
    ("the sex speaks against it", who(id=ID), who(id=ID, sex="female"), "identifier-but-sex-differs"),
    ("sex unknown does not", who(id=ID), who(id=ID, sex="unknown"), "weight-linked"),
    (
        "passport the same, ID not",
        who(id=ID, passport="E12345678"),
        who(id=OTHER_ID, passport="E12345678"),
        "identifiers-conflict",
    ),
    ("a number that fails its check", who(id=ID), who(id=ID[:-1] + "0"), "name-and-birth-date-alone"),
    ("namesakes of one day", who(id=ID), who(id=OTHER_ID), "identifiers-differ"),
    ("a stranger's number", who(id=ID, phone=ALSO), who(id=OTHER_ID, phone=ALSO), "all-but-the-identifier"),
    ("no identifier", who(), who(id=ID), "name-and-birth-date-alone"),
    ("no identifier, in pinyin", who(HAN), who(LATIN), "name-and-birth-date-alone"),
    ("no identifier, sex unknown", who(sex="unknown"), who(), "name-and-birth-date-alone"),
    ("no identifier, but the phone", who(sex="unknown", phone=ALSO), who(phone="+86 " + ALSO), "weight-linked"),
    ("a homophone and the phone", who("王晓明", phone=ALSO), who(phone=ALSO), "weight-linked"),
    (
        "a homophone and the address",
        who("王晓明", address="杏林县 青囊镇"),
        who(address="杏林县青囊镇"),
        "name-and-birth-date-alone",
    ),
    ("a homophone alone", who("王晓明"), who(), "weight-review"),
    ("day and month swapped", who(birth="1980-03-05", phone=ALSO), who(phone=ALSO), "weight-linked"),
    ("a family on one phone", who("王红", "1982-01-01", phone=ALSO), who(phone=ALSO), "one-family"),
    ("twins on one phone", who("王佳怡", phone=ALSO), who("王佳琪", phone=ALSO), "brothers-and-sisters"),
    ("boy and girl", who(), who(sex="female"), "weight-review"),
    ("two of one birth", who(twin=1), who(twin=2), "two-of-one-birth"),
    ("the same record number only", who("李红", "1990-01-01"), who(), "one-family"),
    (
        "a homophone in a family without a number",
        who("王晓明", address="青囊镇3村5号"),
        who(address="青囊镇3村5号"),
        "weight-linked",
    ),
    (
        "a girl of the same mother",
        who("王芳之子", phone=ALSO),
        who("王芳之女", sex="female", phone=ALSO),
        "newborn-of-another-sex",
    ),
    ("another boy of the same mother", who("王芳之子", phone=ALSO), who("王芳之大子", phone=ALSO), "newborn"),
    ("a baby and its card", who("王芳之子", id=ID), who(id=ID), "identifier-alone"),
    ("twins at one address", who("王佳怡", address="青囊镇3村5号"), who("王思琪", address="青囊镇3村5号"), "twins"),
    ("twins on one telephone", who("王佳怡", phone=ALSO), who("王思琪", phone=ALSO), "twins"),
    (
        "father and son of one name",
        who("John Smith", phone=ALSO, address=HOME),
        who("John Smith", "1951-01-01", phone=ALSO, address=HOME),
        "another-birth-date",
    ),
    ("no birth date", who(birth="", phone=ALSO, address=HOME), who(phone=ALSO, address=HOME), "no-birth-date"),
    (
        "no given name",
        who("Smith", phone=ALSO, address=HOME),
        who("John Smith", phone=ALSO, address=HOME),
        "no-given-name",
    ),
    (
        "another given name",
        who("John Smith", "1980-05-03", phone=ALSO, address=HOME),
        who("Mary Smith", "1980-03-05", phone=ALSO, address=HOME),
        "another-given-name",
    ),
    (
        "twins of like names",
        who("Mia Rose Smith", phone=ALSO, address=HOME),
        who("Mya Jane Smith", phone=ALSO, address=HOME),
        "twins-of-like-names",
    ),
    ("a character that looks alike", who("王春未", phone=ALSO), who("王春末", phone=ALSO), "like-names"),
    ("a sound that is nearly the same", who("王志文", phone=ALSO), who("王子文", phone=ALSO), "like-names"),
    ("a character that looks alike, with the number", who("王春未", id=ID), who("王春末", id=ID), "weight-linked"),
    (
        "twins one letter of pinyin apart",
        who("张妍", phone=ALSO, address="青囊镇3村5号"),
        who("张涵", phone=ALSO, address="青囊镇3村5号"),
        "twins",
    ),
    ("one name a part of the other", who("王泽宸", phone=ALSO), who("王宸", phone=ALSO), "part-of-the-name"),
    (
        "sisters whose names look alike",
        who("王春未", phone=ALSO),
        who("王春末", "1982-09-21", phone=ALSO),
        "brothers-and-sisters",
    ),
    (
        "a Cyrillic letter that looks Latin",
        who("John Smith", phone=ALSO),
        who("J\u043ehn Sm\u0456th", phone=ALSO),
        "weight-linked",
    ),
    (
        "known by the middle name",
        who("Mary Jane Smith", phone=ALSO, address=HOME),
        who("Jane Smith", phone=ALSO, address=HOME),
        "weight-linked",
    ),
    (
        "neither birth date nor family name",
        who("Ana Lopez", id=ID),
        who("Ana Wu", "1951-01-01", id=ID),
        "identifier-but-neither-birth-nor-family",
    ),
    (
        "a daughter registered with her mother's card",
        who("王芳", id=ID, sex="female", **FAMILY),
        who("王芳芳", "2010-05-03", id=ID, sex="female", **FAMILY),
        "identifier-but-another-generation",
    ),
    (
        "a mother and her child without a name",
        who("马嘉婷", sex="female", **FAMILY),
        who("马嘉婷之女", "2010-05-03", sex="female", **FAMILY),
        "newborn-and-parent",
    ),
    (
        "father and son of one name and one birthday",
        who("John Smith", **FAMILY),
        who("John Smith", "1950-05-03", **FAMILY),
        "another-generation",
    ),
    (
        "a year in which nobody has been born yet is a slip, and no son's",
        who("John Smith", **FAMILY),
        who("John Smith", "2980-05-03", **FAMILY),
        "weight-linked",
    ),
    ("senior and junior", who("John Smith Sr", **FAMILY), who("John Smith, Jr.", **FAMILY), "another-generation"),
    ("junior and who leaves it out", who("John Smith Jr", **FAMILY), who("John Smith", **FAMILY), "weight-linked"),
    (
        "sisters in pinyin, two years apart on one day",
        who("Wang Jiayi", **FAMILY),
        who("Wang Jiaqi", "1982-05-03", **FAMILY),
        "neither-name-nor-birth-date",
    ),
    ("twins in pinyin", who("Wang Jiayi", **FAMILY), who("Wang Jiaqi", **FAMILY), "twins-of-like-names"),
    ("twins whose names rhyme", who("Jayden Smith", **FAMILY), who("Hayden Smith", **FAMILY), "twins-of-like-names"),
    (
        "a name nobody bears is miswritten",
        who("Jayden Smith", **FAMILY),
        who("Jaydxn Smith", **FAMILY),
        "weight-linked",
    ),
    ("twins in another alphabet", who("محمد علي", **FAMILY), who("أحمد علي", **FAMILY), "twins-of-like-names"),
    ("twins of one initial", who("J Smith", **FAMILY), who("Jane Smith", **FAMILY), "twins-of-like-names"),
    ("twins but for a tone", who("李亮", **FAMILY), who("李良", **FAMILY), "like-names"),
    (
        "brother and sister of one day",
        who("Marxan Smith", **FAMILY),
        who("Marxon Smith", sex="female", **FAMILY),
        "like-names-of-boy-and-girl",
    ),
    (
        "twins' numbers follow each other",
        who("王佳怡", id=TWINS[0], **FAMILY),
        who("王思琪", id=TWINS[1]),
        "identifiers-differ",
    ),
    (
        "twins whose names sound the same",
        who("王佳怡", id=TWINS[0], **FAMILY),
        who("王家怡", id=TWINS[1], **FAMILY),
        "identifiers-differ",
    ),
    (
        "a number mistyped for a twin",
        who("王佳怡", id=ID, **FAMILY),
        who("王佳琪", id=ID[:-1] + "0", **FAMILY),
        "like-numbers",
    ),
    (
        "twins of whom a system wrote the surname as the given name",
        {**who(**FAMILY), "name": [{"family": "沐萌", "given": ["夏"]}]},
        {**who(**FAMILY), "name": [{"family": "子彤", "given": ["夏"]}]},
        "twins",
    ),
    (
        "a number that is another's, miswritten",
        who(id=ID, **FAMILY),
        who(id=OTHER_ID[:-3] + "999", **FAMILY),
        "another-number",
    ),
    (
        "neighbours in the register",
        {**who(id=ID, **FAMILY), "name": [{"family": "吴", "given": ["子晗"]}]},
        {**who(id=ID[:-1] + "0", **FAMILY), "name": [{"family": "张", "given": ["沐晗"]}]},
        "like-numbers",
    ),
    (
        "two of one given name and day in a dormitory",
        who("王伟", **FAMILY),
        who("李伟", **FAMILY),
        "another-family-name",
    ),
    (
        "a married name",
        who("Ana Lopez", sex="female", **FAMILY),
        who("Ana Garcia", sex="female", **FAMILY),
        "weight-linked",
    ),
    (
        "two of another family and sex",
        who("Kim Lopez", sex="female", **FAMILY),
        who("Kim Garcia", **FAMILY),
        "another-family-name",
    ),
    ("two babies, numbered", who("BabyboyA Smith", **FAMILY), who("BabyboyB Smith", **FAMILY), "newborn"),
    ("twins that have no names yet", who("Twin A Smith", **FAMILY), who("Twin B Smith", **FAMILY), "newborn"),
    ("王芳之子 twice", who("王芳之子", **FAMILY), who("王芳之子", **FAMILY), "newborn"),
    ("two of whom nobody knows the name", who("无名氏", **FAMILY), who("无名氏", **FAMILY), "no-given-name"),
    ("the telephone of the police", who(phone="110"), who(phone="110"), "name-and-birth-date-alone"),
    ("a telephone that is none", who(phone="00000000000"), who(phone="00000000000"), "name-and-birth-date-alone"),
    (
        "a birth date that stands for none",
        who(birth="1900-01-01", **FAMILY),
        who(birth="1900-01-01", **FAMILY),
        "no-birth-date",
    ),
    (
        "marks that are not seen",
        who("王\u200b小\ufe0f明", phone=ALSO),
        who("\u202e王小明", phone=ALSO),
        "weight-linked",
    ),
    (
        "accents heaped upon a name",
        who("J\u0336\u0321o\u0489hn Smith", phone=ALSO),
        who("John Smith", phone=ALSO),
        "weight-linked",
    ),
]


@pytest.mark.parametrize(("what", "a", "b", "rule"), EXAMPLES, ids=[example[0] for example in EXAMPLES])
def test_each_pair_falls_under_its_rule(what: str, a: dict[str, Any], b: dict[str, Any], rule: str) -> None:
    decision = decide(Traits.of(a), Traits.of(b))
    assert (decision.rule, decision.rule) == (rule, decide(Traits.of(b), Traits.of(a)).rule), decision


def test_every_rule_has_an_example_and_known_words() -> None:
    assert {rule.rule for rule in rules()} <= {example[3] for example in EXAMPLES}
    levels = {one.field: {level.name for level in one.levels} for one in COMPARISONS}
    for rule in rules():
        for field, names in (*rule.when.items(), *rule.unless.items()):
            assert names <= levels[field], (rule.rule, field, names - levels[field])
        assert rule.zh and rule.en and (rule.band is None) != (rule.most is None)
        assert rule.band is not Band.LINKED, "a rule may hold a link back, never make one"


def test_an_identifier_and_what_follows_from_it_never_link() -> None:
    """A resident ID holds birth date and sex: with these alone, or with somebody else's name, it is not enough."""
    for other in ("", "李红", "王佳琪"):
        assert decide(Traits.of(who("王小明", id=ID)), Traits.of(who(other, id=ID))).band is Band.REVIEW


def test_the_explanation_adds_up_and_a_rare_name_weighs_more() -> None:
    common, rare = (decide(Traits.of(who(name, id=ID)), Traits.of(who(name, id=ID))) for name in ("王伟", "禤䶮"))
    for decision in (common, rare):
        assert decision.weight == pytest.approx(shipped().prior + sum(part.weight for part in decision.parts))
        assert [part.field for part in decision.parts] == list(FIELDS)
    assert rare.weight > common.weight + 3


def test_a_character_looks_like_those_of_one_group() -> None:
    shapes = spelling._shapes()
    groups = spelling._data("look_alikes")["groups"]
    assert len(shapes) == sum(map(len, groups)), "a character stands in two groups"
    assert all(spelling.fold_han(group) == group for group in groups), "compared after traditional became simplified"
    assert spelling.shape_of("晓铃") == spelling.shape_of("晓玲") != spelling.shape_of("晓今")


def test_letters_of_other_alphabets_are_read_as_latin_among_latin_ones_only() -> None:
    for mixed in ("Sm\u0456th", "\u0405mith", "SMI\u0422H", "SM\u0399TH"):
        assert spelling.fold_latin(mixed) == "smith", mixed
    assert spelling.fold_latin("\u0410\u043d\u043d\u0430") == "\u0430\u043d\u043d\u0430"  # Анна is a name of its own
    assert spelling.fold_latin("Zoë") == "zoe" and spelling.fold_latin("LYU") == "lv"


def test_the_levels_of_birth_dates() -> None:
    cases = [("19800503", "19800503", "same"), ("1980", "19800503", "less-precise"), ("1980", "1980", "less-precise")]
    cases += [("19800305", "19800503", "day-and-month-swapped"), ("19800503", "19800504", "one-digit")]
    cases += [("19800503", "19950503", "year"), ("19800503", "19810504", "two-digits"), ("", "1980", "absent")]
    for a, b, name in cases:
        assert BIRTH.levels[BIRTH.level(Traits(birth=a), Traits(birth=b))].name == name, (a, b)


def test_the_shipped_weights_say_where_they_come_from() -> None:
    assert {"how", "tool", "on", "records", "when"} <= set(shipped().trained)
    assert all(m > 0 and u > 0 for levels in shipped().chances.values() for m, u in levels.values())
    assert threshold("review") <= threshold("paired") < threshold("linked")


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


HOSTILE = [
    "王" * 10_000,
    "a" * 10_000,
    "\ufdfa" * 10_000,
    "a b " * 5_000,
    "\u0301" * 10_000,
    "😀" * 5_000,
    "1" * 10_000,
]
HOSTILE += ["", "\u202e\u200f\x00\x07", "١٢٣", "12 34", "𠮷野家", "〇〇", "-", "·", "\ud7ff", "ß" * 10_000]


def test_no_name_however_long_or_odd_takes_a_pair_more_than_moments() -> None:
    """Who may store a Patient may not stop the desk at which the next one is looked for."""
    people = []
    for text in HOSTILE:
        many = [{"text": text}, {"family": text, "given": [text] * 30}] * 40
        line = {"line": ["1 " + text, text], "city": text, "postalCode": text}
        numbers = [{"system": RESIDENT, "value": text}, *({"type": {"coding": [{"code": "PPN"}]}, "value": f"E{n:08}"}
                   for n in range(2000))]  # fmt: skip
        phones = [{"system": "phone", "value": f"138{n:08}"} for n in range(2000)]
        people.append({"name": many, "address": [line], "identifier": numbers, "telecom": phones, "birthDate": "1980"})
    began = time.process_time()
    traits = [Traits.of(one) for one in people]
    assert all(len(blocks_of(one, wide=True)) < 500 for one in traits), "so many keys of one Patient"
    for a in traits:
        for b in traits:
            decide(a, b)
    assert time.process_time() - began < 30, "seconds for all pairs of the hostile"


def test_long_texts_that_differ_are_compared_in_moments() -> None:
    a, b = ({"address": [{"line": ["1 " + word * 25_000]}]} for word in ("bc", "cb"))
    decide(Traits.of(a), Traits.of(b))  # took all memory, as the square of its letters
    assert len(Traits.of(a).street) == LONGEST
