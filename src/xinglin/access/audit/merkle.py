"""The arithmetic of an append-only log: Merkle tree hashes, proofs and their verification. Nothing but hashlib.

    tree = Accumulator();  tree.append(leaf_hash(data));  tree.root()          a log that is read from end to end
    tiles |= grow(size, hashes, tiles)                                         a log that is kept: sixteen hashes a tile
    proof = [value(part, tiles) for part in inclusion(leaf, size)]             its proofs, from O(log size) tiles
    verify_inclusion(hash, leaf, size, proof, root)

Definitions and names: RFC 9162, section 2.1 (Merkle trees; the same hashes as RFC 6962). The slow twin that restates
them word by word is in tests/generative/test_merkle.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from hashlib import sha256
from typing import Final

EMPTY: Final = sha256(b"").digest()
"""MTH of no leaves."""
HASH: Final = 32  # bytes
HEIGHT: Final = 4
WIDTH: Final = 1 << HEIGHT
"""Hashes of a tile: a tile of level l holds complete subtrees of 16^l leaves each."""
TILE: Final = WIDTH * HASH  # bytes

Address = tuple[int, int]
"""Level and number of a tile."""
Tiles = Mapping[Address, bytes]


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """The largest power of two smaller than `size` (>= 2)."""
    return 1 << (size - 1).bit_length() - 1


def _fold(peaks: Sequence[bytes]) -> bytes:
    """The hash over complete subtrees of falling size, side by side."""
    return reduce(lambda right, left: node_hash(left, right), reversed(peaks))


@dataclass(slots=True)
class Accumulator:
    """The hashes of complete subtrees that a growing tree ends in: one for each bit that is set in its size."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, hashed: bytes) -> None:
        """Add the hash of a leaf."""
        peaks, rest = self.peaks, self.size
        while rest & 1:
            hashed = sha256(b"\x01" + peaks.pop() + hashed).digest()
            rest >>= 1
        peaks.append(hashed)
        self.size += 1

    def root(self) -> bytes:
        return _fold(self.peaks) if self.peaks else EMPTY


def root_of(hashes: Iterable[bytes]) -> bytes:
    """MTH over the hashes of leaves."""
    tree = Accumulator()
    for hashed in hashes:
        tree.append(hashed)
    return tree.root()


# what a proof consists of ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """The subtree over `size` leaves from `start`; `start` is a multiple of the power of two that holds `size`."""

    start: int
    size: int


def inclusion(leaf: int, size: int) -> list[Part]:
    """PATH(leaf, D[size]): the subtrees whose hashes lead from a leaf to the root, lowest first (RFC 9162, 2.1.3.1)."""
    if not 0 <= leaf < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {leaf}")
    parts, start = [], 0
    while size > 1:
        half = split(size)
        if leaf < half:
            parts.append(Part(start + half, size - half))
            size = half
        else:
            parts.append(Part(start, half))
            leaf, start, size = leaf - half, start + half, size - half
    return parts[::-1]


def consistency(old: int, new: int) -> list[Part]:
    """PROOF(old, D[new]): the subtrees that show one tree to begin with the other (RFC 9162, 2.1.4.1)."""
    if not 0 <= old <= new:
        raise ValueError(f"no tree of {old} leaves comes before one of {new}")
    if old in (0, new):
        return []
    parts, start, whole = [], 0, True
    while old != new:
        half = split(new)
        if old <= half:
            parts.append(Part(start + half, new - half))
            new = half
        else:
            parts.append(Part(start, half))
            old, start, new, whole = old - half, start + half, new - half, False
    return ([] if whole else [Part(start, new)]) + parts[::-1]


# the tree in tiles ----------------------------------------------------------------------------------------------------


def _complete(part: Part) -> list[Part]:
    """The complete subtrees that a part consists of, largest first."""
    found, start = [], part.start
    for bit in range(part.size.bit_length() - 1, -1, -1):
        if part.size >> bit & 1:
            found.append(Part(start, 1 << bit))
            start += 1 << bit
    return found


def _place(part: Part) -> tuple[Address, int, int]:
    """The tile in which a complete subtree stands, and where: from which hash, how many."""
    level, within = divmod(part.size.bit_length() - 1, HEIGHT)
    tile, offset = divmod(part.start >> level * HEIGHT, WIDTH)
    return (level, tile), offset, 1 << within


def addresses(parts: Iterable[Part]) -> set[Address]:
    """The tiles that `value` needs for these parts."""
    return {_place(one)[0] for part in parts for one in _complete(part)}


def value(part: Part, tiles: Tiles) -> bytes:
    """The hash of a part. LookupError where the tree is not so large."""
    return _fold([_value(one, tiles) for one in _complete(part)]) if part.size else EMPTY


def _value(part: Part, tiles: Tiles) -> bytes:
    address, offset, count = _place(part)
    found = tiles[address][offset * HASH : (offset + count) * HASH]
    if len(found) != count * HASH:
        raise LookupError(f"the tile {address} lacks hashes")
    return _crown(found)


def _crown(row: bytes) -> bytes:
    """The hash over a power of two of hashes."""
    hashes = [row[place : place + HASH] for place in range(0, len(row), HASH)]
    while len(hashes) > 1:
        pairs = iter(hashes)
        hashes = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
    return hashes[0]


def edge(size: int) -> list[Address]:
    """The tiles that are not full in a tree of this size: `grow` goes on from them."""
    found, level = [], 0
    while size:
        if size % WIDTH:
            found.append((level, size // WIDTH))
        size, level = size >> HEIGHT, level + 1
    return found


def grow(size: int, hashes: Sequence[bytes], tiles: Tiles) -> dict[Address, bytes]:
    """The tiles that are new or longer once these leaves are added to a tree of `size`; `tiles` holds its edge."""
    changed: dict[Address, bytes] = {}
    level, start, fresh = 0, size, list(hashes)
    while fresh:
        tile, held = divmod(start, WIDTH)
        row = tiles[level, tile][: held * HASH] if held else b""
        row += b"".join(fresh)
        fresh = []
        for place in range(0, len(row), TILE):
            changed[level, tile] = chunk = row[place : place + TILE]
            if len(chunk) == TILE:
                fresh.append(_crown(chunk))
            tile += 1
        level, start = level + 1, start >> HEIGHT
    return changed


# verification ---------------------------------------------------------------------------------------------------------


def verify_inclusion(hashed: bytes, leaf: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof leads from the leaf's hash to the root (RFC 9162, 2.1.3.2)."""
    if not 0 <= leaf < size:
        return False
    first, last, found = leaf, size - 1, hashed
    for other in proof:
        if last == 0:
            return False
        if first & 1 or first == last:
            found = node_hash(other, found)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            found = node_hash(found, other)
        first, last = first >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of `new` leaves begins with the tree of `old` (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old in (0, new):
        return not proof and old_root == (new_root if old else EMPTY)
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    older = newer = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            older, newer = node_hash(other, older), node_hash(other, newer)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            newer = node_hash(newer, other)
        first, last = first >> 1, last >> 1
    return last == 0 and older == old_root and newer == new_root
