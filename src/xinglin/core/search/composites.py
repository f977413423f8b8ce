"""Rows of composite parameters: the later components stand under a path that the first component's code opens.

`code-value-quantity=8480-6$gt140` is then one range scan of `quantity`. Where the element repeats, two rows are kept
for each code, with its system and without, so that both ways of asking are exact; where the element is the resource
itself, the token row of the code tells the system. A composite of a token and two numbers (a window on a
chromosome) is one row whose low and high are the two numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from xinglin.core.search.branches import Guard, implied_systems
from xinglin.core.search.hashes import composite_path, composite_system_path
from xinglin.core.search.parameters import Component, Path
from xinglin.core.search.references import local_reference, reference_hashes
from xinglin.core.search.rows import IndexRows, Leaf, add_token, codings, quantity_row, string_parts
from xinglin.core.search.values import fold, moment_range, number_bounds
from xinglin.core.store.keys import system_hash

WalkSteps = tuple[tuple[str, Guard | None, int | None], ...]
Adder = Callable[[Any, int, IndexRows], bool]


def follow(value: Any, steps: WalkSteps) -> Iterator[Any]:
    """The values at the end of a walk from a JSON value."""
    if not steps:
        yield value
        return
    name, guard, index = steps[0]
    if not isinstance(value, dict) or (found := value.get(name)) is None:
        return
    items = found if isinstance(found, list) else [found]
    for item in items if index is None else items[index : index + 1]:
        if item is not None and (guard is None or (isinstance(item, dict) and item.get(guard[0]) == guard[1])):
            yield from follow(item, steps[1:])


def composite_leaf(path: Path, components: tuple[Component, ...], mask: int, base: str) -> Leaf:
    """Rows of one composite at its element."""
    first, second = components[0], components[1]
    systems = {walk: implied_systems(walk.element) for walk in first.walks}
    needed = {walk.steps[0][0] for walk in second.walks if walk.steps} if not second.whole else set()
    add = _adder(components, base)
    separate = system_stands_apart(path)

    def leaf(value: Any, rows: IndexRows, resource: Any = None) -> None:
        if needed and needed.isdisjoint(value):
            return
        start = resource if first.whole else value
        for walk in first.walks:
            for found in follow(start, walk.steps):
                for code, system in codings(found, walk.type, systems[walk]):
                    if add(value, composite_path(path.hash, code), rows):
                        rows.present |= mask
                        rows.refuse_too_many()
                        if separate:
                            add(value, composite_system_path(path.hash, system_hash(system), code), rows)

    return leaf


def system_stands_apart(path: Path) -> bool:
    """True where rows below (system, code) are kept beside those below the code alone."""
    return bool(path.walks) and any(walk.steps for walk in path.walks or ())


def _adder(components: tuple[Component, ...], base: str) -> Adder:
    if len(components) == 3:
        return _pair_adder(components[1], components[2])
    second = components[1]
    write = _WRITERS[second.kind]

    def add(value: Any, path: int, rows: IndexRows) -> bool:
        added = False
        for walk in second.walks:
            for found in follow(value, walk.steps):
                added = write(found, walk.type, path, rows, base) or added
        return added

    return add


def _pair_adder(low: Component, high: Component) -> Adder:
    def add(value: Any, path: int, rows: IndexRows) -> bool:
        starts = [b for walk in low.walks for v in follow(value, walk.steps) if (b := number_bounds(v))]
        ends = [b for walk in high.walks for v in follow(value, walk.steps) if (b := number_bounds(v))]
        if not starts or not ends:
            return False
        rows.quantities.append((path, 0, starts[0][0], ends[0][0], 0, 0.0, 0.0))
        return True

    return add


def _token(value: Any, fhir_type: str, path: int, rows: IndexRows, base: str) -> bool:
    found = codings(value, fhir_type, {})
    for code, system in found:
        add_token(rows, path, code, system)
    return bool(found)


def _quantity(value: Any, fhir_type: str, path: int, rows: IndexRows, base: str) -> bool:
    row = quantity_row(value, fhir_type)
    if row is not None:
        rows.quantities.append((path, *row))
    return row is not None


def _moment(value: Any, fhir_type: str, path: int, rows: IndexRows, base: str) -> bool:
    found = moment_range(value, fhir_type)
    if found is not None:
        rows.moments.append((path, *found))
    return found is not None


def _string(value: Any, fhir_type: str, path: int, rows: IndexRows, base: str) -> bool:
    found = string_parts(value, fhir_type)
    rows.strings.extend((path, fold(text), text) for text in found)
    return bool(found)


def _uri(value: Any, fhir_type: str, path: int, rows: IndexRows, base: str) -> bool:
    if isinstance(value, str):
        rows.strings.append((path, value, ""))
    return isinstance(value, str)


def _reference(value: Any, fhir_type: str, path: int, rows: IndexRows, base: str) -> bool:
    written = value.get("reference") if isinstance(value, dict) else value
    if not isinstance(written, str):
        return False
    for hashed in reference_hashes(local_reference(written, base)):
        rows.by_hash[path ^ hashed] = 0
    return True


_WRITERS: dict[str, Callable[[Any, str, int, IndexRows, str], bool]] = {
    "token": _token,
    "quantity": _quantity,
    "number": _quantity,
    "date": _moment,
    "string": _string,
    "uri": _uri,
    "reference": _reference,
}
