"""Form posts as frozen dataclasses, or a message per field in the reader's language.

    @dataclass(frozen=True)
    class SignIn:
        name: str = text(N_("User name"), missing=N_("Enter your user name"))
        since: date | None = day(N_("From"), required=False)

    form = await read(request, SignIn)      # checks the CSRF token too
    if form.value is None:
        return render(request, "web/templates/sign_in.html", status=422, form=form)

In a template `{{ ui.error_summary(form.errors) }}` and `{{ ui.field(**form["name"]) }}`; an unsent form is
`blank(SignIn)`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Generic, TypeVar

from starlette.datastructures import FormData
from starlette.requests import Request

from xinglin.ui.csrf import check_csrf
from xinglin.ui.i18n import N_, _

T = TypeVar("T")
Reader = Callable[[str], Any]
MAX_FIELDS = 200
MAX_BYTES = 256 * 1024
_DATE = re.compile(r"(\d{4})\s*[-/.年]?\s*(\d{1,2})\s*[-/.月]?\s*(\d{1,2})\s*日?$")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Refused(ValueError):
    """A reader's answer to a value it cannot take; its text is an untranslated message and its parameters."""

    def __init__(self, message: str, **parameters: object) -> None:
        super().__init__(message)
        self.message, self.parameters = message, parameters


@dataclass(frozen=True, slots=True)
class Rule:
    label: str
    read: Reader
    required: bool
    missing: str
    hint: str
    many: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """What was sent, what it means (None where anything is wrong) and the message for each wrong field."""

    shape: type[T]
    sent: Mapping[str, Any]
    errors: Mapping[str, str]
    value: T | None = None

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The arguments for a field component: `{{ ui.field(**form["name"]) }}`. Secrets are never sent back."""
        rule = _rules(self.shape)[name]
        return {
            "name": name,
            "label": _(rule.label),
            "value": "" if rule.secret else self.sent.get(name, [] if rule.many else ""),
            "hint": _(rule.hint) if rule.hint else "",
            "error": self.errors.get(name, ""),
            "required": rule.required,
        }

    def refuse(self, **errors: str) -> Form[T]:
        """The same form with messages that only the server's state could give (a wrong password)."""
        return dataclasses.replace(self, errors={**self.errors, **errors}, value=None)


def text(label: str, *, max_length: int = 200, pattern: str = "", wrong: str = "", **options: Any) -> Any:
    """One line of text, trimmed, without control characters."""

    def read_text(value: str) -> str:
        if len(value) > max_length:
            raise Refused(N_("%(label)s must be %(count)s characters or fewer"), count=max_length)
        if pattern and not re.fullmatch(pattern, value):
            raise Refused(wrong or N_("%(label)s is not in the right form"))
        return value

    return _rule(label, read_text, **options)


def secret(label: str, *, max_length: int = 1024, **options: Any) -> Any:
    """A password: kept as typed, never sent back to the page."""
    return text(label, max_length=max_length, secret=True, **options)


def integer(label: str, *, low: int | None = None, high: int | None = None, **options: Any) -> Any:
    def read_integer(value: str) -> Any:
        if not re.fullmatch(r"[+-]?\d{1,18}", value):
            raise Refused(N_("%(label)s must be a whole number"))
        return _between(int(value), low, high)

    return _rule(label, read_integer, **options)


def decimal(label: str, *, low: Decimal | None = None, high: Decimal | None = None, **options: Any) -> Any:
    def read_decimal(value: str) -> Any:
        try:
            parsed = Decimal(value)
        except InvalidOperation:
            raise Refused(N_("%(label)s must be a number")) from None
        if not parsed.is_finite() or len(value) > 40:
            raise Refused(N_("%(label)s must be a number"))
        return _between(parsed, low, high)

    return _rule(label, read_decimal, **options)


def day(label: str, *, earliest: date | None = None, latest: date | None = None, **options: Any) -> Any:
    """A date as people write it: 2024-05-01, 2024/5/1, 20240501, 2024年5月1日."""

    def read_day(value: str) -> date:
        match = _DATE.fullmatch(value)
        try:
            parsed = date(*(int(part) for part in match.groups())) if match else None
        except ValueError:
            parsed = None
        if parsed is None:
            raise Refused(N_("%(label)s must be a real date, such as 2024-05-01"))
        if earliest and parsed < earliest:
            raise Refused(N_("%(label)s must not be before %(limit)s"), limit=earliest)
        if latest and parsed > latest:
            raise Refused(N_("%(label)s must not be after %(limit)s"), limit=latest)
        return parsed

    return _rule(label, read_day, **options)


def choice(label: str, options: Sequence[str], **rule: Any) -> Any:
    """One of the options' values; what each is called is the template's business."""
    return _rule(label, _one_of(options), **rule)


def choices(label: str, options: Sequence[str], **rule: Any) -> Any:
    """Any number of the options, as a tuple."""
    return _rule(label, _one_of(options), many=True, **rule)


def flag(label: str, **rule: Any) -> Any:
    """A checkbox: True where it was ticked."""
    return _rule(label, lambda value: value not in ("", "0", "false"), **{"required": False, "default": False, **rule})


def blank(shape: type[T], **sent: Any) -> Form[T]:
    """The form before anyone has sent it, with what is known already filled in."""
    return Form(shape, sent, {})


async def read(request: Request, shape: type[T]) -> Form[T]:
    """The posted form of this request. Raises Forbidden where it was not sent from our own page."""
    async with request.form(max_fields=MAX_FIELDS, max_files=0, max_part_size=MAX_BYTES) as sent:
        check_csrf(request, sent)
        return parse(shape, sent)


def parse(shape: type[T], sent: FormData | Mapping[str, Any]) -> Form[T]:
    kept: dict[str, Any] = {}
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, rule in _rules(shape).items():
        kept[name] = _sent_values(sent, name, rule)
        try:
            found = _value(rule, kept[name])
            if found is not None:
                values[name] = found
            if rule.secret:
                kept[name] = ""
        except Refused as refusal:
            errors[name] = _(refusal.message) % {"label": _(rule.label), **refusal.parameters}
    return Form(shape, kept, errors, None if errors else shape(**values))


def _value(rule: Rule, raw: Any) -> Any:
    """The typed value; None leaves the dataclass's default."""
    if not raw:
        if rule.required:
            raise Refused(rule.missing or N_("Enter: %(label)s"))
        return None
    return tuple(rule.read(one) for one in raw) if rule.many else rule.read(raw)


def _sent_values(sent: FormData | Mapping[str, Any], name: str, rule: Rule) -> Any:
    if rule.many:
        found: Any = sent.getlist(name) if isinstance(sent, FormData) else sent.get(name, [])
        return [_clean(one, rule) for one in found if isinstance(one, str)]
    one = sent.get(name, "")
    return _clean(one, rule) if isinstance(one, str) else ""


def _clean(value: str, rule: Rule) -> str:
    return value if rule.secret else _CONTROL.sub("", value).strip()


def _one_of(options: Sequence[str]) -> Reader:
    def read_one(value: str) -> str:
        if value not in options:
            raise Refused(N_("%(label)s: choose one of the options"))
        return value

    return read_one


def _between(value: Any, low: Any, high: Any) -> Any:
    if low is not None and value < low:
        raise Refused(N_("%(label)s must be %(limit)s or more"), limit=low)
    if high is not None and value > high:
        raise Refused(N_("%(label)s must be %(limit)s or less"), limit=high)
    return value


def _rule(
    label: str,
    read: Reader,
    *,
    required: bool = True,
    missing: str = "",
    hint: str = "",
    many: bool = False,
    secret: bool = False,
    default: Any = None,
) -> Any:
    rule = Rule(label, read, required, missing, hint, many, secret)
    unsent = () if many and default is None else default
    return field(default=unsent, metadata={"rule": rule})


def _rules(shape: type[Any]) -> dict[str, Rule]:
    return {one.name: one.metadata["rule"] for one in dataclasses.fields(shape) if "rule" in one.metadata}
