"""FHIR Consent compiled to grants: a pure function, and the statements that keep the table in step.

The shape (R4): `status` active, `scope` patient-privacy, `patient`, and a `provision` of type permit with

    period            from and to (inclusive to the precision written)
    actor             role IRCP: who receives (an Organization or a Practitioner); role CST: who holds the data
                      (without one: whoever holds it)
    class             what: record categories (access/categories.py) or resource types; without one: every category
    securityLabel     sensitive labels that this consent opens expressly (PIPL art. 29); without one: none
    purpose           v3 ActReason; without one: TREAT

Nested provisions of type deny take their categories away again, for the actors they name or for all; where a deny
cannot be told apart from a permit, the deny wins. A nested permit inside a deny opens again what it names, as far as
the whole consent opened it.

A consent opens what the institution that keeps it holds, and nothing of another's: who holds the data decides, and
nobody opens other people's doors by writing a Consent of their own. What limits a permit in a way that cannot be kept
(single resources, codes, dates of the data, an unknown class) makes it open nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from xinglin.access.categories import (
    CATEGORY_MASK,
    bits_of_code,
    categories,
    category_system,
    labels,
    security_system,
)
from xinglin.core.schema.decode import parse
from xinglin.core.search.values import date_range
from xinglin.core.store.keys import TYPE_NUMBERS, reference_key
from xinglin.kernel.database import Connection

FOREVER: Final = 2**62
ALWAYS: Final = -(2**62)
ANY_CUSTODIAN: Final = 0
DEMOGRAPHICS: Final = categories()[0].bit
LABELS: Final = ~CATEGORY_MASK & 0x7FFF0000
PRIVACY: Final = "patient-privacy"
DISCLOSING: Final = frozenset({"access", "use", "disclose"})
"""Of the codes of provision.action, those that let data be seen."""
CANNOT_KEEP: Final = ("code", "data", "dataPeriod")
ROLE_CLASS: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"


@dataclass(frozen=True, slots=True)
class Grant:
    """`grantee` may see, for the purposes, what `custodian` (0: anyone) holds of the categories, between the times."""

    grantee: int
    custodian: int
    category: int
    purposes: tuple[str, ...]
    starts: int
    ends: int


def compile_consent(consent: dict[str, Any], keeper: int = ANY_CUSTODIAN) -> list[Grant]:
    """The grants a Consent gives; none when it is not active, or denies as a whole.

    keeper: key of the institution that keeps the Consent; nobody's (loaded by the node's operator) speaks for all.
    """
    provision = consent.get("provision", {})
    about_sharing = PRIVACY in _codes(consent["scope"].get("coding", ())) if "scope" in consent else True
    if consent.get("status") != "active" or not about_sharing or provision.get("type") != "permit":
        return []
    try:
        grants = _whole(provision)
    except ValueError:  # a period that cannot be read
        return []
    grants = [replace(grant, custodian=keeper or grant.custodian) for grant in grants if _holds(keeper, grant)]
    return [grant for grant in grants if grant.category & CATEGORY_MASK and grant.starts < grant.ends]


def _whole(provision: dict[str, Any]) -> list[Grant]:
    grants = _permit(provision, _span(provision, ALWAYS, FOREVER))
    for nested in provision.get("provision", ()):
        grants = _apply(grants, nested)
    return grants


def _holds(keeper: int, grant: Grant) -> bool:
    return ANY_CUSTODIAN in (keeper, grant.custodian) or keeper == grant.custodian


def _permit(provision: dict[str, Any], span: tuple[int, int]) -> list[Grant]:
    known = _categories(provision)
    actions = {code for action in provision.get("action", ()) for code in _codes(action.get("coding", ()))}
    unclear = any(name in provision for name in CANNOT_KEEP) or ("class" in provision and not known)
    if unclear or ("action" in provision and not actions & DISCLOSING):
        return []
    opened = ((known or CATEGORY_MASK) | DEMOGRAPHICS) & CATEGORY_MASK | _labels(provision)
    purposes = tuple(coding.get("code", "") for coding in provision.get("purpose", ())) or ("TREAT",)
    custodians = _actors(provision, "CST") or [ANY_CUSTODIAN]
    grantees = _actors(provision, "IRCP", "PRCP")
    return [Grant(grantee, custodian, opened, purposes, *span) for grantee in grantees for custodian in custodians]


def _apply(grants: list[Grant], nested: dict[str, Any]) -> list[Grant]:
    if nested.get("type") == "deny":
        closed = _closed(nested)
        grantees, custodians = _actors(nested, "IRCP", "PRCP"), _actors(nested, "CST")
        before = grants
        grants = [piece for grant in before for piece in _deny(grant, nested, closed, grantees, custodians)]
        for inner in nested.get("provision", ()):
            if inner.get("type") == "permit":
                permits = _permit(inner, _span(inner, ALWAYS, FOREVER))
                grants += [both for permit in permits for grant in before if (both := _common(permit, grant))]
    return grants


def _common(one: Grant, other: Grant) -> Grant | None:
    """What both open; None where they speak of others."""
    if one.grantee != other.grantee or not _holds(one.custodian, other):
        return None
    return Grant(
        one.grantee,
        one.custodian or other.custodian,
        one.category & other.category,
        tuple(purpose for purpose in one.purposes if purpose in other.purposes),
        max(one.starts, other.starts),
        min(one.ends, other.ends),
    )


def _closed(deny: dict[str, Any]) -> int:
    """What a deny takes away: everything, where it names nothing or something unknown."""
    named = (*deny.get("class", ()), *deny.get("securityLabel", ()))
    return _bits(named) if named and all(_bits([coding]) for coding in named) else CATEGORY_MASK | LABELS


def _deny(grant: Grant, nested: dict[str, Any], closed: int, grantees: list[int], custodians: list[int]) -> list[Grant]:
    """The grant less what is denied: outside the denied time it stands, inside it loses the denied bits."""
    named_other_grantee = grantees and grant.grantee not in grantees
    named_other_holder = custodians and grant.custodian != ANY_CUSTODIAN and grant.custodian not in custodians
    if named_other_grantee or named_other_holder:
        return [grant]
    starts, ends = _span(nested, ALWAYS, FOREVER)
    inside = replace(
        grant, category=grant.category & ~closed, starts=max(grant.starts, starts), ends=min(grant.ends, ends)
    )
    before = replace(grant, ends=min(grant.ends, starts))
    after = replace(grant, starts=max(grant.starts, ends))
    return [piece for piece in (before, inside, after) if piece.starts < piece.ends]


def _categories(provision: dict[str, Any]) -> int:
    return _bits(provision.get("class", ())) & CATEGORY_MASK


def _labels(provision: dict[str, Any]) -> int:
    return _bits(provision.get("securityLabel", ())) & ~CATEGORY_MASK


def _bits(codings: Iterable[dict[str, Any]]) -> int:
    bits = 0
    for coding in codings:
        bits |= bits_of_code(coding.get("system"), coding.get("code", ""))
    return bits


def _codes(codings: Iterable[dict[str, Any]]) -> set[str]:
    return {coding.get("code", "") for coding in codings}


def _actors(provision: dict[str, Any], *roles: str) -> list[int]:
    found = []
    for actor in provision.get("actor", ()):
        codes = _codes(actor.get("role", {}).get("coding", ()))
        reference = actor.get("reference", {}).get("reference")
        if reference and codes & set(roles):
            found.append(reference_key(reference))
    return found


def _span(provision: dict[str, Any], default_start: int, default_end: int) -> tuple[int, int]:
    """[start, end) in microseconds; the end of a partial date is the end of that day, month or year, in UTC where it
    has no zone. Raises ValueError for what is no date."""
    period = provision.get("period", {})
    start, end = period.get("start"), period.get("end")
    return (
        date_range(start)[0] if start else default_start,
        date_range(end)[1] if end else default_end,
    )


async def store_grants(connection: Connection, source: int, people: Sequence[int], grants: Sequence[Grant]) -> None:
    """Replace the grants of one source, for each of the Patient resources that are the person."""
    await connection.execute("DELETE FROM access_grant WHERE source = $1", source)
    # what is nobody's (person 0) is no person's to open: a Consent without a patient opens nothing
    rows = [
        (person, g.grantee, g.custodian, g.category, list(g.purposes), g.starts, g.ends, source)
        for person in people
        if person
        for g in grants
    ]
    if rows:
        await connection.executemany("INSERT INTO access_grant VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", rows)


async def linked_people(connection: Connection, person: int) -> list[int]:
    """Keys of all Patient resources that are this person's, by the links of access.persons; at least the one given."""
    rows = await connection.fetch(
        "SELECT other.patient FROM person_link mine JOIN person_link other USING (person) WHERE mine.patient = $1",
        person,
    )
    return sorted({person, *(row["patient"] for row in rows)})


async def relink(connection: Connection, people: Sequence[int]) -> None:
    """Spread, or draw back, the grants of these people's consents after a link was made or parted."""
    rows = await connection.fetch(
        "SELECT r.key, r.person, r.custodian, r.body FROM resource r"
        " WHERE r.type = $1 AND r.person = ANY($2::bigint[]) AND NOT r.deleted",
        TYPE_NUMBERS["Consent"],
        list(people),
    )
    for row in rows:
        grants = compile_consent(parse(row["body"]), row["custodian"])
        await store_grants(connection, row["key"], await linked_people(connection, row["person"]), grants)


def provision(
    *,
    custodian: str,
    grantee: str,
    category_codes: Sequence[str],
    label_codes: Sequence[str],
    start: str,
    end: str | None,
    purpose: str = "TREAT",
) -> dict[str, Any]:
    """The provision that the consent page writes: what one institution holds, opened to another."""

    def actor(code: str, organization: str) -> dict[str, Any]:
        coding = [{"system": ROLE_CLASS, "code": code}]
        return {"role": {"coding": coding}, "reference": {"reference": f"Organization/{organization}"}}

    period = {"start": start, **({"end": end} if end else {})}
    opened = [{"system": security_system(), "code": code} for code in label_codes]
    result: dict[str, Any] = {
        "type": "permit",
        "period": period,
        "actor": [actor("CST", custodian), actor("IRCP", grantee)],
        "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": purpose}],
        "class": [{"system": category_system(), "code": code} for code in category_codes],
    }
    return {**result, "securityLabel": opened} if opened else result


def bits(category_codes: Iterable[str], label_codes: Iterable[str]) -> int:
    """Bits of category and label codes together."""
    chosen = set(category_codes) | set(label_codes)
    return sum(entry.bit for entry in (*categories(), *labels()) if entry.code in chosen)
