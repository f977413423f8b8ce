"""The access log's tree on a real database: an order that no later commit changes, proofs, heads, restored dumps."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from xinglin.access import audit
from xinglin.access.audit import Access, heads, merkle, notes, tree
from xinglin.access.audit.lines import content
from xinglin.access.house import House
from xinglin.access.principal import NODE
from xinglin.kernel.errors import Conflict, Forbidden, NotFound


async def written(house: House, count: int, target: str = "Observation?code") -> None:
    async with house.database.connection() as connection:
        await audit.record(connection, [Access(NODE, "search", target, (number + 1,)) for number in range(count)])


async def leaves(house: House) -> list[Any]:
    """Every leaf with its line, in order."""
    return await house.database.pool.fetch(
        "SELECT l.leaf, l.salt, a.* FROM audit_leaf l JOIN audit a USING (seq) ORDER BY leaf"
    )


async def proven(house: House) -> int:
    """The size of the tree, once every line in it is proven from the head."""
    head = await heads.sign(house.database, house.settings)
    found = await leaves(house)
    assert [row["leaf"] for row in found] == list(range(head.size))
    async with house.database.connection() as connection:
        for row in found[:: max(1, len(found) // 50)]:
            proof = await tree.inclusion(connection, row["leaf"], head.size)
            assert proof.hashed == tree.leaf_of(content(row), row["salt"])
            assert merkle.verify_inclusion(proof.hashed, row["leaf"], head.size, proof.path, head.root)
    return head.size


async def test_every_line_is_proven_by_the_head_and_heads_prove_each_other(house: House) -> None:
    old = None
    total = 0
    for count in (1, 16, 300, 3):
        await written(house, count)
        assert await tree.catch_up(house.database) == count
        total += count
        assert await proven(house) == total
        new = await heads.sign(house.database, house.settings)
        if old is not None:
            async with house.database.connection() as connection:
                proof = await tree.consistency(connection, old.size, new.size)
            assert merkle.verify_consistency(old.size, new.size, old.root, new.root, proof)
        old = new
    async with house.database.connection() as connection:
        assert [one.size for one in await heads.listed(connection, 10**9, 10)] == [320, 317, 17, 1]
        for leaf, size in ((320, 320), (0, 321), (-1, 4)):
            with pytest.raises(NotFound):
                await tree.inclusion(connection, leaf, size)


async def test_a_slow_commit_comes_after_what_was_placed_never_between(house: House) -> None:
    """A transaction that took its number first and commits last: nothing newer is placed until it has ended."""
    await written(house, 2)
    slow = await house.database.pool.acquire()
    transaction = slow.transaction()
    await transaction.start()
    await audit.record(slow, [Access(NODE, "read", "Observation/slow")])
    await written(house, 3)
    await tree.catch_up(house.database)
    before = await proven(house)
    assert before <= 2
    await transaction.commit()
    await house.database.pool.release(slow)
    await tree.catch_up(house.database)
    assert await proven(house) == 6
    assert [row["target"] for row in await leaves(house)].index("Observation/slow") >= before


async def test_many_writers_and_sequencers_make_one_tree(house: House) -> None:
    async def write(count: int) -> None:
        for _ in range(count):
            async with house.database.transaction() as connection:
                await audit.record(connection, [Access(NODE, "read", "Observation/x")])
                await asyncio.sleep(0)

    async def place() -> None:
        for _ in range(40):
            await tree.catch_up(house.database)
            await heads.sign(house.database, house.settings)

    await asyncio.gather(*(write(30) for _ in range(4)), *(place() for _ in range(3)))
    await tree.catch_up(house.database)
    assert await proven(house) == 120
    async with house.database.connection() as connection:
        kept = await heads.listed(connection, 10**9, 200)
        for head in kept:
            assert await tree.root(connection, head.size) == head.root


async def test_a_database_from_a_dump_goes_on_with_its_tree(house: House) -> None:
    """Transaction numbers of another server are larger than this one's: lines placed and left behind come in once."""
    await written(house, 5)
    await tree.catch_up(house.database)
    await written(house, 4)
    pool = house.database.pool
    await pool.execute("ALTER TABLE audit DISABLE TRIGGER USER")
    await pool.execute("UPDATE audit SET txid = (txid::text::bigint + 1000000000)::text::xid8")
    await pool.execute("ALTER TABLE audit ENABLE TRIGGER USER")
    await pool.execute("UPDATE audit_tree SET txid = (txid::text::bigint + 1000000000)::text::xid8")
    await written(house, 3)
    assert await tree.catch_up(house.database) == 7
    await written(house, 2)
    assert await tree.catch_up(house.database) == 2
    assert await proven(house) == 14


async def test_numbers_of_more_digits_come_later(house: House) -> None:
    await written(house, 4)
    pool = house.database.pool
    await pool.execute("ALTER TABLE audit DISABLE TRIGGER USER")
    await pool.execute("UPDATE audit SET txid = (ARRAY['9', '10', '99', '100'])[seq]::xid8")
    await pool.execute("ALTER TABLE audit ENABLE TRIGGER USER")
    assert [await tree.catch_up(house.database) for _ in range(2)] == [4, 0]
    assert [row["seq"] for row in await leaves(house)] == [1, 2, 3, 4]


async def test_lines_are_only_ever_added(house: House) -> None:
    await written(house, 1)
    for statement in ("UPDATE audit SET why = 'x'", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(asyncpg.RaiseError):
            await house.database.pool.execute(statement)


async def test_a_head_is_kept_with_what_known_witnesses_signed(house: House) -> None:
    await written(house, 3)
    await tree.catch_up(house.database)
    head = await heads.sign(house.database, house.settings)
    witness = notes.Signer.of("watcher.example/witness", bytes(32), notes.WITNESS)
    async with house.database.connection() as connection:
        cosigned = head.also(head.cosigned(witness, 1_700_000_000))
        with pytest.raises(Forbidden):
            await heads.accept(connection, cosigned)
        await heads.trust(connection, witness.key)
        assert await heads.accept(connection, cosigned) == 1
        kept = await heads.head(connection)
        signature = kept.signature_of(witness.key)
        assert signature is not None and signature.at == 1_700_000_000
        with pytest.raises(Conflict):
            await heads.accept(connection, notes.Head(head.origin, head.size, bytes(32), cosigned.signatures))
        with pytest.raises(Conflict):
            await heads.trust(connection, notes.Signer.of("watcher.example/witness", b"x" * 32, notes.WITNESS).key)
