"""Fetches the pinned JavaScript that pages and their tests use, and records its checksums in `vendor.json`.

    python scripts/vendor_assets.py            # fetch the pinned versions again
    python scripts/vendor_assets.py --check    # only compare the files here with their checksums

The files are committed, so that neither an installation nor the tests fetch anything. To raise a version, change it
in PACKAGES, run this, read the licence and the difference, run tests/journeys/test_components.py, commit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "src" / "xinglin" / "ui" / "static" / "vendor"
TESTS = ROOT / "tests" / "journeys" / "vendor"


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    licence: str
    files: dict[str, str]
    """Path in the package -> name here."""
    folder: Path


PACKAGES = (
    Package(
        "htmx.org",
        "4.0.1",
        "0BSD",
        {"dist/htmx.min.js": "htmx.min.js", "LICENSE": "htmx.LICENSE.txt"},
        SHIPPED,
    ),
    Package(
        "uplot",
        "1.6.32",
        "MIT",
        {
            "dist/uPlot.iife.min.js": "uplot.min.js",
            "dist/uPlot.min.css": "uplot.min.css",
            "LICENSE": "uplot.LICENSE.txt",
        },
        SHIPPED,
    ),
    Package(
        "axe-core",
        "4.14.1",
        "MPL-2.0",
        {
            "axe.min.js": "axe.min.js",
            "LICENSE": "axe.LICENSE.txt",
            "LICENSE-3RD-PARTY.txt": "axe.LICENSE-3RD-PARTY.txt",
        },
        TESTS,
    ),
    Package(
        "fhirclient",
        "2.6.3",
        "Apache-2.0",
        {
            "build/fhir-client.pure.min.js": "fhir-client.min.js",
            "LICENSE": "fhir-client.LICENSE.txt",
            "build/fhir-client.pure.min.js.LICENSE.txt": "fhir-client.LICENSE-3RD-PARTY.txt",
        },
        TESTS,
    ),
)


def fetch(package: Package) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", f"{package.name}@{package.version}"], cwd=folder, check=True)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as packed:
            for inside, here in package.files.items():
                member = packed.extractfile(f"package/{inside}")
                if member is None:
                    raise SystemExit(f"{package.name} {package.version} has no file {inside}")
                (package.folder / here).write_bytes(member.read())


def entry(package: Package) -> dict[str, object]:
    sums = {here: hashlib.sha256((package.folder / here).read_bytes()).hexdigest() for here in package.files.values()}
    return {
        "name": package.name,
        "version": package.version,
        "licence": package.licence,
        "sha256": sums,
    }


def differences(folder: Path) -> list[str]:
    """What in a vendor folder is not as its vendor.json says: changed, absent or not listed."""
    recorded = json.loads((folder / "vendor.json").read_text())
    expected = {name: digest for one in recorded for name, digest in one["sha256"].items()}
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "vendor.json"
    }
    names = sorted(expected.keys() | found.keys())
    return [f"{folder.name}/{name}" for name in names if expected.get(name) != found.get(name)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only, fetch nothing")
    if not parser.parse_args().check:
        for folder in (SHIPPED, TESTS):
            folder.mkdir(parents=True, exist_ok=True)
        for package in PACKAGES:
            fetch(package)
        for folder in (SHIPPED, TESTS):
            entries = [entry(package) for package in PACKAGES if package.folder == folder]
            (folder / "vendor.json").write_text(json.dumps(entries, indent=2) + "\n")
    wrong = [name for folder in (SHIPPED, TESTS) for name in differences(folder)]
    for name in wrong:
        print(f"{name} differs from vendor.json", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
