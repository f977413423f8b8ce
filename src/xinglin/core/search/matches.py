# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""One parameter with its values, compiled by kind. Every alternative is a set of index rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from xinglin.core.search import compiled as c
from xinglin.core.search.branches import Walk, implied_systems
from xinglin.core.search.compiled import Compiled, Person
from xinglin.core.search.composites import system_stands_apart
from xinglin.core.search.hashes import (
    any_of_system,
    composite_path,
    composite_system_path,
    identifier_hash,
    of_type_hash,
    prefix_hash,
    system_row,
    text_path,
    token_hash,
)
from xinglin.core.search.jsonpaths import body_has
from xinglin.core.search.parameters import Path, path_hash
from xinglin.core.search.predicates import (
    TokenRow,
    date_where,
    number_where,
    paths_where,
    quantity_wheres,
    starts_where,
    string_where,
    uri_where,
)
from xinglin.core.search.query import (
    CompositeValue,
    DateValue,
    Match,
    NumberValue,
    ReferenceValue,
    TextValue,
    TokenValue,
    TypedIdentifier,
    Value,
)
from xinglin.core.search.scope import Scope
from xinglin.core.search.slots import later
from xinglin.core.search.values import fold
from xinglin.core.store.keys import TYPE_NUMBERS, cached_hash64, key_of, reference_key, system_hash
from xinglin.kernel.errors import Invalid

T = TypeVar("T", bound=Value)


def match(condition: Match) -> Compiled:
    """The rows of a parameter's paths that hold any of the values."""
    parameter, modifier, values = condition.parameter, condition.modifier, condition.values
    if parameter.code == "_id":
        return by_id(parameter.type_name, of(TokenValue, values))
    if parameter.code == "_lastUpdated":
        return by_updated(of(DateValue, values))
    kind, paths = parameter.kind, parameter.paths
    if kind == "token":
        return tokens(paths, values, modifier)
    if kind == "reference":
        return references(paths, values, modifier)
    if kind == "date":
        return dates(paths, of(DateValue, values), parameter.type_name)
    if kind == "composite":
        found = of(CompositeValue, values)
        return c.any_of([composite(path, value) for path in paths for value in found])
    if kind == "string" and modifier is None and all(path.prefixed for path in paths):
        return names(paths, of(TextValue, values))
    return rows_of(kind, [path.hash for path in paths], values, modifier)


def names(paths: Sequence[Path], values: list[TextValue]) -> Compiled:
    """Beginnings of people's names: tokens, which stand in the default order, where they are short."""
    if not all(value.brief for value in values):
        return texts([path.hash for path in paths], values, None)
    rows = [TokenRow(later(beginning, path.hash, value.text)) for path in paths for value in values]
    return c.of_tokens(rows, rank=20)


def beginning(path: int, text: str) -> int:
    """The row of what starts with a text as written at a path."""
    return prefix_hash(path, fold(text))


def of(kind: type[T], values: Sequence[Value]) -> list[T]:
    return [value for value in values if isinstance(value, kind)]


def rows_of(kind: str, paths: list[int], values: Sequence[Value], modifier: str | None) -> Compiled:
    """Rows of the value tables: strings, URIs, numbers, quantities, and dates that are not the headline."""
    if kind == "string":
        return texts(paths, of(TextValue, values), modifier)
    if kind == "uri":
        return uris(paths, of(TextValue, values), modifier)
    if kind == "date":
        return moments(paths, of(DateValue, values))
    return quantities(paths, of(NumberValue, values))


def by_id(type_name: str, values: list[TokenValue]) -> Compiled:
    ids = [value.code or "" for value in values if not value.system]
    keys = [later(key_of, type_name, id_) for id_ in ids]

    def same(scope: Scope, r: str) -> str:
        return f"({r}.key = ANY({scope.bind(keys)}::bigint[]) AND {r}.id = ANY({scope.bind(ids)}::text[]))"

    def source(scope: Scope, person: Person) -> str:
        return f"SELECT unnest({scope.bind(keys)}::bigint[]) AS key"

    return Compiled(same, source, exact=False, rank=0)


def by_updated(values: list[DateValue]) -> Compiled:
    """`resource.updated` is a moment: a microsecond wide."""

    def probe(scope: Scope, r: str) -> str:
        low, high = f"{r}.updated", f"({r}.updated + 1)"
        return "(" + " OR ".join(f"({date_where(low, high, v, scope.bind, scope.now)})" for v in values) + ")"

    return c.only_filter(probe)


def tokens(paths: Sequence[Path], values: Sequence[Value], modifier: str | None) -> Compiled:
    if modifier == "text":
        return texts([text_path(path.hash) for path in paths], of(TextValue, values), None)
    if modifier == "of-type":
        found = of(TypedIdentifier, values)
        rows = [TokenRow(of_type_hash(p.hash, v.system, v.code, v.value)) for p in paths for v in found]
        return c.of_tokens(rows)
    if modifier is not None:
        raise Invalid(f"The modifier {modifier!r} needs a terminology to answer it.", code="not-supported")
    written = of(TokenValue, values)
    rows = [row for path in paths for value in written if value.code for row in token_rows(path.hash, value)]
    parts = [c.of_tokens(rows)] if rows else []
    parts += [whole_system(path, value.system or "") for path in paths for value in written if not value.code]
    return c.any_of(parts)


def token_rows(path: int, value: TokenValue) -> list[TokenRow]:
    """The row of `code`, `|code` or `system|code` at a path."""
    code = value.code or ""
    if value.system is None:
        return [TokenRow(later(token_hash, path, code))]
    system = system_hash(value.system)
    return [TokenRow(later(token_hash, path, code), system, later(system_row, path, system, code))]


def whole_system(path: Path, system: str) -> Compiled:
    """`system|`: identifiers have a row for it; of other codings the body is asked, which only narrows."""
    identifiers = [TokenRow(any_of_system(path.hash, system))] if "Identifier" in path.types else []
    parts = [c.of_tokens(identifiers)] if identifiers else []
    for walk in path.walks or ():
        if implied := [code for code, known in implied_systems(walk.element).items() if known == system]:
            rows = [row for code in implied for row in token_rows(path.hash, TokenValue(system, code))]
            parts.append(c.of_tokens(rows))
        elif walk.type in ("Coding", "CodeableConcept"):
            parts.append(_system_in_body(walk, system))
    return c.any_of(parts)


def _system_in_body(walk: Walk, system: str) -> Compiled:
    below = ("coding", "system") if walk.type == "CodeableConcept" else ("system",)
    return c.only_filter(lambda scope, r: body_has(scope, r, walk, below, system))


def references(paths: Sequence[Path], values: Sequence[Value], modifier: str | None) -> Compiled:
    if modifier == "identifier":
        rows = []
        for value in of(TokenValue, values):
            system = None if value.system is None else system_hash(value.system)
            rows += [TokenRow(later(identifier_hash, path.hash, value.code or ""), system) for path in paths]
        return c.of_tokens(rows)
    referred = of(ReferenceValue, values)
    targets = [pair for value in referred for pair in zip(value.heads(), value.targets(), strict=True)]
    rows = [
        TokenRow(later(referring, path.hash, target))
        for path in paths
        for head, target in targets
        if path.restriction in (None, head)
    ]
    return c.of_tokens(rows, rank=12)


def referring(path: int, target: str) -> int:
    """The row of a reference to the target at a path."""
    return path ^ reference_key(target)


def dates(paths: Sequence[Path], values: list[DateValue], type_name: str) -> Compiled:
    parts = []
    if any(path.headline for path in paths):
        parts.append(headline(values, type_name))
    if others := [path.hash for path in paths if not path.headline]:
        parts.append(moments(others, values))
    return c.any_of(parts)


def headline(values: list[DateValue], type_name: str) -> Compiled:
    """The date in the resource's own columns."""

    def ranges(scope: Scope, r: str) -> str:
        found = [date_where(f"{r}.date", f"{r}.date_end", value, scope.bind, scope.now) for value in values]
        return "(" + " OR ".join(f"({where})" for where in found) + ")"

    def source(scope: Scope, person: Person) -> str:
        alias = scope.resource()
        number = scope.bind(TYPE_NUMBERS[type_name])
        return (
            f"SELECT {alias.name}.key FROM resource {alias.name} WHERE {alias.name}.type = {number}"
            f" AND {alias.guard} AND {ranges(scope, alias.name)}"
        )

    def early(scope: Scope, t: str) -> str:
        return starts_where(f"{t}.date", values, scope.bind, scope.now)

    return Compiled(ranges, source, rank=35, early=early)


def moments(paths: list[int], values: list[DateValue]) -> Compiled:
    def wheres(scope: Scope, x: str) -> list[str]:
        return [
            f"{paths_where(x, paths, scope.bind)} AND {date_where(f'{x}.low', f'{x}.high', v, scope.bind, scope.now)}"
            for v in values
        ]

    return c.of_rows("moment", wheres, rank=30)


def texts(paths: list[int], values: list[TextValue], modifier: str | None) -> Compiled:
    def wheres(scope: Scope, x: str) -> list[str]:
        return [
            f"{paths_where(x, paths, scope.bind)} AND {string_where(x, v.text, modifier, scope.bind)}" for v in values
        ]

    return c.of_rows("string", wheres, rank=60 if modifier in ("contains", "ends") else 20)


def uris(paths: list[int], values: list[TextValue], modifier: str | None) -> Compiled:
    def wheres(scope: Scope, x: str) -> list[str]:
        return [f"{paths_where(x, paths, scope.bind)} AND {uri_where(x, v.text, modifier, scope.bind)}" for v in values]

    return c.of_rows("string", wheres, rank=15)


def quantities(paths: list[int], values: list[NumberValue]) -> Compiled:
    def wheres(scope: Scope, x: str) -> list[str]:
        return [
            f"{paths_where(x, paths, scope.bind)} AND {where}"
            for value in values
            for where in quantity_wheres(x, value, scope.bind)
        ]

    return c.of_rows("quantity", wheres, rank=30)


def composite(path: Path, value: CompositeValue) -> Compiled:
    """The other components under the path that the code opens: the first token, wherever it is written."""
    first, *others = sorted(value.parts, key=lambda part: not isinstance(part, TokenValue))
    components = path.components[0]
    if not isinstance(first, TokenValue) or not first.code:
        raise Invalid("A composite needs a code.")
    if first.system is not None and system_stands_apart(path):
        opened = composite_system_path(path.hash, system_hash(first.system), first.code)
    else:
        opened = composite_path(path.hash, first.code)
    if len(components) == 3:
        return number_pair(opened, of(NumberValue, others))
    below = below_path(components[1].kind, opened, others[0])
    if first.system is None or system_stands_apart(path):
        return below
    plain = c.of_tokens(first_component_rows(path, first))
    return c.all_of([below, plain])


def first_component_rows(path: Path, first: TokenValue) -> list[TokenRow]:
    """Where a composite's element is the resource itself, the code's own path tells its system."""
    root = (path.walks or ())[0].type
    steps = [walk.steps for walk in path.components[0][0].walks]
    text = ".".join(step[0] for step in steps[0])
    return token_rows(path_hash(root, text, "token"), first)


def below_path(kind: str, opened: int, value: Value) -> Compiled:
    if isinstance(value, TokenValue):
        return c.of_tokens(token_rows(opened, value))
    if isinstance(value, ReferenceValue):
        return c.of_tokens([TokenRow(opened ^ cached_hash64(target)) for target in value.targets()])
    return rows_of(kind, [opened], [value], None)


def number_pair(opened: int, values: list[NumberValue]) -> Compiled:
    """A token and two numbers: one row whose low is the first and whose high is the second."""
    first, second = values

    def wheres(scope: Scope, x: str) -> list[str]:
        parts = [f"{x}.path = {scope.bind(opened)}"]
        for column, v in ((f"{x}.low", first), (f"{x}.high", second)):
            parts.append(number_where(column, column, v.value, (v.low, v.high), v.prefix, scope.bind))
        return [" AND ".join(parts)]

    return c.of_rows("quantity", wheres, rank=25)
