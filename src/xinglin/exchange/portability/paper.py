"""The copy on paper: a PDF that a person reads, in the language that is spoken (ui.i18n).

Chinese is set in STSong-Light, one of the fonts that PDF readers bring for documents that embed none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from io import BytesIO
from typing import Any, Final

import orjson
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Flowable, LongTable, Paragraph, SimpleDocTemplate, Spacer, TableStyle

from xinglin.access.audit import AccessEntry
from xinglin.access.policy import institution_key
from xinglin.access.records import Stored
from xinglin.core import paths
from xinglin.core.schema.decode import parse
from xinglin.exchange.portability.copying import Copy
from xinglin.kernel import clock
from xinglin.ui.formats import label, quantity, short_day, short_moment
from xinglin.ui.i18n import N_, _

FONT: Final = "STSong-Light"
LONGEST: Final = 300  # characters of one cell: a paper says what it is, the FHIR copy says all
MOST_ACCESSES: Final = 200
_RAISED: Final = re.compile("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_LOWERED: Final = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
WIDTHS: Final = (24 * mm, 62 * mm, 62 * mm, 30 * mm)
TITLES: Final = (
    N_("Allergies and intolerances"),
    N_("Problems and diagnoses"),
    N_("Medicines"),
    N_("Vaccinations"),
    N_("Visits"),
    N_("Reports"),
    N_("Results and measurements"),
    N_("Procedures"),
    N_("Orders, referrals and appointments"),
    N_("Documents and messages"),
    N_("Consents"),
    N_("Everything else"),
)
"""The titles of layout.json, where the catalogue finds them."""
CODES: Final = frozenset(
    {
        N_("active"),
        N_("inactive"),
        N_("resolved"),
        N_("recurrence"),
        N_("remission"),
        N_("final"),
        N_("preliminary"),
        N_("amended"),
        N_("completed"),
        N_("finished"),
        N_("in-progress"),
        N_("planned"),
        N_("stopped"),
        N_("cancelled"),
        N_("on-hold"),
        N_("draft"),
        N_("entered-in-error"),
        N_("current"),
        N_("high"),
        N_("low"),
    }
)
"""Codes of the record that are read as words."""


@dataclass(frozen=True, slots=True)
class Section:
    """Types that stand together, and where a line finds what it shows: the first expression that finds anything."""

    title: str
    types: tuple[str, ...]
    what: tuple[paths.Path, ...]
    value: tuple[paths.Path, ...]
    date: tuple[paths.Path, ...]


@dataclass(frozen=True, slots=True)
class Line:
    date: str
    what: str
    value: str
    holder: str


@cache
def sections() -> tuple[Section, ...]:
    """The layout, its expressions compiled."""
    rows = orjson.loads(files(__package__).joinpath("layout.json").read_bytes())["sections"]
    compiled = [
        [tuple(paths.compile(text) for text in row[name]) for name in ("what", "value", "date")] for row in rows
    ]
    return tuple(Section(row["title"], tuple(row["types"]), *found) for row, found in zip(rows, compiled, strict=True))


def paper(copy: Copy, bundle: bytes) -> bytes:
    """The PDF. `bundle`: the copy's FHIR text, whose SHA-256 the paper bears, so that both can be told to match."""
    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    target = BytesIO()
    title = _("Copy of a health record")
    document = SimpleDocTemplate(
        target, pagesize=A4, title=title, author="Xinglin", leftMargin=16 * mm, rightMargin=16 * mm, topMargin=18 * mm
    )
    story = [*_head(title, copy, bundle), *_sections(copy), *_accesses(copy.accesses)]
    document.build(story, onFirstPage=_footer, onLaterPages=_footer)
    return target.getvalue()


def _head(title: str, copy: Copy, bundle: bytes) -> Iterator[Flowable]:
    yield Paragraph(escape(title), _style(20, space=6))
    for stored in copy.record:
        if stored.type == "Patient":
            yield Paragraph(escape(_person(parse(stored.body))), _style(11, space=2))
    taken = short_moment(clock.instant(copy.taken))
    count = _("%(count)s entries, taken %(when)s") % {"count": len(copy.record), "when": taken}
    yield Paragraph(escape(count), _style(9))
    yield Paragraph(f"SHA-256 (FHIR): {sha256(bundle).hexdigest()}", _style(7, space=6))
    yield Paragraph(escape(_("This paper names what is held. The FHIR file beside it holds all of it.")), _style(9))


def _person(patient: Mapping[str, Any]) -> str:
    name = next(iter(patient.get("name", ())), {})
    spoken = name.get("text") or " ".join((name.get("family", ""), *name.get("given", ())))
    numbers = ", ".join(str(each.get("value", "")) for each in patient.get("identifier", ()))
    return " · ".join(part for part in (spoken, short_day(patient.get("birthDate")), numbers) if part)


def _sections(copy: Copy) -> Iterator[Flowable]:
    for title, lines in lines_of(copy):
        yield from _table(_(title), (_("Date"), _("What"), _("Finding"), _("Held by")), lines)


def lines_of(copy: Copy) -> Iterator[tuple[str, list[Line]]]:
    """Section title and its lines, newest first; every resource but the Patients stands in exactly one."""
    *named, rest = sections()
    holders = {institution_key(id): name for id, name in copy.institutions.items()}
    place = {type: section for section in named for type in section.types}
    found: dict[str, list[Line]] = {}
    for stored in copy.record:
        if stored.type != "Patient":
            section = place.get(stored.type, rest)
            line = _line(section, stored, holders.get(stored.custodian, ""))
            found.setdefault(section.title, []).append(line)
    for section in (*named, rest):
        if section.title in found:
            yield section.title, sorted(found[section.title], key=lambda line: line.date, reverse=True)


def _line(section: Section, stored: Stored, holder: str) -> Line:
    resource = parse(stored.body)
    date = next((_day(value) for path in section.date for value in path(resource)), "")
    what = _first(section.what, resource) or stored.type
    what = what if section.types else f"{stored.type}: {what}"
    return Line(date, what, _first(section.value, resource), holder)


def _first(expressions: Iterable[paths.Path], resource: Any) -> str:
    for expression in expressions:
        texts = [text for value in expression(resource) if (text := _spoken(value))]
        if texts:
            return "; ".join(dict.fromkeys(texts))[:LONGEST]
    return ""


def _spoken(value: Any) -> str:
    """A concept, a quantity or a plain value, as it is read."""
    if isinstance(value, Mapping):
        return quantity(value) if "value" in value else _word(label(value))
    return _word(str(value))


def _word(text: str) -> str:
    return _(text) if text in CODES else text


def _day(value: Any) -> str:
    """The day of a date, or of a period's start."""
    return short_day(value.get("start") if isinstance(value, Mapping) else str(value))


def _accesses(entries: Sequence[AccessEntry]) -> Iterator[Flowable]:
    lines = [
        Line(short_moment(clock.instant(entry.at)), entry.name or entry.login, entry.interaction, entry.institution)
        for entry in reversed(entries[-MOST_ACCESSES:])
    ]
    title = _("Who looked (the latest %(count)s)") % {"count": len(lines)}
    yield from _table(title, (_("When"), _("Who"), _("Access"), _("Institution")), lines)


def _table(title: str, head: Sequence[str], lines: Sequence[Line]) -> Iterator[Flowable]:
    if not lines:
        return
    small = _style(8)
    rows = [[Paragraph(escape(text), _style(8, bold=True)) for text in head]]
    rows += [
        [Paragraph(_marked(text), small) for text in (line.date, line.what, line.value, line.holder)] for line in lines
    ]
    yield Paragraph(escape(title), _style(13, space=3, above=8))
    rule = TableStyle([("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.grey), ("VALIGN", (0, 0), (-1, -1), "TOP")])
    yield LongTable(rows, colWidths=WIDTHS, style=rule, repeatRows=1)
    yield Spacer(1, 3 * mm)


def _marked(text: str) -> str:
    """Text as the paragraph's markup. The font has no raised digits, and 10⁹ must not be read as 10."""
    return _RAISED.sub(lambda digits: f"<super>{digits[0].translate(_LOWERED)}</super>", escape(text))


def _style(size: float, *, space: float = 0, above: float = 0, bold: bool = False) -> ParagraphStyle:
    color = colors.HexColor("#555555") if bold else colors.black
    return ParagraphStyle(
        "text",
        fontName=FONT,
        fontSize=size,
        leading=size * 1.35,
        spaceAfter=space * mm / 2,
        spaceBefore=above * mm / 2,
        wordWrap="CJK",
        textColor=color,
    )


def _footer(canvas: Any, document: Any) -> None:
    canvas.setFont(FONT, 8)
    canvas.drawRightString(A4[0] - 16 * mm, 10 * mm, _("Page %(page)s") % {"page": document.page})
