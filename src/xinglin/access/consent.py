"""FHIR Consent compiled to grants: a pure function, and the statements that keep the table in step.

The shape (R4): `status` active, `scope` patient-privacy, `patient`, and a `provision` with

    type              permit or deny; at the root policyRule OPTIN or OPTOUT says the same
    period            from and to (inclusive to the precision written)
    actor             role IRCP: who receives (an Organization, with a code of our roles beside IRCP: that role there;
                      a Practitioner, or a PractitionerRole: in that post); role CST: who holds the data (without
                      one: whoever holds it)
    class             record categories (access/categories.py) or resource types; without one: all
    securityLabel     sensitive labels; a permit without one opens nothing sensitive
    code              a ValueSet of this node (system urn:ietf:rfc:3986), or a code
    data              single resources (meaning instance)
    purpose           v3 ActReason; without one a permit means TREAT, a denial whatever a person may refuse
    action            of those that let data be seen

All that a provision names must hold, any of what one element lists. Nested provisions, to any depth, are exceptions
within what the outer ones cover. Which of several rules decides is said by `grants.rank`.

* A permit names who receives (PIPL art. 23), and brings the identity of the person with what it opens.
* Sensitive records have a consent of their own (PIPL art. 29): a permit that names labels opens what bears them and
  nothing else, and one inside a Consent that opens ordinary records too opens nothing.
* A Consent moves only what the institution that keeps it holds: nobody opens or closes other people's doors by writing
  a Consent of their own. Refusing what lies beyond individual care holds everywhere.
* At the institution that holds the data a denial reaches as far as data/restrictions.json says.
* What limits a permit in a way that cannot be kept makes it open nothing; a denial, close the more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from xinglin.access.categories import category_system, security_system
from xinglin.access.grants import ANY_CUSTODIAN, PERSON, ROLE, Grant, linked_people, rank, store_grants
from xinglin.access.provisions import DEMOGRAPHICS, LABELS, ROLE_CLASS, TOPICS, Cell, Rule, Who, refused, rules
from xinglin.access.purposes import beyond_care, closable_at_home, role_system
from xinglin.access.topics import keep_topics
from xinglin.core.schema.decode import parse
from xinglin.core.store.keys import TYPE_NUMBERS
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Unprocessable

PRIVACY: Final = "patient-privacy"
ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
MOST_GRANTS: Final = 1000


def compile_consent(
    consent: Mapping[str, Any], keeper: int = ANY_CUSTODIAN, topics: Mapping[str, int] | None = None
) -> list[Grant]:
    """The grants of a Consent; none when it is not active. Raises Unprocessable where it says more than is kept.

    keeper: key of the institution that keeps the Consent; nobody's (loaded by the node's operator) speaks for all.
    topics: bits of the codes that consents speak of (access/topics.py).
    """
    provision = consent.get("provision", {})
    about_sharing = PRIVACY in _codes(consent["scope"].get("coding", ())) if "scope" in consent else True
    permit = _permits(consent)
    if consent.get("status") != "active" or not about_sharing or permit is None:
        return []
    found = rules(provision, permit, topics or {})
    bundled = _bundles(provision, permit)
    grants = [
        grant for rule in found if not (bundled and rule.permit and rule.labels) for grant in _grants(rule, keeper)
    ]
    if len(grants) > MOST_GRANTS:
        raise Unprocessable(
            f"The Consent makes more than {MOST_GRANTS} grants.",
            code="too-long",
            expression="Consent.provision",
            remedy="Write several Consents.",
        )
    return list(dict.fromkeys(grants))


def _bundles(provision: Mapping[str, Any], permit: bool) -> bool:
    """Whether a Consent opens ordinary records: a permit in it that no label limits."""
    if provision.get("securityLabel"):
        return False
    nested = provision.get("provision", ())
    return permit or any(_bundles(one, one.get("type") == "permit") for one in nested)


def _permits(consent: Mapping[str, Any]) -> bool | None:
    """What the root says: by its type, or by the policy that R4 lets stand in its place; None: neither."""
    kind = consent.get("provision", {}).get("type")
    if kind in ("permit", "deny"):
        return bool(kind == "permit")
    codings = consent.get("policyRule", {}).get("coding", ())
    policies = {coding.get("code") for coding in codings if coding.get("system") == ACT_CODE}
    return True if policies == {"OPTIN"} else False if policies == {"OPTOUT"} else None


def _grants(rule: Rule, keeper: int) -> Iterator[Grant]:
    if rule.permit:
        purposes = rule.purposes or frozenset()
        for who in rule.who:
            if who.grantee:
                yield from _of_who(rule, who, _holders(rule, keeper), purposes, home=False)
        return
    purposes = refused(rule)
    care, beyond = purposes - beyond_care(), purposes & beyond_care()
    for who in rule.who:
        yield from _of_who(rule, who, _holders(rule, keeper), care, home=_reaches_home(who))
        yield from _of_who(rule, who, _holders(rule, ANY_CUSTODIAN), beyond, home=True)


def _holders(rule: Rule, keeper: int) -> list[int]:
    if keeper == ANY_CUSTODIAN:
        return [ANY_CUSTODIAN] if rule.holders is None else sorted(rule.holders)
    return [keeper] if rule.holders is None or keeper in rule.holders else []


def _reaches_home(who: Who) -> bool:
    """Whether a denial of care's purposes binds the institution that holds the data (data/restrictions.json)."""
    named = bool(who.grantee)
    return named and (who.level == PERSON or (who.level == ROLE and who.role in closable_at_home()))


def _of_who(rule: Rule, who: Who, holders: Sequence[int], purposes: frozenset[str], *, home: bool) -> Iterator[Grant]:
    if not purposes:
        return
    place = rank(False, who.level, rule.what, rule.holders is not None, rule.named, rule.depth)
    for holder in holders:
        for cell, resources in _cells(rule, who):
            yield Grant(
                who.grantee,
                holder,
                cell.category,
                tuple(sorted(purposes)),
                rule.starts,
                rule.ends,
                rule.permit,
                place,
                who.role,
                who.acting if who.level == PERSON else 0,
                cell.bearing,
                cell.types,
                resources,
                home,
            )


def _cells(rule: Rule, who: Who) -> Iterator[tuple[Cell, tuple[int, ...]]]:
    """What a rule covers, with the labels that it may bear beside the category; a permit brings who the person is,
    and a denial of a role leaves it."""
    resources = tuple(sorted(rule.resources)) if rule.resources is not None else ()
    within = TOPICS | (rule.labels if rule.permit else LABELS)
    for cell in rule.cells:
        category = cell.category & ~DEMOGRAPHICS if not rule.permit and who.level == ROLE else cell.category
        if category:
            yield replace(cell, category=category | within), resources
    if rule.permit:
        yield Cell(DEMOGRAPHICS | TOPICS), ()


def _codes(codings: Iterable[Mapping[str, Any]]) -> set[str]:
    return {coding.get("code", "") for coding in codings}


async def store_consent(connection: Connection, key: int, person: int, keeper: int, body: Mapping[str, Any]) -> None:
    """Bring the grants of one Consent up to what it says now, for all the Patients that are the person."""
    people = await linked_people(connection, person)
    topics = await keep_topics(connection, body, people)
    await store_grants(connection, key, people, compile_consent(body, keeper, topics))


async def relink(connection: Connection, people: Sequence[int]) -> None:
    """Spread, or draw back, the grants of these people's consents after a link was made or parted."""
    rows = await connection.fetch(
        "SELECT r.key, r.person, r.custodian, r.body FROM resource r"
        " WHERE r.type = $1 AND r.person = ANY($2::bigint[]) AND NOT r.deleted",
        TYPE_NUMBERS["Consent"],
        list(people),
    )
    for row in rows:
        await store_consent(connection, row["key"], row["person"], row["custodian"], parse(row["body"]))


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
    """The provision that the consent page writes: what one institution holds, opened to another.

    With label_codes it opens what bears these sensitive labels, and nothing else.
    """
    period = {"start": start, **({"end": end} if end else {})}
    opened = [{"system": security_system(), "code": code} for code in label_codes]
    result: dict[str, Any] = {
        "type": "permit",
        "period": period,
        "actor": [actor("CST", f"Organization/{custodian}"), actor("IRCP", f"Organization/{grantee}")],
        "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": purpose}],
        "class": [{"system": category_system(), "code": code} for code in category_codes],
    }
    return {**result, "securityLabel": opened} if opened else result


def actor(code: str, reference: str, role: str = "") -> dict[str, Any]:
    """An actor of a provision: CST who holds the data, IRCP who receives it, in one role of theirs where named."""
    coding = [{"system": ROLE_CLASS, "code": code}]
    coding += [{"system": role_system(), "code": role}] if role else []
    return {"role": {"coding": coding}, "reference": {"reference": reference}}
