"""What a FHIRPath author can mend: where in the expression, what was expected, and in which phase it was found."""

from __future__ import annotations

from typing import Literal

from xinglin.kernel.errors import Invalid

Phase = Literal["syntax", "semantic", "execution"]


class PathError(Invalid):
    """`position` counts characters from 0 in `source`; `phase` says whether reading, checking or running failed."""

    def __init__(
        self, text: str, *, source: str = "", position: int = -1, phase: Phase = "execution", remedy: str | None = None
    ) -> None:
        self.text, self.source, self.position, self.phase = text, source, position, phase
        self.remedy = remedy
        at = f"at character {position + 1}: " if position >= 0 else ""
        super().__init__(f"FHIRPath {phase} error {at}{text}", remedy=remedy)

    def caret(self) -> str:
        """The line of the expression that holds the fault, and a caret under it."""
        if self.position < 0:
            return self.source
        start = self.source.rfind("\n", 0, self.position) + 1
        end = self.source.find("\n", self.position)
        line = self.source[start : end if end >= 0 else len(self.source)]
        return _shown(line, self.position - start)


_AROUND = 60


def _shown(line: str, at: int) -> str:
    """The line and the caret below it; of a long line what is around the place."""
    first, last = max(0, at - _AROUND), at + _AROUND
    before, after = "..." if first else "", "..." if last < len(line) else ""
    return f"{before}{line[first:last]}{after}\n{' ' * (len(before) + at - first)}^"


class PathTooCostly(PathError):
    """The expression passed a bound on its depth, its steps or the size of what it builds."""
