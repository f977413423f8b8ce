"""What stands around a page for each role: its menu, its density, who is signed in."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from xinglin.access.identity.acting import today
from xinglin.access.identity.guardians import Ward
from xinglin.access.principal import Principal, Role
from xinglin.ui.i18n import N_, _, ngettext
from xinglin.ui.parts import NavItem, Shell
from xinglin.web.directory import EMPTY

# (address, label, icon); the first is the role's home
NAVIGATION: Final[dict[Role, tuple[tuple[str, str, str], ...]]] = {
    Role.PATIENT: (
        ("/me", N_("Home"), "home"),
        ("/me/record", N_("Record"), "record"),
        ("/me/trends", N_("Results"), "chart"),
        ("/me/sharing", N_("Sharing"), "shield"),
        ("/me/access", N_("Who looked"), "eye"),
    ),
    Role.CLINICIAN: (
        ("/desk", N_("Find a person"), "search"),
        ("/desk/locate", N_("Emergency look-up"), "alert"),
        ("/desk/settings", N_("Settings"), "settings"),
    ),
    Role.PHARMACIST: (
        ("/desk", N_("Find a person"), "search"),
        ("/desk/settings", N_("Settings"), "settings"),
    ),
    Role.CLERK: (
        ("/desk/duplicates", N_("Duplicates"), "merge"),
        ("/desk", N_("Find a person"), "search"),
        ("/desk/recovery", N_("Let in again"), "help"),
        ("/desk/settings", N_("Settings"), "settings"),
    ),
    Role.MANAGER: (
        ("/desk/institution", N_("Institution"), "hospital"),
        ("/desk/institution/policy", N_("Who may do what"), "shield"),
        ("/desk/recovery", N_("Let in again"), "help"),
        ("/desk/settings", N_("Settings"), "settings"),
    ),
    Role.PRIVACY: (
        ("/desk/privacy", N_("Reviews"), "shield"),
        ("/desk/privacy/log", N_("Access log"), "eye"),
        ("/desk/settings", N_("Settings"), "settings"),
    ),
}
ROLES: Final = {
    Role.PATIENT: N_("Patient"),
    Role.CLINICIAN: N_("Clinician"),
    Role.PHARMACIST: N_("Pharmacist"),
    Role.CLERK: N_("Registration clerk"),
    Role.MANAGER: N_("Manager"),
    Role.PRIVACY: N_("Privacy officer"),
    Role.SYSTEM: N_("Program"),
}


def home_of(role: Role) -> str:
    """Where a role starts after signing in."""
    return "/me" if role is Role.PATIENT else "/desk"


def shell(request: Request, current: str = "") -> Shell:
    """The frame of this caller's pages. `current`: the address in the menu that the page belongs to."""
    principal: Principal | None = getattr(request.state, "principal", None)
    session = getattr(request.state, "session", None)
    if principal is None or session is None:
        return Shell()
    items = NAVIGATION.get(principal.role, ())
    return Shell(
        nav=tuple(NavItem(href, _(label), icon, current=href == current) for href, label, icon in items),
        density="phone" if principal.role is Role.PATIENT else "desk",
        home=home_of(principal.role),
        account=principal.name,
        account_note=_note(request, principal),
        switch=_switch(request, principal),
        sign_out="/sign-out",
    )


def _note(request: Request, principal: Principal) -> str:
    """What somebody acts as: the specialty and institution of their post, or the name of the one they act for."""
    acting = request.state.acting
    if acting.ward is not None:
        return _acting_note(acting.ward)
    if principal.institution is None:
        return ""
    known = getattr(request.state, "directory", EMPTY)
    place = str(known.name(principal.institution))
    post = acting.standing.post
    return f"{post.specialty_text} · {place}" if post and post.specialty_text else place


def _acting_note(ward: Ward) -> str:
    return _("for %(name)s") % {"name": ward.name}


def _switch(request: Request, principal: Principal) -> tuple[str, str]:
    """The way to act as or for somebody else, where there is a choice; a licence that ends soon is told there."""
    acting = request.state.acting
    if acting.ward is not None:
        return "/me/acting", _("Change")
    if acting.standing.warn:
        days = (acting.standing.licence_ends - today()).days
        text = ngettext("Your licence ends in %(count)s day", "Your licence ends in %(count)s days", days)
        return "/desk/acting", text % {"count": days}
    if len(acting.standing.posts) > 1:
        return "/desk/acting", _("Change")
    return "", ""
