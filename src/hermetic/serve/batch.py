"""Leaves on their way to the log: many at a time, again and again until it answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from hermetic.ledger import Inclusion

__all__ = ["Append", "Batch"]

Append: TypeAlias = Callable[[Sequence[bytes]], Awaitable[Sequence[Inclusion]]]
"""Appends 32-byte leaves and returns the place of each, in order.  Raises if the log does not answer.

A place is as the log told it: the server passes it on, the client verifies it.
"""


class Batch:
    """Collects leaves for ``interval`` seconds and appends at most ``size`` at once.

    While the log does not answer, it is asked again after ever longer pauses, and leaves wait.  Where ``capacity`` of
    them wait, the next is given up: its receipt stays pending for ever, and ``lost`` counts it.
    """

    def __init__(
        self, append: Append, *, interval: float = 0.2, size: int = 256, capacity: int = 100_000, patience: float = 30.0
    ) -> None:
        self._append = append
        self._interval = interval
        self._size = size
        self._capacity = capacity
        self._patience = patience
        self._waiting: deque[tuple[bytes, Callable[[Inclusion], None]]] = deque()
        self._arrived = asyncio.Event()
        self.lost = 0

    @property
    def pending(self) -> int:
        return len(self._waiting)

    def add(self, leaf: bytes, placed: Callable[[Inclusion], None]) -> None:
        """Queues a leaf; ``placed`` is called once it stands in the log."""
        if len(self._waiting) >= self._capacity:
            self.lost += 1
            return
        self._waiting.append((leaf, placed))
        self._arrived.set()

    async def run(self) -> None:
        """Appends until cancelled."""
        pause = self._interval
        while True:
            await self._arrived.wait()
            await asyncio.sleep(pause)
            pause = self._interval if await self._flush() else min(2 * pause, self._patience)

    async def drain(self, *, seconds: float) -> None:
        """Appends what is left before the process ends; gives up after ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                while self._waiting and await self._flush():
                    pass
        except TimeoutError:
            return

    async def _flush(self) -> bool:
        """One batch.  False if the log did not take it."""
        batch = list(self._waiting)[: self._size]
        try:
            places = await self._append([leaf for leaf, _ in batch])
        except Exception:  # whatever it was, the leaves are still here; the gauge of pending receipts tells
            return False
        for (_, placed), place in zip(batch, places, strict=True):
            self._waiting.popleft()
            placed(place)
        if not self._waiting:
            self._arrived.clear()
        return True
