"""`xinglin token`: bearer tokens for programs."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from xinglin.access.identity import tokens
from xinglin.access.principal import Role
from xinglin.cli.opened import AsJson, on_database, unknown
from xinglin.kernel import clock
from xinglin.kernel.database import Database
from xinglin.kernel.errors import Invalid

app = typer.Typer(help="Issue, list and revoke bearer tokens for programs.")


@app.callback(invoke_without_command=True)
def issue(
    context: typer.Context,
    role: Annotated[Role | None, typer.Option(help="The role the program acts in.")] = None,
    hours: Annotated[float, typer.Option(help="Hours until the token expires.")] = 8,
    name: Annotated[str, typer.Option(help="What the token is for; shown in the audit list.")] = "",
    institution: Annotated[str | None, typer.Option(help="Organization id the program acts for.")] = None,
    patient: Annotated[str | None, typer.Option(help="Patient id, for role patient.")] = None,
    practitioner: Annotated[str | None, typer.Option(help="Practitioner id, for clinical roles.")] = None,
    scopes: Annotated[str, typer.Option(help="SMART scopes that narrow the role, separated by spaces.")] = "",
    json: AsJson = False,
) -> None:
    """Issue a bearer token and print it, once: only its hash is kept.

    Example: xinglin token --role system --hours 8
    """
    if context.invoked_subcommand is not None:
        return
    if role is None:
        raise Invalid("A token needs a role.", remedy="Example: xinglin token --role system --hours 8")

    async def work(database: Database) -> tuple[str, tokens.AccessToken]:
        found = await tokens.issue(
            database,
            role,
            hours,
            name=name,
            institution=institution,
            practitioner=practitioner,
            patient=patient,
            scopes=scopes.split() or None,
        )
        await unknown(database, Organization=institution, Practitioner=practitioner, Patient=patient)
        return found

    token, entry = on_database(work)
    typer.echo(msgspec.json.encode({"token": token, "id": entry.id, "expires": entry.expires}) if json else token)


@app.command("list")
def list_tokens(json: AsJson = False) -> None:
    """List the tokens, the latest first.

    Example: xinglin token list
    """
    found = on_database(tokens.listed)
    if json:
        typer.echo(msgspec.json.encode(found))
        return
    for entry in found:
        ended = "revoked" if entry.revoked else "expired" if entry.expires <= clock.now() else "valid"
        scopes = " ".join(entry.scopes or ())
        typer.echo(
            f"{entry.id}  {ended:8} {entry.expires:%Y-%m-%d %H:%M} UTC  {entry.role.value:10} {entry.name} {scopes}"
        )


@app.command()
def revoke(token_id: Annotated[str, typer.Argument(help="The token's id, as `xinglin token list` shows it.")]) -> None:
    """End a token.

    Example: xinglin token revoke 0a1b2c3d4e5f
    """
    on_database(lambda database: tokens.revoke(database, token_id))
    typer.echo(f"Token {token_id} is revoked.")
