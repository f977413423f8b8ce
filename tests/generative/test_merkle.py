"""The tree of the access log against its slow twin: RFC 9162's definitions, restated word by word."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xinglin.access.audit import merkle
from xinglin.access.audit.merkle import Part

# The public test data of certificate transparency: eight leaves, and the root after each.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


# the twin: 2.1.1, 2.1.3.1, 2.1.4.1 ------------------------------------------------------------------------------------


def k_of(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(d: list[bytes]) -> bytes:
    if not d:
        return sha256().digest()
    if len(d) == 1:
        return sha256(b"\x00" + d[0]).digest()
    k = k_of(len(d))
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: list[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = k_of(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: list[bytes], b: bool) -> list[bytes]:
    if m == len(d):
        return [] if b else [mth(d)]
    k = k_of(len(d))
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


# the engine -----------------------------------------------------------------------------------------------------------


def tiles_of(data: list[bytes], steps: list[int]) -> dict[merkle.Address, bytes]:
    """The tree, grown in steps of these sizes, from its edge each time."""
    tiles: dict[merkle.Address, bytes] = {}
    size = 0
    while size < len(data):
        step = max(1, steps.pop() if steps else len(data))
        edge = {address: tiles[address] for address in merkle.edge(size)}
        tiles |= merkle.grow(size, [merkle.leaf_hash(one) for one in data[size : size + step]], edge)
        size = min(size + step, len(data))
    return tiles


def hashes(parts: list[Part], tiles: dict[merkle.Address, bytes]) -> list[bytes]:
    needed = {address: tiles[address] for address in merkle.addresses(parts)}
    return [merkle.value(part, needed) for part in parts]


def test_the_roots_of_the_public_test_data() -> None:
    data = [bytes.fromhex(leaf) for leaf in LEAVES]
    for size, root in enumerate(ROOTS):
        tree = merkle.Accumulator()
        for one in data[:size]:
            tree.append(merkle.leaf_hash(one))
        assert tree.root().hex() == root == mth(data[:size]).hex()


@given(st.integers(1, 700), st.lists(st.integers(1, 300), max_size=6), st.data())
@example(16, [], None)
@example(257, [1, 255], None)
def test_proofs_are_those_of_the_definitions(size: int, steps: list[int], data: st.DataObject | None) -> None:
    leaves = [str(number).encode() for number in range(size)]
    tiles = tiles_of(leaves, list(steps))
    root = mth(leaves)
    assert hashes([Part(0, size)], tiles) == [root] == [merkle.root_of(map(merkle.leaf_hash, leaves))]
    leaf = data.draw(st.integers(0, size - 1)) if data else size // 2
    proof = hashes(merkle.inclusion(leaf, size), tiles)
    assert proof == path(leaf, leaves)
    assert merkle.verify_inclusion(merkle.leaf_hash(leaves[leaf]), leaf, size, proof, root)
    old = data.draw(st.integers(1, size)) if data else size // 3
    proof = hashes(merkle.consistency(old, size), tiles)
    assert proof == subproof(old, leaves, True)
    assert merkle.verify_consistency(old, size, mth(leaves[:old]), root, proof)
    older = hashes([Part(0, old)], tiles)  # a head of the past, from the tiles of today
    assert older == [mth(leaves[:old])]


@given(st.integers(1, 120), st.data())
def test_a_proof_that_was_touched_proves_nothing(size: int, data: st.DataObject) -> None:
    leaves = [str(number).encode() for number in range(size)]
    leaf, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    root, hashed = mth(leaves), merkle.leaf_hash(leaves[leaf])
    proof = path(leaf, leaves)
    for forged in touched(data, proof):
        assert not merkle.verify_inclusion(hashed, leaf, size, forged, root)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"other"), leaf, size, proof, root)
    assert not merkle.verify_inclusion(hashed, size, size, proof, root)
    proof, before = subproof(old, leaves, True), mth(leaves[:old])
    for forged in touched(data, proof):
        assert not merkle.verify_consistency(old, size, before, root, forged)
    other = mth([*leaves[: old - 1], b"other"])
    assert not merkle.verify_consistency(old, size, other, root, proof)


def touched(data: st.DataObject, proof: list[bytes]) -> list[list[bytes]]:
    """The proof with a hash changed, one left out, one too many."""
    forged = [[*proof, bytes(32)], [bytes(32), *proof]]
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        forged += [[*proof[:place], bytes(32), *proof[place + 1 :]], proof[:place] + proof[place + 1 :]]
    return forged


@pytest.mark.parametrize(("old", "new"), [(3, 2), (-1, 4)])
def test_what_is_no_tree_has_no_proof(old: int, new: int) -> None:
    assert not merkle.verify_consistency(old, new, merkle.EMPTY, merkle.EMPTY, [])
    with pytest.raises(ValueError):
        merkle.consistency(old, new)
    with pytest.raises(ValueError):
        merkle.inclusion(4, 4)
