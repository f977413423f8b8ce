"""`xinglin client`: apps and programs that ask for tokens by SMART App Launch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from xinglin.access import audit
from xinglin.access.audit import Access
from xinglin.access.oauth import clients
from xinglin.access.oauth.clients import ACTIVE, DISABLED, Client, Registration
from xinglin.access.principal import NODE
from xinglin.cli.opened import AsJson, on_database, unknown
from xinglin.kernel.database import Database
from xinglin.kernel.errors import Invalid

app = typer.Typer(no_args_is_help=True, help="Register, list and change apps and programs that ask for tokens.")
Id = Annotated[str, typer.Argument(help="The client's id, as `xinglin client list` shows it.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The name that people are shown.")],
    scopes: Annotated[str, typer.Option(help="The most it may be granted: SMART scopes, separated by spaces.")],
    redirect: Annotated[
        list[str] | None, typer.Option(help="Redirect address, in full; may stand several times.")
    ] = None,
    launch: Annotated[str | None, typer.Option(help="Address that opens the app from a record.")] = None,
    kind: Annotated[str, typer.Option(help="How it proves who it is: public, secret or key.")] = "public",
    jwks: Annotated[Path | None, typer.Option(help="File with its public keys, a JSON Web Key Set.")] = None,
    jwks_uri: Annotated[str | None, typer.Option(help="Where its public keys are fetched.")] = None,
    backend: Annotated[bool, typer.Option("--backend", help="A program that acts for itself, with a key.")] = False,
    institution: Annotated[str | None, typer.Option(help="Organization id: who runs it, or whom it acts for.")] = None,
    json: AsJson = False,
) -> None:
    """Register an app or a program, and print its id, and its secret once.

    Example: xinglin client add "Growth chart" --redirect https://app.example/ --scopes "launch/patient patient/*.rs"
    """
    wanted = Registration(
        name,
        "key" if backend else kind,
        tuple(scopes.split()),
        tuple(redirect or ()),
        launch,
        _text(jwks) if jwks else None,
        jwks_uri,
        institution,
        backend,
    )
    client, secret = on_database(lambda database: _added(database, wanted))
    if json:
        typer.echo(msgspec.json.encode({"client_id": client.id, "client_secret": secret}))
        return
    typer.echo(client.id)
    if secret:
        typer.echo(f"secret: {secret}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read.", remedy="Give a file with a JSON Web Key Set.") from error


async def _added(database: Database, wanted: Registration) -> tuple[Client, str | None]:
    found = await clients.register(database, wanted, by="operator")
    await _note(database, "app-registered", found[0].id)
    await unknown(database, Organization=wanted.institution)
    return found


async def _note(database: Database, interaction: str, client: str) -> None:
    async with database.transaction() as connection:
        await audit.record(connection, [Access(NODE, interaction, f"app {client}")])


@app.command("list")
def list_clients(json: AsJson = False) -> None:
    """List apps and programs; those that wait for approval come first.

    Example: xinglin client list
    """
    found = on_database(_listed)
    if json:
        typer.echo(msgspec.json.encode(found))
        return
    for one in found:
        what = "program" if one.backend else "app"
        typer.echo(f"{one.id}  {one.state:8} {what:7} {one.kind:6} {one.institution or '-':14} {one.name}")


async def _listed(database: Database) -> list[Client]:
    async with database.connection() as connection:
        return await clients.listed(connection)


@app.command()
def show(client_id: Id) -> None:
    """Show all that is known of a client, as JSON.

    Example: xinglin client show 0a1b2c3d4e5f
    """

    async def found(database: Database) -> Client:
        async with database.connection() as connection:
            return await clients.get(connection, client_id)

    typer.echo(msgspec.json.format(msgspec.json.encode(on_database(found))))


@app.command()
def approve(client_id: Id) -> None:
    """Approve an app that registered itself, or enable one that was disabled.

    Example: xinglin client approve 0a1b2c3d4e5f
    """
    _set_state(client_id, ACTIVE, "app-approve")


@app.command()
def disable(client_id: Id) -> None:
    """Disable a client: its tokens end at once.

    Example: xinglin client disable 0a1b2c3d4e5f
    """
    _set_state(client_id, DISABLED, "app-disable")


def _set_state(client_id: str, state: str, interaction: str) -> None:
    async def changed(database: Database) -> None:
        async with database.transaction() as connection:
            await clients.set_state(connection, client_id, state)
        await _note(database, interaction, client_id)

    on_database(changed)
    typer.echo(f"Client {client_id} is {state}.")


@app.command("rotate-secret")
def rotate_secret(client_id: Id) -> None:
    """Give a client a new secret and print it, once; the old one is over.

    Example: xinglin client rotate-secret 0a1b2c3d4e5f
    """

    async def rotated(database: Database) -> str:
        async with database.transaction() as connection:
            return await clients.rotate_secret(connection, client_id)

    typer.echo(on_database(rotated))
