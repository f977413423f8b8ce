"""What consents say, read slowly and obviously: every provision with those around it, one resource at a time.

The engine (access/consent.py) narrows provisions to grants and lets SQL choose; this asks each Consent itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

CARE = ("TREAT", "HPAYMT", "HOPERAT")
BEYOND = ("HRESCH", "PUBHLTH")
CLOSABLE = ("clerk", "manager")
ROLES = "https://xinglin.example/fhir/CodeSystem/role"
URI = "urn:ietf:rfc:3986"
RECORD = "https://xinglin.example/fhir/CodeSystem/record-category"


@dataclass(frozen=True)
class Asking:
    """Who asks: ids of institution and practitioner, the role's name, what for; `at` as an ISO date."""

    institution: str
    practitioner: str
    role: str
    purpose: str
    at: str


@dataclass(frozen=True)
class Thing:
    """A resource: `reference`, who holds it, what it is."""

    reference: str
    custodian: str
    category: str
    labels: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()

    @property
    def type(self) -> str:
        return self.reference.partition("/")[0]


@dataclass(frozen=True)
class Said:
    """A rule that covers a thing; the order of `place` is the order of specificity."""

    permit: bool
    place: tuple[int, ...]
    home: bool


def opened(consents: list[tuple[dict[str, Any], str]], asking: Asking, thing: Thing) -> bool:
    """Whether consents (each with the institution that keeps it, "": nobody) open what another institution holds."""
    said = [one for consent, keeper in consents for one in covering(consent, keeper, asking, thing)]
    return bool(said) and max(said, key=lambda one: (one.place, not one.permit)).permit


def closed_at_home(consents: list[tuple[dict[str, Any], str]], asking: Asking, thing: Thing) -> bool:
    """Whether they close it to the institution that holds it itself."""
    said = [one for consent, keeper in consents for one in covering(consent, keeper, asking, thing)]
    said = [one for one in said if one.permit or one.home]
    return bool(said) and not max(said, key=lambda one: (one.place, not one.permit)).permit


def covering(consent: dict[str, Any], keeper: str, asking: Asking, thing: Thing) -> Iterator[Said]:
    if consent["status"] != "active":
        return
    ordinary = any(
        chain[-1]["type"] == "permit" and not any("securityLabel" in one for one in chain)
        for chain in chains([consent["provision"]])
    )
    for chain in chains([consent["provision"]]):
        permit = chain[-1]["type"] == "permit"
        if permit and ordinary and any("securityLabel" in one for one in chain):
            continue  # sensitive records have a consent of their own
        yield from _said(chain, permit, keeper, asking, thing)


def chains(chain: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    yield chain
    for nested in chain[-1].get("provision", ()):
        yield from chains([*chain, nested])


def _said(chain: list[dict[str, Any]], permit: bool, keeper: str, asking: Asking, thing: Thing) -> Iterator[Said]:
    if asking.purpose not in _purposes(chain) or not all(_runs(one, asking.at) for one in chain):
        return
    if not all(_custodians(one) in ([], [thing.custodian]) for one in chain):
        return
    moves_all = not keeper or (not permit and asking.purpose in BEYOND)
    if not moves_all and keeper != thing.custodian:
        return
    # with what a permit opens comes who the person is; one that can open nothing brings nothing
    identity = permit and _opens(chain) and thing.category == "demographics" and not thing.labels
    if not identity and not all(_about(one, thing) for one in chain):
        return
    named = frozenset(code for one in chain for code in codes(one, "securityLabel"))
    if permit and not thing.labels <= named:
        return
    for recipients in product(*[_recipients(one) or [None] for one in chain]):
        level = _level([one for one in recipients if one], asking)
        if level is None or (permit and level == 0):
            continue
        if not permit and level == 2 and thing.category == "demographics":
            continue  # who a person is is closed to persons, not to a desk
        roles = {one[2] for one in recipients if one and one[2]}
        home = asking.purpose in BEYOND or level == 3 or (level == 2 and roles <= set(CLOSABLE))
        yield Said(permit, (level, *_place(chain)), home)


def _opens(chain: list[dict[str, Any]]) -> bool:
    """Whether anything could be of all the classes, and among all the resources, that provisions within one another
    name."""
    listed = [
        [(coding["system"] == RECORD, coding["code"]) for coding in one["class"]] for one in chain if "class" in one
    ]
    fits = any(
        len({code for record, code in chosen if record}) < 2
        and len({code for record, code in chosen if not record}) < 2
        for chosen in product(*listed)
    )
    single = [{data["reference"]["reference"] for data in one["data"]} for one in chain if "data" in one]
    return fits and (not single or bool(set.intersection(*single)))


def _place(chain: list[dict[str, Any]]) -> tuple[int, ...]:
    """What data are named (resource, code, label, type, category), whether the holder is, the purpose; depth."""
    systems = [{coding["system"] for coding in one["class"]} for one in chain if "class" in one]
    what = (
        any("data" in one for one in chain) * 16
        + any("code" in one for one in chain) * 8
        + any("securityLabel" in one for one in chain) * 4
        + any(RECORD not in named for named in systems) * 2
        + any(RECORD in named for named in systems) * 1
    )
    return (what, any(_custodians(one) for one in chain), any("purpose" in one for one in chain), len(chain))


def _level(recipients: list[tuple[str, str, str]], asking: Asking) -> int | None:
    """0 nobody named, 1 institution, 2 a role there, 3 a person; None: somebody else is meant."""
    level = 0
    for kind, id, role in recipients:
        own = asking.institution if kind == "Organization" else asking.practitioner
        if id != own or (role and role != asking.role):
            return None
        level = max(level, 3 if kind == "Practitioner" else 2 if role else 1)
    return level


def _recipients(provision: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = []
    for actor in provision.get("actor", ()):
        coded = {coding["system"]: coding["code"] for coding in actor["role"]["coding"]}
        kind, _, id = actor["reference"]["reference"].partition("/")
        if "IRCP" in coded.values():
            found.append((kind, id, coded.get(ROLES, "")))
    return found


def _custodians(provision: dict[str, Any]) -> list[str]:
    return [
        actor["reference"]["reference"].removeprefix("Organization/")
        for actor in provision.get("actor", ())
        if actor["role"]["coding"][0]["code"] == "CST"
    ]


def _about(provision: dict[str, Any], thing: Thing) -> bool:
    classes = codes(provision, "class")
    data = [one["reference"]["reference"] for one in provision.get("data", ())]
    codings = [coding for concept in provision.get("code", ()) for coding in concept["coding"]]
    named = {one["code"] if one["system"] == URI else f"{one['system']}|{one['code']}" for one in codings}
    return (
        ("class" not in provision or thing.category in classes or thing.type in classes)
        and ("securityLabel" not in provision or bool(thing.labels & codes(provision, "securityLabel")))
        and ("code" not in provision or bool(thing.codes & named))
        and ("data" not in provision or thing.reference in data)
    )


def _purposes(chain: list[dict[str, Any]]) -> set[str]:
    allowed: set[str] | None = None
    for one in chain:
        if "purpose" in one:
            allowed = codes(one, "purpose") & (set(codes(one, "purpose")) if allowed is None else allowed)
        elif one["type"] == "permit" and allowed is None:
            allowed = {"TREAT"}
    if chain[-1]["type"] == "deny":
        allowed = ({*CARE, *BEYOND} if allowed is None else allowed) & {*CARE, *BEYOND}
    return allowed or set()


def _runs(provision: dict[str, Any], at: str) -> bool:
    period = provision.get("period", {})
    start, end = period.get("start", "0000"), period.get("end", "9999")
    return bool(start <= at[: len(start)] and at[: len(end)] <= end)


def codes(provision: dict[str, Any], element: str) -> frozenset[str]:
    return frozenset(coding["code"] for coding in provision.get(element, ()))
