"""How long what apps are given lasts, as data: data/apps.json gives each length with its source."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import orjson


@cache
def _data() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(files("xinglin.access").joinpath("data/apps.json").read_bytes())
    return found


def lasts(what: str) -> timedelta:
    """Of `code`, `answer`, `launch`, `access`, `program`, `refresh` (without use), `refresh_at_most`."""
    return timedelta(seconds=_data()["seconds"][what])
