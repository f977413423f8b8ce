"""The reference page of the API says what is served, and its error table knows every status that can be answered."""

from __future__ import annotations

import re
from pathlib import Path

from xinglin.core.rest.reference import renewed
from xinglin.exchange.bulk import reference as bulk

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "rest.md"


def test_the_page_is_as_generated() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert renewed(text) == text, "run: python -m xinglin.core.rest.reference docs/reference/rest.md"


def test_the_table_of_bulk_operations_is_as_generated() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert bulk.renewed(text) == text, "run: python -m xinglin.exchange.bulk.reference docs/reference/rest.md"


def test_every_status_is_explained() -> None:
    from xinglin.core.rest import body, negotiation, outcomes, routing  # noqa: F401  their problems count too
    from xinglin.kernel.errors import Problem

    explained = set(re.findall(r"^\| ([\d, ]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    statuses = {number for cell in explained for number in cell.split(", ")}
    kinds = [
        kind for kind in Problem.__subclasses__() if kind.__module__.startswith(("xinglin.kernel", "xinglin.core"))
    ]
    missing = {str(kind.status) for kind in kinds} - statuses - {"403"}  # forbidden looks like missing here
    assert not missing
