"""Grants in SQL: what they open elsewhere, and what they close at home. The most specific decides, no wins on a tie.

Each predicate first asks whether the person has any grant that could matter to this caller: PostgreSQL answers that
from a hash where a statement looks at many people, from an index where at few. Only where there is one, the grants
that cover the row are put in order.
"""

from __future__ import annotations

from xinglin.access.principal import Principal
from xinglin.access.provisions import ALL_CATEGORIES, LABELS, TOPICS
from xinglin.access.purposes import beyond_care, overrides_opt_out
from xinglin.core.store.keys import key_of
from xinglin.core.store.visibility import Bind


def opened_elsewhere(principal: Principal, now: int, alias: str, bind: Bind) -> str:
    """Whether a consent, or an emergency, opens a row to the caller."""
    names, covering = bind(named(principal)), _covering(principal, now, alias, bind)
    return (
        f"(EXISTS (SELECT 1 FROM access_grant o WHERE o.person = {alias}.person"  # noqa: S608
        f" AND o.grantee = ANY({names}::bigint[]) AND o.permit)"
        f" AND COALESCE((SELECT g.permit FROM access_grant g WHERE {covering}"
        " ORDER BY g.rank DESC, g.permit LIMIT 1), false))"
    )


def closed_at_home(principal: Principal, now: int, alias: str, bind: Bind) -> str:
    """Whether the person has closed a row to the caller also where it is held. A legal basis may go before that."""
    purpose = principal.purpose.value
    beyond = purpose in beyond_care()
    names = named(principal)
    if overrides_opt_out(principal.basis, principal.role, purpose) or not (names or beyond):
        return "false"
    gate, covering = bind([*names, *([0] if beyond else [])]), _covering(principal, now, alias, bind)
    decided = (
        f"NOT COALESCE((SELECT g.permit FROM access_grant g WHERE {covering} AND (g.permit OR g.home)"  # noqa: S608
        " ORDER BY g.rank DESC, g.permit LIMIT 1), true)"
    )
    if beyond:
        decided = f"({_opted_out(principal, now, alias, bind)} OR {decided})"
    return (
        f"(EXISTS (SELECT 1 FROM access_grant d WHERE d.person = {alias}.person"  # noqa: S608
        f" AND d.grantee = ANY({gate}::bigint[]) AND d.home AND {bind(purpose)}::text = ANY(d.purposes)) AND {decided})"
    )


def _opted_out(principal: Principal, now: int, alias: str, bind: Bind) -> str:
    """Whether a person refuses this use of everything and has opened nothing to the caller, so that nothing needs to be
    put in order: what most who are closed are."""
    at, purpose, names = bind(now), bind(principal.purpose.value), bind(named(principal))
    return (
        f"(EXISTS (SELECT 1 FROM access_grant d WHERE d.person = {alias}.person AND d.grantee = 0 AND d.home"  # noqa: S608
        f" AND NOT d.permit AND d.custodian = 0 AND d.category & {ALL_CATEGORIES} = {ALL_CATEGORIES} AND d.bearing = 0"
        f" AND d.category & {LABELS | TOPICS} = {LABELS | TOPICS} AND d.types IS NULL AND d.resources IS NULL"
        f" AND d.starts <= {at} AND d.ends > {at} AND {purpose}::text = ANY(d.purposes))"
        f" AND NOT EXISTS (SELECT 1 FROM access_grant o WHERE o.person = {alias}.person"
        f" AND o.grantee = ANY({names}::bigint[]) AND o.permit))"
    )


def named(principal: Principal) -> list[int]:
    """Keys by which a grant names the caller: the institution, the person, the post acted in."""
    names = (
        ("Organization", principal.institution),
        ("Practitioner", principal.practitioner),
        ("PractitionerRole", principal.practitioner_role),
    )
    return [key_of(type, id) for type, id in names if id]


def _covering(principal: Principal, now: int, alias: str, bind: Bind) -> str:
    """The grants that cover the caller, the moment, the purpose and the row."""
    at, role = bind(now), bind(principal.role.value)
    acting = bind(key_of("Organization", principal.institution) if principal.institution else 0)
    return (
        f"g.person = {alias}.person AND g.grantee = ANY({bind([*named(principal), 0])}::bigint[])"
        f" AND g.custodian IN ({alias}.custodian, 0) AND g.starts <= {at} AND g.ends > {at}"
        f" AND {bind(principal.purpose.value)}::text = ANY(g.purposes)"
        f" AND g.role IN ('', {role}::text) AND g.acting IN (0, {acting}::bigint)"
        f" AND g.category & {alias}.category & 65535 <> 0"
        f" AND ({alias}.category >> 16) & ~(g.category >> 16) = 0"
        f" AND {alias}.category & g.bearing = g.bearing"
        f" AND (g.types IS NULL OR {alias}.type = ANY(g.types))"
        f" AND (g.resources IS NULL OR {alias}.key = ANY(g.resources))"
    )
