"""Finding people: what a clerk types, and who is found. Each line is a rule of the search box."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from xinglin.access.persons.find import find
from xinglin.access.persons.index import index_patients
from xinglin.core.store.keys import TYPE_NUMBERS, key_of
from xinglin.core.store.visibility import UNRESTRICTED, Bind
from xinglin.kernel.database import Connection, Database

RESIDENT = "urn:oid:2.16.156.10011.1.3"


def han(family: str, given: str) -> dict[str, Any]:
    return {"family": family, "given": [given], "text": family + given}


PEOPLE: dict[str, dict[str, Any]] = {
    "wxm": {
        "name": [han("王", "小明")],
        "birthDate": "1980-05-03",
        "identifier": [{"system": RESIDENT, "value": "11010519491231002X"}, {"value": "HX-00012345"}],
        "telecom": [{"system": "phone", "value": "+86 138-0013-8000"}, {"system": "email", "value": "x@example.org"}],
    },
    "wxy": {"name": [han("王", "晓燕")], "birthDate": "1980-11-20"},
    "traditional": {"name": [han("張", "偉強")], "birthDate": "1962-01-09"},
    "shan": {"name": [han("单", "田芳")], "birthDate": "1934"},
    "ouyang": {"name": [{"text": "欧阳锋"}]},
    "lv": {"name": [han("吕", "绿")]},
    "qin": {"name": [han("覃", "海")]},
    "smith": {"name": [{"family": "Smith", "given": ["John", "Arthur"]}], "birthDate": "1971-02-28"},
    "zoe": {"name": [{"family": "O'Brien", "given": ["Zoë"]}]},
    "bare": {"name": [{"text": "Ana María López"}]},
    "nameless": {"birthDate": "1999-12-31"},
}


async def store(connection: Connection, people: dict[str, dict[str, Any]], custodian: int = 0) -> None:
    rows = []
    for number, (id, person) in enumerate(people.items()):
        body = orjson.dumps({"resourceType": "Patient", "id": id, **person})
        key = key_of("Patient", id)
        rows.append((key, TYPE_NUMBERS["Patient"], 1, False, key, custodian + number % 2, 1, 0, 0, 1, 0, id, body))
    await connection.copy_records_to_table("resource", records=rows)
    await index_patients(connection, [(key_of("Patient", id), 0, p) for id, p in people.items()])


@pytest.fixture
async def county(database: Database) -> AsyncIterator[Connection]:
    async with database.connection() as connection:
        await store(connection, PEOPLE)
        yield connection


FINDS = """
王小明          wxm
王 小明         wxm
王              wxm wxy
小明            wxm
wangxiaoming    wxm
wang xiao ming  wxm
Wang Xiaoming   wxm
xiaoming wang   wxm
wáng xiǎo míng  wxm
wang2 xiao3 ming2   wxm
wang2xiao3ming2     wxm
wangxia         wxm wxy
xiaoyan         wxy
wxm             wxm
wx              wxm wxy
WANG            wxm wxy
wangxaioming    wxm
wangxiaomng     wxm
wangxiaominng   wxm
wangxiaomjng    wxm
王晓明          wxm
王小燕          wxy
张伟强          traditional
張偉強          traditional
张偉强          traditional
zhang weiqiang  traditional
shan tian fang  shan
單田芳          shan
单田芳          shan
欧阳锋          ouyang
ouyang feng     ouyang
歐陽            ouyang
oyf             ouyang
lvlv            lv
lülü            lv
lǚ lǜ           lv
lyu lyu         lv
吕              lv
qin hai         qin
tan hai         qin
smith           smith
John Smith      smith
smith john      smith
jhon smith      smith
arthur          smith
smith arthur    smith
jas             smith
obrien          zoe
O'Brien         zoe
zoe             zoe
ZOË             zoe
lopez           bare
ana lopez       bare
11010519491231002X  wxm
11010519491231002x  wxm
110105194912        wxm
hx-00012345     wxm
HX00012345      wxm
13800138000     wxm
138 0013 8000   wxm
+8613800138000  wxm
+86 138-0013-8000   wxm
138001          wxm
1980-05-03      wxm
19800503        wxm
1980/5/3        wxm
1980年5月3日    wxm
１９８００５０３    wxm
1980            wxm wxy
1980年          wxm wxy
1980年11月      wxy
1980-11         wxy
1934            shan
1999-12-31      nameless
wang 1980       wxm wxy
王 1980-05-03   wxm
wangxiaoyan 1980    wxy
王1980年        wxm wxy
wang 13800138000    wxm
王 xiaoming     wxm
wang 1981       -
li              -
x@example.org   -
"""


async def test_what_is_typed_finds_whom_it_means(county: Connection) -> None:
    wrong = []
    for line in FINDS.strip().splitlines():
        *typed, expected = line.split("  ", 1)[0], line.split("  ", 1)[1].strip() if "  " in line else ""
        text, wanted = typed[0], set(expected.split()) - {"-"}
        found = [match.stored.id for match in await find(county, text, UNRESTRICTED)]
        if set(found) != wanted:
            wrong.append((text, found, wanted))
    assert not wrong


async def test_better_matches_come_first(county: Connection) -> None:
    more = {"a": {"name": [han("王", "小")]}, "b": {"name": [han("汪", "晓")]}, "c": {"name": [han("王", "小小")]}}
    await store(county, more)
    assert [m.stored.id for m in await find(county, "王小", UNRESTRICTED)][:2] == ["a", "c"]
    assert [m.stored.id for m in await find(county, "王小", UNRESTRICTED)][-1] == "b", "the same sound comes last"


@pytest.mark.parametrize(
    "text", ["", " ", "%", "_", "\0", "'; DROP TABLE person_term", "🙂", "1", "\u0301", "（）", "a" * 10_000, "\ud800"]
)
async def test_odd_input_finds_nobody(county: Connection, text: str) -> None:
    assert await find(county, text, UNRESTRICTED) == []


@dataclass(frozen=True)
class Only:
    """May see what one custodian holds."""

    custodian: int
    unrestricted: bool = False

    def predicate(self, alias: str, bind: Bind) -> str:
        return f"{alias}.custodian = {bind(self.custodian)}"


async def test_nobody_is_found_who_may_not_be_seen(county: Connection) -> None:
    everyone = {id for text in ("王", "smith", "1980", "13800138000") for id in await ids(county, text, Only(0))}
    assert everyone == {id for number, id in enumerate(PEOPLE) if number % 2 == 0} & {"wxm"}
    many = {f"w{n}": {"name": [han("王", "小明")]} for n in range(200)}
    await store(county, many, custodian=10)
    await store(county, {"mine": {"name": [han("王", "小明")]}}, custodian=99)
    assert await ids(county, "wang", Only(99)) == ["mine"], "those who are hidden do not crowd out who is not"


async def ids(connection: Connection, text: str, visible: Only) -> list[str]:
    return [match.stored.id for match in await find(connection, text, visible)]


async def test_the_index_follows_the_resource(county: Connection) -> None:
    key = key_of("Patient", "wxm")
    await index_patients(county, [(key, 0, {"name": [han("赵", "小明")]})])
    assert not await ids_all(county, "王小明") and await ids_all(county, "赵小明") == ["wxm"]
    await index_patients(county, [(key, 0, None)])
    assert not await ids_all(county, "赵小明")


async def ids_all(connection: Connection, text: str) -> list[str]:
    return [match.stored.id for match in await find(connection, text, UNRESTRICTED) if match.score < 3]
