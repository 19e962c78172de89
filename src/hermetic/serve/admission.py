"""Who may use the engine now: as many as it has slots, a bounded queue behind them, and a plain no to the rest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from hermetic.serve.deadline import Deadline
from hermetic.serve.errors import ApiError

__all__ = ["Admission"]


class Admission:
    """``slots`` side by side, ``queue`` waiting.  ``retry_after`` (seconds) is told to those who find it full."""

    def __init__(self, *, slots: int, queue: int, retry_after: float = 2.0) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._capacity = slots + queue
        self._slot_count = slots
        self._retry_after = retry_after
        self._inside = 0
        self.stopping = False

    @property
    def running(self) -> int:
        return min(self._inside, self._slot_count)

    @property
    def waiting(self) -> int:
        return max(0, self._inside - self._slot_count)

    def stop(self) -> None:
        """Admits nobody any more; those inside finish."""
        self.stopping = True

    @contextlib.asynccontextmanager
    async def slot(self, deadline: Deadline) -> AsyncIterator[None]:
        """Holds a slot.  Raises ApiError 429 when the queue is full, 503 while stopping or when none came in time."""
        if self.stopping:
            raise ApiError.stopping()
        if self._inside >= self._capacity:
            raise ApiError.busy(retry_after=self._retry_after)
        self._inside += 1
        try:
            async with deadline.kept():
                await self._slots.acquire()
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._inside -= 1
