"""Words that pages of patients and of staff share: parts of the record, accesses, purposes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from xinglin.access.categories import Category, categories, classify
from xinglin.access.emergencies import EMERGENCY_REASONS
from xinglin.kernel import clock
from xinglin.ui.i18n import N_, _, language, zone
from xinglin.web.account.words import LOGGED

INTERACTIONS: Final = {
    "read": N_("Opened"),
    "vread": N_("Opened an earlier version"),
    "history": N_("Opened the history"),
    "search": N_("Looked through"),
    "create": N_("Added"),
    "update": N_("Changed"),
    "delete": N_("Deleted"),
    "transaction": N_("Added or changed several entries"),
    "break-glass": N_("Opened everything in an emergency"),
    "app-allowed": N_("Allowed an app"),
    "app-refused": N_("Refused an app"),
    "app-opened": N_("Opened in an app"),
    "app-ended": N_("Ended an app's access"),
    "app-registered": N_("Registered an app"),
    "app-approve": N_("Approved an app"),
    "app-disable": N_("Disabled an app"),
    "app-limit": N_("Limited an app"),
    "app-secret": N_("Gave an app a new secret"),
    "token": N_("Gave a program a token"),
    "identity-checked": N_("Checked the identity of an account's holder"),
    "proof-ended": N_("Ended that an account shows this record"),
    "guardian-appointed": N_("Entered a guardian"),
    "guardian-asked": N_("Let somebody act for them"),
    "guardian-ended": N_("Ended that somebody acts for them"),
    "policy-test": N_("Tested who may do what"),
}
PURPOSES: Final = {
    "TREAT": N_("Treatment"),
    "HPAYMT": N_("Payment"),
    "HOPERAT": N_("Running the institution"),
    "HRESCH": N_("Research"),
    "PUBHLTH": N_("Public health"),
    "BTG": N_("Emergency"),
    "PATRQT": N_("At the person's own request"),
    "HSYSADMIN": N_("Running the system"),
}


def category_name(category: Category) -> str:
    """The category's or label's name in the reader's language."""
    return category.en if language() == "en" else category.zh


def listed(names: Iterable[str]) -> str:
    """Visits, medicines · 就诊记录、用药."""
    return (", " if language() == "en" else "、").join(names)


def category_names(chosen: Sequence[Category]) -> str:
    """Names of categories in one line; one word where they are all there are."""
    if {category.code for category in chosen} >= {category.code for category in categories()}:
        return _("all of it")
    return listed(category_name(category) for category in chosen)


def interaction(name: str) -> str:
    """What was done, as one word or two."""
    return _(INTERACTIONS.get(name) or LOGGED.get(name, name))


def purpose(code: str) -> str:
    """What for, of a purpose-of-use code."""
    return _(PURPOSES[code]) if code in PURPOSES else code


def kind_of_target(target: str) -> str:
    """The part of the record that an audited target names: `Observation?code` -> vital signs; "" for all or several."""
    type_name = target.partition("?")[0].partition("/")[0]
    if not type_name.isalpha() or target.startswith("Bundle of"):
        return ""
    bits = classify({"resourceType": type_name})
    return next((category_name(category) for category in categories() if category.bit & bits), "")


def emergency_reason(why: str) -> str:
    """The reason of an emergency access in the reader's language, with the words that were written."""
    code, _colon, words = why.partition(": ")
    if code not in EMERGENCY_REASONS:
        return why
    zh, en = EMERGENCY_REASONS[code]
    return _("%(reason)s (%(words)s)") % {"reason": en if language() == "en" else zh, "words": words}


def today() -> str:
    """The day in the clinic's zone, as an ISO date."""
    return clock.now().astimezone(zone()).date().isoformat()
