"""Consent compiled to grants, against the slow and obvious reading of the same Consents (tests/consent_twin.py)."""

from __future__ import annotations

from itertools import combinations, product
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consent_twin import Asking, Thing, closed_at_home, opened
from xinglin.access.categories import OVERSIGHT, bits_of_code, category_system, security_system
from xinglin.access.consent import actor, compile_consent
from xinglin.access.grants import Grant
from xinglin.access.provisions import MOST, TOPIC_BITS, URI_SYSTEM
from xinglin.core.search.values import date_range
from xinglin.core.store.keys import TYPE_NUMBERS, key_of, reference_key
from xinglin.kernel.errors import Unprocessable

ORGANIZATIONS = ["a", "b"]
CATEGORIES = ["demographics", "laboratory", "medications"]
TYPES = ["MedicationRequest", "Observation"]
LABELS = ["HIV", "PSY"]
VALUE_SET = "http://node/ValueSet/v"
TOPICS = {VALUE_SET: TOPIC_BITS[0]}
YEARS = ["2023", "2024", "2025"]
PURPOSES = ["TREAT", "HPAYMT", "HRESCH"]
THINGS = {"demographics": "Patient", "laboratory": "Observation", "medications": "MedicationRequest"}

recipients = st.one_of(
    st.builds(lambda o: actor("IRCP", f"Organization/{o}"), st.sampled_from(ORGANIZATIONS)),
    st.builds(
        lambda o, r: actor("IRCP", f"Organization/{o}", r),
        st.sampled_from(ORGANIZATIONS),
        st.sampled_from(["clerk", "clinician"]),
    ),
    st.builds(lambda p: actor("IRCP", f"Practitioner/{p}"), st.sampled_from(["p", "q"])),
)
classes = st.one_of(
    st.builds(lambda c: {"system": category_system(), "code": c}, st.sampled_from(CATEGORIES)),
    st.builds(lambda t: {"system": "http://hl7.org/fhir/resource-types", "code": t}, st.sampled_from(TYPES)),
)
labelled = st.builds(lambda c: {"system": security_system(), "code": c}, st.sampled_from(LABELS))
purposes = st.builds(lambda c: {"code": c}, st.sampled_from(PURPOSES))
SOME = st.sampled_from([0, 0, 1, 2])


@st.composite
def provisions(draw: st.DrawFn, depth: int = 0) -> dict[str, Any]:
    result: dict[str, Any] = {"type": draw(st.sampled_from(["permit", "deny"]))}
    actors = draw(st.lists(recipients, max_size=draw(SOME) + (depth == 0)))
    if draw(st.integers(0, 3)) == 0:
        actors.append(actor("CST", f"Organization/{draw(st.sampled_from(ORGANIZATIONS))}"))
    listed = {
        "actor": actors,
        "class": draw(st.lists(classes, max_size=draw(SOME))),
        "securityLabel": draw(st.lists(labelled, max_size=draw(SOME))),
        "purpose": draw(st.lists(purposes, max_size=draw(SOME))),
    }
    if draw(st.integers(0, 4)) == 0:
        listed["code"] = [{"coding": [{"system": URI_SYSTEM, "code": VALUE_SET}]}]
    if draw(st.integers(0, 5)) == 0:
        listed["data"] = [{"meaning": "instance", "reference": {"reference": "Observation/1"}}]
    if draw(st.integers(0, 2)) == 0:
        start, end = sorted([draw(st.sampled_from(YEARS)), draw(st.sampled_from(YEARS))])
        result["period"] = {"start": start, "end": end}
    if depth < 3:
        listed["provision"] = draw(st.lists(provisions(depth + 1), max_size=2 if depth < 2 else 1))
    return result | {name: value for name, value in listed.items() if value}


ASKINGS = [
    Asking(*asked)
    for asked in product(
        ORGANIZATIONS, "pq", ["clerk", "clinician"], PURPOSES, ["2023-06-01", "2024-06-01", "2026-01-01"]
    )
]
LABELLED = [frozenset(labels) for labels in ([], *combinations(LABELS, 1), LABELS)]
ALL_THINGS = [
    Thing(f"{THINGS[category]}/{id}", holder, category, labels, codes)
    for category, id, holder, labels, codes in product(
        CATEGORIES, "12", ORGANIZATIONS, LABELLED, [frozenset[str](), frozenset([VALUE_SET])]
    )
]


def questions(seed: int) -> list[tuple[Asking, Thing]]:
    """Some of all that can be asked: one number, so that a failing example is made smaller by its Consents alone."""
    chance = Random(seed)
    return [(chance.choice(ASKINGS), chance.choice(ALL_THINGS)) for _ in range(60)]


kept = st.tuples(
    st.builds(lambda p: {"resourceType": "Consent", "status": "active", "provision": p}, provisions()),
    st.sampled_from(["", *ORGANIZATIONS]),
)


def covers(grant: Grant, asking: Asking, thing: Thing) -> bool:
    """What decisions.py says in SQL."""
    at = date_range(asking.at)[0]
    bits = sum(bits_of_code(security_system(), label) for label in thing.labels)
    bits |= bits_of_code(category_system(), thing.category) | sum(TOPICS[code] for code in thing.codes)
    names = (0, key_of("Organization", asking.institution), key_of("Practitioner", asking.practitioner))
    return (
        grant.grantee in names
        and grant.custodian in (0, key_of("Organization", thing.custodian))
        and grant.starts <= at < grant.ends
        and asking.purpose in grant.purposes
        and grant.role in ("", asking.role)
        and grant.acting in (0, key_of("Organization", asking.institution))
        and bool(grant.category & bits & 65535)
        and bits >> 16 & ~(grant.category >> 16) == 0
        and bits & grant.bearing == grant.bearing
        and (not grant.types or TYPE_NUMBERS[thing.type] in grant.types)
        and (not grant.resources or reference_key(thing.reference) in grant.resources)
    )


def first(grants: list[Grant]) -> bool | None:
    """What the most specific says; no wins on a tie; None where nothing does."""
    return max(grants, key=lambda grant: (grant.rank, not grant.permit)).permit if grants else None


def within(outer: dict[str, Any], inner: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """A Consent of nobody's keeping: a provision in a provision."""
    return [({"resourceType": "Consent", "status": "active", "provision": {**outer, "provision": [inner]}}, "")]


def of_category(code: str) -> dict[str, Any]:
    return {"class": [{"system": category_system(), "code": code}]}


@settings(max_examples=200, deadline=None)
@example(  # a permit of laboratory results among identities opens nothing, and so brings no identity
    within(
        {"type": "deny", "actor": [actor("IRCP", "Organization/a")], **of_category("demographics")},
        {"type": "permit", **of_category("laboratory")},
    ),
    [(Asking("a", "p", "clerk", "TREAT", "2023-06-01"), Thing("Patient/1", "a", "demographics"))],
)
@given(consents=st.lists(kept, min_size=1, max_size=3), asked=st.integers(0, 65535).map(questions))
def test_grants_decide_as_the_consents_say(
    consents: list[tuple[dict[str, Any], str]], asked: list[tuple[Asking, Thing]]
) -> None:
    try:
        grants = [
            grant
            for consent, keeper in consents
            for grant in compile_consent(consent, key_of("Organization", keeper) if keeper else 0, TOPICS)
        ]
    except Unprocessable:  # more than is kept: such a Consent is not stored
        return
    for asking, thing in asked:
        covering = [grant for grant in grants if covers(grant, asking, thing)]
        assert bool(first(covering)) == opened(consents, asking, thing), (asking, thing)
        at_home = first([grant for grant in covering if grant.permit or grant.home])
        assert (at_home is False) == closed_at_home(consents, asking, thing), (asking, thing)


def consent(**provision: Any) -> dict[str, Any]:
    return {"status": "active", "provision": {"type": "permit", **provision}}


A, B = actor("IRCP", "Organization/a"), actor("IRCP", "Organization/b")


def test_an_inactive_consent_grants_nothing() -> None:
    assert compile_consent(consent(actor=[A]))
    assert not compile_consent({**consent(actor=[A]), "status": "inactive"})
    assert not compile_consent({"status": "active"})
    assert not compile_consent(consent())  # a permit names who receives (PIPL art. 23)


def test_r4_lets_the_policy_speak_for_the_root() -> None:
    act = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    body = {"status": "active", "provision": {"actor": [A]}}
    assert not compile_consent(body)
    for code, permits in (("OPTIN", True), ("OPTOUT", False)):
        grants = compile_consent({**body, "policyRule": {"coding": [{"system": act, "code": code}]}})
        assert {grant.permit for grant in grants} == {permits}


def test_sensitive_records_have_a_consent_of_their_own() -> None:
    """PIPL art. 29. A permit that names labels opens these and who the person is; bundled with others, nothing."""
    label = [{"system": security_system(), "code": "HIV"}]
    own = compile_consent(consent(actor=[A], securityLabel=label))
    assert {grant.bearing for grant in own} == {bits_of_code(security_system(), "HIV"), 0}
    bundled = compile_consent(consent(actor=[A], provision=[{"type": "permit", "securityLabel": label}]))
    assert {grant.bearing for grant in bundled} == {0}
    assert all(grant.category & bits_of_code(security_system(), "HIV") == 0 for grant in bundled)


def test_judgements_of_accesses_are_opened_to_nobody() -> None:
    assert not any(grant.category & OVERSIGHT for grant in compile_consent(consent(actor=[A])))


@pytest.mark.parametrize(
    "limit",
    [
        {"class": [{"system": "urn:x", "code": "laboratory"}]},
        {"securityLabel": [{"system": "urn:x", "code": "SECRET"}]},
        {"code": [{"coding": [{"system": URI_SYSTEM, "code": "http://elsewhere/vs"}]}]},
        {"data": [{"meaning": "related", "reference": {"reference": "Observation/1"}}]},
        {"dataPeriod": {"start": "2024"}},
        {"period": {"start": "soon"}},
        {"actor": [{"role": {"coding": [{"code": "IRCP"}]}, "reference": {"reference": "Group/g"}}]},
    ],
)
def test_a_limit_that_cannot_be_kept_narrows_a_permit_to_nothing_and_widens_a_denial(limit: dict[str, Any]) -> None:
    assert not compile_consent(consent(**{"actor": [A], **limit}))
    outer = consent(actor=[A], provision=[{"type": "deny", **limit, "provision": [{"type": "permit"}]}])
    grants = compile_consent(outer)
    whole, closest = max((g for g in grants if g.permit), key=lambda g: g.rank), max(grants, key=lambda g: g.rank)
    assert not closest.permit and closest.category & whole.category == whole.category and not closest.bearing


def test_too_much_is_refused_not_cut() -> None:
    with pytest.raises(Unprocessable):
        compile_consent(consent(actor=[A], provision=[{"type": "deny"}] * (MOST + 1)))
