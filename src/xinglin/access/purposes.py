"""What a request may be for, and on what ground: tables of data/purposes.json, legal_bases.json, restrictions.json."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from xinglin.access.principal import Role
from xinglin.kernel.errors import Invalid


def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(files("xinglin.access").joinpath(f"data/{name}.json").read_bytes())
    return data


@cache
def _purposes() -> list[dict[str, Any]]:
    return list(_read("purposes")["purposes"])


@cache
def deniable() -> tuple[str, ...]:
    """Purposes that a person may refuse."""
    return tuple(row["code"] for row in _purposes() if row["deniable"])


@cache
def beyond_care() -> frozenset[str]:
    """Purposes beyond individual care, which an opt-out closes everywhere."""
    return frozenset(row["code"] for row in _purposes() if row["beyond"])


def purposes_of(code: str) -> frozenset[str]:
    """Purposes of this node that a v3 ActReason code, or part of one, is about; none: it is nothing we do."""
    return frozenset(row["code"] for row in _purposes() if code == row["code"] or code in row["includes"])


@dataclass(frozen=True, slots=True)
class LegalBasis:
    """A ground for a request other than, or beside, the rules of consent. over_opt_out: an opt-out yields to it."""

    code: str
    zh: str
    en: str
    article: str
    purposes: frozenset[str]
    roles: frozenset[str]
    over_opt_out: bool


@cache
def legal_bases() -> dict[str, LegalBasis]:
    return {
        row["code"]: LegalBasis(
            **{**row, "purposes": frozenset(row["purposes"]), "roles": frozenset(row["roles"])},
        )
        for row in _read("legal_bases")["bases"]
    }


def legal_basis(code: str, role: Role, purpose: str) -> LegalBasis:
    """The basis of this code, where this role may claim it for this purpose. Raises Invalid."""
    found = legal_bases().get(code)
    if found is None or role.value not in found.roles or purpose not in found.purposes:
        raise Invalid(
            f"{code[:40]!r} is no legal basis of the role {role.value} for the purpose {purpose}.",
            code="business-rule",
            remedy="The bases, with their articles, are listed in docs/explanation/consent.md.",
        )
    return found


def overrides_opt_out(basis: str, role: Role, purpose: str) -> bool:
    """Whether a named legal basis goes before a person's opt-out of secondary use."""
    found = legal_bases().get(basis)
    return found is not None and found.over_opt_out and role.value in found.roles and purpose in found.purposes


@cache
def role_system() -> str:
    """The CodeSystem of this node's roles, as an actor of a Consent names one."""
    return str(_read("restrictions")["role_system"])


@cache
def closable_at_home() -> frozenset[str]:
    """Roles that a person may close their record to at the institution that holds it."""
    return frozenset(_read("restrictions")["roles_at_home"])
