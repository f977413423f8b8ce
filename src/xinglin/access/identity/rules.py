"""The rules of signing in, as data: data/sign_in.json gives each with its source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from xinglin.access.principal import Role
from xinglin.kernel.config import Settings


@dataclass(frozen=True, slots=True)
class Evidence:
    """How a person was recognised at a desk; names in both languages."""

    code: str
    zh: str
    en: str


@cache
def data() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(files("xinglin.access").joinpath("data/sign_in.json").read_bytes())
    return found


def minutes(what: str) -> timedelta:
    """How long `second_step`, `challenge`, `provider`, `fresh` or `enrolment` lasts."""
    return timedelta(minutes=data()["minutes"][what])


def must_have_second(role: Role, settings: Settings) -> bool:
    """Whether this role signs in with two factors on this node."""
    return settings.second_factor_required and role.value not in data()["second_factor"]["exempt"]


@cache
def evidence() -> tuple[Evidence, ...]:
    return tuple(Evidence(**one) for one in data()["recovery"]["evidence"])


def may_give_recovery(giver: Role, to: Role) -> bool:
    """Whether staff of one role may let an account of another back in: never one that may do more."""
    return to.value in data()["recovery"]["may_give"].get(giver.value, ())
