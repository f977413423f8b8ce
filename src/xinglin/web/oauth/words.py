"""Scopes as a person reads them: what an app asks for, in a sentence each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl

from xinglin.access import scopes
from xinglin.access.oauth.lifetimes import lasts
from xinglin.access.scopes import Scope
from xinglin.ui.i18n import N_, _
from xinglin.web.wording import kind_of_target, listed

PLAIN: Final = {
    "openid": N_("Know that it is you when you come back"),
    "fhirUser": N_("Know who you are in the record"),
    "profile": N_("Know your name"),
    "offline_access": N_("Keep this access until you end it, also when you are not signed in"),
    "online_access": N_("Keep this access while you are signed in"),
}
TYPES: Final = {
    "Patient": N_("name, birth date, address and other personal details"),
    "Observation": N_("test results and measurements"),
    "Condition": N_("problems and diagnoses"),
    "MedicationRequest": N_("prescriptions"),
    "MedicationStatement": N_("medicines taken"),
    "MedicationDispense": N_("medicines handed out"),
    "AllergyIntolerance": N_("allergies"),
    "Immunization": N_("vaccinations"),
    "Encounter": N_("visits"),
    "Procedure": N_("procedures"),
    "DiagnosticReport": N_("reports"),
    "DocumentReference": N_("documents"),
    "Practitioner": N_("the directory of staff"),
    "Organization": N_("the directory of institutions"),
    "QuestionnaireResponse": N_("answers to questionnaires"),
    "CarePlan": N_("care plans"),
    "AuditEvent": N_("the list of who looked"),
    "*": N_("the whole record"),
}
PARTS: Final = {
    "laboratory": N_("laboratory"),
    "vital-signs": N_("vital signs"),
    "imaging": N_("imaging"),
    "social-history": N_("way of life"),
    "survey": N_("questionnaires"),
    "problem-list-item": N_("problem list"),
    "encounter-diagnosis": N_("diagnoses of visits"),
}


def sentence(text: str) -> str:
    """What a scope lets the app do."""
    scope = scopes.read(text)
    if scope is None:
        return _(PLAIN[text]) if text in PLAIN else text
    what = {"what": _what(scope)}
    reads, writes = any(v in scope.verbs for v in "rs"), any(v in scope.verbs for v in "cud")
    if reads and writes:
        return _("Read and change: %(what)s") % what
    return _("Read: %(what)s") % what if reads else _("Add or change: %(what)s") % what


def _what(scope: Scope) -> str:
    name = _(TYPES[scope.type]) if scope.type in TYPES else kind_of_target(scope.type) or scope.type
    if scope.type not in TYPES and name != scope.type:
        name = f"{name} ({scope.type})"
    if not scope.restriction:
        return name
    parts = listed(_part(key, value) for key, value in parse_qsl(scope.restriction))
    return _("%(what)s, only %(parts)s") % {"what": name, "parts": parts}


def _part(name: str, value: str) -> str:
    code = value.rpartition("|")[2]
    return _(PARTS[code]) if name == "category" and code in PARTS else f"{name} = {value}"


def of_whom(text: str) -> str:
    """Whose data: of the one person the app is opened for, or of everybody its user may see."""
    scope = scopes.read(text)
    if scope is None:
        return ""
    return _("Only of this person") if scope.context == "patient" else _("Of everybody whose record you may open")


def lasting(offered: Sequence[str]) -> str:
    """How long what is allowed lasts, where these scopes may be chosen."""
    if "offline_access" in offered:
        said = _(
            "If you let the app keep its access, it lasts until you end it, %(days)s days at most, and ends by"
            " itself after %(idle)s days without use. If not, it ends after an hour, or when you sign out."
        )
        return said % {"days": lasts("refresh_at_most").days, "idle": lasts("refresh").days}
    if "online_access" in offered:
        return _("The access ends when you sign out.")
    return _("The access ends after an hour, or when you sign out.")


KNOWN: Final = (
    N_("The app is not known here."),
    N_("The app is not approved here."),
    N_("The app asks for an answer at an address that is not registered for it."),
    N_("This request is over, or was answered."),
    N_("Start again from the app."),
    N_("The request cannot be read."),
    N_("This app was opened by somebody else."),
    N_("Open it again yourself."),
    N_("The app is not approved at your institution."),
    N_("Ask your institution's manager."),
    N_("Nothing was allowed."),
    N_("Choose what the app may see, or refuse it."),
)
"""Sentences of access.oauth that readers of pages meet, listed here so that they reach the catalogue."""
