"""What the command line says and where: answers on stdout, everything else on stderr; a Problem is one sentence."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from xinglin.kernel.config import PREFIX, Settings, load
from xinglin.kernel.errors import Problem

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

INTERRUPTED = 130  # what a shell expects after Ctrl-C


def answer(value: Any) -> None:
    """One JSON document on stdout, for scripts."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")
    sys.stdout.flush()


def warn(text: str) -> None:
    err.print(f"[yellow]{escape(text)}[/]")


def settings_with(**chosen: object) -> Settings:
    """The settings of the environment, with the options given on the command line in their place."""
    given = {PREFIX + name.upper(): str(value) for name, value in chosen.items() if value is not None}
    return load({**os.environ, **given})


def environment_of(settings: Settings, database_url: str) -> Mapping[str, str]:
    """The variables that hand these settings and this database to another process."""
    values = {name: getattr(settings, name) for name in Settings.__dataclass_fields__}
    values["database_url"] = database_url
    return {PREFIX + name.upper(): str(value) for name, value in values.items()}


def refuse(error: Problem) -> NoReturn:
    """Each issue as a sentence on stderr, and exit code 1."""
    for issue in error.issues:
        err.print(f"[red]Error:[/] {escape(issue.sentence())}")
    raise typer.Exit(1)


def unexpected(error: Exception) -> NoReturn:
    """A fault of ours: named, without a page of source lines unless asked for."""
    if os.environ.get("XINGLIN_DEBUG"):
        traceback.print_exc()
    err.print(
        f"[red]Error:[/] {escape(type(error).__name__)}: {escape(str(error))}. This is a fault of Xinglin. "
        "Set XINGLIN_DEBUG=1 to see where it happened, and report it."
    )
    raise typer.Exit(70)
