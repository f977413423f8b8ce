"""`xinglin user`: accounts of the people who sign in."""

from __future__ import annotations

import secrets
import sys
from typing import Annotated, TypeVar

import msgspec
import typer

from xinglin.access.identity import accounts, leaving, proof
from xinglin.access.principal import NODE, Role
from xinglin.cli.opened import AsJson, on_database, on_house, unknown
from xinglin.kernel.database import Database
from xinglin.kernel.errors import Unprocessable

app = typer.Typer(no_args_is_help=True, help="Create, list and change the accounts that people sign in with.")
T = TypeVar("T")

Login = Annotated[str, typer.Argument(help="The account's login, in any case.")]
Stdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@app.command()
def add(
    login: Login,
    role: Annotated[Role, typer.Option(help="What the person is to this node.")],
    name: Annotated[str, typer.Option(help="Name in Chinese.")] = "",
    name_en: Annotated[str, typer.Option(help="Name in Latin letters.")] = "",
    institution: Annotated[str | None, typer.Option(help="Organization id; staff need one.")] = None,
    practitioner: Annotated[str | None, typer.Option(help="Practitioner id of clinical staff.")] = None,
    patient: Annotated[str | None, typer.Option(help="Patient id; a patient's account needs one.")] = None,
    proven: Annotated[bool, typer.Option("--proven", help="You have seen the patient's identity card.")] = False,
    password_stdin: Stdin = False,
) -> None:
    """Create an account. Without --password-stdin a password is made and shown once.

    Example: xinglin user add li.ming --role clinician --institution hospital-1 --practitioner p-17 --name 李明
    """
    password, made = _password(password_stdin)

    async def work(database: Database) -> None:
        await accounts.create(
            database,
            login,
            password,
            role,
            name_zh=name,
            name_en=name_en,
            institution=institution,
            practitioner=practitioner,
            patient=patient,
            given=made,
        )
        if proven:
            await _prove(database, login, None)
        await unknown(database, Organization=institution, Practitioner=practitioner, Patient=patient)

    on_database(work)
    typer.echo(f"Created {accounts.fold_login(login)} ({role.value})." + _shown(password, made))


async def _prove(database: Database, login: str, institution: str | None) -> None:
    async with database.transaction() as connection:
        await proof.confirm(connection, login, institution, proof.OPERATOR, "operator")


@app.command()
def prove(
    login: Login,
    institution: Annotated[str | None, typer.Option(help="Organization id; without it, all.")] = None,
    end: Annotated[bool, typer.Option("--end", help="Take the proof back.")] = False,
) -> None:
    """Say that you have checked who holds a patient's account: it then shows what other institutions hold of them.

    For all institutions it opens the linked records that bear the Patient's own resident ID.

    Example: xinglin user prove wang.fang --institution hospital-1
    """

    async def ended(database: Database) -> int:
        async with database.transaction() as connection:
            return await proof.end(connection, accounts.fold_login(login), institution, by=proof.OPERATOR)

    if end:
        count = on_database(ended)
        typer.echo(f"{count} proof{'' if count == 1 else 's'} of {accounts.fold_login(login)} ended.")
        return
    on_database(lambda database: _prove(database, login, institution))
    typer.echo(f"{accounts.fold_login(login)} is proven for {institution or 'all institutions'}.")


@app.command("list")
def list_accounts(
    institution: Annotated[str | None, typer.Option(help="Only this Organization's.")] = None, json: AsJson = False
) -> None:
    """List the accounts.

    Example: xinglin user list --institution hospital-1
    """
    found = on_database(lambda database: accounts.everyone(database, institution=institution))
    if json:
        typer.echo(msgspec.json.encode(found))
        return
    for account in found:
        belongs = account.institution or (f"Patient/{account.patient}" if account.patient else "")
        state = "" if account.active else "  disabled"
        typer.echo(f"{account.login:24} {account.role.value:12} {belongs:24} {account.name_zh}{state}")


@app.command()
def password(login: Login, password_stdin: Stdin = False) -> None:
    """Set a new password; the account's sessions end.

    Example: xinglin user password li.ming
    """
    chosen, made = _password(password_stdin)
    on_database(lambda database: accounts.set_password(database, login, chosen, given=made))
    typer.echo(f"The password of {accounts.fold_login(login)} is changed." + _shown(chosen, made))


@app.command()
def disable(login: Login) -> None:
    """Let nobody sign in with the account; its sessions end at once.

    Example: xinglin user disable li.ming
    """
    on_database(lambda database: accounts.set_active(database, login, False))
    typer.echo(f"{accounts.fold_login(login)} is disabled.")


@app.command()
def leave(login: Login) -> None:
    """Somebody leaves: the account is disabled, sessions and tokens end, and so do their posts, today.

    Example: xinglin user leave li.ming
    """

    from xinglin.access.records import House, Records

    async def work(house: House) -> int:
        account = await accounts.get(house.database, login)
        return await leaving.leave(Records(house, NODE, why="xinglin user leave"), account)

    ended = on_house(work)
    typer.echo(f"{accounts.fold_login(login)} has left; {ended} post{'' if ended == 1 else 's'} ended.")


@app.command()
def enable(login: Login) -> None:
    """Let the account sign in again.

    Example: xinglin user enable li.ming
    """
    on_database(lambda database: accounts.set_active(database, login, True))
    typer.echo(f"{accounts.fold_login(login)} may sign in again.")


@app.command()
def role(
    login: Login,
    role: Annotated[Role, typer.Argument(help="The new role.")],
    institution: Annotated[str | None, typer.Option(help="Organization id, where it changes too.")] = None,
) -> None:
    """Give an account another role, from its next request on.

    Example: xinglin user role li.ming manager
    """
    on_database(lambda database: accounts.set_role(database, login, role, institution=institution))
    typer.echo(f"{accounts.fold_login(login)} is now {role.value}.")


def _password(from_stdin: bool) -> tuple[str, bool]:
    """The password to set, and whether it was made here."""
    if not from_stdin:
        return secrets.token_urlsafe(12), True
    given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise Unprocessable("Standard input held no password.", remedy="Pipe one line with it.")
    return given, False


def _shown(password: str, made: bool) -> str:
    return f"\nTo be changed at the first sign-in. Password (shown this once): {password}" if made else ""
