"""The broker's clock: never earlier than what is already written or signed (design.md D11).

The host owns the clock.  Turning it back would revive an expired keyset or an old revocation list, so ``now`` has a
floor: the newest entry in the journal, and the newest date in endorsements that verified under real hardware's roots.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime

__all__ = ["FlooredClock"]


class FlooredClock:
    """``now()`` in UTC, at least ``floor`` and every date observed since.  Thread-safe."""

    def __init__(self, floor: datetime | None = None) -> None:
        self._floor = floor or datetime.fromtimestamp(0, UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return max(datetime.now(UTC), self._floor)

    def observe(self, dates: Iterable[datetime]) -> None:
        """Raises the floor to the newest of ``dates``.  Only dates that a vendor signed belong here: a simulator signs
        any date it likes."""
        with self._lock:
            self._floor = max((self._floor, *dates))
