"""granian's server, made to endure: a node that has served once goes on, however often its workers are killed.

granian itself ends when the same worker dies twice within 5.5 seconds, which is right while a node starts (its settings
are wrong, and nobody is helped by trying again) and wrong later: the database is away for a minute, or the system
kills for want of memory, and the other workers do their work.
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import Any, Final

from granian import Granian

WINDOW: Final = 60.0  # seconds in which deaths are counted
AT_ONCE: Final = 10  # deaths within the window that are made good without a pause
LONGEST: Final = 5.0  # seconds of pause before a worker is started again


def pause(deaths: int) -> float:
    """Seconds to wait before a worker is started again, after so many deaths within the window."""
    return 0.0 if deaths <= AT_ONCE else min(LONGEST, 0.25 * 2.0 ** (deaths - AT_ONCE))


class Enduring(Granian):
    """`served` is set once the node has answered: from then on workers are brought back without end."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.served = threading.Event()
        self._deaths: deque[float] = deque(maxlen=100)

    def _respawn_workers(self, workers: Any, spawn_target: Any, target_loader: Any, delay: float = 0) -> None:
        if self.served.is_set() and not self.reload_signal:
            self._rest(len(workers))
        if self.interrupt_signal:
            return  # asked to end while waiting: what is dead stays so
        super()._respawn_workers(workers, spawn_target, target_loader, delay)
        if self.served.is_set():
            self.respawned_wrks.clear()  # what granian looks at to tell a crash loop

    def _rest(self, died: int) -> None:
        now = monotonic()
        self._deaths.extend([now] * died)
        while self._deaths and self._deaths[0] < now - WINDOW:
            self._deaths.popleft()
        until = now + pause(len(self._deaths))
        while not self.interrupt_signal and (left := until - monotonic()) > 0:
            threading.Event().wait(min(left, 0.1))
