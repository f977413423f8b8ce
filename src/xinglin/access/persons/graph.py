"""Which records are joined, and which are barred from joining: a graph whose components are the persons. Pure.

Each act is a Step: edges and bars added and removed. A step's inverse undoes it to the last edge, so that join and
part are exact however they follow one another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

Pair = tuple[int, int]


def pair(a: int, b: int) -> Pair:
    """Two different records in their one order."""
    if a == b:
        raise ValueError("a record is not paired with itself")
    return (a, b) if a < b else (b, a)


@dataclass(frozen=True, slots=True)
class Step:
    """One act on the graph."""

    edges_added: frozenset[Pair] = frozenset()
    edges_removed: frozenset[Pair] = frozenset()
    bars_added: frozenset[Pair] = frozenset()
    bars_removed: frozenset[Pair] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.edges_added or self.edges_removed or self.bars_added or self.bars_removed)

    def inverse(self) -> Step:
        return Step(self.edges_removed, self.edges_added, self.bars_removed, self.bars_added)

    def records(self) -> frozenset[int]:
        pairs = self.edges_added | self.edges_removed | self.bars_added | self.bars_removed
        return frozenset(record for two in pairs for record in two)


@dataclass(slots=True)
class Graph:
    """Records by their keys, edges between them, and bars: pairs that only a person may join again."""

    edges: set[Pair] = field(default_factory=set)
    bars: set[Pair] = field(default_factory=set)
    _near: dict[int, set[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, edges: Iterable[Pair], bars: Iterable[Pair] = ()) -> Graph:
        graph = cls()
        graph.apply(Step(edges_added=frozenset(edges), bars_added=frozenset(bars)))
        return graph

    def component(self, record: int) -> frozenset[int]:
        """All records that are the same person as this one."""
        found, waiting = {record}, [record]
        while waiting:
            for other in self._near.get(waiting.pop(), ()):
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return frozenset(found)

    def bars_between(self, a: int, b: int) -> frozenset[Pair]:
        """Bars that joining these two would go against: between any records of the two persons."""
        left, right = self.component(a), self.component(b)
        return frozenset(two for x in left for y in right if x != y and (two := pair(x, y)) in self.bars)

    def between(self, a: int, b: int) -> Iterator[Pair]:
        """Pairs of records that joining these two would make one person of, and that are not one already."""
        left, right = self.component(a), self.component(b)
        if left != right:
            yield from ((x, y) for x in sorted(left) for y in sorted(right))

    def joined(self, a: int, b: int) -> Step:
        """A person joins two records: an edge, and what barred it is lifted."""
        added = frozenset({pair(a, b)} - self.edges)
        return Step(edges_added=added, bars_removed=self.bars_between(a, b))

    def parted(self, group: Collection[int], others: Collection[int] = ()) -> Step:
        """A group of records leaves the person it belongs to, and is barred from it and from `others`."""
        inside = set(group)
        rest = {x for record in inside for x in self.component(record)} - inside | set(others) - inside
        cut = frozenset(e for e in self.edges if (e[0] in inside) != (e[1] in inside))
        bars = frozenset(pair(x, y) for x in inside for y in rest) - self.bars
        return Step(edges_removed=cut, bars_added=bars)

    def apply(self, step: Step) -> None:
        for a, b in step.edges_removed:
            self.edges.discard((a, b))
            self._near.get(a, set()).discard(b)
            self._near.get(b, set()).discard(a)
        for a, b in step.edges_added:
            self.edges.add((a, b))
            self._near.setdefault(a, set()).add(b)
            self._near.setdefault(b, set()).add(a)
        self.bars -= step.bars_removed
        self.bars |= step.bars_added

    def in_effect(self, step: Step) -> Step:
        """The part of a step that would change something now: what to do in order to undo after other acts."""
        return Step(
            step.edges_added - self.edges,
            step.edges_removed & self.edges,
            step.bars_added - self.bars,
            step.bars_removed & self.bars,
        )
