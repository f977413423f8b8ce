"""Errors as OperationOutcome, and the last resort: what nobody foresaw is logged without patient data."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from dataclasses import replace
from secrets import token_hex
from typing import Any, Final

import asyncpg
import orjson

from xinglin.core.rest.exchange import Answer, Header
from xinglin.core.rest.routing import MethodNotAllowed
from xinglin.kernel.database import absence
from xinglin.kernel.errors import Conflict, Issue, Problem, TooCostly, Unauthenticated

log = logging.getLogger(__name__)

MOST_ISSUES: Final = 100
LONGEST_TEXT: Final = 2000


def operation_outcome(issues: Sequence[Issue]) -> bytes:
    """The issues as an OperationOutcome's JSON text."""
    rows = [_row(issue) for issue in issues[:MOST_ISSUES]]
    if len(issues) > MOST_ISSUES:
        more = Issue("incomplete", f"{len(issues) - MOST_ISSUES} more issues are not listed.", severity="information")
        rows.append(_row(more))
    return orjson.dumps({"resourceType": "OperationOutcome", "issue": rows}, option=orjson.OPT_NON_STR_KEYS)


def _row(issue: Issue) -> dict[str, Any]:
    ended = issue.text if issue.text.endswith((".", "!", "?")) else f"{issue.text}."
    diagnostics = f"{ended} {issue.remedy}" if issue.remedy else ended
    row: dict[str, Any] = {
        "severity": issue.severity,
        "code": issue.code,
        "diagnostics": _sayable(diagnostics),
    }
    if issue.expression:
        row["expression"] = [_sayable(issue.expression)]
    return row


def _sayable(text: str) -> str:
    """Bounded, and without the lone surrogates that hostile text may bring and JSON cannot carry."""
    return text[:LONGEST_TEXT].encode("utf-8", "replace").decode()


def all_well(text: str) -> bytes:
    """What `Prefer: return=OperationOutcome` and a `$validate` without findings answer."""
    return operation_outcome([Issue("informational", text, severity="information")])


def refusal(problem: Problem, extra: tuple[Header, ...] = ()) -> Answer:
    """The answer that tells a caller what to mend."""
    headers = extra
    if isinstance(problem, Unauthenticated):
        headers += ((b"www-authenticate", problem.challenge.encode()),)
    if problem.status in (429, 503, 507):
        headers += ((b"retry-after", b"5"),)
    return Answer(problem.status, operation_outcome(problem.issues), headers, resource_body=False)


def problem_of(error: Exception) -> Problem | None:
    """A failure of the database as a Problem, where the caller can do something about it; else None."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, asyncpg.QueryCanceledError):
        return TooCostly(
            "The request took longer than this node allows and was stopped.",
            remedy="Narrow it: name a patient, a code or a date range, or ask for fewer with _count.",
        )
    if isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError):
        return Conflict("Another write touched the same resources at the same time.", remedy="Send it again.")
    return absence(error)


def failed(error: Exception) -> Answer:
    """The answer to an error: what to mend, or 500 with a number for the log."""
    problem = problem_of(error)
    if problem is None:
        return refusal(Unforeseen.logged(error))
    if isinstance(problem, MethodNotAllowed):
        return refusal(problem, ((b"allow", ", ".join(problem.allowed).encode()),))
    return refusal(problem)


class Unforeseen(Problem):
    """500: nobody thought of this. The log entry names places, never values: those may be patient data."""

    status = 500
    default_code = "exception"

    @classmethod
    def logged(cls, error: Exception) -> Unforeseen:
        number = token_hex(6)
        places = "".join(traceback.format_tb(error.__traceback__))
        log.error("unexpected %s, reference %s\n%s", type(error).__name__, number, places)
        return cls(f"The node failed on this request. Reference: {number}.", remedy="Give this number to its operator.")


def placed(problem: Problem, place: str, element: str = "") -> Problem:
    """The same problem with its expressions seen from an outer resource: "Bundle.entry[3]" before what was there."""
    issues = [
        Issue(issue.code, issue.text, _within(place, issue.expression, element), issue.severity, issue.remedy)
        for issue in problem.issues
    ]
    return type(problem)(issues=issues)


def alone(problem: Problem) -> Problem:
    """The same problem of a write that stands alone: the gate counts writes as entries of a Bundle."""
    first = "Bundle.entry[0]."
    issues = [
        replace(issue, expression=issue.expression.removeprefix(first)) if issue.expression else issue
        for issue in problem.issues
    ]
    return type(problem)(issues=issues)


def _within(place: str, expression: str | None, element: str) -> str:
    if expression is None or expression == place or expression.startswith(f"{place}."):
        return expression or place
    _, _, inner = expression.partition(".")
    return ".".join(part for part in (place, element, inner) if part)
