# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""Walks as SQL/JSON paths, for the rare questions that no index row answers: they are asked of the body."""

from __future__ import annotations

import orjson

from xinglin.core.search.branches import Walk
from xinglin.core.search.scope import Scope


def json_path(walk: Walk, below: tuple[str, ...] = ()) -> str:
    """`lax $."code"."coding"."system"`: lax, so that arrays unfold by themselves."""
    parts = ["lax $"]
    for name, guard, index in walk.steps:
        parts.append(f".{_quoted(name)}")
        if index is not None:
            parts.append(f"[{index}]")
        if guard is not None:
            parts.append(f"[*] ? (@.{_quoted(guard[0])} == {_quoted(guard[1])})")
    return "".join([*parts, *(f".{_quoted(name)}" for name in below)])


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def body(r: str) -> str:
    return f"convert_from({r}.body, 'UTF8')::jsonb"


def body_has(scope: Scope, r: str, walk: Walk, below: tuple[str, ...], text: str) -> str:
    """True where the walk leads to this text."""
    path = scope.bind(f"{json_path(walk, below)} ? (@ == $text)")
    value = scope.bind(text)
    return f"jsonb_path_exists({body(r)}, {path}::text::jsonpath, jsonb_build_object('text', {value}::text))"


def body_texts(scope: Scope, r: str, walk: Walk, below: tuple[str, ...]) -> str:
    """SELECT of every text the walk leads to, one column `text`."""
    path = scope.bind(json_path(walk, below))
    return f"SELECT v #>> '{{}}' AS text FROM jsonb_path_query({body(r)}, {path}::text::jsonpath) AS v"
