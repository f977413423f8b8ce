"""Which bytes of a file a request wants (RFC 9110, 14): a download that broke off goes on from where it stood."""

from __future__ import annotations

import re
from typing import Final

_RANGE: Final = re.compile(r"bytes\s*=\s*(\d{0,15})\s*-\s*(\d{0,15})", re.ASCII)


def wanted(asked: str | None, unchanged: bool, length: int) -> tuple[int, int] | None:
    """[start, end) of a Range header, None for the whole file; start == end where there is no such part.

    What is no single range of bytes is set aside, and so is all where If-Range names another file.
    """
    found = _RANGE.fullmatch(asked.strip()) if asked and unchanged else None
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        return max(0, length - int(found[2])), length
    start, last = int(found[1]), int(found[2] or length)
    if last < start:
        return None
    return (start, min(last + 1, length)) if start < length else (length, length)
