"""`xinglin user` and `xinglin token` against a database, as a person types them."""

from __future__ import annotations

import asyncio
import json

import pytest
import typer
from typer.testing import CliRunner

from xinglin.access.identity import Doorkeeper, sign_in
from xinglin.access.principal import Role
from xinglin.cli import token, user
from xinglin.kernel.database import Database
from xinglin.kernel.errors import Problem, Unauthenticated

cli = typer.Typer()
cli.add_typer(user.app, name="user")
cli.add_typer(token.app, name="token")


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("XINGLIN_DATABASE_URL", database_url)


async def run(*words: str, typed: str | None = None) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, cli, list(words), input=typed)
    if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


async def test_an_account_from_first_to_last(database: Database) -> None:
    told = await run("user", "add", "Li.Ming", "--role", "clerk", "--institution", "hx", "--name", "李明")
    password = told.strip().splitlines()[-1].rsplit(" ", 1)[-1]
    with pytest.raises(Unauthenticated, match="more than a password"):  # it was given: another must be chosen first
        await sign_in(database, "li.ming", password, "10.0.0.1")
    await run("user", "password", "li.ming", "--password-stdin", typed="four words of ours\n")
    await sign_in(database, "li.ming", "four words of ours", "10.0.0.1")
    await run("user", "role", "li.ming", "manager")
    await run("user", "disable", "li.ming")
    [account] = json.loads(await run("user", "list", "--json"))
    assert (account["role"], account["active"], "password" in account) == ("manager", False, False)
    assert "disabled" in await run("user", "list", "--institution", "hx")
    with pytest.raises(Unauthenticated):
        await sign_in(database, "li.ming", "four words of ours", "10.0.0.1")
    for wrong in (["user", "disable", "nobody"], ["user", "add", "x", "--role", "patient"], ["token"]):
        with pytest.raises(Problem) as refusal:
            await run(*wrong)
        assert refusal.value.issues[0].remedy


async def test_what_is_named_and_not_there_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account may be made before its institution is loaded; a slip of the pen is seen."""
    told: list[str] = []
    monkeypatch.setattr("xinglin.cli.console.warn", told.append)
    await run("user", "add", "wang", "--role", "clerk", "--institution", "hospitl")
    await run("user", "add", "lan", "--role", "patient", "--patient", "p9")
    await run("token", "--role", "system", "--institution", "hospitl")
    assert [one.split()[3] for one in told] == ["Organization/hospitl", "Patient/p9", "Organization/hospitl"]


async def test_a_token_from_first_to_last(database: Database) -> None:
    issued = (await run("token", "--role", "system", "--hours", "8")).strip()
    doorkeeper = Doorkeeper(database)
    caller = await doorkeeper.recognise(f"Bearer {issued}", {})
    assert caller.principal is not None and caller.principal.role is Role.SYSTEM
    narrow = json.loads(await run("token", "--role", "system", "--scopes", "system/*.rs system/Patient.cud", "--json"))
    assert (await doorkeeper.recognise(f"Bearer {narrow['token']}", {})).principal.scopes == (
        "system/*.rs",
        "system/Patient.cud",
    )
    await run("token", "revoke", narrow["id"])
    entries = json.loads(await run("token", "list", "--json"))
    assert [bool(entry["revoked"]) for entry in entries] == [True, False] and issued not in str(entries)
    await doorkeeper.close()
