"""What an exported log proves, and where it was tampered with. Pure: no database, no network.

Three things must agree: the entries give the hashes, the hashes give the roots, the roots are signed. Where the hashes
agree with a signed head, they say exactly which entry was changed, left out, put in or moved. Where they were rewritten
too, heads that still agree say between which entries. Who holds the log's key can sign another history; then a head
that somebody kept outside (a witness, an auditor, a patient's receipt) contradicts it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from xinglin.access.audit.evidence import Entry, Evidence
from xinglin.access.audit.merkle import Accumulator, leaf_hash, root_of
from xinglin.access.audit.notes import Head, Key

MOST: Final = 1000  # findings told; a log that was shuffled has one for each entry


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not agree.

    kind: edited, deleted, inserted, moved, erased (without a line that accounts for it), rewritten (hashes too),
    forked, truncated, unsigned, key. leaf: the entry, or the first that may be meant; until: the last one.
    """

    kind: str
    text: str
    leaf: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`findings` empty: the log is whole up to `size` entries. `witnessed`: names of witnesses by heads they signed."""

    size: int
    heads: int
    findings: tuple[Finding, ...]
    witnessed: dict[str, int]
    erased: int

    @property
    def sound(self) -> bool:
        return not self.findings


def judge(evidence: Evidence, *, outside: Sequence[Head] = (), key: Key | None = None) -> Verdict:
    """Hold an export to its own heads, and to heads kept outside. `key`: the log's, known from elsewhere."""
    trusted = key or evidence.key
    own = [head for head in evidence.heads if _is_of(head, trusted)]
    kept = [head for head in outside if _is_of(head, trusted)]
    findings = list(_signatures(evidence, trusted, own, len(outside) - len(kept)))
    findings += _against_heads(evidence.hashes, own, kept)
    findings += _against_hashes(evidence)
    findings += _erasures(evidence)
    return Verdict(
        len(evidence.entries),
        len(own) + len(kept),
        tuple(findings[:MOST]),
        _witnessed(evidence, (*own, *kept)),
        sum(entry.erased is not None for entry in evidence.entries),
    )


def _is_of(head: Head, key: Key) -> bool:
    return head.origin == key.name and head.signature_of(key) is not None


def _signatures(evidence: Evidence, key: Key, own: Sequence[Head], strange: int) -> Iterator[Finding]:
    if key != evidence.key:
        yield Finding("key", f"the export names the key {evidence.key.text}, not {key.text}")
    for head in evidence.heads:
        if head not in own:
            yield Finding("unsigned", f"the head of {head.size} entries is not signed by the log's key")
    if strange:
        yield Finding("unsigned", f"{strange} of the heads given are not of this log")


def _witnessed(evidence: Evidence, signed: Sequence[Head]) -> dict[str, int]:
    found = {key.name: sum(head.signature_of(key) is not None for head in signed) for key in evidence.witnesses}
    return {name: count for name, count in found.items() if count}


# hashes against heads -------------------------------------------------------------------------------------------------


def _against_heads(hashes: Sequence[bytes], own: Sequence[Head], kept: Sequence[Head]) -> Iterator[Finding]:
    """What of the hashes the signed heads contradict: the export's own heads, and those kept outside."""
    size = len(hashes)
    if not own and not kept:
        yield Finding("unsigned", "no head is signed by the log's key: nothing here is proven", 0, size - 1)
        return
    signed = sorted((*own, *kept), key=lambda head: head.size)
    roots = _roots(hashes, {head.size for head in signed})
    wrong = [head for head in signed if head.size <= size and roots[head.size] != head.root]
    known = max((head.size for head in signed if roots.get(head.size) == head.root), default=0)
    yield from (_forked(head, kept, roots) for head in wrong if head.size <= known)
    yield from (_rewritten(head, known) for head in [head for head in wrong if head.size > known][:1])
    if signed[-1].size > size:
        text = f"a signed head covers {signed[-1].size} entries; the export ends after {size}"
        yield Finding("truncated", text, size, signed[-1].size - 1)
    if signed[-1].size < size:
        start = signed[-1].size
        yield Finding("inserted", f"entries {start}-{size - 1} come after the last head", start, size - 1)


def _forked(head: Head, kept: Sequence[Head], roots: dict[int, bytes]) -> Finding:
    """Two trees were signed with one key. What heads kept outside agree on lies before the fork."""
    start = max((one.size for one in kept if one.size < head.size and roots.get(one.size) == one.root), default=0)
    text = f"the log's key has signed two different trees of {head.size} entries: the log was forked"
    return Finding("forked", text, start, head.size - 1)


def _rewritten(head: Head, known: int) -> Finding:
    text = (
        f"entries {known}-{head.size - 1} are not those that the head of {head.size} entries covers:"
        " something in them was changed, removed or added, and their hashes with it"
    )
    return Finding("rewritten", text, known, head.size - 1)


def _roots(hashes: Sequence[bytes], sizes: set[int]) -> dict[int, bytes]:
    tree, found = Accumulator(), {}
    if 0 in sizes:
        found[0] = tree.root()
    for hashed in hashes:
        tree.append(hashed)
        if tree.size in sizes:
            found[tree.size] = tree.root()
    return found


# entries against hashes -----------------------------------------------------------------------------------------------


def _against_hashes(evidence: Evidence) -> list[Finding]:
    """Which entries are not those that the hashes stand for."""
    hashes, entries = evidence.hashes, evidence.entries
    given = [_stands_for(entry, hashes) for entry in entries]
    if given == list(hashes):
        wrong = [place for place, entry in enumerate(entries) if entry.leaf != place]
        return [Finding("moved", f"entry {place} bears the number {entries[place].leaf}", place) for place in wrong]
    places = {hashed: place for place, hashed in enumerate(hashes)}
    first: dict[bytes, int] = {}
    for place, hashed in enumerate(given):
        if hashed is not None and hashed in places:
            first.setdefault(hashed, place)
    missing = [place for place, hashed in enumerate(hashes) if hashed not in first]
    strange = [place for place, hashed in enumerate(given) if hashed is None or first.get(hashed) != place]
    return [*_changed(missing, strange, entries), *_moved(sorted(first.values()), given, places)]


def _stands_for(entry: Entry, hashes: Sequence[bytes]) -> bytes | None:
    """The hash that an entry gives; an erased one claims that of the leaf it was."""
    if entry.erased is None:
        return entry.hashed
    return hashes[entry.leaf] if 0 <= entry.leaf < len(hashes) else None


def _changed(missing: list[int], strange: list[int], entries: Sequence[Entry]) -> Iterator[Finding]:
    """Hashes without an entry and entries without a hash: the same number on both sides is an edit."""
    lost = set(missing)
    edited = {entries[place].leaf for place in strange} & lost
    for leaf in sorted(edited):
        yield Finding("edited", f"entry {leaf} does not say what was logged", leaf)
    for leaf in sorted(lost - edited):
        yield Finding("deleted", f"entry {leaf} was taken out", leaf)
    for place in strange:
        if entries[place].leaf in edited:
            edited.discard(entries[place].leaf)
        else:
            yield Finding("inserted", f"the entry in place {place} was never logged", place)


def _moved(order: Sequence[int], given: Sequence[bytes | None], places: dict[bytes, int]) -> Iterator[Finding]:
    """Entries out of order: those outside of the longest run that still stands in order."""
    leaves = [places[hashed] for place in order if (hashed := given[place]) is not None]
    kept = set(_longest_rising(leaves))
    for leaf in leaves:
        if leaf not in kept:
            yield Finding("moved", f"entry {leaf} stands in another place", leaf)


def _longest_rising(numbers: Sequence[int]) -> list[int]:
    """A longest increasing subsequence of different numbers."""
    tails: list[int] = []
    ends: list[int] = []
    before: dict[int, int | None] = {}
    for number in numbers:
        place = bisect_left(tails, number)
        before[number] = ends[place - 1] if place else None
        tails[place : place + 1] = [number]
        ends[place : place + 1] = [number]
    found: list[int] = []
    current = ends[-1] if ends else None
    while current is not None:
        found.append(current)
        current = before[current]
    return found[::-1]


# erasures -------------------------------------------------------------------------------------------------------------


def account(leaves: Sequence[int]) -> str:
    """How an erasure's line names what it erased, without naming whose it was: a number and a digest."""
    return f"{len(leaves)} lines, digest {root_of(leaf_hash(str(leaf).encode()) for leaf in sorted(leaves)).hex()}"


def _erasures(evidence: Evidence) -> Iterator[Finding]:
    """Erased entries that no line of the log accounts for, exactly."""
    groups: dict[int, list[int]] = {}
    for entry in evidence.entries:
        if entry.erased is not None:
            groups.setdefault(entry.erased, []).append(entry.leaf)
    for by, leaves in groups.items():
        if not evidence.erasures.get(by, "").endswith(account(leaves)):
            for leaf in leaves:
                yield Finding("erased", f"entry {leaf} was emptied, and line {by} does not account for it", leaf)
