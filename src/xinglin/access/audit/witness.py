"""Heads of other nodes, countersigned: a witness signs a head only where it begins with the last head that it signed.

What is asked is a request of https://c2sp.org/tlog-witness: `old` and the size last signed, a consistency proof, an
empty line, the head. So any witness of that protocol can serve this node's log, and this node any such log's.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Final

from xinglin.access.audit import heads, notes
from xinglin.access.audit.merkle import EMPTY, HASH, verify_consistency
from xinglin.access.audit.notes import Head, Signature
from xinglin.kernel import clock
from xinglin.kernel.config import Settings
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Unprocessable

LONGEST_PROOF: Final = 63  # hashes, of the protocol


class Forked(Unprocessable):
    """The head does not begin with what was signed before: the log shows different trees to different people."""

    default_code = "conflict"


class OtherSize(Conflict):
    """The asker does not know which head was signed last. `size`: that of it."""

    def __init__(self, size: int) -> None:
        super().__init__(f"The head last signed has {size} entries.", remedy="Send a proof from there.")
        self.size = size


@dataclass(frozen=True, slots=True)
class Request:
    """A head to be countersigned, with the proof that it begins with the one of `old` entries."""

    old: int
    proof: tuple[bytes, ...]
    head: Head

    @property
    def text(self) -> str:
        lines = [f"old {self.old}", *(b64encode(one).decode() for one in self.proof)]
        return "\n".join(lines) + f"\n\n{self.head.text}"


def read(text: str) -> Request:
    """The request; Invalid where it is none."""
    asked, _, note = text.partition("\n\n")
    first, *proof = asked.split("\n")
    word, _, old = first.partition(" ")
    try:
        hashes = tuple(b64decode(one, validate=True) for one in proof)
    except ValueError:
        hashes = (b"",)
    if word != "old" or not old.isdecimal() or len(old) > 18 or len(hashes) > LONGEST_PROOF:
        raise Invalid("This does not ask to countersign a head.", remedy="xinglin audit head --since SIZE makes one.")
    if any(len(one) != HASH for one in hashes):
        raise Invalid("The proof is damaged.", remedy="Ask the log for it again.")
    return Request(int(old), hashes, notes.read(note))


def check(before: Head | None, asked: Request) -> None:
    """Judge a request against the head that was signed last. Raises OtherSize or Forked."""
    size, root = (before.size, before.root) if before else (0, EMPTY)
    head = asked.head
    if asked.old != size:
        raise OtherSize(size)
    if head.size < size or not verify_consistency(size, head.size, root, head.root, asked.proof):
        raise Forked(
            f"The tree of {head.size} entries does not begin with that of {size} entries: not signed.",
            remedy="Keep both heads: together they prove that the log was forked.",
        )


async def countersign(database: Database, settings: Settings, asked: Request, shown: Head | None = None) -> Signature:
    """Sign a head of a log that this node witnesses, once and for good.

    shown: a head of before, from whoever asks; it must be of the history that this node knows. NotFound for an unknown
    log, Forbidden for a head that the log did not sign.
    """
    async with database.transaction() as connection:
        row = await connection.fetchrow(
            "SELECT vkey, note FROM audit_peer WHERE kind = 'log' AND name = $1 FOR UPDATE", asked.head.origin
        )
        if row is None:
            raise NotFound("This node does not witness that log.", remedy="xinglin audit trust KEY")
        key = notes.key_of_text(row["vkey"])
        for head in (asked.head, *([shown] if shown else [])):
            if head.signature_of(key) is None:
                raise Forbidden("The head is not signed by the log's key.", remedy="Ask the log for it again.")
        before = notes.read(row["note"]) if row["note"] else None
        _agree(before, shown)
        check(before or shown, asked)
        _, signer = await heads.signers(connection, settings)
        made = asked.head.cosigned(signer, clock.micros(clock.now()) // 1_000_000)
        await _remember(connection, asked.head.also(made))
        return made


def _agree(before: Head | None, shown: Head | None) -> None:
    if before and shown and before.size == shown.size and before.root != shown.root:
        raise Forked(
            f"The log has shown this node another tree of {shown.size} entries.",
            remedy="Keep both heads: together they prove that the log was forked.",
        )
    if before and shown and shown.size != before.size:
        raise OtherSize(before.size)


async def _remember(connection: Connection, head: Head) -> None:
    await connection.execute(
        "UPDATE audit_peer SET size = $2, root = $3, note = $4 WHERE kind = 'log' AND name = $1",
        *(head.origin, head.size, head.root, head.text),
    )
