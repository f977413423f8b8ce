"""The house rules as tests: floors, documents that cannot rot, dependencies that are declared, rooms of a size."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import typer.main

from xinglin.cli.main import app
from xinglin.kernel.config import PREFIX, Settings

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "src" / "xinglin"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), *SOURCE.rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError|for now|placeholder|stub)\b")
LONGEST = 800
"""Lines a file may have without a reason in its first lines."""


def named(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


# floors --------------------------------------------------------------------------------------------------------------


def test_every_floor_imports_only_from_those_below() -> None:
    run = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr


# documents -----------------------------------------------------------------------------------------------------------


def test_every_setting_is_documented_with_its_default() -> None:
    text = (REPOSITORY / "docs/reference/settings.md").read_text(encoding="utf-8")
    rows = {cells[1].strip(" `"): cells[2].strip() for line in text.splitlines() if len(cells := line.split("|")) > 4}
    wanted = {PREFIX + name.upper(): field.default for name, field in Settings.__dataclass_fields__.items()}
    assert [name for name in wanted if name not in rows] == []
    for name, default in wanted.items():
        if not isinstance(default, Path) and default != "":
            assert f"`{default}`" == rows[name], f"{name}: the page says {rows[name]}, the code {default!r}"
    assert sorted(name for name in rows if name.startswith(PREFIX) and name not in wanted) == [
        "XINGLIN_DEBUG",
        "XINGLIN_FULL",
        "XINGLIN_SHARED",
        "XINGLIN_TEST_DATABASE_URL",
    ]


def commands() -> Iterator[tuple[str, Any]]:
    """Every verb with its command, the verbs of verbs too."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", {})
        for word, child in children.items():
            yield from walk(f"{name} {word}", child)
        if not children or (command.invoke_without_command and name != "xinglin"):
            yield name, command

    yield from walk("xinglin", typer.main.get_command(app))


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_and_option_is_documented(name: str, command: Any) -> None:
    page = (REPOSITORY / "docs/reference/cli.md").read_text(encoding="utf-8")
    match = re.search(rf"^#+ `{re.escape(name)}`$(.*?)(?=^#+ `|\Z)", page, re.MULTILINE | re.DOTALL)
    assert match, f"docs/reference/cli.md has no section `{name}`"
    options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
    assert [option for option in options if option != "--help" and f"`{option}" not in match[1]] == []


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_has_help_and_an_example(name: str, command: Any) -> None:
    assert command.help
    assert "Example" in f"{command.help} {command.epilog}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    targets = [target.partition("#")[0] for target in LINK.findall(document.read_text(encoding="utf-8"))]
    local = [target for target in targets if target and not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (document.parent / target).exists()] == []


def test_the_lock_holds_exactly_one_version_of_each_dependency_and_no_address() -> None:
    lines = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin)] == []
    locked = {normal(pin.partition("==")[0]) for pin in pins}
    assert len(locked) == len(pins)
    assert declared() - locked == set(), "run `make lock`"


# code ----------------------------------------------------------------------------------------------------------------


def declared() -> set[str]:
    project = PROJECT["project"]
    needs = project["dependencies"] + [need for extra in project["optional-dependencies"].values() for need in extra]
    return {normal(re.split(r"[<>=!~;\[ ]", need)[0]) for need in needs}


def test_the_package_imports_only_what_it_declares() -> None:
    extras = PROJECT["project"]["optional-dependencies"]["matching"]  # tests/integration/test_cli.py: loaded late
    needs = {normal(re.split(r"[<>=!~;\[ ]", need)[0]) for need in PROJECT["project"]["dependencies"] + extras}
    owners = packages_distributions()
    undeclared = {
        f"{named(file)} imports {module}"
        for file in SOURCE.rglob("*.py")
        for module in imported(file)
        if module not in sys.stdlib_module_names | {"xinglin"}
        and not {normal(owner) for owner in owners.get(module, [])} & needs
    }
    assert undeclared == set()


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_nothing_in_the_source_is_left_unfinished() -> None:
    found = [
        f"{named(file)}: {match[0]}"
        for file in SOURCE.rglob("*.py")
        if (match := UNFINISHED.search(file.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_long_files_say_why() -> None:
    for file in [*SOURCE.rglob("*.py"), *(REPOSITORY / "tests").rglob("*.py")]:
        lines = file.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= LONGEST or "long" in "\n".join(lines[:12]).lower(), f"{named(file)} has {len(lines)} lines"
