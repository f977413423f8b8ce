"""Closing my record: to one person or desk of the institution that holds it, and to every use beyond my own care."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access import sharing
from xinglin.access.principal import Role
from xinglin.access.purposes import closable_at_home
from xinglin.core.schema.decode import parse
from xinglin.kernel.errors import Problem
from xinglin.ui import forms
from xinglin.ui.formats import person_name
from xinglin.ui.i18n import N_, _
from xinglin.web.guards import institutions, page, records, see_other, signed_in
from xinglin.web.portal.sharing import held_at
from xinglin.web.problems import sentences

CLOSE: Final = "web/templates/portal/close.html"
CONFIRM: Final = "web/templates/portal/close_confirm.html"
OPT_OUT: Final = "web/templates/portal/opt_out.html"
MOST: Final = 1000
DESKS: Final = ("clerk",)
"""Desks that the page offers, of those that data/restrictions.json lets a person close."""


@dataclass(frozen=True)
class Close:
    """`who`: `person:ID` or `desk:ROLE`; `step` is `look` for the preview, `close` when it was confirmed."""

    custodian: str = forms.text(N_("Institution"), missing=N_("Choose the institution"), max_length=64)
    who: str = forms.text(N_("Who may no longer look"), missing=N_("Choose who may no longer look"), max_length=80)
    step: str = forms.choice(N_("Step"), ("look", "close"), required=False, default="look")


@dataclass(frozen=True)
class Secondary:
    refuse: str = forms.choice(N_("Answer"), ("yes", "no"), missing=N_("Choose one"))


@signed_in(Role.PATIENT)
async def close_page(request: Request) -> Response:
    """The institution, then who there; what it means; the refusal itself."""
    held = await held_at(request)
    if request.method == "GET":
        asked = request.query_params.get("custodian", held[0] if len(held) == 1 else "")
        return await _form(request, forms.blank(Close, custodian=asked if asked in held else ""), held)
    form = await forms.read(request, Close)
    sent = form.value
    if sent is None or sent.custodian not in held:
        return await _form(request, form, held, status=422)
    names = dict(await _who(request, sent.custodian))
    if sent.who not in names:
        return await _form(request, form.refuse(who=_("Choose somebody from the list")), held, status=422)
    if sent.step == "look":
        known = institutions(request)
        return page(
            request,
            CONFIRM,
            current="/me/sharing",
            wanted=sent,
            who=names[sent.who],
            custodian=known.name(sent.custodian),
            desk=sent.who.startswith("desk:"),
        )
    kind, _colon, id = sent.who.partition(":")
    try:
        await sharing.close(
            records(request), custodian=sent.custodian, **({"practitioner": id} if kind == "person" else {"role": id})
        )
    except Problem as problem:
        if problem.status >= 500:
            raise
        return await _form(request, form.refuse(who=" ".join(sentences(problem))), held, status=422)
    return see_other("/me/sharing?done=closed")


async def _form(request: Request, form: Any, held: list[str], *, status: int = 200) -> Response:
    chosen = form.sent.get("custodian") or ""
    return page(
        request,
        CLOSE,
        current="/me/sharing",
        status=status,
        form=form,
        custodian=chosen if chosen in held else "",
        custodian_name=institutions(request).name(chosen),
        custodians=[(id, institutions(request).name(id)) for id in held],
        people=await _who(request, chosen) if chosen in held else [],
    )


async def _who(request: Request, custodian: str) -> list[tuple[str, str]]:
    """Desks that may be closed, then the people who work at an institution, by name."""
    query = f"organization=Organization/{custodian}&_include=PractitionerRole:practitioner&_count={MOST}"
    found = await records(request).search("PractitionerRole", query)
    bodies = [parse(stored.body) for stored in found.included]
    people = {f"person:{one['id']}": person_name(one.get("name", ())) for one in bodies}
    desks = [(f"desk:{role}", _("The registration and billing desk")) for role in DESKS if role in closable_at_home()]
    return desks + sorted(people.items(), key=lambda person: person[1])


@signed_in(Role.PATIENT)
async def opt_out_page(request: Request) -> Response:
    """What the refusal of secondary use means, and setting or taking it back."""
    gate = records(request)
    form = forms.blank(Secondary) if request.method == "GET" else await forms.read(request, Secondary)
    if form.value is None:
        standing = bool(await sharing.opted_out(gate))
        return page(
            request,
            OPT_OUT,
            current="/me/sharing",
            status=422 if form.errors else 200,
            form=form,
            refused=standing,
            answers=[
                ("yes", _("Do not use my record for research and planning")),
                ("no", _("My record may be used, without my name")),
            ],
        )
    await sharing.opt_out(gate, refuse=form.value.refuse == "yes")
    return see_other(f"/me/sharing?done={'opted-out' if form.value.refuse == 'yes' else 'opted-in'}")
