"""Write requirements.lock: exact versions of everything that `pip install .[dev]` brings, without addresses.

Run by `make lock`. A fresh environment resolves the newest versions that pyproject.toml allows; pip installs them
later by name from whichever index it is set up with.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
LOCK = REPOSITORY / "requirements.lock"
HEAD = "# Exact versions of what Xinglin and its tests use. Made by `make lock`; do not edit.\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, f"{REPOSITORY}[dev]"], check=True)
        frozen = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout
    pins = sorted((line for line in frozen.splitlines() if "==" in line), key=str.lower)
    LOCK.write_text(HEAD + "".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    sys.stdout.write(f"{LOCK.name}: {len(pins)} packages\n")


if __name__ == "__main__":
    main()
