"""A clerk's desk: records that may be one person, two of them side by side, and what was decided, to be taken back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access import sharing
from xinglin.access.persons import models, review
from xinglin.access.persons.matching import rules
from xinglin.access.persons.review import Entry, Review
from xinglin.access.persons.traits import Traits
from xinglin.access.principal import NODE, Role
from xinglin.access.records import Stored
from xinglin.core.schema.decode import parse
from xinglin.kernel.errors import NotFound
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _, language, ngettext, pgettext
from xinglin.ui.parts import Column
from xinglin.ui.preferences import same_page
from xinglin.web.guards import house, institutions, page, principal, records, see_other, signed_in
from xinglin.web.workspace.comparison import legend, rows, said, signed
from xinglin.web.workspace.find import Person, person_of

LIST: Final = "web/templates/workspace/duplicates.html"
PAIR: Final = "web/templates/workspace/pair.html"
PER_PAGE: Final = 20
DECISIONS: Final = 15
LEDGER: Final = 500  # newest entries among which people's decisions are looked for
DONE: Final = {
    "join": N_("The records are one person now"),
    "part": N_("The records are kept apart"),
    "undo": N_("The decision has been taken back"),
}
ACTIONS: Final = {"join": N_("Joined"), "part": N_("Kept apart"), "undo": N_("Taken back")}


def routes() -> list[BaseRoute]:
    return [
        Route("/desk/duplicates", list_page),
        Route("/desk/duplicates/undo", undo_action, methods=["POST"]),
        Route("/desk/duplicates/{a}/{b}", pair_page, methods=["GET", "POST"]),
    ]


@dataclass(frozen=True, slots=True)
class Pair:
    """A line of the list: two people as lists show them, and why they are doubtful."""

    left: Person
    right: Person
    why: str
    opened: Any


@dataclass(frozen=True, slots=True)
class DecisionLine:
    """A line of the ledger in words. `undo`: it stands and may be taken back."""

    entry: int
    at: Any
    who: str
    action: str
    why: str
    patients: tuple[str, ...]
    undo: bool


# the list -------------------------------------------------------------------------------------------------------------


@signed_in(Role.CLERK)
async def list_page(request: Request) -> Response:
    asked = request.query_params.get("page", "1")
    number = max(1, int(asked)) if asked.isdecimal() and len(asked) < 6 else 1
    who, at = principal(request), house(request)
    waiting = await review.waiting(at, who)
    found = await review.reviews(at, who, count=PER_PAGE, skip=(number - 1) * PER_PAGE)
    ledger = await review.entries(at, who, count=LEDGER)
    done = DONE.get(request.query_params.get("done", ""), "")
    decided = decision_lines([entry for entry in ledger if entry.actor != NODE.login][:DECISIONS])
    return page(
        request,
        LIST,
        current="/desk/duplicates",
        pairs=await _pairs(request, found),
        columns=_columns(),
        note=ngettext("%(count)s pair waits", "%(count)s pairs wait", waiting) % {"count": waiting},
        decisions=decided,
        done=_(done) if done else "",
        undo=_just_made(request, ledger),
        previous=same_page(request, page=str(number - 1)) if number > 1 else "",
        next=same_page(request, page=str(number + 1)) if number * PER_PAGE < waiting else "",
    )


def _columns() -> tuple[Column, ...]:
    return (
        Column("pair", _("Records"), "main"),
        Column("birth", _("Born"), "time"),
        Column("places", _("Held by")),
        Column("why", _("Why it is doubtful")),
        Column("opened", _("Since"), "time"),
    )


def _just_made(request: Request, ledger: Sequence[Entry]) -> int | None:
    """The entry that the notice offers to take back: the one just made, while it stands."""
    asked = request.query_params.get("entry", "")
    return next((e.entry for e in ledger if str(e.entry) == asked and not e.undone and e.action != "undo"), None)


async def _pairs(request: Request, found: Iterable[Review]) -> list[Pair]:
    found = list(found)
    people = await _people(request, sorted({id for one in found for id in (one.a, one.b)}))
    return [
        Pair(people[one.a], people[one.b], rule_words(one.rule), one.opened)
        for one in found
        if one.a in people and one.b in people
    ]


async def _people(request: Request, ids: Sequence[str]) -> dict[str, Person]:
    known = institutions(request)
    stored = await records(request).visible_of("Patient", ids)
    return {one.id: person_of(parse(one.body), known.named(one.custodian)[1]) for one in stored}


def rule_words(name: str) -> str:
    """What a rule of matching says, in the reader's language."""
    if name == "parted-before":
        return _("They were kept apart by a clerk, and now the records agree.")
    rule = next((rule for rule in rules() if rule.rule == name), None)
    if rule is None:
        return said("bands", name) or name
    return rule.en if language() == "en" else rule.zh


def decision_lines(ledger: Iterable[Entry]) -> list[DecisionLine]:
    return [
        DecisionLine(
            entry=one.entry,
            at=one.at,
            who=_("automatic") if one.actor == NODE.login else one.actor,
            action=_(ACTIONS.get(one.action, one.action)),
            why=rule_words(one.why) if one.actor == NODE.login else one.why,
            patients=one.patients,
            undo=not one.undone and one.action != "undo",
        )
        for one in ledger
    ]


# two records ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decide:
    why: str = forms.text(
        N_("Reason"),
        missing=N_("Say why you decide so"),
        hint=N_("For whoever looks at this decision later: what you compared, whom you asked."),
        max_length=300,
    )
    decision: str = forms.choice(N_("Decision"), ("join", "part"), missing=N_("Choose what to do"))


@signed_in(Role.CLERK)
async def pair_page(request: Request) -> Response:
    a, b = str(request.path_params["a"]), str(request.path_params["b"])
    form = forms.blank(Decide) if request.method == "GET" else await forms.read(request, Decide)
    if form.value is None:
        return await _compared(request, a, b, form)
    act = review.join if form.value.decision == "join" else review.part
    entry = await act(house(request), principal(request), a, b, form.value.why)
    return see_other(f"/desk/duplicates?done={form.value.decision}&entry={entry}")


async def _compared(request: Request, a: str, b: str, form: forms.Form[Decide]) -> Response:
    stored = {one.id: one for one in await records(request).visible_of("Patient", [a, b])}
    if a == b or len(stored) < 2:
        raise NotFound("There is no such page.", remedy="Go back, or start from home.")
    left, right = parse(stored[a].body), parse(stored[b].body)
    async with house(request).database.connection() as connection:
        matcher = await models.in_force(connection)
    decision = matcher(Traits.of(left), Traits.of(right))
    joined = b in {one.patient for one in await sharing.linked(records(request), a)}
    return page(
        request,
        PAIR,
        current="/desk/duplicates",
        status=422 if form.errors else 200,
        form=form,
        here=f"/desk/duplicates/{a}/{b}",
        left=_title(request, stored[a], pgettext("record", "First")),
        right=_title(request, stored[b], pgettext("record", "Second")),
        rows=rows(left, right, decision.parts),
        words={name: said("weights", name) for name in ("column", "start", "total")},
        start=signed(matcher.weights.prior),
        total=signed(decision.weight) or "0",
        legend=legend(),
        why=rule_words(decision.rule),
        joined=joined,
    )


def _title(request: Request, stored: Stored, otherwise: str) -> str:
    """The institution that holds the record, by which the two are told apart, and its id."""
    return f"{institutions(request).named(stored.custodian)[1] or otherwise} · {stored.id}"


# taking back ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Undo:
    entry: int = forms.integer(N_("Decision"), low=1)


@signed_in(Role.CLERK)
async def undo_action(request: Request) -> Response:
    form = await forms.read(request, Undo)
    if form.value is None:
        raise NotFound("There is no such page.", remedy="Go back, or start from home.")
    entry = await review.undo(house(request), principal(request), form.value.entry)
    return see_other(f"/desk/duplicates?done=undo&entry={entry}")
