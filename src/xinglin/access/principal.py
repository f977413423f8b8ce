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
    patients: ids of the Patient resources that are this very person (role patient), linked ones included.
    scopes: SMART scopes of a bearer token; None for a session, which the role alone limits.
    """

    login: str
    name: str
    role: Role
    purpose: Purpose
    institution: str | None = None
    practitioner: str | None = None
    patients: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None

    def for_purpose(self, purpose: Purpose) -> Principal:
        return replace(self, purpose=purpose)


NODE = Principal("xinglin", "Xinglin node", Role.SYSTEM, Purpose.ADMINISTRATION)
"""The node itself: loads, projections, reminders."""
