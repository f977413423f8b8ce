"""The command line as people meet it: help, suggestions, errors as sentences, JSON for scripts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from xinglin.cli.main import app
from xinglin.kernel.config import Settings
from xinglin.kernel.database import with_database

NO_SERVER = "postgresql://xinglin@127.0.0.1:1/none"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of whoever runs the tests reaches the command."""
    for name in [name for name in os.environ if name.startswith("XINGLIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XINGLIN_HOME", str(tmp_path / "home"))


def xinglin(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "200", **environment})


def process(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own."""
    return subprocess.run([Path(sys.executable).parent / "xinglin", *words], env=environment, capture_output=True)


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_no_word_gives_help_with_every_verb() -> None:
    said = xinglin().output
    assert all(verb in said for verb in ("serve", "demo", "load", "migrate", "doctor", "user", "token"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sreve"], "Did you mean 'serve'"),
        (["user", "ad"], "Did you mean 'add'"),
        (["serve", "--prot", "80"], "--port"),
        (["load"], "Missing argument"),
        (["serve", "--port", "high"], "valid integer"),
    ],
)
def test_wrong_words_get_a_suggestion(words: list[str], says: str) -> None:
    result = xinglin(*words)
    assert result.exit_code == 2 and says in result.output and "Traceback" not in result.output


@pytest.mark.parametrize(
    ("words", "environment", "says"),
    [
        (["serve"], {"XINGLIN_PORT": "99999"}, "port from 1 to 65535"),
        (["serve"], {"XINGLIN_ZONE": "Mars"}, "Asia/Shanghai"),
        (["serve", "--host", "192.0.2.1", "--port", "18081"], {}, "192.0.2.1"),
        (["migrate"], {"XINGLIN_DATABASE_URL": NO_SERVER}, "cannot be reached"),
        (["migrate"], {"XINGLIN_DATABASE_URL": "nonsense"}, "cannot be reached"),
        (["load", "nowhere.json"], {}, "does not exist"),
        (["load", ".", "--custodian", "../x"], {}, "not a FHIR id"),
        (["user", "list"], {"XINGLIN_DATABASE_URL": NO_SERVER}, "cannot be reached"),
        (["audit", "verify", "nowhere.zip"], {}, "nowhere.zip cannot be read"),
        (["audit", "verify", "."], {}, "cannot be read"),
    ],
)
def test_what_can_be_mended_is_one_sentence(words: list[str], environment: dict[str, str], says: str) -> None:
    result = xinglin(*words, **environment)
    assert result.exit_code == 1 and says in result.output and "Traceback" not in result.output


def test_a_busy_port_is_refused_before_anything_starts(busy_port: int, tmp_path: Path) -> None:
    for verb in ("serve", "demo"):
        result = xinglin(verb, "--port", str(busy_port))
        assert result.exit_code == 1 and f"--port {busy_port + 1}" in result.output
    assert not (tmp_path / "home").exists()


def test_a_path_that_cannot_be_is_no_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def written(**_: object) -> Settings:
        Path("/proc/nowhere/file").write_text("x")
        raise AssertionError

    monkeypatch.setattr("xinglin.cli.console.settings_with", written)
    result = xinglin("migrate")
    assert result.exit_code == 1 and "/proc/nowhere/file: No such file or directory." in result.output


def test_a_fault_of_ours_is_named_without_source_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> Settings:
        raise RuntimeError("the cat sat on it")

    monkeypatch.setattr("xinglin.cli.console.settings_with", broken)
    result = xinglin("migrate")
    assert result.exit_code == 70 and "the cat sat on it" in result.output and "File " not in result.output


async def test_migrate_changes_nothing_the_second_time(database_url: str) -> None:
    environment = {**os.environ, "XINGLIN_DATABASE_URL": database_url}
    done = process(environment, "migrate", "--json")
    assert json.loads(done.stdout) == {"applied": []}


async def test_doctor_says_what_to_mend(postgres: str, busy_port: int) -> None:
    environment = {
        **os.environ,
        "XINGLIN_DATABASE_URL": with_database(postgres, "missing"),
        "XINGLIN_DATABSE_URL": "misspelt",
        "XINGLIN_PORT": str(busy_port),
    }
    done = process(environment, "doctor", "--json")
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 1
    assert found["Python"]["state"] == found["packages"]["state"] == "ok"
    assert found["database"]["state"] == "fail" and "missing" in found["database"]["text"]
    assert "XINGLIN_DATABSE_URL" in found["settings"]["text"] and found["port"]["state"] == "warn"


def test_help_comes_at_once() -> None:
    """The engine is loaded only by verbs that use it."""
    loaded = "import sys, xinglin.cli.main; print(*sorted(m for m in sys.modules if m.startswith('xinglin.')))"
    modules = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    assert "xinglin.access.records" not in modules and "xinglin.app" not in modules


def test_a_node_needs_nothing_of_the_extras() -> None:
    """What trains and weighs in batches is loaded by the verbs that do, and only there."""
    loaded = "import sys, xinglin.app, xinglin.cli.main; print(*(m for m in ('duckdb', 'splink') if m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "\n"


def test_demo_serves_and_starts_again_from_what_is_there(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [Path(sys.executable).parent / "xinglin", "demo", "--people", "20", "--port", str(port), "--json"]
    first = demo(command)
    logins = {one["login"] for one in first["sign_ins"]}
    assert {"patient", "clinician", "pharmacist", "clerk", "manager"} <= logins
    before = time.monotonic()
    assert demo(command[:2] + command[4:]) == first  # the county that is there, without being told its size
    assert time.monotonic() - before < 30  # 5 s on a machine of its own
    other = subprocess.run([*command, "--seed", "8"], capture_output=True, text=True)
    assert other.returncode == 1 and "--home" in other.stderr


def demo(command: list[str | Path]) -> dict[str, object]:
    """Run the demo until it serves; Ctrl-C; what it said."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        said = ""
        while not said.endswith("\n}\n"):
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
            said += line
        process.send_signal(2)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0 and "Stopped." in errors and "Traceback" not in errors
    answer: dict[str, object] = json.loads(said)
    return answer
