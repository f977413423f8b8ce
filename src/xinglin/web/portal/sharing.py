"""Who may see my record: what each institution sees, giving access with a preview of what it opens, taking it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access import preview, sharing
from xinglin.access.categories import Category, categories, labels
from xinglin.access.principal import Role
from xinglin.access.records import Records
from xinglin.access.sharing import Sharing
from xinglin.core.schema.decode import parse
from xinglin.kernel.errors import Problem
from xinglin.ui import forms
from xinglin.ui.formats import day, person_name
from xinglin.ui.i18n import N_, _
from xinglin.ui.templating import render
from xinglin.web.directory import Directory
from xinglin.web.guards import institutions, page, records, see_other, signed_in
from xinglin.web.problems import sentences
from xinglin.web.shells import ROLES, shell
from xinglin.web.wording import category_name, category_names, listed, today

LIST: Final = "web/templates/portal/sharing.html"
GIVE: Final = "web/templates/portal/give.html"
CONFIRM: Final = "web/templates/portal/give_confirm.html"
USUAL_DAYS: Final = 365


@dataclass(frozen=True)
class Give:
    """`step` is `look` for the preview, `give` when it was confirmed."""

    custodian: str = forms.text(N_("Whose records"), missing=N_("Choose whose records you open"), max_length=64)
    grantee: str = forms.text(N_("Who may see them"), missing=N_("Choose who may see them"), max_length=64)
    categories: tuple[str, ...] = forms.choices(
        N_("What they may see"),
        [category.code for category in categories()],
        missing=N_("Choose at least one part of the record"),
    )
    labels: tuple[str, ...] = forms.choices(
        N_("Sensitive records"),
        [label.code for label in labels()],
        required=False,
        hint=N_("These stay closed unless you tick them here. Tick only what the institution needs."),
    )
    until: date | None = forms.day(
        N_("Last day"), required=False, hint=N_("Leave it empty if it shall hold until you withdraw it.")
    )
    separately: bool = forms.flag(N_("I agree separately that these sensitive records are opened"))
    step: str = forms.choice(N_("Step"), ("look", "give"), required=False, default="look")


@dataclass(frozen=True)
class Withdraw:
    consent: str = forms.text(N_("Consent"), max_length=64)


@dataclass(frozen=True, slots=True)
class Shown:
    """A consent, or a refusal, in plain words. kind: permit or close."""

    id: str
    sentence: str
    sensitive: str
    until: str
    since: str
    active: bool
    kind: str


@dataclass(frozen=True, slots=True)
class Sees:
    """What the clinicians of one institution see, and what not: parts of the record, with how many entries."""

    institution: str
    holds: bool
    parts: str
    closed: str


@signed_in(Role.PATIENT)
async def sharing_page(request: Request) -> Response:
    gate, known = records(request), institutions(request)
    found = await sharing.sharings(gate)
    names = await people_named(gate, [one.practitioner for one in found if one.practitioner])
    told = [shown(one, known, names) for one in found if one.kind != "opt-out"]
    return page(
        request,
        LIST,
        current="/me/sharing",
        sees=await _sees(request, found),
        active=[one for one in told if one.active and one.kind == "permit"],
        closed=[one for one in told if one.active and one.kind == "close"],
        ended=[one for one in told if not one.active],
        opted_out=any(one.active for one in found if one.kind == "opt-out"),
        done=request.query_params.get("done", ""),
    )


async def _sees(request: Request, found: Sequence[Sharing]) -> list[Sees]:
    """Institutions that hold something, or to which something is open, as the gate itself counts what they see."""
    gate, known = records(request), institutions(request)
    held = await held_at(request)
    concerned = list(dict.fromkeys([*held, *(one.grantee for one in found if one.active and one.grantee)]))
    seen = await preview.seen_by(gate, concerned)
    every = await preview.held(gate)
    return [
        Sees(known.name(one), one in held, counted(seen[one]), counted(preview.Change(seen[one], every).gained))
        for one in concerned
    ]


def counted(counts: preview.Counts) -> str:
    """Laboratory results (12), medicines (3), in the order of the categories."""
    names = preview.named()
    return listed(
        _("%(part)s (%(count)d)") % {"part": category_name(entry), "count": counts[code]}
        for code, entry in names.items()
        if counts.get(code)
    )


async def people_named(gate: Records, ids: Sequence[str]) -> dict[str, str]:
    """Names of Practitioners by id."""
    found = await gate.visible_of("Practitioner", list(dict.fromkeys(ids)))
    return {stored.id: person_name(parse(stored.body).get("name", ())) for stored in found}


def shown(one: Sharing, known: Directory, names: Mapping[str, str]) -> Shown:
    """Active means that it holds today: neither withdrawn nor run out."""
    return Shown(
        one.id,
        _refusal(one, known, names) if one.kind == "close" else _opening(one, known),
        listed(category_name(label) for label in one.labels),
        one.end or "",
        one.start or "",
        one.active and not (one.end and one.end[:10] < today()),
        one.kind,
    )


def _opening(one: Sharing, known: Directory) -> str:
    said = {
        "grantee": known.name(one.grantee) or _("Another institution"),
        "custodian": known.name(one.custodian) or _("every institution"),
        "categories": category_names(one.categories),
    }
    if one.labels:
        said["categories"] = listed(category_name(label) for label in one.labels)
        return _("%(grantee)s may see sensitive records of %(custodian)s: %(categories)s.") % said
    return _("%(grantee)s may see what %(custodian)s holds: %(categories)s.") % said


def _refusal(one: Sharing, known: Directory, names: Mapping[str, str]) -> str:
    who = names.get(one.practitioner, one.practitioner) if one.practitioner else _role(one.role)
    return _("%(who)s may not see what %(custodian)s holds.") % {
        "who": who or _("Nobody elsewhere"),
        "custodian": known.name(one.custodian) or _("every institution"),
    }


def _role(code: str) -> str:
    return (
        _("The registration and billing desk")
        if code == "clerk"
        else _(ROLES[Role(code)])
        if code in set(Role)
        else code
    )


# giving ---------------------------------------------------------------------------------------------------------


@signed_in(Role.PATIENT)
async def give_page(request: Request) -> Response:
    """The form; its preview in one sentence; the consent itself."""
    held = await held_at(request)
    if request.method == "GET":
        return _form(request, forms.blank(Give, **_beginning(request, held)), held)
    form = await forms.read(request, Give)
    if form.value is None or form.value.step == "look":
        form = _checked(form, institutions(request), held)
        if form.value is None:
            return _form(request, form, held, status=422)
        return await _preview(request, form.value)
    wanted = form.value
    if wanted.labels and not wanted.separately:
        form = form.refuse(separately=_("Sensitive records need a consent of their own: tick it, or leave them out"))
        return await _preview(request, wanted, form=form, status=422)
    try:
        await _permit(request, form.value)
    except Problem as problem:
        if problem.status >= 500:
            raise
        field = problem.issues[0].expression or "grantee"
        return _form(request, form.refuse(**{field: " ".join(sentences(problem))}), held, status=422)
    return see_other("/me/sharing?done=given")


async def _permit(request: Request, wanted: Give) -> None:
    await sharing.permit(records(request), **_chosen(wanted))


async def held_at(request: Request) -> list[str]:
    """Ids of the institutions that hold a record of this person, by name."""
    found = await records(request).search("Patient", "_count=100")
    known = institutions(request)
    places = {known.named(stored.custodian) for stored in found.matches}
    return [id for id, _name in sorted(places, key=lambda place: place[1]) if id]


def _beginning(request: Request, held: Sequence[str]) -> dict[str, Any]:
    """What the form starts with: what treatment needs, for a year, and what a request's link names."""
    asked = request.query_params
    last = date.fromisoformat(today()).toordinal() + USUAL_DAYS
    return {
        "custodian": asked.get("custodian") or (held[0] if len(held) == 1 else ""),
        "grantee": asked.get("grantee", ""),
        "categories": [category.code for category in categories() if category.code not in ("billing", "other")],
        "labels": [],
        "until": date.fromordinal(last).isoformat(),
    }


def _checked(form: forms.Form[Give], known: Directory, held: Sequence[str]) -> forms.Form[Give]:
    """What only the directory and the record can say about the choices."""
    wrong: dict[str, str] = {}
    custodian, grantee = form.sent.get("custodian"), form.sent.get("grantee")
    if custodian and custodian not in held:
        wrong["custodian"] = _("That institution holds no record of yours.")
    if grantee and grantee not in known.institutions:
        wrong["grantee"] = _("Choose an institution from the list.")
    elif grantee and grantee == custodian:
        wrong["grantee"] = _("An institution always sees what it holds itself.")
    if form.value and form.value.until and form.value.until.isoformat() < today():
        wrong["until"] = _("The last day lies in the past.")
    return form.refuse(**wrong) if wrong else form


def _form(request: Request, form: forms.Form[Give], held: Sequence[str], *, status: int = 200) -> Response:
    known = institutions(request)
    return render(
        request,
        GIVE,
        status=status,
        shell=shell(request, "/me/sharing"),
        form=form,
        custodians=[(id, known.name(id)) for id in held],
        grantees=[(one.id, one.name) for one in known.institutions.values()],
        categories=[(category.code, category_name(category)) for category in categories()],
        labels=[(label.code, category_name(label)) for label in labels()],
    )


async def _preview(
    request: Request, wanted: Give, *, form: forms.Form[Give] | None = None, status: int = 200
) -> Response:
    """What it will do: in a sentence, and in what the gate would then show."""
    gate, known = records(request), institutions(request)
    change = await preview.change(gate, wanted.grantee, await sharing.permits(gate, **_chosen(wanted)))
    remaining = preview.Change(change.after, await preview.held(gate)).gained
    return page(
        request,
        CONFIRM,
        current="/me/sharing",
        status=status,
        form=form or forms.blank(Give),
        wanted=wanted,
        sentence=sentence(wanted, known),
        grantee=known.name(wanted.grantee),
        gained=counted(change.gained),
        remaining=counted(remaining),
        sensitive=listed(category_name(label) for label in labels() if label.code in wanted.labels),
    )


def _chosen(wanted: Give) -> dict[str, Any]:
    return {
        "custodian": wanted.custodian,
        "grantee": wanted.grantee,
        "category_codes": wanted.categories,
        "label_codes": wanted.labels,
        "until": wanted.until,
    }


def sentence(wanted: Give, known: Directory) -> str:
    """What the consent will do, in one sentence."""
    chosen: list[Category] = [category for category in categories() if category.code in wanted.categories]
    said = {
        "grantee": known.name(wanted.grantee),
        "custodian": known.name(wanted.custodian),
        "categories": category_names(chosen),
        "date": day(wanted.until) if wanted.until else "",
    }
    if wanted.until:
        return _("%(grantee)s will see what %(custodian)s holds about you (%(categories)s) until %(date)s.") % said
    return _("%(grantee)s will see what %(custodian)s holds about you (%(categories)s) until you withdraw it.") % said


# withdrawing ----------------------------------------------------------------------------------------------------


@signed_in(Role.PATIENT)
async def withdraw_action(request: Request) -> Response:
    """Takes effect with the very next request of whoever could look."""
    form = await forms.read(request, Withdraw)
    if form.value is None:
        return see_other("/me/sharing")
    gate = records(request)
    stored = await gate.read("Consent", form.value.consent)
    if parse(stored.body)["status"] == "active":
        await sharing.withdraw(gate, form.value.consent)
    return see_other("/me/sharing?done=withdrawn")
