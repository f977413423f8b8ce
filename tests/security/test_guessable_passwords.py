"""What nobody may choose as a password, and that no place where one is chosen forgets it (ASVS 6.2.4, .11, .12)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xinglin.access.house import House
from xinglin.access.identity import accounts, passwords, second_factor
from xinglin.access.identity.guessable import Why, common, guessable, words_of_name
from xinglin.access.principal import NODE, Role
from xinglin.access.records import Records, Write
from xinglin.kernel.errors import Unprocessable

WANG = [
    word
    for name in ("wang.xf", "王小芳", "Wang Xiaofang", "杏林县人民医院", "hx-hospital")
    for word in words_of_name(name)
]
OTHERS = ["password1", "Ｐａｓｓｗｏｒｄ１", "QWERTYUIOP", "p-a-s-s-w-o-r-d", "qq123456789", "woaini1314"]
OWN = [
    "Xinglin2026",
    "X1ngl1n@123",
    "杏林@2026年",
    "wangxiaofang",
    "WangXF1990",
    "xiaofang888",
    "wxf123456",
    "王小芳1990",
    "xlxrmyy2026",
    "P@t1ent-1",
]
SHAPED = (
    "19900101 1990-01-01 1990年1月1日 23.07.1991 13812345678 0571-87654321 "
    "11010519491231002x 4rfv5tgb6yhn 好好好好好好好好"
)
FINE = [
    "four words of ours",
    "the xinglin garden at dusk",
    "梅花香自苦寒来啊",
    "wangxiaofang-kettle-7",
    "2026 was rainy",
    "k7v2-mmqd",
]


@pytest.mark.parametrize("why,texts", [(Why.COMMON, OTHERS), (Why.OWN, OWN), (Why.SHAPE, SHAPED.split()), (None, FINE)])
def test_what_is_guessed_and_how(why: Why | None, texts: list[str]) -> None:
    assert {text: guessable(text, WANG) for text in texts} == dict.fromkeys(texts, why)


def test_the_list_is_as_long_as_asked_and_made_of_what_our_rule_admits() -> None:
    assert len(common()) >= 3000 and {len(text) >= passwords.SHORTEST for text in common()} == {True}
    assert all(guessable(text.title()) is not None for text in sorted(common())[::50])


@given(st.text(max_size=300), st.lists(st.text(max_size=40), max_size=3))
def test_any_text_is_judged_and_what_the_node_makes_is_never_refused(text: str, names: list[str]) -> None:
    words = [word for name in names for word in words_of_name(name)]
    assert guessable(text, words) in (None, *Why)
    made = second_factor.new_code()
    assert guessable(made, words) is None or any(len(word) > 2 and word in made for word in words)


async def test_no_place_forgets_it(house: House, quick: None) -> None:
    database = house.database
    held = {"resourceType": "Organization", "id": "qn", "name": "青囊卫生院", "alias": ["Qingnang"]}
    await Records(house, NODE).write([Write("PUT", "Organization", "qn", held, keep_id=True)], custodian="qn")
    for easy in ("Qingnang-2026", "qnwsy12345", "zhaoyun99", "password123", "short"):
        with pytest.raises(Unprocessable):
            await accounts.create(database, "zhao", easy, Role.CLERK, name_zh="赵云", institution="qn")
    await accounts.create(database, "zhao", "four words of ours", Role.CLERK, name_zh="赵云", institution="qn")
    for easy in ("Qingnang-2026", "qnwsy12345", "zhaoyun99", "password123"):
        with pytest.raises(Unprocessable, match="password"):
            await accounts.set_password(database, "zhao", easy)


def test_whoever_hashes_a_password_has_judged_it() -> None:
    """Each file that makes a hash of what somebody chose asks first; signing in only renews the hash of an old one."""
    source = Path(passwords.__file__).parents[2]
    hashing = {path for path in source.rglob("*.py") if "hash_password(" in path.read_text("utf-8")}
    judged = {path for path in hashing if re.search(r"check_password\(connection", path.read_text("utf-8"))}
    assert {path.name for path in hashing - judged} == {"passwords.py", "entering.py"}
