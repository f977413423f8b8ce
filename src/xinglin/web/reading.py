"""What the patient's and the clinician's pages of a record share: a long list in pages, a report's results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from xinglin.access.records import Records
from xinglin.core.schema.decode import parse
from xinglin.ui.i18n import _, ngettext
from xinglin.ui.preferences import same_page
from xinglin.web.chart.timeline import Dated
from xinglin.web.chart.words import Resource

PER_PAGE: Final = 25


@dataclass(frozen=True, slots=True)
class Slice:
    """One page of a list: its part, and the addresses of the neighbours ("" where there is none)."""

    items: Sequence[Dated]
    previous: str
    next: str
    summary: str


def page_of(request: Request, found: Sequence[Dated]) -> Slice:
    """The page of the list that `page` in the address asks for; the nearest one where it asks for none that exists."""
    asked = request.query_params.get("page", "1")
    last = max(1, -(-len(found) // PER_PAGE))
    number = min(max(int(asked), 1), last) if asked.isdecimal() and len(asked) < 6 else 1
    start = (number - 1) * PER_PAGE
    count = ngettext("%(count)s entry", "%(count)s entries", len(found)) % {"count": len(found)}
    where = _("page %(page)s of %(pages)s") % {"page": number, "pages": last}
    return Slice(
        found[start : start + PER_PAGE],
        same_page(request, page=str(number - 1)) if number > 1 else "",
        same_page(request, page=str(number + 1)) if number < last else "",
        f"{count} · {where}" if last > 1 else count,
    )


async def results_of(gate: Records, report: Resource) -> list[dict[str, Any]]:
    """The observations of a report, in the report's order, as far as they may be seen."""
    references = [str(result.get("reference", "")) for result in report.get("result", ())]
    ids = [reference.removeprefix("Observation/") for reference in references if reference.startswith("Observation/")]
    found = {stored.id: parse(stored.body) for stored in await gate.visible_of("Observation", ids[:200])}
    return [found[id] for id in ids if id in found]
