"""Warnings that anybody may cause, written sparingly: the first at once, those of the next minute as a number.

A log that each hostile request lengthens is a way to fill a disk and to hide among lines.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import Final

EVERY: Final = 60.0  # seconds between lines of one text
MOST_TEXTS: Final = 1000  # that are remembered

_texts: dict[str, tuple[float, int]] = {}  # text -> when it may be written again, how often it was left out


def warn(log: logging.Logger, text: str) -> None:
    """Write the text as a warning, once a minute at most, with how often it was left out before."""
    now = monotonic()
    again, left_out = _texts.get(text, (0.0, 0))
    if now < again:
        _texts[text] = (again, left_out + 1)
        return
    if len(_texts) >= MOST_TEXTS:
        _texts.clear()
    _texts[text] = (now + EVERY, 0)
    log.warning("%s%s", text, f" (and {left_out} times more since the last such line)" if left_out else "")
