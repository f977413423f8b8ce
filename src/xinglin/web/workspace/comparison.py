"""Two Patients side by side: what each says, how the matcher judged it, and what that judgement means. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from xinglin.access.persons.comparisons import Verdict
from xinglin.access.persons.matching import threshold
from xinglin.access.persons.weights import Part
from xinglin.ui.formats import gender, person_name
from xinglin.ui.i18n import N_, _, language
from xinglin.web.chart.words import Resource, label
from xinglin.web.wording import listed


@dataclass(frozen=True, slots=True)
class Row:
    """A field of both; `verdict` and `kind` are the tag's word and look, `meaning` says what the verdict rests on,
    `weight` what it adds, in bits with a sign, "" where it says nothing."""

    label: str
    left: str
    right: str
    verdict: str
    kind: str
    meaning: str
    weight: str


VERDICTS: Final = {
    Verdict.AGREE: (N_("Same"), "good"),
    Verdict.CLOSE: (N_("Nearly the same"), "caution"),
    Verdict.PARTIAL: (N_("Partly the same"), "caution"),
    Verdict.DIFFER: (N_("Different"), "bad"),
    Verdict.CONFLICT: (N_("Contradictory"), "bad"),
    Verdict.ABSENT: (N_("Cannot be compared"), "plain"),
}
Reader = Callable[[Resource], str]


@cache
def _words() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(files("xinglin.access.persons").joinpath("words.json").read_bytes())
    return found


def said(*path: str) -> str:
    """What words.json says there, in the reader's language; "" where it says nothing."""
    found: Any = _words()
    for name in path:
        found = found.get(name, {})
    return str(found.get("en" if language() == "en" else "zh", ""))


def rows(left: Resource, right: Resource, parts: Iterable[Part]) -> list[Row]:
    """The compared fields in the matcher's order; those that neither record has are left out."""
    found = [_row(part, left, right) for part in parts if part.field in READERS]
    return [row for row in found if row.left or row.right]


def _row(part: Part, left: Resource, right: Resource) -> Row:
    word, kind = VERDICTS[part.level.verdict]
    read, meaning = READERS[part.field], said("levels", part.field, part.level.name)
    return Row(said("fields", part.field), read(left), read(right), _(word), kind, meaning, signed(part.weight))


def signed(bits: float) -> str:
    """One decimal with its sign, a true minus; "" for nothing."""
    return "" if abs(bits) < 0.05 else f"{bits:+.1f}".replace("-", "\N{MINUS SIGN}")


def legend() -> str:
    """How the weights are to be read."""
    marks = {name: f"{threshold(name):g}" for name in ("linked", "review")}
    return said("weights", "legend") % marks


def _identifiers(patient: Resource) -> str:
    """Each identifier with its kind."""
    given = [(label(i.get("type")), i.get("value", "")) for i in patient.get("identifier", ()) if i.get("value")]
    return listed(f"{kind} {value}".strip() for kind, value in given)


def _family(patient: Resource) -> str:
    return listed(dict.fromkeys(name.get("family") or person_name(name) for name in patient.get("name", ())))


def _given(patient: Resource) -> str:
    given = (" ".join(name.get("given", ())[:1]) or person_name(name) for name in patient.get("name", ()))
    return listed(dict.fromkeys(given))


def _middle(patient: Resource) -> str:
    return listed(
        dict.fromkeys(more for name in patient.get("name", ()) if (more := " ".join(name.get("given", ())[1:])))
    )


def _phones(patient: Resource) -> str:
    return listed(t.get("value", "") for t in patient.get("telecom", ()) if t.get("system") == "phone")


def _addresses(patient: Resource) -> str:
    texts = (a.get("text") or "".join((a.get("district", ""), *a.get("line", ()))) for a in patient.get("address", ()))
    return listed(text for text in texts if text)


def _birth_order(patient: Resource) -> str:
    return str(patient.get("multipleBirthInteger", ""))


def _sex(patient: Resource) -> str:
    return gender(patient["gender"]) if "gender" in patient else ""


def _birth_date(patient: Resource) -> str:
    return str(patient.get("birthDate", ""))


def _place(patient: Resource) -> str:
    texts = ("".join((a.get("city", ""), a.get("district", ""))) for a in patient.get("address", ()))
    codes = (a.get("postalCode", "") for a in patient.get("address", ()))
    return listed(dict.fromkeys(text for text in (*texts, *codes) if text))


READERS: Final[dict[str, Reader]] = {
    "identifier": _identifiers,
    "family": _family,
    "given": _given,
    "middle": _middle,
    "birth-date": _birth_date,
    "sex": _sex,
    "phone": _phones,
    "address": _addresses,
    "place": _place,
    "multiple-birth": _birth_order,
}
