"""A launch from a page of ours: one person opens one app at one record, once, within minutes."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import urlencode

from xinglin.access.identity.sessions import hashed
from xinglin.access.oauth.clients import Client
from xinglin.access.oauth.lifetimes import lasts
from xinglin.kernel import clock
from xinglin.kernel.database import Connection


@dataclass(frozen=True, slots=True)
class Launch:
    """Who may answer for it, and what it is about."""

    login: str
    patient: str
    encounter: str | None


async def begin(connection: Connection, client: Client, launch: Launch, audience: str) -> str:
    """The app's address to open, with `iss` and `launch`."""
    assert client.launch_uri is not None
    handle, now = secrets.token_urlsafe(24), clock.now()
    await connection.execute("DELETE FROM oauth_launch WHERE expires <= $1", now)
    await connection.execute(
        "INSERT INTO oauth_launch (hash, client, login, patient, encounter, expires) VALUES ($1, $2, $3, $4, $5, $6)",
        *(hashed(handle), client.id, launch.login, launch.patient, launch.encounter, now + lasts("launch")),
    )
    told = urlencode({"iss": audience, "launch": handle})
    return f"{client.launch_uri}{'&' if '?' in client.launch_uri else '?'}{told}"


async def take(connection: Connection, client: Client, handle: str) -> Launch | None:
    """What a handle was bound to, used up; None for another app's, one that is over or unknown."""
    row = await connection.fetchrow(
        "DELETE FROM oauth_launch WHERE hash = $1 AND client = $2 AND expires > $3 RETURNING login, patient, encounter",
        *(hashed(handle), client.id, clock.now()),
    )
    return None if row is None else Launch(row["login"], row["patient"], row["encounter"])
