"""The tables of docs/reference/rest.md, from the table of what is served.

python -m xinglin.core.rest.reference docs/reference/rest.md     writes them into the page
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from xinglin.core.rest.routing import Operation
from xinglin.core.rest.table import INTERACTIONS, OPERATIONS

BEGIN: Final = "<!-- generated: python -m xinglin.core.rest.reference docs/reference/rest.md -->"
END: Final = "<!-- end of generated -->"
ADDRESSES: Final = {
    "metadata": "/metadata",
    "openapi": "/openapi.json",
    "instance": "/[type]/[id]",
    "version": "/[type]/[id]/_history/[version]",
    "instance-history": "/[type]/[id]/_history",
    "type-history": "/[type]/_history",
    "system-history": "/_history",
    "type": "/[type]",
    "type-search": "/[type]/_search",
    "system": "/",
    "system-search": "/_search",
    "compartment": "/[compartment]/[id]/[type]",
    "compartment-search": "/[compartment]/[id]/[type]/_search",
}
LEVELS: Final = {
    "system": "/${name}",
    "type": "/{type}/${name}",
    "instance": "/{type}/[id]/${name}",
    "version": "/{type}/[id]/_history/[version]/${name}",
}


def tables() -> str:
    """Interactions and operations as two Markdown tables."""
    rows = [
        (one.method, f"`{ADDRESSES[one.shape]}`", one.code, one.summary + (" No sign-in." if one.public else ""))
        for one in INTERACTIONS
    ]
    interactions = _table(("method", "address below the base", "interaction", ""), rows)
    return f"{interactions}\n\n{operations_table(OPERATIONS)}"


def operations_table(operations: Sequence[Operation]) -> str:
    """Operations as a Markdown table, a row for each level they are served at."""
    served = [
        (", ".join(one.methods()), _address(one.name, level, sorted(one.types)), one.summary)
        for one in operations
        for level in LEVELS
        if level in one.levels
    ]
    return _table(("method", "operation", ""), served)


def _address(name: str, level: str, types: Sequence[str]) -> str:
    return f"`{LEVELS[level].format(name=name, type='|'.join(types) or '[type]')}`".replace("|", "\\|")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def renewed(page: str, begin: str = BEGIN, text: str = "") -> str:
    """The page with its tables, or another generated text that starts at `begin`, as they are now."""
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n\n{text or tables()}\n\n{END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
