"""Who somebody acts as and for: posts, guardians, identity checks at the counter, and why a rule says yes or no."""

from __future__ import annotations

from starlette.routing import BaseRoute

from xinglin.ui.i18n import N_
from xinglin.web.acting import counter, mine, posts, why


def routes() -> list[BaseRoute]:
    return [route for family in (mine, posts, counter, why) for route in family.routes()]


KNOWN = (
    N_("You hold no post at this institution at present."),
    N_("Ask your institution's manager to enter or renew your post."),
    N_("No licence to practise is recorded for you."),
    N_("Ask your institution's manager to record your licence with its validity."),
    N_("Your licence to practise has ended."),
    N_("Ask your institution's manager to record its renewal."),
    N_("This is no post of yours today."),
    N_("You do not act for this person."),
    N_("Choose one of the list."),
    N_("Guardians are entered by registration clerks and clinicians."),
    N_("Your institution holds no such Patient."),
    N_("Register the child at your institution first."),
    N_("Only a child has a guardian."),
    N_("An adult asks somebody in their own portal."),
    N_("Only the person lets somebody act for them."),
    N_("Choose a day from today, at most three years ahead."),
    N_("Choose at least one part of the record."),
    N_("Login and code do not belong together, or the code has run out."),
    N_("Ask for a new one."),
    N_("There is no such account of a patient."),
    N_("Check the login."),
    N_("Nobody is their own guardian."),
    N_("Only an adult acts for somebody."),
    N_("Ask an adult to come."),
    N_("This is not there any more."),
    N_("Open the page again."),
    N_("Rules are tested by the institution's manager and its privacy officer."),
    N_("Give a resource as Type/id."),
    N_("Your institution has no such account that may sign in."),
)
"""Sentences of the floors below that readers of these pages meet, listed here so that they reach the catalogue."""
