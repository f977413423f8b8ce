"""What a session acts as: one of its owner's posts, or one of those for whom they act. Asked at every request.

Posts and licences are looked up beside the account, so that a role that ends, or a licence that runs out, between two
requests stops the second one. The decision is posts.standing_of, and guardians.ward_of; here is what reads and writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

import orjson

from xinglin.access.identity import guardians
from xinglin.access.identity.guardians import Ward
from xinglin.access.identity.tokens import forget_remembered
from xinglin.access.posts import NO_POST, Standing, standing_of
from xinglin.access.principal import Principal, Role
from xinglin.core.search import values
from xinglin.core.store.keys import key_of
from xinglin.core.store.rows import Change
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import NotFound

STAFF: Final = frozenset({Role.CLINICIAN, Role.PHARMACIST, Role.CLERK, Role.MANAGER, Role.PRIVACY})
CLINICAL: Final = frozenset({Role.CLINICIAN, Role.PHARMACIST})

POSTS: Final = """
(SELECT json_agg(x) FROM staff_role x WHERE x.practitioner = {practitioner}) AS posts,
(SELECT json_agg(x) FROM (SELECT l.*, r.custodian FROM staff_licence l JOIN resource r USING (key)
  WHERE l.practitioner = {practitioner}) x) AS licences,
(SELECT array_agg(x.institution) FROM account_proof x
  WHERE x.login = {login} AND x.own = 0 AND x.ended IS NULL) AS vouched
"""
CHOSEN: Final = f"""
(SELECT x.practitioner_role FROM session_acting x WHERE x.session = s.id) AS chosen,
{guardians.WARD} AS ward
"""  # noqa: S608
"""Columns of the statement that looks a session up: which post was chosen, for whom it acts."""


@dataclass(frozen=True, slots=True)
class Acting:
    """What stands beside the principal for the frame of a page: posts to choose from, and the ward."""

    standing: Standing = field(default_factory=Standing)
    ward: Ward | None = None

    @property
    def must_choose(self) -> bool:
        """Several posts and none chosen: the person says in which they act before they do anything."""
        return len(self.standing.posts) > 1 and not self.standing.chosen


def today() -> date:
    """The day at the clinic."""
    return clock.now().astimezone(values._zone).date()


def as_staff(principal: Principal, row: Mapping[str, Any], chosen: str | None = None) -> tuple[Principal, Standing]:
    """The principal in the post that they act in. row: with the columns of POSTS.

    Whoever makes an account at one institution can bind it to any practitioner. It therefore acts in posts of that
    institution, and in those of another only where that one has vouched for the account (proof.confirm); and a licence
    counts where one of these, or the operator, keeps the Practitioner, so that nobody borrows another's name with what
    was granted to it. Programs of an institution, which are no practitioner, hold no post.
    """
    if principal.role not in STAFF:
        return principal, Standing()
    if principal.practitioner is None:
        return _nobody(principal)
    trusting = {principal.institution, *(row["vouched"] or ())}
    posts = [post for post in _rows(row["posts"]) if post["institution"] in trusting]
    keepers = {0, *(key_of("Organization", one) for one in trusting if one)}
    licences = [licence for licence in _rows(row["licences"]) if licence["custodian"] in keepers]
    standing = standing_of(principal.role, principal.institution, posts, licences, chosen, today())
    post = standing.post
    acting = replace(
        principal,
        institution=post.institution if post else principal.institution,
        practitioner_role=post.id if post else None,
        specialty=post.specialty if post else "",
        barred=standing.barred,
    )
    return acting, standing


def _nobody(principal: Principal) -> tuple[Principal, Standing]:
    """Whoever treats is somebody of the directory; a program of an institution is not."""
    if principal.role not in CLINICAL or principal.login.startswith("token:"):
        return principal, Standing()
    return replace(principal, barred=NO_POST), Standing(barred=NO_POST)


def _rows(text: str | None) -> list[dict[str, Any]]:
    return orjson.loads(text) if text else []


async def choose_post(connection: Connection, session: str, acting: Acting, practitioner_role: str) -> None:
    """Act in another of one's own posts. NotFound for what is not among them today."""
    if practitioner_role not in {post.id for post in acting.standing.posts}:
        raise NotFound("This is no post of yours today.", remedy="Choose one of the list.")
    await connection.execute(
        "INSERT INTO session_acting (session, practitioner_role) VALUES ($1, $2)"
        " ON CONFLICT (session) DO UPDATE SET practitioner_role = excluded.practitioner_role",
        *(session, practitioner_role),
    )


async def choose_ward(connection: Connection, session: str, login: str, guardianship: int | None) -> None:
    """Act for one of those whom the account may act for; None: for oneself again."""
    if guardianship is not None and not any(one.id == guardianship for one in await guardians.wards(connection, login)):
        raise NotFound("You do not act for this person.", remedy="Choose one of the list.")
    await connection.execute(
        "INSERT INTO session_acting (session, guardianship) VALUES ($1, $2)"
        " ON CONFLICT (session) DO UPDATE SET guardianship = excluded.guardianship",
        *(session, guardianship),
    )


async def project(connection: Connection, changes: Sequence[Change]) -> None:
    """Posts and licences follow their resources; what a guardian was given ends with the resource that says so."""
    staff = [change.key for change in changes if change.type in ("Practitioner", "PractitionerRole")]
    if staff:
        await connection.execute("SELECT project_staff($1)", staff)
        await forget_remembered(connection)
    ended = [change.key for change in changes if guardians.says_ended(change.type, change.resource)]
    if ended:
        await guardians.end_with(connection, ended)
