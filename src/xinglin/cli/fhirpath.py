"""`xinglin fhirpath`: what an expression finds in a resource."""

from __future__ import annotations

import sys
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from xinglin.cli import console
from xinglin.core import paths
from xinglin.kernel.errors import Invalid

EXAMPLE = "Example: xinglin fhirpath 'Patient.name.given' patient.json"
WRONG = 2
"""Exit code for an expression or a file that cannot be read."""


def fhirpath(
    expression: Annotated[str, typer.Argument(help="A FHIRPath expression.")],
    file: Annotated[str, typer.Argument(help="A JSON file with one resource; - reads standard input.")],
) -> None:
    """Print what a FHIRPath expression finds in a resource, as a JSON list."""
    try:
        found = paths.compile(expression)(_read(file))
    except paths.PathError as error:
        console.err.print(f"{error}\n\n{error.caret()}", markup=False)
        if _is_file(expression):
            console.err.print(f"The expression comes first, then the file. {EXAMPLE}", markup=False)
        raise typer.Exit(WRONG) from None
    except Invalid as error:
        console.err.print(str(error), markup=False)
        raise typer.Exit(WRONG) from None
    sys.stdout.write(msgspec.json.format(_encoded(found), indent=2).decode() + "\n")


def _is_file(name: str) -> bool:
    with suppress(OSError, ValueError):  # what is too long for a name is none
        return Path(name).is_file()
    return False


def _read(file: str) -> Any:
    """The parsed JSON, decimals exact. Raises Invalid for a file that is not there or is not JSON."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return msgspec.json.Decoder(float_hook=Decimal).decode(content)
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}.") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        several = " It may hold several resources, one a line: give one of them." if "trailing" in str(error) else ""
        raise Invalid(f"{file} is not JSON: {error}.{several}") from None


def _encoded(value: Any) -> bytes:
    return msgspec.json.Encoder(decimal_format="number").encode(value)
