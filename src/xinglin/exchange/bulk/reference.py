"""The table of bulk operations in docs/reference/rest.md, from what is served.

python -m xinglin.exchange.bulk.reference docs/reference/rest.md     writes it into the page
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from xinglin.core.rest import reference
from xinglin.exchange.bulk.operations import OPERATIONS

BEGIN: Final = "<!-- generated: python -m xinglin.exchange.bulk.reference docs/reference/rest.md -->"


def renewed(page: str) -> str:
    return reference.renewed(page, BEGIN, reference.operations_table(OPERATIONS))


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
