"""docs/reference/asvs.md names requirements once each, and only tests, files and settings that exist."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "docs/reference/asvs.md", REPOSITORY / "docs/explanation/threat-model.md"]
ROW = re.compile(r"^\| (\d\S*) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
PLACE = re.compile(r"`((?:tests|src|docs|\.ci)/[^`\s]+|(?:requirements\.lock|pyproject\.toml|Makefile))`")
WAYS = ("met", "not applicable", "NOT MET")


def rows() -> list[tuple[str, ...]]:
    return ROW.findall(PAGES[0].read_text(encoding="utf-8"))


def test_every_requirement_stands_once_with_its_level_and_a_plain_word() -> None:
    found = rows()
    assert len(found) > 200
    assert [row[0] for row in found if not re.fullmatch(r"\d+\.\d+\.\d+", row[0])] == []
    assert [number for number, count in Counter(row[0] for row in found).items() if count > 1] == []
    assert [row[0] for row in found if row[1] not in ("1", "2")] == []
    assert [row[0] for row in found if not row[3].startswith(WAYS)] == []
    assert [row[0] for row in found if len(row[2].split()) > 8] == []
    assert [row[0] for row in found if row[3].startswith("met") and not PLACE.search(row[4])] == []


def test_the_counts_that_are_said_are_those_of_the_rows() -> None:
    counts = Counter(next(way for way in WAYS if row[3].startswith(way)) for row in rows())
    said = re.search(r"(\d+) met, (\d+) not applicable, (\d+) not met", PAGES[0].read_text(encoding="utf-8"))
    assert said and [int(number) for number in said.groups()] == [counts[way] for way in WAYS]


def test_every_test_and_file_that_is_named_exists() -> None:
    missing = set()
    for page in PAGES:
        for place in PLACE.findall(page.read_text(encoding="utf-8")):
            path, _, function = place.partition("::")
            file = REPOSITORY / path
            if not file.exists() or (function and f"def {function}(" not in file.read_text(encoding="utf-8")):
                missing.add(place)
    assert missing == set()
