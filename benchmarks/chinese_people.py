"""A Chinese set for matching: everybody of the demo county at one desk, and most of them, miswritten, at another.

Each person's second record has one kind of error, or several; who is who is known, so each kind is reported apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from xinglin.demo.county import County, population
from xinglin.demo.dice import Dice
from xinglin.demo.identity import RESIDENT_ID_SYSTEM, TOWNS, mobile
from xinglin.demo.names import HOMOPHONES, Name, abbreviated, homophone, pinyin, traditional
from xinglin.demo.roster import Person

Resource = dict[str, Any]
LOOK_ALIKE = "未末 己已 土士 日曰 免兔 侯候 冶治 天夭 人入 千干 今令 玉王"
LOOK_ALIKE += " 兰三 丽而 伟纬 杨扬 明朋 辰晨 晴睛 涛祷 振震 佳住 洁浩 林杯 宇字 志态 俊竣"
_GLYPHS = {one: other for a, b in LOOK_ALIKE.split() for one, other in ((a, b), (b, a))}
SHARE_KNOWN_TWICE = 0.6


@dataclass(frozen=True)
class Written:
    """What a desk wrote down."""

    name: Name
    birth: date
    female: bool
    number: str | None
    phone: str
    town: int
    village: str
    house: int

    @classmethod
    def of(cls, person: Person) -> Written:
        return cls(person.name, person.birth, person.female, person.resident_id, person.phone, person.town,
                   person.village, person.house)  # fmt: skip


Slip = Callable[[Written, Dice], Written | None]


def _name(change: Callable[[Name], Name | None]) -> Slip:
    def slip(written: Written, dice: Dice) -> Written | None:
        changed = change(written.name)
        return replace(written, name=changed) if changed and changed != written.name else None

    return slip


def _look_alike(name: Name) -> Name | None:
    place = next((n for n, c in enumerate(name.given) if c in _GLYPHS), None)
    if place is None:
        return None
    return Name(name.family, name.given[:place] + _GLYPHS[name.given[place]] + name.given[place + 1 :])


def _homophone_family(name: Name) -> Name | None:
    other = HOMOPHONES.get(name.family)
    return Name(other[0], name.given) if other else None


def _mistyped_number(written: Written, dice: Dice) -> Written | None:
    number = written.number or ""
    place = dice.between(6, 16)
    digit = str((int(number[place]) + dice.between(1, 9)) % 10)
    return replace(written, number=number[:place] + digit + number[place + 1 :])


def _day_month(written: Written, dice: Dice) -> Written | None:
    birth = written.birth
    if birth.day > 12 or birth.day == birth.month:
        return None
    return replace(written, birth=birth.replace(month=birth.day, day=birth.month))


def _birth_digit(written: Written, dice: Dice) -> Written | None:
    day = written.birth.day
    return replace(written, birth=written.birth.replace(day=day + 1 if day < 28 and day % 10 != 9 else day - 1))


def _moved(written: Written, dice: Dice) -> Written | None:
    town = dice.between(0, len(TOWNS) - 1)
    return replace(written, town=town, village=dice.pick(TOWNS[town][2]), house=dice.between(1, 400))


def _other_phone(written: Written, dice: Dice) -> Written | None:
    return replace(written, phone=mobile(dice.between(5_000_000, 90_000_000)))


SLIPS: dict[str, tuple[Slip, ...]] = {
    "nothing": (),
    "homophone in the given name": (_name(homophone),),
    "look-alike character": (_name(_look_alike),),
    "homophone in the surname": (_name(_homophone_family),),
    "surname and given name swapped": (_name(lambda name: Name(name.given, name.family)),),
    "traditional characters": (_name(traditional),),
    "pinyin": (_name(pinyin),),
    "part of the name left out": (_name(abbreviated),),
    "number mistyped": (_mistyped_number,),
    "telephone changed": (_other_phone,),
    "moved": (_moved,),
    "telephone changed and moved": (_other_phone, _moved),
    "day and month swapped": (_day_month,),
    "birth date one digit off": (_birth_digit,),
    "homophone, and moved": (_name(homophone), _moved),
    "pinyin, and telephone changed": (_name(pinyin), _other_phone),
}  # fmt: skip


def desks(
    people: int, *, seed: int = 11, numbered: bool = True
) -> Iterator[tuple[str, Resource, str, Resource | None]]:
    """For each inhabitant: id and Patient at the first desk, kind of error and Patient at the second, None if unknown.

    numbered: the second desk asks for the resident ID; of those it asks, every fourth does not have it with them.
    """
    for person, _ in population(County(seed=seed, people=people)):
        dice = Dice(77, seed, person.index)
        first = Written.of(person)
        id = f"p{person.index}"
        if not dice.chance(SHARE_KNOWN_TWICE):
            yield id, patient(id, first), "", None
            continue
        kind, second = _slipped(first, dice)
        if not numbered or (dice.chance(0.25) and kind != "number mistyped"):
            second = replace(second, number=None)
        yield id, patient(id, first), kind, patient(id, second)


def _slipped(first: Written, dice: Dice) -> tuple[str, Written]:
    """One kind of error; another where it cannot be made of this person."""
    for _ in range(6):
        kind = dice.pick(tuple(SLIPS))
        second: Written | None = first
        for slip in SLIPS[kind]:
            second = slip(second, dice) if second else None
        if second is not None:
            return kind, second
    return "nothing", first


def patient(id: str, written: Written) -> Resource:
    town = TOWNS[written.town][0]
    body: Resource = {
        "resourceType": "Patient", "id": id,
        "name": [{"family": written.name.family, "given": [written.name.given]}],
        "gender": "female" if written.female else "male", "birthDate": written.birth.isoformat(),
        "telecom": [{"system": "phone", "value": written.phone}],
        "address": [{"line": [f"{town}{written.village}{written.house}号"], "district": "杏林县", "city": "董奉市"}],
    }  # fmt: skip
    if written.number:
        body["identifier"] = [{"system": RESIDENT_ID_SYSTEM, "value": written.number}]
    return body
