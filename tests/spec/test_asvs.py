"""docs/reference/asvs.md names requirements once each, and only tests, files and settings that exist; and each of the
92 attack cases is borne by a test that docs/explanation/security.md names."""

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


CASES = REPOSITORY / "docs/explanation/security.md"
CASE = re.compile(r"^\| (\d[\d, -]*) \| .*? \| (.*?) \|$", re.MULTILINE)
BORNE = re.compile(r"def test_(?:case_)?((?:\d+_)+)|\"(\d\d)_[^\"]*\"")


def numbers(text: str) -> set[int]:
    """Of "1, 2" and "15-18"."""
    spans = [part.split("-") for part in text.replace(" ", "").split(",")]
    return {number for span in spans for number in range(int(span[0]), int(span[-1]) + 1)}


def borne(path: Path) -> set[int]:
    """The cases whose numbers a file's tests bear: in a function's name, or in the name of an example."""
    found = BORNE.findall(path.read_text(encoding="utf-8"))
    return {int(number) for pair in found for part in pair if part for number in part.strip("_").split("_")}


def test_every_attack_case_is_borne_by_a_test_that_is_named() -> None:
    rows = CASE.findall(CASES.read_text(encoding="utf-8"))
    assert set().union(*(numbers(row[0]) for row in rows)) == set(range(1, 93))
    for said, places in rows:
        named = [place if "/" in place else f"security/{place}" for place in re.findall(r"`([a-z_/0-9]+\.py)`", places)]
        files = [REPOSITORY / "tests" / place for place in named]
        assert [str(file) for file in files if not file.exists()] == []
        missing = numbers(said) - set().union(*map(borne, files))
        assert missing == set(), f"{missing}: {places}"
