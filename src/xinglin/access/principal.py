"""Who is asking, and why: the frozen value that every door hands to the gate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Role(StrEnum):
    """What a person or program is to this node. Each has the least that its work needs (access/policy.py)."""

    PATIENT = "patient"
    CLINICIAN = "clinician"
    PHARMACIST = "pharmacist"
    CLERK = "clerk"
    MANAGER = "manager"
    PRIVACY = "privacy"  # the privacy officer: who looked, and whether they should have
    SYSTEM = "system"  # a program of the node's operator: loads, exports, back ends


class Purpose(StrEnum):
    """Purpose of use, codes of HL7 v3 ActReason."""

    TREATMENT = "TREAT"
    PAYMENT = "HPAYMT"
    OPERATIONS = "HOPERAT"
    RESEARCH = "HRESCH"
    PUBLIC_HEALTH = "PUBHLTH"
    EMERGENCY = "BTG"
    OWN = "PATRQT"  # the person's own request
    ADMINISTRATION = "HSYSADMIN"


@dataclass(frozen=True, slots=True)
class Principal:
    """One account or program, acting in one role for one purpose.

    login: the account's name, or the token's.
    institution: Organization id that the person acts for; None for patients.
    practitioner: Practitioner id; None where there is none.
    patients: ids of the Patient resources that are this very person (role patient): their own, and linked ones as far
    as identity is proven (identity/proof.py); of the ward, for whoever acts for one.
    practitioner_role, specialty: id of the PractitionerRole acted in, and the code of its specialty.
    barred: why clinical acts and reading for treatment are stopped, a key of posts.BARRED; "": they are not.
    on_behalf: id of the Patient for whom a guardian acts.
    opened: category bits that a guardian may see; None: all.
    scopes: SMART scopes of a bearer token; None for a session, which the role alone limits.
    basis: code of the legal basis that the request names (data/legal_bases.json); "": what consent's rules give.
    client: id of the app through which they ask, by a token of SMART; "": our own pages, or a token of the operator's.
    about: ids of the Patient resources that a token's `patient/` scopes are confined to; none: the person's own.
    """

    login: str
    name: str
    role: Role
    purpose: Purpose
    institution: str | None = None
    practitioner: str | None = None
    patients: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    about: tuple[str, ...] = ()
    practitioner_role: str | None = None
    specialty: str = ""
    barred: str = ""
    on_behalf: str | None = None
    opened: int | None = None
    basis: str = ""
    client: str = ""

    def for_purpose(self, purpose: Purpose) -> Principal:
        return replace(self, purpose=purpose)


NODE = Principal("xinglin", "Xinglin node", Role.SYSTEM, Purpose.ADMINISTRATION)
"""The node itself: loads, projections, reminders."""
