"""How a set of wishes becomes versions: ids, conditions, references, permission, and one transaction for all of it.

plan        give each write its id; answer the conditional ones by a search that sees what the principal sees
resolve     rewrite references to entries of the same call, and conditional references
lock        the newest versions of what is touched, in one order for everybody
judge       permission, If-Match, custody; a write that changes nothing makes no version
commit      versions, index rows, feed, projections (people, grants), audit
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from xinglin.access.answers import missing
from xinglin.access.categories import classify
from xinglin.access.pointing import Rewritten, base_of, below_bases, collect, place_of
from xinglin.access.policy import VERBS, RoleVisibility, check_write, own_keys, own_words
from xinglin.access.principal import Principal, Role
from xinglin.access.scopes import may
from xinglin.access.topics import NONE as NO_TOPICS
from xinglin.access.topics import Topics, hold_topics
from xinglin.core.rest.gate import Write
from xinglin.core.rest.outcomes import placed
from xinglin.core.schema.decode import parse
from xinglin.core.store import write as store
from xinglin.core.store.keys import TYPE_NUMBERS, hash64, key_of, reference_key
from xinglin.core.store.rows import Change, Current, IndexRows, Stored
from xinglin.core.store.visibility import Arguments, Visibility
from xinglin.kernel.breath import in_slices
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Conflict, Forbidden, Invalid, PreconditionFailed, Problem, Unprocessable

ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
NOBODY: Final = 0
CARRIERS: Final = frozenset({"Bundle", "Parameters"})
"""Types that carry whole resources: what these say of one another is meant within it (a document, a message)."""

Search = Callable[[Connection, str, str], Awaitable[list[Stored]]]
"""(connection, type, query) -> what the principal sees of the matches, two at most."""
Extract = Callable[[dict[str, Any]], IndexRows]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a write: 200 updated or unchanged, 201 created, 204 deleted; `changed`: a version was made."""

    status: int
    stored: Stored | None
    changed: bool = False


@dataclass(slots=True)
class Planned:
    """A write with its place: the id it goes to, or the resource that its condition found."""

    write: Write
    id: str
    found: Stored | None = None
    fresh: bool = False  # the id is a random one of ours: nothing is there yet
    twin: Planned | None = None  # the conditional create of the same call that goes first under the same condition

    @property
    def key(self) -> int:
        return key_of(self.write.type, self.id)

    @property
    def settled(self) -> bool:
        """A conditional create whose resource exists, or a conditional delete that finds nothing: no change."""
        method, condition = self.write.method, self.write.condition
        there = self.found is not None or self.twin is not None
        return condition is not None and ((method == "POST" and there) or not self.id)


@dataclass(slots=True)
class Judged:
    """Writes that may be made: by the id() of each plan what became of it, or the change that is to be stored."""

    planned: list[Planned]
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    changes: dict[int, Change] = field(default_factory=dict)

    def settled(self, stored: Sequence[Stored]) -> list[Outcome]:
        """The outcomes in the order of the writes, once the changes are stored."""
        for (place, change), new in zip(self.changes.items(), stored, strict=True):
            self.outcomes[place] = _outcome(change, new)
        for plan in self.planned:
            if plan.twin is not None:
                self.outcomes[id(plan)] = Outcome(200, self.outcomes[id(plan.twin)].stored)
        return [self.outcomes.get(id(plan)) or _settled(plan) for plan in self.planned]


@dataclass(slots=True)
class Writing:
    """One call of the gate's `write`, inside an open transaction."""

    connection: Connection
    principal: Principal
    visible: Visibility
    search: Search
    extract: Extract
    custodian: str | None
    now: int
    topics: Topics = NO_TOPICS
    creating: dict[str, Planned] = field(default_factory=dict)  # condition -> what is created under it
    deleting: dict[str, list[str]] = field(default_factory=dict)  # type -> ids that this call deletes
    rewritten: list[Rewritten] = field(default_factory=list)

    async def run(self, writes: Sequence[Write]) -> tuple[list[Outcome], list[Change]]:
        """The outcomes, in order, and the changes that were made."""
        self.topics = await hold_topics(self.connection)
        judged = await self.judged(writes)
        changes = list(judged.changes.values())
        await self._check_scopes([change for change in changes if not _creates(change)])
        stored = await store.commit(self.connection, changes, self.now) if changes else []
        await self._check_scopes([change for change in changes if change.resource is not None])
        return judged.settled(stored), changes

    async def judged(self, writes: Sequence[Write]) -> Judged:
        """What is to be stored, all that can refuse it asked. Nothing is written yet."""
        for write in writes:
            check_write(self.principal, write.type, VERBS[write.method])
        planned: list[Planned] = []
        try:
            async for write in in_slices(writes):
                planned.append(plan := await self._plan(write))
                if write.method == "DELETE" and plan.id:
                    self.deleting.setdefault(write.type, []).append(plan.id)
        except Problem as problem:
            raise _of_entry(problem, len(planned), writes) from problem
        await self._resolve(planned)
        acting = [plan for plan in planned if not plan.settled]
        _refuse_repeated(planned)
        there = {plan.key for plan in acting if not plan.fresh}
        current = await store.lock(self.connection, there) if there else {}
        created = {plan.key for plan in acting if plan.write.type == "Patient"}
        found = Judged(planned)
        async for plan in in_slices(acting):
            try:
                judged = await self._judge(plan, current.get(plan.key), created)
            except Problem as problem:
                raise _of_entry(problem, [one is plan for one in planned].index(True), writes) from problem
            if isinstance(judged, Outcome):
                found.outcomes[id(plan)] = judged
            else:
                found.changes[id(plan)] = judged
        return found

    def undo(self) -> None:
        """Give the resources back as they came, for another attempt, in which ids may be others."""
        for node, name, text in reversed(self.rewritten):
            node[name] = text
        self.rewritten.clear()

    # plan -------------------------------------------------------------------------------------------------------

    async def _plan(self, write: Write) -> Planned:
        if write.condition is not None:
            return await self._plan_conditional(write)
        if write.method == "POST":
            chosen = (write.resource or {}).get("id") if write.keep_id else None
            return Planned(write, _checked_id(chosen)) if chosen else _fresh(write)
        return Planned(write, _checked_id(write.id or ""))

    async def _plan_conditional(self, write: Write) -> Planned:
        """Everybody who asks under the same condition goes one after the other, so that one of them creates."""
        if not may(self.principal, write.type, "s"):
            raise Forbidden("The token may not search, which a condition needs.", remedy=f"Ask for {write.type}.s.")
        condition = _condition(write.type, write.condition or "")
        await self.connection.execute("SELECT pg_advisory_xact_lock($1)", hash64(condition))
        first = self.creating.get(condition)
        if first is not None:
            return Planned(write, first.id, twin=first)
        ask = self._left if write.method == "POST" else self._found
        found = await ask(write.type, write.condition or "")
        if len(found) > 1:
            raise PreconditionFailed(
                f"The condition {write.type}?{write.condition} matches more than one resource.",
                code="multiple-matches",
                remedy="Add parameters until it names one.",
            )
        if found:
            if write.method == "PUT" and write.id and write.id != found[0].id:
                raise Invalid("The id in the resource is not that of the match.", expression=f"{write.type}.id")
            return Planned(write, found[0].id, found[0])
        if write.method == "DELETE":
            return Planned(write, "")
        made = self.creating[condition] = Planned(write, _checked_id(write.id)) if write.id else _fresh(write)
        return made

    async def _found(self, type: str, query: str) -> list[Stored]:
        return await self.search(self.connection, type, query)

    async def _left(self, type: str, query: str) -> list[Stored]:
        """What a condition finds once the deletions of this call, which come first, are done."""
        gone = self.deleting.get(type)
        return await self._found(type, f"{query}&_id:not={','.join(gone)}" if gone else query)

    # resolve ----------------------------------------------------------------------------------------------------

    async def _resolve(self, planned: Sequence[Planned]) -> None:
        targets = {plan.write.full_url: f"{plan.write.type}/{plan.id}" for plan in planned if plan.write.full_url}
        below = below_bases(targets)
        async for number, plan in in_slices(enumerate(planned)):
            if plan.write.resource is not None and plan.write.type not in CARRIERS and not plan.settled:
                near = below.get(base_of(plan.write.full_url or "")) if below else None
                known = {**near, **targets} if near else targets
                for holder in collect(plan.write.resource, known, self.rewritten):
                    place = place_of(plan.write.resource, holder, f"Bundle.entry[{number}].{plan.write.type}")
                    target = await self._target(holder["reference"], place or "")
                    self.rewritten.append((holder, "reference", holder["reference"]))
                    holder["reference"] = target

    async def _target(self, reference: str, place: str) -> str:
        if reference.startswith("urn:"):
            raise Invalid(
                f"The reference {reference} points to no entry of the bundle.",
                code="not-found",
                expression=place,
                remedy="Give the entry that is meant this fullUrl, or point to Type/id.",
            )
        type, _, query = reference.partition("?")
        if type not in TYPE_NUMBERS:
            raise Invalid(f"{type} is no resource type.", code="value", expression=place)
        made = self.creating.get(_condition(type, query))
        if made is not None:
            return f"{type}/{made.id}"
        found = await self._left(type, query)
        if len(found) != 1:
            problem = "no resource" if not found else "more than one resource"
            raise PreconditionFailed(f"The conditional reference {reference} matches {problem}.", expression=place)
        return found[0].reference

    # judge ------------------------------------------------------------------------------------------------------

    async def _judge(self, plan: Planned, current: Current | None, created: set[int]) -> Change | Outcome:
        write, key = plan.write, plan.key
        if current is not None and (current.stored.id != plan.id or current.stored.type != write.type):
            raise Conflict(f"The id {plan.id} cannot be used.", remedy="Choose another id.")
        hidden = current is not None and not await self._sees(current)
        _check_version(plan, None if hidden else current)
        if hidden or (current is None and not self._may_miss(write)):
            raise missing(write.type, plan.id)
        if write.method == "DELETE":
            return await self._judge_delete(plan, current)
        assert write.resource is not None
        self._check_words(write.resource, current)
        if current is not None and not current.stored.deleted and await self._is_done(write, current):
            return Outcome(200, current.stored)
        index = self.extract({**write.resource, "id": plan.id})
        person = _person(write.resource, index)
        custodian = await self._custodian(current, person)
        judged = self.principal.role is Role.PRIVACY and current is not None and current.person == person
        if not judged:  # who judges an access sees the case, not the person
            await self._check_person(person, key, created)
        before = self.extract(parse(current.stored.body)) if current and current.stored.body else None
        category = classify(write.resource) | self.topics.of(write.resource)
        return Change(key, write.type, plan.id, write.resource, person, custodian, category, index, current, before)

    async def _is_done(self, write: Write, current: Current) -> bool:
        """Whether it would change nothing; a creation that was carried out before and changed since is done, too."""
        assert write.resource is not None
        if _same(write.resource, current.stored):
            return True
        if write.method != "POST":
            return False
        earlier = await store.earlier_bodies(self.connection, current.key)
        mine = _content(write.resource, current.stored.id)
        return any(_content(parse(body), current.stored.id) == mine for body in earlier)

    async def _judge_delete(self, plan: Planned, current: Current | None) -> Change | Outcome:
        if current is None:
            return Outcome(204, None)
        if current.stored.deleted:
            return Outcome(204, current.stored)
        custodian = await self._custodian(current, current.person)
        before_body = parse(current.stored.body)
        self._check_words(before_body, current)
        before = self.extract(before_body)
        write = plan.write
        return Change(
            plan.key, write.type, plan.id, None, current.person, custodian, current.category, None, current, before
        )

    async def _check_scopes(self, changes: Sequence[Change]) -> None:
        """Whether a token's scopes open the rows as they are now to what is done; asked before a change and after it.

        The rows are asked by the statement that searches use, so that a limited scope means the same to both.
        """
        if self.principal.scopes is None:
            return
        for verb in "cud":
            keys = [change.key for change in changes if _verb(change) == verb]
            arguments = Arguments(keys)
            rule = RoleVisibility(self.principal, self.now, verb).scopes("r", arguments.bind)
            sql = f"SELECT 1 FROM resource r WHERE r.key = ANY($1::bigint[]) AND (true{rule}) IS NOT TRUE LIMIT 1"  # noqa: S608
            if keys and await self.connection.fetchval(sql, *arguments.values):
                raise Forbidden("This is outside the token's scopes.", remedy="Ask for a scope that includes it.")

    def _may_miss(self, write: Write) -> bool:
        """Whether a write may go to what is not there, where what is hidden answers the same.

        A deletion of nothing is done already for those who see everything. An update creates for programs, and under
        a condition with an id of ours.
        """
        if write.method == "DELETE":
            return self.visible.unrestricted
        if write.method == "PUT":
            check_write(self.principal, write.type, "c")
            return self.principal.role is Role.SYSTEM or (write.condition is not None and write.id is None)
        return True

    def _check_words(self, resource: dict[str, Any], current: Current | None) -> None:
        """Patients write in their own name, and change what they said themselves, not what others found."""
        if self.principal.role is not Role.PATIENT:
            return
        body = parse(current.stored.body) if current and not current.stored.deleted else None
        if not own_words(self.principal, resource) or (body and not own_words(self.principal, body, said=True)):
            raise Forbidden(
                "Patients change what they wrote themselves.",
                remedy="Ask the institution that wrote it to correct it.",
            )

    def _known_to(self, person: int) -> Visibility:
        """The rules by which a person is known: whom a token is about, it may name without a scope to read them."""
        if person not in [key_of("Patient", id) for id in self.principal.about]:
            return self.visible
        return RoleVisibility(replace(self.principal, scopes=None), self.now)

    async def _sees(self, current: Current) -> bool:
        if self.visible.unrestricted:
            return True
        arguments = Arguments(current.key)
        rule = self.visible.predicate("r", arguments.bind)
        sql = f"SELECT EXISTS (SELECT 1 FROM resource r WHERE r.key = $1 AND {rule})"  # noqa: S608
        return bool(await self.connection.fetchval(sql, *arguments.values))

    async def _custodian(self, current: Current | None, person: int) -> int:
        """Who holds the new version: who held it, or the institution that the principal acts for."""
        named = self.custodian or self.principal.institution
        if self.principal.role is Role.PATIENT:
            return current.custodian if current else await self._holder_of(person)
        if named is None:
            return current.custodian if current else NOBODY
        own = key_of("Organization", named)
        # what the operator loaded for all is nobody's: programs give it a holder, no institution takes it over
        free = current is None or (current.custodian == NOBODY and self.principal.role is Role.SYSTEM)
        if current is not None and not free and current.custodian != own:
            raise Conflict(
                f"{current.stored.reference} is held by another institution.",
                remedy="Only the institution that holds a resource changes it; write your own.",
            )
        return own

    async def _holder_of(self, person: int) -> int:
        holder = await self.connection.fetchval("SELECT custodian FROM resource WHERE key = $1 AND NOT deleted", person)
        return NOBODY if holder is None else int(holder)

    async def _check_person(self, person: int, key: int, created: set[int]) -> None:
        """People write about people they may see; a patient about themselves."""
        if self.principal.role is Role.PATIENT:
            if person not in own_keys(self.principal):
                raise _unknown_person()
            return
        if self.principal.role is Role.SYSTEM or person in (NOBODY, key) or person in created:
            return
        arguments = Arguments(person)
        rule = self._known_to(person).predicate("r", arguments.bind)
        sql = f"SELECT EXISTS (SELECT 1 FROM resource r WHERE r.key = $1 AND NOT r.deleted AND {rule})"  # noqa: S608
        if not await self.connection.fetchval(sql, *arguments.values):
            raise _unknown_person()


def _of_entry(problem: Problem, number: int, writes: Sequence[Write]) -> Problem:
    """The same problem, with the write's place among several."""
    return placed(problem, f"Bundle.entry[{number}]", "resource") if len(writes) > 1 else problem


def _condition(type: str, query: str) -> str:
    """A condition as a key: the order of its parameters does not matter."""
    return f"{type}?{'&'.join(sorted(query.split('&')))}"


def _fresh(write: Write) -> Planned:
    return Planned(write, str(uuid.uuid4()), fresh=True)


def _creates(change: Change) -> bool:
    return change.before is None or change.before.stored.deleted


def _verb(change: Change) -> str:
    """SMART's verb of a change."""
    if change.resource is None:
        return "d"
    return "c" if _creates(change) else "u"


def _unknown_person() -> Unprocessable:
    return Unprocessable(
        "The patient that this is about is not known here.",
        code="not-found",
        expression="subject",
        remedy="Register the person at your institution first.",
    )


def _checked_id(text: str) -> str:
    if not ID.fullmatch(text):
        raise Invalid(
            "An id has 1 to 64 letters, digits, '-' and '.'.",
            code="value",
            expression="Resource.id",
            remedy="Change it.",
        )
    return text


def _refuse_repeated(planned: Sequence[Planned]) -> None:
    seen: dict[int, int] = {}
    for number, plan in enumerate(planned):
        if plan.settled:
            continue
        if plan.key in seen:
            raise Invalid(
                f"{plan.write.type}/{plan.id} stands in the bundle twice (entries {seen[plan.key]} and {number}).",
                code="duplicate",
                expression=f"Bundle.entry[{number}]",
                remedy="Keep one of them.",
            )
        seen[plan.key] = number


def _check_version(plan: Planned, current: Current | None) -> None:
    write = plan.write
    actual = current.stored.version if current and not current.stored.deleted else 0
    if not write.expects(actual):
        raise PreconditionFailed(
            f"The newest version of {write.type}/{plan.id} is {actual}, not {write.if_match}.",
            remedy="Read it again, and repeat the change on what is there now.",
        )


def _same(resource: dict[str, Any], stored: Stored) -> bool:
    """Whether a write would change nothing but the version's own marks."""
    return _content(resource, stored.id) == _content(parse(stored.body), stored.id)


def _content(resource: dict[str, Any], id: str) -> dict[str, Any]:
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    return {**resource, "id": id, "meta": meta}


def _person(resource: dict[str, Any], index: IndexRows) -> int:
    """Whose data it is. A Binary and a Task are in nobody's compartment; an element of their own says it."""
    named = {"Binary": "securityContext", "Task": "for"}.get(resource["resourceType"])
    if named:
        reference = resource.get(named, {}).get("reference", "")
        return reference_key(reference) if reference.startswith("Patient/") else NOBODY
    return index.person


def _outcome(change: Change, new: Stored) -> Outcome:
    if new.deleted:
        return Outcome(204, new, changed=True)
    return Outcome(201 if change.before is None or change.before.stored.deleted else 200, new, changed=True)


def _settled(plan: Planned) -> Outcome:
    return Outcome(200 if plan.found else 204, plan.found)
