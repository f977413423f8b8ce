"""A problem as a page: what is wrong and what to do, in the reader's language, with the problem's own status.

The floors below write English sentences for programs and operators. Chinese pages say those that the catalogue
knows, and a plain sentence about the kind of problem for the rest; never half a sentence of each language.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access.identity import TooManySignIns
from xinglin.kernel.errors import Issue, Problem, TooMany
from xinglin.ui.formats import is_han
from xinglin.ui.i18n import N_, _, language, ngettext, speaking
from xinglin.ui.preferences import clinic_zone, preferences
from xinglin.ui.templating import render
from xinglin.web.shells import shell

TITLES: Final = {
    400: N_("This request cannot be understood"),
    401: N_("Please sign in"),
    403: N_("This is not allowed"),
    404: N_("Page not found"),
    405: N_("This cannot be done here"),
    409: N_("This has changed meanwhile"),
    410: N_("This no longer exists"),
    413: N_("Too much was sent at once"),
    422: N_("Something needs correcting"),
    429: N_("Please wait a moment"),
    503: N_("The service is busy"),
}
SENTENCES: Final = {
    400: N_("Something in the address or the form is not right."),
    401: N_("You are not signed in, or your sign-in has ended."),
    403: N_("Your account may not do this."),
    404: N_("What you look for does not exist, or is not yours to see."),
    409: N_("Somebody else changed the same thing at the same time."),
    410: N_("It was deleted."),
    422: N_("What was sent breaks a rule of the record."),
    429: N_("Too much was asked for at once in your name."),
    503: N_("The answer would take too long, or a part of the service is not ready."),
}
REMEDIES: Final = {
    404: N_("Go back, or start from home."),
    409: N_("Open the page again and look at what is there now."),
    429: N_("Wait a few seconds and try again."),
    503: N_("Wait a minute and try again."),
}
KNOWN: Final = (
    N_("Ask a colleague to open the record, and speak to the privacy officer of your institution."),
    N_("Read the finding."),
    N_("This has been judged already."),
    N_("Wait for the answers."),
    N_("Read the answer below it."),
    N_("You have asked about this access already."),
    N_("The form is too large."),
    N_("Send less at once."),
    N_("There is no such page."),
    N_("Go back, or start from home."),
    N_("The page link is damaged."),
    N_("Start again from the first page."),
    N_("The last day lies in the past."),
    N_("Choose a later day."),
    N_("An institution always sees what it holds itself."),
    N_("That institution holds no record of yours."),
    N_("Only the person gives consent for their record."),
    N_("Emergency access is for clinicians who act for an institution."),
    N_("Choose a reason from the list."),
    N_("Say in a sentence what happened."),
    N_("Give both the number and the birth date."),
    N_("The login or the password is wrong."),
    N_("Check both and try again."),
    N_("The account has just changed."),
    N_("Sign in again."),
    N_("This password is one of those that are tried first."),
    N_("This password is made of your login, your name, your institution or words of the trade."),
    N_("This password is a date, a number of a person, a row of keys or a repetition."),
    N_("Choose several words that only you connect."),
    N_("The access log cannot be written, so nothing is shown."),
    N_("Try again."),
)
"""Sentences of the floors below that readers of pages meet, listed here so that they reach the catalogue."""


def problem_page(request: Request, problem: Problem) -> Response:
    """The problem as a page. Stands on its own: it may be asked for outside of the application's middleware."""
    with speaking(preferences(request).lang, clinic_zone(request)):
        status = problem.status
        title = _(TITLES.get(status, N_("Something went wrong")))
        response = render(
            request,
            "web/templates/base/problem.html",
            status=status,
            shell=shell(request),
            title=title,
            sentences=sentences(problem),
        )
    if isinstance(problem, TooManySignIns):
        response.headers["retry-after"] = str(problem.retry_after)
    elif isinstance(problem, TooMany):
        response.headers["retry-after"] = "5"
    return response


def sentences(problem: Problem) -> list[str]:
    """What is wrong and what to do, in the reader's language; one sentence an issue, five at most."""
    if isinstance(problem, TooManySignIns):
        return [_("Too many sign-ins have failed. Please wait %(time)s, then try again.") % {"time": waiting(problem)}]
    return list(dict.fromkeys(_sentence(problem, issue) for issue in problem.issues[:5]))


def waiting(problem: TooManySignIns) -> str:
    """45 seconds, 3 minutes."""
    seconds = problem.retry_after
    if seconds < 120:
        return ngettext("%(count)s second", "%(count)s seconds", seconds) % {"count": seconds}
    minutes = -(-seconds // 60)
    return ngettext("%(count)s minute", "%(count)s minutes", minutes) % {"count": minutes}


def _sentence(problem: Problem, issue: Issue) -> str:
    said = _spoken(issue.text) or _(SENTENCES.get(problem.status, N_("This could not be done.")))
    remedy = _spoken(issue.remedy or "") or _(REMEDIES.get(problem.status, N_("Go back and try again.")))
    return f"{said}{remedy}" if is_han(said) else f"{said} {remedy}"


def _spoken(text: str) -> str:
    """The text in the reader's language, or nothing where it cannot be said in it."""
    found = _(text) if text else ""
    return found if language() == "en" or is_han(found) else ""
