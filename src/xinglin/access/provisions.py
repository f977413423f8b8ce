"""The provisions of a Consent as rules: each with the limits of those around it, so that it stands by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from xinglin.access.categories import CATEGORY_MASK, LABEL_SHIFT, OVERSIGHT, bits_of_code, categories, category_system
from xinglin.access.grants import (
    ALWAYS,
    ANYONE,
    CATEGORY,
    CODE,
    FOREVER,
    HIGH,
    INSTITUTION,
    LABEL,
    PERSON,
    RESOURCE,
    ROLE,
    TYPE,
)
from xinglin.access.purposes import deniable, purposes_of, role_system
from xinglin.core.search.values import date_range
from xinglin.core.store.keys import TYPE_NUMBERS, reference_key
from xinglin.kernel.errors import Unprocessable

ROLE_CLASS: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
TYPES_SYSTEM: Final = "http://hl7.org/fhir/resource-types"
URI_SYSTEM: Final = "urn:ietf:rfc:3986"
ALL_CATEGORIES: Final = CATEGORY_MASK & ~OVERSIGHT
DEMOGRAPHICS: Final = categories()[0].bit
TOPIC_BITS: Final = tuple(1 << n for n in range(21, 31))
"""Bits of resource.category for codes that consents speak of (access/topics.py)."""
TOPICS: Final = sum(TOPIC_BITS)
LABELS: Final = HIGH & ~TOPICS
RECIPIENTS: Final = frozenset({"IRCP", "PRCP"})
DISCLOSING: Final = frozenset({"access", "use", "disclose"})
"""Of the codes of provision.action, those that let data be seen."""
TREATMENT: Final = frozenset({"TREAT"})
CLOSEST: Final = CATEGORY | TYPE | LABEL | CODE | RESOURCE
CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
RESTRICTED: Final = frozenset({"R", "V"})
MOST: Final = 200  # rules, and alternatives within one


@dataclass(frozen=True, slots=True)
class Who:
    """Whom a rule is about: level (grants.ANYONE ... PERSON), and what a caller must be; 0 and "": anything.

    post: the grantee is a PractitionerRole: somebody in that post of theirs.
    """

    level: int = ANYONE
    grantee: int = 0
    role: str = ""
    acting: int = 0
    post: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """Data that are of one of the categories, and of one of the types (empty: any), and bear all the bits."""

    category: int = ALL_CATEGORIES
    types: tuple[int, ...] = ()
    bearing: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """A provision with all that limits it. holders, resources, purposes: None for any.

    what: flags of grants.CATEGORY ... RESOURCE. labels: bits of the sensitive labels that were named.
    named: a purpose was. clear: everything that limits it was understood.
    """

    permit: bool
    who: tuple[Who, ...] = (Who(),)
    holders: frozenset[int] | None = None
    cells: tuple[Cell, ...] = (Cell(),)
    resources: frozenset[int] | None = None
    purposes: frozenset[str] | None = None
    named: bool = False
    labels: int = 0
    what: int = 0
    starts: int = ALWAYS
    ends: int = FOREVER
    depth: int = 0
    clear: bool = True

    @property
    def empty(self) -> bool:
        return not self.who or not self.cells or self.purposes == frozenset() or self.starts >= self.ends


class _Unclear(Exception):
    """A limit that cannot be kept."""


def rules(provision: Mapping[str, Any], permit: bool, topics: Mapping[str, int]) -> list[Rule]:
    """A root provision and all that is nested in it. Raises Unprocessable for more than this node keeps.

    topics: the bit of each code or ValueSet that consents speak of.
    """
    root = Rule(permit, purposes=TREATMENT if permit and not provision.get("purpose") else None)
    found = list(_with_nested(root, provision, permit, topics))
    if len(found) > MOST:
        raise _too_many()
    return [rule for rule in found if not rule.permit or any(who.grantee for who in rule.who)]


def _with_nested(
    outer: Rule, provision: Mapping[str, Any], permit: bool, topics: Mapping[str, int], depth: int = 0
) -> Iterator[Rule]:
    rule = _narrowed(outer, provision, permit, topics, depth)
    if rule is None or rule.empty:
        return
    yield rule
    for nested in provision.get("provision", ()):
        if nested.get("type") in ("permit", "deny"):
            yield from _with_nested(rule, nested, nested["type"] == "permit", topics, depth + 1)


def _narrowed(
    outer: Rule, provision: Mapping[str, Any], permit: bool, topics: Mapping[str, int], depth: int
) -> Rule | None:
    """The rule of one provision within `outer`; None where it says nothing that concerns us."""
    rule = replace(outer, permit=permit, depth=depth)
    if permit and not outer.clear:
        return None
    for limit in (_acts, _spans, _actors, _classes, _labels, _codes, _resources, _purposes):
        try:
            found = limit(rule, provision, topics)
        except _Unclear:
            if permit:
                return None
            found = replace(rule, what=CLOSEST, clear=False)
        if found is None:
            return None
        rule = found
    return rule


def _acts(rule: Rule, provision: Mapping[str, Any], topics: Mapping[str, int]) -> Rule | None:
    actions = {coding.get("code") for action in provision.get("action", ()) for coding in action.get("coding", ())}
    return None if "action" in provision and not actions & DISCLOSING else rule


def _spans(rule: Rule, provision: Mapping[str, Any], topics: Mapping[str, int]) -> Rule:
    """[start, end) in microseconds; the end of a partial date is the end of that day, month or year, in UTC where it
    has no zone."""
    starts, ends = span(provision)
    return replace(rule, starts=max(rule.starts, starts), ends=min(rule.ends, ends))


def span(provision: Mapping[str, Any]) -> tuple[int, int]:
    period = provision.get("period", {})
    start, end = period.get("start"), period.get("end")
    try:
        return date_range(start)[0] if start else ALWAYS, date_range(end)[1] if end else FOREVER
    except ValueError:
        raise _Unclear from None


# who ------------------------------------------------------------------------------------------------------------------


def _actors(rule: Rule, provision: Mapping[str, Any], topics: Mapping[str, int]) -> Rule | None:
    recipients, holders, others, unclear = [], set(), False, False
    for actor in provision.get("actor", ()):
        codings = actor.get("role", {}).get("coding", ())
        codes = {coding.get("code") for coding in codings}
        reference = str(actor.get("reference", {}).get("reference", ""))
        if "CST" in codes:
            holders.add(reference_key(reference) if reference else -1)
        elif codes & RECIPIENTS:
            who = _who(reference, codings)
            unclear = unclear or (who is None and not reference.startswith(("RelatedPerson/", "Patient/")))
            others = others or who is None
            recipients += [who] if who else []
        else:
            unclear = True
    if unclear and rule.permit and not recipients and not holders:
        raise _Unclear
    if unclear and not rule.permit:
        rule = replace(rule, who=tuple(replace(who, level=PERSON) for who in rule.who), what=CLOSEST, clear=False)
    elif recipients:
        rule = replace(rule, who=tuple(dict.fromkeys(w for a in rule.who for b in recipients if (w := _both(a, b)))))
    elif others:  # a relative, or the person: not among those whom grants are about
        return None
    if holders:
        rule = replace(rule, holders=frozenset(holders if rule.holders is None else rule.holders & holders))
    return rule


def _who(reference: str, codings: Sequence[Mapping[str, Any]]) -> Who | None:
    kind = reference.partition("/")[0]
    if kind == "Organization":
        key = reference_key(reference)
        role = next((str(c.get("code")) for c in codings if c.get("system") == role_system()), "")
        return Who(ROLE if role else INSTITUTION, key, role, key)
    if kind in ("Practitioner", "PractitionerRole"):
        return Who(PERSON, reference_key(reference), post=kind == "PractitionerRole")
    return None


def _both(one: Who, other: Who) -> Who | None:
    """Whom both are about. A person named within an institution's rule: there only. Whose a post is stands elsewhere
    and may change, so that within a rule about a person it cannot be kept."""
    if one.level == ANYONE or other.level == ANYONE:
        return max(one, other, key=lambda who: who.level)
    if one.acting and other.acting and one.acting != other.acting:
        return None
    if one.role and other.role and one.role != other.role:
        return None
    if one.level == other.level == PERSON and one.post != other.post:
        raise _Unclear
    if one.level == other.level == PERSON and one.grantee != other.grantee:
        return None
    closer = max(one, other, key=lambda who: who.level)
    return replace(closer, acting=one.acting or other.acting, role=one.role or other.role)


# what -----------------------------------------------------------------------------------------------------------------


def _classes(rule: Rule, provision: Mapping[str, Any], topics: Mapping[str, int]) -> Rule:
    given = provision.get("class", ())
    if not given:
        return rule
    category, types = 0, set()
    for coding in given:
        system, code = coding.get("system"), str(coding.get("code", ""))
        if system == category_system() and bits_of_code(system, code):
            category |= bits_of_code(system, code)
        elif system == TYPES_SYSTEM and code in TYPE_NUMBERS:
            types.add(TYPE_NUMBERS[code])
        else:
            raise _Unclear
    named = [Cell(category)] if category else []
    named += [Cell(types=tuple(sorted(types)))] if types else []
    return replace(rule, cells=_crossed(rule.cells, named), what=rule.what | (CATEGORY if category else TYPE))


def _labels(rule: Rule, provision: Mapping[str, Any], topics: Mapping[str, int]) -> Rule | None:
    """Confidentiality: a denial of restricted records closes those with any label; a permit must name its labels."""
    given = provision.get("securityLabel", ())
    if not given:
        return rule
    bits, normal = 0, False
    for coding in given:
        system, code = coding.get("system"), str(coding.get("code", ""))
        found = bits_of_code(system, code) & LABELS
        if system == CONFIDENTIALITY and code not in RESTRICTED:
            normal = True
        elif system == CONFIDENTIALITY and not rule.permit:
            found = LABELS
        elif not found:
            raise _Unclear
        bits |= found
    if normal:
        if bits or not rule.permit:
            raise _Unclear
        return rule
    named = [Cell(bearing=bit) for bit in _single(bits)]
    return replace(rule, cells=_crossed(rule.cells, named), labels=rule.labels | bits, what=rule.what | LABEL)


def _codes(rule: Rule, provision: Mapping[str, Any], topics: Mapping[str, int]) -> Rule:
    if not provision.get("code"):
        return rule
    names = topic_names(provision)
    if not names or any(name not in topics for name in names):
        raise _Unclear
    named = [Cell(bearing=topics[name]) for name in names]
    return replace(rule, cells=_crossed(rule.cells, named), what=rule.what | CODE)


def topic_names(provision: Mapping[str, Any]) -> list[str]:
    """What a provision's codes are called: a ValueSet by its canonical, a code as system|code."""
    codings = [coding for concept in provision.get("code", ()) for coding in concept.get("coding", ({},))]
    return [
        str(coding.get("code", "")).partition("|")[0]
        if coding.get("system") == URI_SYSTEM
        else f"{coding.get('system', '')}|{coding.get('code', '')}"
        for coding in codings
    ]


def _resources(rule: Rule, provision: Mapping[str, Any], topics: Mapping[str, int]) -> Rule:
    if "dataPeriod" in provision:
        raise _Unclear
    given = provision.get("data", ())
    if not given:
        return rule
    references = [str(data.get("reference", {}).get("reference", "")) for data in given]
    if any(data.get("meaning") != "instance" for data in given) or not all(references):
        raise _Unclear
    keys = frozenset(map(reference_key, references))
    both = keys if rule.resources is None else rule.resources & keys
    return replace(rule, resources=both, what=rule.what | RESOURCE, cells=rule.cells if both else ())


def _crossed(outer: Iterable[Cell], inner: Sequence[Cell]) -> tuple[Cell, ...]:
    found = dict.fromkeys(both for one in outer for other in inner if (both := _common(one, other)))
    if len(found) > MOST:
        raise _too_many()
    return tuple(found)


def _common(one: Cell, other: Cell) -> Cell | None:
    if one.types and other.types:
        types = tuple(sorted(set(one.types) & set(other.types)))
        if not types:
            return None
    else:
        types = one.types or other.types
    category = one.category & other.category
    return Cell(category, types, one.bearing | other.bearing) if category else None


def _single(bits: int) -> Iterator[int]:
    return (1 << n for n in range(LABEL_SHIFT, 31) if bits >> n & 1)


def _too_many() -> Unprocessable:
    return Unprocessable(
        f"The provisions make more than {MOST} rules, or one of them names too much at once.",
        code="too-long",
        expression="Consent.provision",
        remedy="Write several Consents, or simpler ones.",
    )


# what for -------------------------------------------------------------------------------------------------------------


def _purposes(rule: Rule, provision: Mapping[str, Any], topics: Mapping[str, int]) -> Rule:
    """A permit opens for the purposes it names exactly; a denial of part of one closes all of it."""
    codes = [str(coding.get("code", "")) for coding in provision.get("purpose", ())]
    if codes:
        chosen = frozenset(p for code in codes for p in purposes_of(code) if p == code or not rule.permit)
        within = chosen if rule.purposes is None else chosen & rule.purposes
        return replace(rule, purposes=within, named=True)
    if rule.permit and rule.purposes is None:
        return replace(rule, purposes=TREATMENT)
    return rule


def refused(rule: Rule) -> frozenset[str]:
    """The purposes that a denial is about: whatever a person may refuse, where it names none."""
    every = frozenset(deniable())
    return every if rule.purposes is None else rule.purposes & every
