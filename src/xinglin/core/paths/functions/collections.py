"""Existence, filtering, subsetting and combining (FHIRPath N1, sections 5.1 to 5.4)."""

from __future__ import annotations

from functools import cmp_to_key

from ..environment import is_given
from ..equality import distinct, key
from ..errors import PathError
from ..items import Item, Node, system, to_json
from ..operators import order, single, truth
from ..world import Frame, Run
from .registry import each, function, text, whole

# Existence ---------------------------------------------------------------------------------------------------------


@function("empty", gives="Boolean")
def empty(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where there is no item."""
    return [not items]


@function("exists", 0, 1, gives="Boolean", iterates=True)
def exists(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where there is an item, or one that meets the criteria."""
    return [bool(where(items, arguments, frame) if arguments else items)]


@function("not", gives="Boolean")
def negation(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The opposite of a truth value."""
    value = truth(items, "not")
    return [] if value is None else [not value]


@function("all", 1, gives="Boolean", iterates=True)
def for_all(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where every item meets the criteria."""
    return [all(truth(answer, "a criterion") is True for answer in each(items, arguments[0], frame))]


def _booleans(items: list[Item], name: str) -> list[bool]:
    values = [system(item) for item in items]
    if not all(isinstance(value, bool) for value in values):
        raise PathError(f"{name} takes truth values only")
    return values


@function("allTrue", takes="Boolean", gives="Boolean")
def all_true(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where all items are true."""
    return [all(_booleans(items, "allTrue"))]


@function("anyTrue", takes="Boolean", gives="Boolean")
def any_true(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where an item is true."""
    return [any(_booleans(items, "anyTrue"))]


@function("allFalse", takes="Boolean", gives="Boolean")
def all_false(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where all items are false."""
    return [not any(_booleans(items, "allFalse"))]


@function("anyFalse", takes="Boolean", gives="Boolean")
def any_false(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where an item is false."""
    return [not all(_booleans(items, "anyFalse"))]


@function("subsetOf", 1, gives="Boolean")
def subset_of(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where every item is also in the other collection."""
    others = _keys(arguments[0](frame), frame)
    return [_keys(items, frame) <= others]


@function("supersetOf", 1, gives="Boolean")
def superset_of(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where every item of the other collection is here."""
    others = _keys(arguments[0](frame), frame)
    return [_keys(items, frame) >= others]


def _keys(items: list[Item], frame: Frame) -> set[object]:
    frame.world.spend(len(items))
    return {key(item, frame.world.spend) for item in items}


@function("count", gives="Integer")
def count(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The number of items."""
    return [len(items)]


@function("distinct", gives="$*")
def unique(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """Each item once."""
    frame.world.spend(len(items))
    return distinct(items, frame.world.spend)


@function("isDistinct", gives="Boolean")
def is_distinct(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where no two items are equal."""
    return [len(_keys(items, frame)) == len(items)]


# Filtering and projection --------------------------------------------------------------------------------------------


@function("where", 1, gives="$*", iterates=True)
def where(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The items that meet the criteria."""
    answers = each(items, arguments[0], frame)
    return [item for item, answer in zip(items, answers, strict=True) if truth(answer, "a criterion")]


@function("select", 1, gives="$1*", iterates=True)
def select(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """What the projection gives for each item, in one collection."""
    found = [one for answer in each(items, arguments[0], frame) for one in answer]
    frame.world.spend(len(found))
    return found


@function("repeat", 1, gives="$1*", iterates=True)
def repeat(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The projection of the items, of what it gave, and so on, each result once."""
    seen: set[object] = set()
    found: list[Item] = []
    while items:
        fresh = []
        for one in select(items, arguments, frame):
            mark = key(one, frame.world.spend)
            if mark not in seen:
                seen.add(mark)
                fresh.append(one)
        found += fresh
        items = fresh
    return found


@function("repeatAll", 1, gives="$1*", iterates=True)
def repeat_all(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The same as repeat(), with every result kept, also where it was given before."""
    found: list[Item] = []
    while items:
        items = select(items, arguments, frame)
        found += items
        frame.world.spend(4)  # a round costs more than the steps it counts
    return found


@function("coalesce", 1, 99, gives="")
def coalesce(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The first argument that is not empty; those after it are not evaluated."""
    return next((found for argument in arguments if (found := argument(frame))), [])


@function("defineVariable", 1, 2, gives="$*", iterates=True)
def define_variable(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The items unchanged; %name is they, or the second argument, in the steps that follow."""
    name = text("defineVariable", single(arguments[0](frame), "a name"))
    known = frame.names or {}
    if name in known or is_given(name, frame.world.environment):
        raise PathError(f"there is already a variable %{name}", remedy="Choose another name.")
    value = items
    if len(arguments) > 1:
        value = arguments[1](Frame(items, frame.index, frame.total, frame.world, frame.names))
    frame.world.spend(1 + len(known))
    frame.names = {**known, name: value}
    return items


@function("aggregate", 1, 2, gives="", iterates=True)
def aggregate(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The running $total after the last item; the second argument is where it starts."""
    world = frame.world
    scope = Frame([], 0, arguments[1](frame) if len(arguments) > 1 else [], world, frame.names)
    for index, item in enumerate(items):
        scope.this, scope.index = [item], index
        scope.total = arguments[0](scope)
        world.spend(1 + len(scope.total))
    return scope.total


@function("sort", 0, 9, gives="$*", iterates=True)
def sort(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """In ascending order of the keys (or of the items); a minus before a key sorts descending; empty comes first."""
    frame.world.spend(len(items) * max(1, len(items).bit_length()))
    runs: list[Run] = arguments or [lambda scope: [False, *scope.this]]
    keys = list(zip(*(each(items, run, frame) for run in runs), strict=True))

    def compare(a: int, b: int) -> int:
        return _sorted_order(keys[a], keys[b])

    places = sorted(range(len(items)), key=cmp_to_key(compare))
    return [items[place] for place in places]


def _sorted_order(left: tuple[list[Item], ...], right: tuple[list[Item], ...]) -> int:
    for (descending, *first), (_, *second) in zip(left, right, strict=True):
        a, b = single(first, "a sort key"), single(second, "a sort key")
        if (a is None) != (b is None):
            return -1 if a is None else 1
        answer = None if a is None else order(a, b, "sort")
        if answer:
            return -answer if descending else answer
    return 0


@function("trace", 1, 2, gives="$*", iterates=True)
def trace(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The items unchanged, after showing them (or the projection) under a name."""
    report = frame.world.environment.trace
    if report is not None:
        shown = select(items, arguments[1:], frame) if len(arguments) > 1 else items
        report(str(single(arguments[0](frame), "a name")), [to_json(item) for item in shown])
    return items


@function("iif", 2, 3, gives="")
def iif(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The second argument where the first is true, else the third; only the one chosen is evaluated."""
    if len(items) > 1:
        raise PathError(f"iif takes one item, found {len(items)}")
    scope = Frame(items, frame.index, frame.total, frame.world, frame.names) if items else frame
    if truth(arguments[0](scope), "the first argument of iif"):
        return arguments[1](scope)
    return arguments[2](scope) if len(arguments) > 2 else []


# Subsetting ----------------------------------------------------------------------------------------------------------


@function("single", gives="$")
def the_single(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The one item; more than one is an error."""
    if len(items) > 1:
        raise PathError(f"single takes one item, found {len(items)}")
    return items


@function("first", gives="$", ordered=True)
def first(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The first item."""
    return items[:1]


@function("last", gives="$", ordered=True)
def last(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The last item."""
    return items[-1:]


@function("tail", gives="$*", ordered=True)
def tail(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """All but the first item."""
    return items[1:]


@function("skip", 1, gives="$*", ordered=True)
def skip(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """All but the first n items."""
    number = single(arguments[0](frame), "skip")
    return [] if number is None else items[max(0, whole("skip", number)) :]


@function("take", 1, gives="$*", ordered=True)
def take(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The first n items."""
    number = single(arguments[0](frame), "take")
    return [] if number is None else items[: max(0, whole("take", number))]


# Combining -----------------------------------------------------------------------------------------------------------


@function("intersect", 1, gives="$*")
def intersect(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The items in both collections, each once."""
    others = _keys(arguments[0](frame), frame)
    return [item for item in unique(items, [], frame) if key(item, frame.world.spend) in others]


@function("exclude", 1, gives="$*")
def exclude(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The items that are not in the other collection."""
    others = _keys(arguments[0](frame), frame)
    frame.world.spend(len(items))
    return [item for item in items if key(item, frame.world.spend) not in others]


@function("union", 1, gives="")
def union(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The items of both collections, each once."""
    return unique(combine(items, arguments, frame), [], frame)


@function("combine", 1, 2, gives="")
def combine(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The items of both collections."""
    both = items + arguments[0](frame)
    frame.world.spend(len(both))
    return both


@function("hasValue", gives="Boolean")
def has_value(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True for one primitive that has a value, not only extensions."""
    return [len(items) == 1 and not isinstance(system(items[0]), Node | None)]


@function("getValue", gives="")
def get_value(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The System value of one primitive."""
    value = system(items[0]) if len(items) == 1 else None
    return [] if value is None or isinstance(value, Node) else [value]
