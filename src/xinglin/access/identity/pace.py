"""How much one caller may ask of a worker: so many requests at once, and of a person so many in a second.

The first keeps one caller from taking every connection to the database. The second bounds what a script in a
person's name, or an app of theirs, can carry off or fill in; it does not bind programs that load and export, whose
tokens institutions and operators gave them for that. Kept in memory, by each worker for itself: a request pays less
than 2 µs, and a restart forgets.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import Final

from xinglin.access.principal import Principal, Role
from xinglin.kernel.errors import TooMany
from xinglin.kernel.sparing import warn

BURST: Final = 20.0  # seconds' worth of requests that may come all at once
PROGRAMS: Final = 8
"""Times as many requests as a person a program may have under way: a hospital's engine asks for all of its users."""
MOST_REMEMBERED: Final = 10_000
OPERATORS: Final = "token:"  # begins the login of a token that the operator issued

log = logging.getLogger(__name__)


class TooManyCalls(TooMany):
    """One caller asks for more than their share."""


class Pace:
    """One per worker. at_once: requests of one person under way, PROGRAMS times as many of a program; per_second: of
    a person. 0 bounds nothing."""

    def __init__(self, at_once: int, per_second: int) -> None:
        self.at_once = at_once
        self.each = 1 / per_second if per_second else 0.0
        self._inside: dict[str, int] = {}
        self._until: dict[str, float] = {}  # a leaking bucket: when all that was asked has leaked away

    def enter(self, who: Principal) -> None:
        """Count a request in; `leave` counts it out. Raises TooManyCalls, and then it is not counted."""
        login = who.login
        inside = self._inside.get(login, 0)
        program = who.role is Role.SYSTEM or login.startswith(OPERATORS)
        if self.at_once and inside >= self.at_once * (PROGRAMS if program else 1):
            raise self._refused(who, f"{inside} requests at once")
        if self.each and not program:
            self._leak(who)
        self._inside[login] = inside + 1

    def leave(self, who: Principal) -> None:
        left = self._inside[who.login] - 1
        if left:
            self._inside[who.login] = left
        else:
            del self._inside[who.login]

    def _leak(self, who: Principal) -> None:
        now = monotonic()
        until = max(self._until.get(who.login, now), now) + self.each
        if until - now > BURST:
            raise self._refused(who, f"more than {1 / self.each:.0f} requests a second")
        if len(self._until) >= MOST_REMEMBERED and who.login not in self._until:
            self._until = {login: until for login, until in self._until.items() if until > now}
        self._until[who.login] = until

    def _refused(self, who: Principal, what: str) -> TooManyCalls:
        name = "a patient's account" if who.role is Role.PATIENT else f"{who.role.value} {who.login}"
        warn(log, f"refused for their number: requests of {name}")
        return TooManyCalls(f"One caller has sent {what}.", remedy="Wait a few seconds and send fewer at a time.")
