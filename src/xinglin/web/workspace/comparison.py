"""Two Patients side by side: what each says, how the matcher judged it, and what that judgement means. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from xinglin.access.persons.traits import Verdict
from xinglin.ui.formats import gender, person_name
from xinglin.ui.i18n import N_, _
from xinglin.web.chart.words import Resource, label
from xinglin.web.wording import listed


@dataclass(frozen=True, slots=True)
class Row:
    """A field of both; `verdict` and `kind` are the tag's word and look, `meaning` says what the verdict rests on."""

    label: str
    left: str
    right: str
    verdict: str
    kind: str
    meaning: str


VERDICTS: Final = {
    Verdict.AGREE: (N_("Same"), "good"),
    Verdict.CLOSE: (N_("Nearly the same"), "caution"),
    Verdict.PARTIAL: (N_("Partly the same"), "caution"),
    Verdict.DIFFER: (N_("Different"), "bad"),
    Verdict.CONFLICT: (N_("Contradictory"), "bad"),
    Verdict.ABSENT: (N_("Cannot be compared"), "plain"),
}
MEANINGS: Final = {
    ("identifier", Verdict.AGREE): N_("A number that only one person has. A mistyped one may be somebody else's."),
    ("identifier", Verdict.CONFLICT): N_("One kind of number is the same, another differs: one of them is wrong."),
    ("identifier", Verdict.DIFFER): N_("Different numbers of one kind mean different people, unless one was mistyped."),
    ("identifier", Verdict.ABSENT): N_("No kind of identity number is in both records."),
    ("name", Verdict.CLOSE): N_("It sounds the same, a part is left out, or one letter differs."),
    ("name", Verdict.PARTIAL): N_("The given name is the same, the family name is not."),
    ("name", Verdict.AGREE): N_("The same name, perhaps in another script. Namesakes are common."),
    ("birth-date", Verdict.CLOSE): N_("Day and month are swapped, one digit differs, or one is less precise."),
    ("phone", Verdict.AGREE): N_("Families share telephones."),
    ("phone", Verdict.DIFFER): N_("People change their number."),
    ("address", Verdict.DIFFER): N_("People move, and one address is written in many ways."),
    ("address", Verdict.AGREE): N_("Families share an address."),
    ("multiple-birth", Verdict.DIFFER): N_("Two children of one birth are two people."),
}
Reader = Callable[[Resource], str]


def rows(left: Resource, right: Resource, fields: Mapping[str, str]) -> list[Row]:
    """The compared fields in the matcher's order; those that neither record has are left out."""
    found = [_row(name, left, right, Verdict(fields[name])) for name in LABELS if name in fields]
    return [row for row in found if row.left or row.right]


def _row(name: str, left: Resource, right: Resource, verdict: Verdict) -> Row:
    word, kind = VERDICTS[verdict]
    read, meaning = READERS[name], MEANINGS.get((name, verdict), "")
    return Row(_(LABELS[name]), read(left), read(right), _(word), kind, _(meaning) if meaning else "")


def _identifiers(patient: Resource) -> str:
    """Each identifier with its kind."""
    given = [(label(i.get("type")), i.get("value", "")) for i in patient.get("identifier", ()) if i.get("value")]
    return listed(f"{kind} {value}".strip() for kind, value in given)


def _names(patient: Resource) -> str:
    return listed(dict.fromkeys(person_name(name) for name in patient.get("name", ())))


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


LABELS: Final = {
    "identifier": N_("Numbers"),
    "name": N_("Name"),
    "birth-date": N_("Born"),
    "sex": N_("Sex"),
    "multiple-birth": N_("Order among twins"),
    "phone": N_("Phone"),
    "address": N_("Address"),
}
READERS: Final[dict[str, Reader]] = {
    "identifier": _identifiers,
    "name": _names,
    "birth-date": _birth_date,
    "sex": _sex,
    "multiple-birth": _birth_order,
    "phone": _phones,
    "address": _addresses,
}
