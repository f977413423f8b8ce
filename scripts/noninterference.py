"""Ask the node a great many generated requests, each twice: with and without what the caller may not see.

    python scripts/noninterference.py --requests 1000000

Runs tests/generative/test_noninterference.py again and again with fresh examples until so many requests were answered,
and ends with 1 at the first answer that tells something.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parent.parent
TEST = "tests/generative/test_noninterference.py"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000, help="how many at least")
    parser.add_argument("--examples", type=int, default=300, help="counties of one run")
    asked = parser.parse_args()
    done, began = 0, monotonic()
    with tempfile.TemporaryDirectory() as folder:
        count = Path(folder) / "count"
        environment = {**os.environ, "XINGLIN_EXAMPLES": str(asked.examples), "XINGLIN_COUNT": str(count)}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", TEST]
        while done < asked.requests:
            ran = subprocess.run(command, cwd=ROOT, env=environment, check=False)
            done += int(count.read_text()) if count.exists() else 0
            print(f"{done:,} requests, {monotonic() - began:,.0f} s", flush=True)
            if ran.returncode:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
