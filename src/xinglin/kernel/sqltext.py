"""SQL as named text: a `.sql` file whose statements begin with `-- name: words_joined`, read as SQL by people."""

from __future__ import annotations

import re
from importlib.resources import files
from types import SimpleNamespace

_NAME = re.compile(r"^-- name: *(\w+) *$", re.MULTILINE)


def load(package: str, file: str) -> SimpleNamespace:
    """The statements of `file` in `package`, as attributes: `load("xinglin.access", "audit.sql").insert`."""
    text = files(package).joinpath(file).read_text(encoding="utf-8")
    parts = _NAME.split(text)
    return SimpleNamespace(
        **{name: body.strip().rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    )
