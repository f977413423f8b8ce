"""Consent compiled to grants, against the slow and obvious reading of the same Consent, over generated provisions."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from xinglin.access.categories import CATEGORY_MASK, bits_of_code, categories, category_system, labels, security_system
from xinglin.access.consent import DEMOGRAPHICS, ROLE_CLASS, Grant, _span, compile_consent
from xinglin.core.store.keys import reference_key

ORGANIZATIONS = ["Organization/a", "Organization/b", "Organization/c"]
YEARS = ["2020", "2021", "2022", "2023"]
CATEGORIES = [category.code for category in categories()[1:5]]
LABELS = [label.code for label in labels()[:2]]


def actor(code: str, reference: str) -> dict[str, Any]:
    return {"role": {"coding": [{"system": ROLE_CLASS, "code": code}]}, "reference": {"reference": reference}}


@st.composite
def provisions(draw: st.DrawFn, kind: str, depth: int = 0) -> dict[str, Any]:
    actors = [actor("IRCP", name) for name in draw(st.lists(st.sampled_from(ORGANIZATIONS), max_size=2, unique=True))]
    actors += [actor("CST", name) for name in draw(st.lists(st.sampled_from(ORGANIZATIONS), max_size=1))]
    classes = draw(st.lists(st.sampled_from(CATEGORIES), max_size=2, unique=True))
    opened = draw(st.lists(st.sampled_from(LABELS), max_size=2, unique=True))
    start, end = draw(st.sampled_from(YEARS)), draw(st.sampled_from(YEARS))
    result: dict[str, Any] = {"type": kind}
    if actors:
        result["actor"] = actors
    if classes:
        result["class"] = [{"system": category_system(), "code": code} for code in classes]
    if opened:
        result["securityLabel"] = [{"system": security_system(), "code": code} for code in opened]
    if draw(st.booleans()):
        result["period"] = {"start": min(start, end), "end": max(start, end)}
    if depth == 0 and (nested := draw(st.lists(provisions("deny", depth=1), max_size=2))):
        result["provision"] = nested
    return result


def names(provision: dict[str, Any], role: str) -> list[str]:
    return [
        a["reference"]["reference"]
        for a in provision.get("actor", ())
        if any(coding["code"] == role for coding in a["role"]["coding"])
    ]


def bits(provision: dict[str, Any], element: str) -> int:
    return sum({bits_of_code(coding["system"], coding["code"]) for coding in provision.get(element, ())})


def covers(provision: dict[str, Any], grantee: str, custodian: str, at: int) -> bool:
    start, end = _span(provision, -(2**62), 2**62)
    grantees, custodians = names(provision, "IRCP"), names(provision, "CST")
    return (not grantees or grantee in grantees) and (not custodians or custodian in custodians) and start <= at < end


def obvious(consent: dict[str, Any], grantee: str, custodian: str, bit: int, at: int) -> bool:
    """May this grantee see what this custodian holds of one category or label, at this moment? A deny wins."""
    provision = consent["provision"]
    if not names(provision, "IRCP") or not covers(provision, grantee, custodian, at):
        return False
    classes, opened = bits(provision, "class"), bits(provision, "securityLabel")
    allowed = (classes or CATEGORY_MASK) | DEMOGRAPHICS if bit & CATEGORY_MASK else opened
    if not allowed & bit:
        return False
    for deny in provision.get("provision", ()):
        closed = bits(deny, "class") | bits(deny, "securityLabel")
        if covers(deny, grantee, custodian, at) and (not closed or closed & bit):
            return False
    return True


def compiled(grants: list[Grant], grantee: str, custodian: str, bit: int, at: int) -> bool:
    return any(
        grant.grantee == reference_key(grantee)
        and grant.custodian in (0, reference_key(custodian))
        and grant.starts <= at < grant.ends
        and grant.category & bit
        for grant in grants
    )


@settings(max_examples=150, deadline=None)
@given(provisions("permit"))
def test_grants_never_open_more_than_the_consent_says(provision: dict[str, Any]) -> None:
    """Grants open what the obvious reading opens; where a deny names a holder and the permit none, they may open less,
    never more."""
    consent = {"resourceType": "Consent", "status": "active", "provision": provision}
    grants = compile_consent(consent)
    exact = not any(names(deny, "CST") for deny in provision.get("provision", ())) or bool(names(provision, "CST"))
    for year in YEARS:
        at = _span({"period": {"start": year}}, 0, 0)[0]
        for grantee in ORGANIZATIONS:
            for custodian in ORGANIZATIONS:
                for entry in (*categories()[:5], *labels()[:2]):
                    open_by_grant = compiled(grants, grantee, custodian, entry.bit, at)
                    allowed = obvious(consent, grantee, custodian, entry.bit, at)
                    if entry.bit & CATEGORY_MASK:
                        assert allowed or not open_by_grant
                        assert not exact or open_by_grant == allowed
                    elif open_by_grant:
                        assert allowed


def test_an_inactive_or_denying_consent_grants_nothing() -> None:
    provision = {"type": "permit", "actor": [actor("IRCP", ORGANIZATIONS[0])]}
    assert compile_consent({"status": "active", "provision": provision})
    assert not compile_consent({"status": "inactive", "provision": provision})
    assert not compile_consent({"status": "active", "provision": {**provision, "type": "deny"}})
    assert not compile_consent({"status": "active"})
