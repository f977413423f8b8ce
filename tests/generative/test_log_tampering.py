"""Ten thousand ways to touch an exported log, each by somebody who knows its format; none goes unseen.

Three kinds of attackers: one changes entries; one mends the hashes too; one holds the log's key and signs a whole new
history, which only a head kept outside contradicts.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from hashlib import sha256
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xinglin.access.audit import notes
from xinglin.access.audit.evidence import Entry, Evidence, judged
from xinglin.access.audit.judge import Verdict, account, judge
from xinglin.access.audit.merkle import root_of
from xinglin.access.audit.notes import Head, Signer
from xinglin.access.audit.tree import leaf_of

LOG = Signer.of("hospital.example/log", sha256(b"log").digest())
WITNESS = Signer.of("watcher.example/witness", sha256(b"witness").digest(), notes.WITNESS)
Raw = dict[str, Any]
TAMPERINGS = 10_000


def line(seq: int, dice: random.Random, **more: Any) -> Raw:
    said = {"login": dice.choice(["dr-a", "dr-b"]), "target": f"Observation/{dice.randrange(99)}", "person": "7"}
    return {"seq": seq, "at": 1_700_000_000_000_000 + seq, "interaction": "read", "outcome": 0, **said, **more}


def entry(leaf: int, content: Raw, dice: random.Random) -> Raw:
    return {"leaf": leaf, "salt": dice.randbytes(16).hex(), "line": content}


def hash_of(one: Raw) -> bytes:
    return leaf_of(one["line"], bytes.fromhex(one["salt"]))


def signed(hashes: list[bytes], sizes: list[int]) -> tuple[Head, ...]:
    return tuple(Head(LOG.key.name, size, root_of(hashes[:size])).signed(LOG) for size in sizes)


class Log:
    """A log of some entries, some erased, with heads; and its export, as bytes that may be touched."""

    def __init__(self, dice: random.Random) -> None:
        count = dice.randrange(2, 28)
        self.lines = [entry(leaf, line(100 + 2 * leaf, dice), dice) for leaf in range(count)]
        gone = sorted(dice.sample(range(count), dice.choice((0, 0, 1, min(2, count - 1)))))
        if gone:
            told = line(900, dice, interaction="erase", target="AuditEvent", why=f"asked; {account(gone)}")
            self.lines.append(entry(count, told, dice))
        self.hashes = [hash_of(one) for one in self.lines]
        self.size = len(self.lines)
        self.entries: list[Raw] = [{"leaf": n, "erased": 900} if n in gone else one for n, one in enumerate(self.lines)]
        self.whole = [n for n in range(self.size) if n not in gone]
        sizes = sorted({self.size, *(dice.randrange(1, self.size + 1) for _ in range(3))})
        self.heads = signed(self.hashes, sizes)
        self.kept = self.heads[dice.randrange(len(self.heads))]  # what somebody outside has kept

    def evidence(self) -> Evidence:
        entries, erasures = judged(orjson.dumps(one) for one in self.entries)
        return Evidence(LOG.key, tuple(entries), tuple(self.hashes), self.heads, (WITNESS.key,), erasures)

    def verdict(self, *outside: Head) -> Verdict:
        return judge(self.evidence(), outside=outside)

    def rehash(self) -> None:
        """Make the hashes those of the entries as they are now; what was erased keeps its hash."""
        was = list(self.hashes)
        self.hashes = [was[one["leaf"]] if "erased" in one else hash_of(one) for one in self.entries]

    def resign(self) -> None:
        sizes = [head.size for head in self.heads if head.size < len(self.hashes)]
        self.heads = signed(self.hashes, [*sizes, len(self.hashes)])

    def renumber(self) -> None:
        for place, one in enumerate(self.entries):
            if "erased" not in one:
                self.entries[place] = {**one, "leaf": place}


# what attackers do: each says which finding it must leave, with the entry where it is exact ---------------------------

Expected = tuple[str, int | None]


def edit(log: Log, dice: random.Random) -> Expected:
    leaf = dice.choice(log.whole)
    content = dict(log.entries[leaf]["line"])
    if dice.random() < 0.2:
        content.pop("login")
    else:
        name = dice.choice(["login", "target", "at", "outcome", "seq"])
        content[name] = "x" if isinstance(content[name], str) else content[name] + 1
    log.entries[leaf] = {**log.entries[leaf], "line": content}
    return "edited", leaf


def edit_the_salt(log: Log, dice: random.Random) -> Expected:
    leaf = dice.choice(log.whole)
    log.entries[leaf] = {**log.entries[leaf], "salt": dice.choice(["", "zz", "00" * 16, dice.randbytes(16).hex()])}
    return "edited", leaf


def delete(log: Log, dice: random.Random) -> Expected:
    leaf = dice.choice(log.whole)
    del log.entries[leaf]
    if dice.random() < 0.5:
        log.renumber()
        return "deleted", None
    return "deleted", leaf


def insert(log: Log, dice: random.Random) -> Expected:
    place = dice.randrange(log.size + 1)
    forged = entry(log.size if place == log.size else -1, line(5000, dice), dice)
    again = dice.random() < 0.3
    log.entries.insert(place, dict(log.entries[dice.choice(log.whole)]) if again else forged)
    return "inserted", None if again else place


def move(log: Log, dice: random.Random) -> Expected:
    if log.size < 3:
        return edit(log, dice)
    one, other = dice.sample(range(log.size), 2)
    entries = log.entries
    entries[one], entries[other] = entries[other], entries[one]
    return "moved", None


def empty(log: Log, dice: random.Random) -> Expected:
    """Erase an entry as if somebody had asked for it."""
    leaf = dice.choice(log.whole)
    log.entries[leaf] = {"leaf": leaf, "erased": dice.choice([900, 100, 0])}
    return "erased", leaf


def cut_the_end(log: Log, dice: random.Random) -> Expected:
    keep = dice.randrange(log.size)
    log.entries, log.hashes = log.entries[:keep], log.hashes[:keep]
    return "truncated", keep


def swap_a_head(log: Log, dice: random.Random) -> Expected:
    """A head of another log, or one whose size was changed."""
    place = dice.randrange(len(log.heads))
    head = log.heads[place]
    forged = replace(head, size=head.size + 1) if dice.random() < 0.5 else replace(head, root=dice.randbytes(32))
    log.heads = (*log.heads[:place], forged, *log.heads[place + 1 :])
    return "unsigned", None


ENTRIES = (edit, edit_the_salt, delete, insert, move, empty, cut_the_end, swap_a_head)


def mended(attack: Callable[[Log, random.Random], Expected]) -> Callable[[Log, random.Random], Expected]:
    """The attack, with hashes that fit the entries again."""

    def also(log: Log, dice: random.Random) -> Expected:
        attack(log, dice)
        log.rehash()
        return "rewritten or truncated or inserted", None

    return also


def resigned(attack: Callable[[Log, random.Random], Expected]) -> Callable[[Log, random.Random], Expected]:
    """The attack below the head that was kept outside, by whoever holds the log's key."""

    def also(log: Log, dice: random.Random) -> Expected:
        attack(log, dice)
        log.rehash()
        log.renumber()
        log.resign()
        return "forked or truncated", None

    return also


MENDED = tuple(map(mended, (edit, delete, insert, move)))
RESIGNED = tuple(map(resigned, (edit, delete, insert, move)))


def test_a_log_that_nobody_touched_is_sound() -> None:
    for seed in range(300):
        log = Log(random.Random(seed))
        verdict = log.verdict(log.kept)
        assert verdict.sound, verdict.findings


@pytest.mark.parametrize(
    ("kind", "rounds"),
    [(ENTRIES, TAMPERINGS * 6 // 10), (MENDED, TAMPERINGS * 2 // 10), (RESIGNED, TAMPERINGS * 2 // 10)],
    ids=["entries", "with hashes", "with the key"],
)
def test_ten_thousand_tamperings_are_all_seen(
    kind: tuple[Callable[[Log, random.Random], Expected], ...], rounds: int
) -> None:
    logs = [Log(random.Random(seed)) for seed in range(150)]
    seen = seed = 0
    while seen < rounds:
        seed += 1
        dice = random.Random(f"{seed} {rounds} {kind is MENDED}")
        log = copy(logs[seed % len(logs)])
        log.entries, log.hashes = list(log.entries), list(log.hashes)
        before = orjson.dumps(log.entries), list(log.hashes), log.heads
        expected, leaf = kind[seed % len(kind)](log, dice)
        if (orjson.dumps(log.entries), log.hashes, log.heads) == before:
            continue
        if kind is RESIGNED and root_of(log.hashes[: log.kept.size]) == log.kept.root:
            continue  # it touched only what came after the head that was kept
        found = log.verdict(*([log.kept] if kind is RESIGNED else [])).findings
        assert {one.kind for one in found} & set(expected.split(" or ")), (seed, expected, leaf, found)
        if leaf is not None:
            assert any((one.kind, one.leaf) == (expected, leaf) for one in found), (seed, leaf, found)
        seen += 1


def test_what_was_rewritten_is_said_as_closely_as_heads_allow() -> None:
    dice = random.Random(5)
    log = Log(dice)
    while log.size < 12:
        log = Log(dice)
    log.heads = signed(log.hashes, [4, 8, log.size])
    log.entries[6] = entry(6, line(1, dice), dice)
    log.rehash()
    [finding] = log.verdict().findings
    assert (finding.kind, finding.leaf, finding.until) == ("rewritten", 4, 7)


def test_without_the_logs_key_nothing_is_proven() -> None:
    log = Log(random.Random(1))
    other = Signer.of(LOG.key.name, bytes(32))
    assert {one.kind for one in judge(log.evidence(), key=other.key).findings} == {"key", "unsigned"}
    log.heads = ()
    assert {one.kind for one in log.verdict().findings} == {"unsigned"}


def test_witnesses_are_counted_only_for_what_they_signed() -> None:
    log = Log(random.Random(2))
    head = log.heads[-1]
    forged = replace(head.cosigned(WITNESS, 5), value=bytes(72))
    log.heads = (*log.heads[:-1], head.also(forged))
    assert log.verdict().witnessed == {}
    log.heads = (*log.heads[:-1], head.also(head.cosigned(WITNESS, 5)))
    assert log.verdict().witnessed == {WITNESS.key.name: 1}


@given(st.binary(max_size=200))
def test_a_damaged_entry_is_an_edited_one(text: bytes) -> None:
    log = Log(random.Random(3))
    entries, erasures = judged([*(orjson.dumps(one) for one in log.entries[:-1]), text.replace(b"\n", b"")])
    evidence = replace(log.evidence(), entries=tuple(entries), erasures=erasures)
    assert not judge(evidence).sound
    assert all(isinstance(one, Entry) for one in entries)


@given(st.text(max_size=300))
def test_a_head_that_is_none_is_refused_as_such(text: str) -> None:
    head = Log(random.Random(4)).heads[-1]
    assert notes.read(head.text) == head
    for given_text in (text, head.text + text, head.text.replace("\n\n", text)):
        try:
            found = notes.read(given_text)
        except notes.Invalid:
            continue
        assert found.body == head.body or found.signature_of(LOG.key) is None
