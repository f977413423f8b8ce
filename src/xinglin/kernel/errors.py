"""Errors as values with data: a code, a sentence, the place and the remedy.

Problem
  Invalid        400  the request cannot be understood
  Unprocessable  422  understood, but the content breaks a rule
  Unauthenticated 401
  NotFound       404  also stands for "not yours to see": forbidden and missing look the same
  Gone           410
  Forbidden      403  only where the existence of the thing is no secret (a page, an operation)
  Conflict       409
  PreconditionFailed 412
  TooLarge       413
  TooMany        429
  TooCostly      503
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong: `code` is a FHIR issue-type, `expression` the FHIRPath of the place."""

    code: str
    text: str
    expression: str | None = None
    severity: str = "error"
    remedy: str | None = None

    def sentence(self) -> str:
        """The text a person reads: place, what is wrong, what to do."""
        place = f"{self.expression}: " if self.expression else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{place}{self.text}{remedy}"


class Problem(Exception):
    """Something a caller can mend. Never carries patient data beyond what the caller sent."""

    status: ClassVar[int] = 400
    default_code: ClassVar[str] = "processing"

    def __init__(
        self,
        text: str = "",
        *,
        code: str | None = None,
        expression: str | None = None,
        remedy: str | None = None,
        issues: Sequence[Issue] = (),
    ) -> None:
        own = Issue(code or self.default_code, text, expression, remedy=remedy)
        self.issues: tuple[Issue, ...] = tuple(issues) or (own,)
        super().__init__("; ".join(issue.sentence() for issue in self.issues))


class Invalid(Problem):
    status = 400
    default_code = "invalid"


class Unprocessable(Problem):
    status = 422
    default_code = "invariant"


class Unauthenticated(Problem):
    status = 401
    default_code = "login"
    challenge = "Bearer"
    """The scheme that is asked for, with what is wrong with the credentials that came (RFC 6750, section 3)."""


class InvalidToken(Unauthenticated):
    """A token came, and it does not hold."""

    challenge = 'Bearer error="invalid_token"'


class Forbidden(Problem):
    status = 403
    default_code = "forbidden"


class NotFound(Problem):
    status = 404
    default_code = "not-found"


class Gone(Problem):
    status = 410
    default_code = "deleted"


class Conflict(Problem):
    status = 409
    default_code = "conflict"


class PreconditionFailed(Problem):
    status = 412
    default_code = "conflict"


class TooLarge(Problem):
    status = 413
    default_code = "too-long"


class TooMany(Problem):
    status = 429
    default_code = "throttled"


class TooCostly(Problem):
    status = 503
    default_code = "too-costly"
