"""Backups: one encrypted file that holds everything, that tells damage, and that restores whole or not at all."""

from __future__ import annotations

import asyncio
import stat
import uuid
from pathlib import Path

import asyncpg
import pytest
import typer
from typer.testing import CliRunner

from xinglin.access.house import House
from xinglin.access.principal import NODE
from xinglin.access.records import Records, Write
from xinglin.cli import backup
from xinglin.core.schema.decode import parse
from xinglin.kernel.config import Settings
from xinglin.kernel.database import with_database
from xinglin.kernel.errors import Conflict, Invalid, Problem

SECRET = "Zhuge"


async def run(*words: str) -> str:
    cli = typer.Typer()
    cli.add_typer(backup.app, name="backup")
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["backup", *words])
    if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


async def test_a_backup_from_first_to_last(
    house: House, postgres: str, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    person = parse(b'{"resourceType":"Patient","id":"p1","name":[{"family":"%b"}]}' % SECRET.encode())
    await Records(house, NODE).write([Write("PUT", "Patient", "p1", person)])
    monkeypatch.setenv("XINGLIN_DATABASE_URL", database_url)
    key, other, file = tmp_path / "key", tmp_path / "other", tmp_path / "all.age"
    public = (await run("key", str(key))).splitlines()[0]
    await run("key", str(other))
    await run("write", str(file), "--recipient", public)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (key, file)} == {0o600}
    content = file.read_bytes()
    assert content.startswith(b"age-encryption.org/v1\n") and SECRET.encode() not in content
    assert "whole" in await run("verify", str(file), "--identity", str(key))

    hurt, cut = tmp_path / "hurt.age", tmp_path / "cut.age"
    hurt.write_bytes(content[:-500] + bytes([content[-500] ^ 1]) + content[-499:])
    cut.write_bytes(content[: len(content) // 2])
    for wrong, with_key in ((hurt, key), (cut, key), (file, other), (key, key), (file, file), (tmp_path / "no", key)):
        with pytest.raises(Invalid) as refusal:
            await run("verify", str(wrong), "--identity", str(with_key))
        assert refusal.value.issues[0].remedy
    with pytest.raises(Conflict):
        await run("write", str(file), "--recipient", public)
    with pytest.raises(Conflict):
        await run("key", str(key))
    with pytest.raises(Invalid):
        await run("write", str(tmp_path / "x"), "--recipient", "age1nonsense")
    with pytest.raises(Conflict, match="tables"):
        await run("restore", str(file), "--identity", str(key))

    name = f"restored_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"CREATE DATABASE {name}")
    empty = with_database(postgres, name)
    monkeypatch.setenv("XINGLIN_DATABASE_URL", empty)
    for wrong in (hurt, cut):
        with pytest.raises(Problem):
            await run("restore", str(wrong), "--identity", str(key))
        check = await asyncpg.connect(empty)
        assert await check.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        await check.close()
    await run("restore", str(file), "--identity", str(key))
    restored = await House.open(Settings(), empty, pool_size=2)
    assert SECRET.encode() in (await Records(restored, NODE).read("Patient", "p1")).body
    await restored.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def test_a_dump_that_fails_leaves_no_file(monkeypatch: pytest.MonkeyPatch, postgres: str, tmp_path: Path) -> None:
    public = (await run("key", str(tmp_path / "key"))).splitlines()[0]
    monkeypatch.setenv("XINGLIN_DATABASE_URL", with_database(postgres, "there_is_none"))
    with pytest.raises(Problem, match="pg_dump"):
        await run("write", str(tmp_path / "all.age"), "--recipient", public)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]  # noqa: ASYNC240


def test_no_password_is_among_the_arguments() -> None:
    address, environment = backup._without_password("postgresql://me:s3cret@db:5432/x?sslmode=verify-full")
    assert address == "postgresql://me@db:5432/x?sslmode=verify-full" and environment["PGPASSWORD"] == "s3cret"
