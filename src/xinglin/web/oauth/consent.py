"""An app asks, the person answers: /oauth/authorize checks and keeps the question, /oauth/consent asks it.

The question is the same for everybody: which app, for whom, what. Each part can be left out; nothing is assumed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from xinglin.access.identity import acting, guardians, limits, sessions
from xinglin.access.oauth import allowing, asking, clients, launching
from xinglin.access.oauth.allowing import Signed, needs_patient
from xinglin.access.oauth.asking import Pending, Redirected, Unanswerable
from xinglin.access.principal import Role
from xinglin.core.schema.decode import parse
from xinglin.kernel.errors import Forbidden, Gone, NotFound
from xinglin.ui import forms
from xinglin.ui.csrf import check_csrf
from xinglin.ui.formats import person_name
from xinglin.ui.i18n import N_
from xinglin.ui.templating import SECURITY_HEADERS
from xinglin.web.acting.posts import words
from xinglin.web.guards import house, institutions, page, principal, records, see_other, signed_in
from xinglin.web.oauth.words import lasting, of_whom, sentence
from xinglin.web.shells import home_of
from xinglin.web.workspace.find import MOST, columns, people_found

PAGE: Final = "web/oauth/templates/consent.html"
PICK: Final = "web/oauth/templates/pick.html"
WARD: Final = "web/oauth/templates/ward.html"
MOST_BYTES: Final = 64 << 10
PATIENT_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")


def routes() -> list[BaseRoute]:
    return [
        Route("/oauth/authorize", authorize, methods=["GET", "POST"]),
        Route("/oauth/consent/{handle}", consent_page, methods=["GET", "POST"]),
        Route("/oauth/consent/{handle}/for", for_whom, methods=["POST"]),
    ]


async def authorize(request: Request) -> Response:
    """The protocol's part: a request that is in order is kept under a handle, and its page opened."""
    given = await _given(request)
    found, settings = house(request), request.app.state.settings
    await limits.knock(found.database, request.client.host if request.client else "")
    async with found.database.transaction() as connection:
        client = await asking.client_of(connection, given)
        try:
            proven = await _proven(request, connection)
            asked = asking.read(client, given, f"{settings.public_base}/fhir", proven=proven)
            launch = await launching.take(connection, client, asked.launch) if asked.launch else None
            if asked.launch and launch is None:
                raise Redirected("invalid_request", "The launch is over.", asked.redirect_uri, asked.state)
        except Redirected as refusal:
            return _answer(
                request, refusal.redirect_uri, error=refusal.error, error_description=refusal.text, state=refusal.state
            )
        handle = await asking.keep(connection, client, asked, launch)
    return see_other(f"/oauth/consent/{handle}")


async def _proven(request: Request, connection: Any) -> datetime | None:
    """When whoever is signed in at this browser last proved who they are; None where nobody is."""
    session = request.state.session
    found = await sessions.proven(connection, session.id) if session is not None else None
    return found[0] if found else None


async def _given(request: Request) -> list[tuple[str, str]]:
    """The parameters, of the address or of a posted form."""
    text = request.url.query if request.method == "GET" else (await request.body())[:MOST_BYTES].decode("latin-1")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=60)
    except ValueError:
        raise Unanswerable("The request cannot be read.") from None
    if any("\0" in part for pair in pairs for part in pair):
        raise Unanswerable("The request cannot be read.")
    return pairs


def _answer(request: Request, redirect_uri: str, **values: str | None) -> Response:
    address = asking.answer_at(redirect_uri, request.app.state.settings.public_base, **values)
    return RedirectResponse(address, 303, SECURITY_HEADERS)


# the question ---------------------------------------------------------------------------------------------------------


@signed_in()
async def consent_page(request: Request) -> Response:
    handle = str(request.path_params["handle"])
    async with house(request).database.connection() as connection:
        pending = await asking.look(connection, handle)
        proven = await _proven(request, connection)
    _check_owner(pending, request)
    if proven is None or not pending.asked.satisfied_by(proven, pending.at):
        confirm = f"{home_of(principal(request).role)}/security/confirm"
        return see_other(f"{confirm}?{urlencode({'next': request.url.path})}")
    if request.method == "POST":
        return await _answered(request, handle)
    offered = allowing.offered(pending, principal(request))
    patient = None
    if needs_patient(offered):
        patient = await _patient(request, pending, request.query_params.get("patient", ""))
        if patient is None:
            return await _whom(request, pending, handle)
    return _asked(request, pending, handle, offered, patient)


def _check_owner(pending: Pending, request: Request) -> None:
    """An app that one institution's manager approved is for its staff, and for patients, who decide for themselves."""
    who, of = principal(request), pending.client.institution
    if of is not None and who.role is not Role.PATIENT and who.institution != of:
        raise Forbidden("The app is not approved at your institution.", remedy="Ask your institution's manager.")
    if pending.login is not None and pending.login != who.login:
        raise Forbidden("This app was opened by somebody else.", remedy="Open it again yourself.")


def _asked(request: Request, pending: Pending, handle: str, offered: list[str], patient: Any) -> Response:
    chosen = [text for text in offered if text not in allowing.LAUNCHED]
    response = page(
        request,
        PAGE,
        app=pending.client.name,
        place=urlsplit(pending.asked.redirect_uri).netloc or pending.asked.redirect_uri.partition(":")[0],
        institution=_institution(request, pending),
        action=f"/oauth/consent/{handle}",
        lines=[(text, sentence(text), of_whom(text)) for text in chosen],
        offered=chosen,
        patient=patient,
        patient_name=person_name(patient.get("name", ())) if patient else "",
        post=_post(request),
        elsewhere=f"/desk/acting?{urlencode({'next': f'/oauth/consent/{handle}'})}",
        lasting=lasting(chosen),
        own=principal(request).role is Role.PATIENT and principal(request).on_behalf is None,
        change=_change(request, pending, handle, patient),
    )
    return _letting_go(response, pending.asked.redirect_uri)


def _post(request: Request) -> tuple[str, str, bool] | None:
    """Id and words of the post that the app will act in, as its person does now, and whether there are others."""
    found = request.state.acting.standing
    return (found.post.id, words(request, found.post), len(found.posts) > 1) if found.post else None


def _institution(request: Request, pending: Pending) -> str:
    named = pending.client.institution
    return institutions(request).name(named) if named else ""


def _change(request: Request, pending: Pending, handle: str, patient: Any) -> str:
    """Where staff choose another person; nothing where the launch has chosen."""
    if patient is None or pending.patient is not None or principal(request).role is Role.PATIENT:
        return ""
    return f"/oauth/consent/{handle}"


def _letting_go(response: Response, redirect_uri: str) -> Response:
    """The form's answer leads to the app's own address, which the page's policy must allow."""
    target = clients.origin_of(redirect_uri) or f"{urlsplit(redirect_uri).scheme}:"
    policy = SECURITY_HEADERS["content-security-policy"]
    response.headers["content-security-policy"] = policy.replace("form-action 'self'", f"form-action 'self' {target}")
    return response


# for whom -------------------------------------------------------------------------------------------------------------


async def _patient(request: Request, pending: Pending, chosen: str) -> Any:
    """The person whom the app is about, read through the gate; None where nobody is chosen yet."""
    who = principal(request)
    id = pending.patient or chosen
    if who.role is Role.PATIENT:
        own = who.on_behalf or (who.patients[0] if who.patients else "")
        id = id if id in who.patients else own
        if not chosen and pending.patient is None and who.on_behalf is None and await _wards(request):
            return None
    if not id:
        return None
    if not PATIENT_ID.fullmatch(id):
        raise NotFound("There is no such page.", remedy="Go back, or start from home.")
    try:
        return parse((await records(request).read("Patient", id)).body)
    except (NotFound, Gone):
        raise NotFound("There is no such page.", remedy="Go back, or start from home.") from None


async def _wards(request: Request) -> list[Any]:
    login = principal(request).login
    async with house(request).database.connection() as connection:
        return list(await guardians.wards(connection, login))


async def _whom(request: Request, pending: Pending, handle: str) -> Response:
    who = principal(request)
    if who.role is Role.PATIENT:
        own = who.patients[0] if who.patients else ""
        wards = [(str(ward.id), ward.name) for ward in await _wards(request)]
        return page(
            request,
            WARD,
            app=pending.client.name,
            action=f"/oauth/consent/{handle}",
            own=own,
            name=who.name,
            wards=wards,
        )
    asked = request.query_params.get("q", "").strip()[:200]
    found = people_found(await records(request).find(asked, MOST), institutions(request)) if asked else []
    return page(
        request,
        PICK,
        app=pending.client.name,
        action=f"/oauth/consent/{handle}",
        asked=asked,
        found=found,
        columns=columns(when=False),
        link=lambda id: f"/oauth/consent/{handle}?patient={quote(id)}",
    )


@dataclass(frozen=True)
class For:
    ward: int = forms.integer(N_("Person"))


@signed_in(Role.PATIENT)
async def for_whom(request: Request) -> Response:
    """Act for one of those whom the person may act for, and go on with the question."""
    form = await forms.read(request, For)
    if form.value is None:
        raise NotFound("There is no such page.", remedy="Go back, or start from home.")
    session, login = request.state.session, principal(request).login
    async with house(request).database.transaction() as connection:
        await acting.choose_ward(connection, session.id, login, form.value.ward)
    return see_other(f"/oauth/consent/{request.path_params['handle']}")


# the answer -----------------------------------------------------------------------------------------------------------


async def _answered(request: Request, handle: str) -> Response:
    async with request.form(max_fields=300, max_files=0) as sent:
        check_csrf(request, sent)
        chosen = [str(one) for one in sent.getlist("scope")]
        patient, allowed = str(sent.get("patient", ""))[:64], sent.get("answer") == "allow"
        post = str(sent.get("post", ""))
    who = principal(request)
    if allowed and post != (who.practitioner_role or ""):
        return see_other(f"/oauth/consent/{handle}")  # another was chosen meanwhile: the question is asked anew
    async with house(request).database.connection() as connection:
        pending = await asking.look(connection, handle)
    chosen += [text for text in pending.asked.scopes if text in allowing.LAUNCHED]
    about = None
    if allowed and needs_patient(chosen):
        found = await _patient(request, pending, patient or ("own" if who.role is Role.PATIENT else ""))
        if found is None:
            return see_other(f"/oauth/consent/{handle}")
        about = str(found["id"])
    async with house(request).database.transaction() as connection:
        pending = await asking.look(connection, handle, take=True)
        _check_owner(pending, request)
        if not allowed:
            await allowing.note(connection, who, "app-refused", pending.client.id)
            return _answer(request, pending.asked.redirect_uri, error="access_denied", state=pending.asked.state)
        signed = await _signed(request, connection)
        code = await allowing.allow(connection, pending, who, signed, chosen, about)
    return _answer(request, pending.asked.redirect_uri, code=code, state=pending.asked.state)


async def _signed(request: Request, connection: Any) -> Signed:
    session = request.state.session
    proven = await sessions.proven(connection, session.id)
    guardianship = None
    if principal(request).on_behalf is not None:
        guardianship = await connection.fetchval(
            "SELECT guardianship FROM session_acting WHERE session = $1", session.id
        )
    return Signed(session.id, proven[0] if proven else session.created, guardianship)
