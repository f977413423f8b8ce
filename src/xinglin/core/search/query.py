"""A search request as frozen values: what parse.py makes, plan.py and the slow twin read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from xinglin.core.search.hashes import LONGEST_PREFIX
from xinglin.core.search.parameters import Parameter
from xinglin.core.search.slots import Late, later
from xinglin.core.search.values import fold
from xinglin.kernel.errors import Issue

DEFAULT_COUNT: Final = 20
MAX_COUNT: Final = 1000


@dataclass(frozen=True, slots=True)
class TokenValue:
    """`code` (system None), `|code` (system ""), `system|code`, `system|` (code None)."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class TypedIdentifier:
    """`system|code|value` of `:of-type`."""

    system: str
    code: str
    value: str


@dataclass(frozen=True, slots=True)
class TextValue:
    """A string, a URI, or the text of a `:text`. `brief`: short enough for the tokens of a name's beginnings."""

    text: str

    @property
    def brief(self) -> bool:
        return not isinstance(self.text, Late) and 0 < len(fold(self.text)) <= LONGEST_PREFIX


@dataclass(frozen=True, slots=True)
class BriefText(TextValue):
    """A brief text that comes later."""

    @property
    def brief(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class DateValue:
    """`prefix` eq ne gt lt ge le sa eb ap, or po (overlaps); [low, high) in microseconds since 1970."""

    prefix: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class NumberValue:
    """A number with its precision: eq means [low, high). `system` and `code` are a quantity's unit, None: any;
    `system` "" with a code: the code of any system, or the unit's text."""

    prefix: str
    value: float
    low: float
    high: float
    system: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """`target` is "Type/id" or a URL; where only an id was given, `id` is it and `types` what it may be of."""

    target: str | None
    id: str | None = None
    types: tuple[str, ...] = ()

    def targets(self) -> tuple[str, ...]:
        """The references that would match."""
        if self.target is not None:
            return (self.target,)
        return tuple(later("{}/{}".format, name, self.id) for name in self.types)

    def heads(self) -> tuple[str, ...]:
        """What stands before the first slash of each target: its type, where it is of this server."""
        return self.types if self.target is None else (self.target.partition("/")[0],)


@dataclass(frozen=True, slots=True)
class CompositeValue:
    """The parts between `$`, each a value of its component's kind."""

    parts: tuple[Value, ...]


Value = TokenValue | TypedIdentifier | TextValue | DateValue | NumberValue | ReferenceValue | CompositeValue


@dataclass(frozen=True, slots=True)
class Match:
    """One parameter with the values of which any may hold. Modifiers beside those of the URL: `equals` and `ends`
    of a string, from `_filter`."""

    parameter: Parameter
    values: tuple[Value, ...]
    modifier: str | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    parameter: Parameter
    missing: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """The parameter refers to a resource of type `target` for which `inner` holds."""

    parameter: Parameter
    target: str
    inner: Condition


@dataclass(frozen=True, slots=True)
class Has:
    """A resource refers here by `parameter` (of its type), and `inner` holds for it."""

    parameter: Parameter
    inner: Condition


@dataclass(frozen=True, slots=True)
class Not:
    inner: Condition


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Condition, ...]


Condition = Match | Missing | Chain | Has | Not | And | Or


@dataclass(frozen=True, slots=True)
class Sort:
    parameter: Parameter
    descending: bool


@dataclass(frozen=True, slots=True)
class Include:
    """`_include`, or `_revinclude` where `reverse`. `source` and `code` may be "*"; `target` None: of any type."""

    source: str
    code: str
    target: str | None
    iterate: bool
    reverse: bool


Total = Literal["none", "estimate", "accurate"]
Summary = Literal["true", "text", "data", "count", "false"]


@dataclass(frozen=True, slots=True)
class TypeQuery:
    """The conditions on one type, all of which must hold. `alone`: no other type is asked for beside it."""

    type: str
    conditions: tuple[Condition, ...]
    sort: tuple[Sort, ...] = ()
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """A whole request: one TypeQuery, or several for a search over types. `page` is the token of a page link.

    `within` is the compartment (type, id) where all the branches ask is to be of it, in the default order.
    `used` are the parameters that took effect, in their order, for the self link; `issues` what was set aside.
    """

    branches: tuple[TypeQuery, ...]
    count: int = DEFAULT_COUNT
    total: Total | None = None
    summary: Summary = "false"
    elements: tuple[str, ...] = ()
    includes: tuple[Include, ...] = ()
    page: str | None = None
    used: tuple[tuple[str, str], ...] = ()
    within: tuple[str, str] | None = None
    issues: tuple[Issue, ...] = field(default=())

    @property
    def counts_only(self) -> bool:
        return self.summary == "count" or self.count == 0
