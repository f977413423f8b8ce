"""What a program sent, understood: a User as JSON, or a PATCH of one. Pure.

RFC 7643 section 4.1 (User), RFC 7644 section 3.5.2 (PATCH). Attribute names are compared without regard to case; what
we do not keep is ignored, as RFC 7644 section 3.3 lets a server do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from xinglin.access.principal import Role
from xinglin.kernel.errors import Invalid

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
STAFF: Final = "urn:xinglin:params:scim:schemas:extension:2.0:Staff"
PATCH: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MOST_OPERATIONS: Final = 50
LONGEST: Final = 200
_PATH: Final = re.compile(r"(?P<name>[A-Za-z]+)(?:\[[^\]]{0,100}\])?(?:\.(?P<sub>[A-Za-z]+))?")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an account shall be. name_zh is SCIM's displayName, name_en its name.formatted."""

    login: str
    role: str
    name_zh: str = ""
    name_en: str = ""
    external_id: str | None = None
    practitioner: str | None = None
    active: bool = True
    password: str | None = None


def wanted(body: Any) -> Wanted:
    """A whole User. Raises Invalid (invalidSyntax, invalidValue)."""
    if not isinstance(body, dict):
        raise _wrong("A User is a JSON object.", "invalidSyntax")
    found = Wanted(_text(_get(body, "userName"), "userName") or "", "")
    for name, value in body.items():
        found = _set(found, name, value)
    if not found.login or not found.role:
        raise _wrong("A User needs userName and one role.", "invalidValue")
    return found


def patched(current: Wanted, body: Any) -> Wanted:
    """The account after the operations of a PATCH. Raises Invalid (invalidSyntax, invalidPath, noTarget ...)."""
    operations = _get(body, "Operations") if isinstance(body, dict) else None
    if not isinstance(operations, list) or not 0 < len(operations) <= MOST_OPERATIONS:
        raise _wrong("A PATCH has a list of Operations.", "invalidSyntax")
    for one in operations:
        current = _operated(current, one)
    return current


def _operated(current: Wanted, operation: Any) -> Wanted:
    if not isinstance(operation, dict):
        raise _wrong("An operation is a JSON object.", "invalidSyntax")
    op, path, value = str(_get(operation, "op")).lower(), _get(operation, "path"), _get(operation, "value")
    if op not in ("add", "replace", "remove"):
        raise _wrong("An operation is add, replace or remove.", "invalidSyntax")
    if op == "remove":
        if not isinstance(path, str):
            raise _wrong("A removal says what is removed.", "noTarget")
        return _set(current, *_nested(path, None))
    if path is None:
        if not isinstance(value, dict):
            raise _wrong("Without a path, the value is an object.", "invalidSyntax")
        for name, part in value.items():
            current = _set(current, name, part) if not _is_path(name) else _set(current, *_nested(name, part))
        return current
    return _set(current, *_nested(str(path), value))


def _is_path(name: str) -> bool:
    return "." in name and not name.lower().startswith("urn:")


def _nested(path: str, value: Any) -> tuple[str, Any]:
    """The attribute that a path names, and the value as that attribute has it."""
    for urn in (USER, STAFF):
        if path.lower().startswith(urn.lower() + ":"):
            rest = path[len(urn) + 1 :]
            return (urn, {rest: value}) if urn == STAFF else _nested(rest, value)
    match = _PATH.fullmatch(path)
    if match is None:
        raise _wrong(f"The path {path[:60]!r} cannot be understood.", "invalidPath")
    name, sub = match["name"], match["sub"]
    if name.lower() == "roles" and value is not None and not isinstance(value, list):
        return name, [{"value": value}] if not isinstance(value, dict) else [value]
    if sub and name.lower() == "name":  # a part of a name is not kept, and takes nothing from the whole
        return (name, {sub: value}) if sub.lower() == "formatted" else (f"{name}.{sub}", value)
    return name, value


def _whole_name(name: Mapping[str, Any]) -> str:
    """Of a name in Latin letters that comes in parts, given and family name."""
    formatted = _text(_get(name, "formatted"), "name.formatted")
    parts = [_text(_get(name, part), f"name.{part}") for part in ("givenName", "familyName")]
    return formatted or " ".join(part for part in parts if part)[:LONGEST]


def _set(current: Wanted, name: str, value: Any) -> Wanted:
    """The account with one attribute as sent; null takes it away."""
    match name.lower():
        case "username":
            return replace(current, login=_text(value, "userName") or "")
        case "displayname":
            return replace(current, name_zh=_text(value, "displayName") or "")
        case "name":
            return replace(current, name_en=_whole_name(value) if isinstance(value, dict) else "")
        case "externalid":
            return replace(current, external_id=_text(value, "externalId"))
        case "active":
            return replace(current, active=_flag(value))
        case "password":
            return replace(current, password=_text(value, "password"))
        case "roles":
            return replace(current, role=_role(value))
    if name.lower() == STAFF.lower():
        practitioner = _get(value, "practitioner") if isinstance(value, dict) else None
        return replace(current, practitioner=_text(practitioner, "practitioner"))
    return current


def _role(value: Any) -> str:
    """The one role; several, or none, is nothing that an account here can be."""
    listed = value if isinstance(value, list) else [value]
    names = [_get(one, "value") if isinstance(one, dict) else one for one in listed]
    if len(names) != 1 or not isinstance(names[0], str) or names[0] not in set(Role):
        raise _wrong("An account has one role: clinician, pharmacist or clerk.", "invalidValue")
    return names[0]


def _flag(value: Any) -> bool:
    """true or false; some programs send it as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _wrong("`active` is true or false.", "invalidValue")


def _text(value: Any, name: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > LONGEST or any(c < " " for c in value):
        raise _wrong(f"{name} is a text of at most {LONGEST} characters.", "invalidValue")
    return value.strip()


def _get(body: Mapping[str, Any], name: str) -> Any:
    return next((value for key, value in body.items() if key.lower() == name.lower()), None)


def _wrong(text: str, code: str) -> Invalid:
    return Invalid(text, code=code)
