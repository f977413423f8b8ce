"""The process log: moments in UTC with their offset in whatever zone, and no flood that anybody may cause."""

from __future__ import annotations

import logging
import re
import time

import pytest

from xinglin.kernel import logs, sparing

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 WARNING xinglin\.\w+ \S.*")


def test_moments_are_utc_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    record = logging.LogRecord("xinglin.test", logging.WARNING, "", 0, "what %s", ("happened",), None)
    record.created = 1_777_617_000.1239
    shown = set()
    for zone in ("Asia/Shanghai", "UTC", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        shown.add(logs.InUtc(logs.FORMAT).format(record))
    monkeypatch.undo()
    time.tzset()
    assert shown == {"2026-05-01T06:30:00.123+00:00 WARNING xinglin.test what happened"}
    assert LINE.fullmatch(shown.pop())


def test_the_web_servers_own_lines_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    from granian.log import LogLevels, configure_logging

    configure_logging(LogLevels.warning, logs.SERVER)
    try:
        for name in ("_granian", "granian.access"):
            logging.getLogger(name).warning("one line")
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 2 and all(re.match(r"\S+\+00:00 WARNING \S+ one line$", line) for line in lines)
    finally:
        for name in ("_granian", "granian.access"):
            logging.getLogger(name).handlers = []


def test_what_anybody_may_cause_is_written_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr(sparing, "monotonic", lambda: now[0])
    sparing._texts.clear()
    log = logging.getLogger("xinglin.test")
    for second in range(150):
        now[0] = 1000.0 + second
        sparing.warn(log, "a forged form")
    for number in range(3 * sparing.MOST_TEXTS):
        sparing.warn(log, f"text {number}")
    lines = [record.message for record in caplog.records if "forged" in record.message]
    again = "a forged form (and 59 times more since the last such line)"
    assert lines == ["a forged form", again, again]
    assert len(sparing._texts) <= sparing.MOST_TEXTS
