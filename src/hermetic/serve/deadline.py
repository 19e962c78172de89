"""One deadline for a request, whatever it is waiting for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

from hermetic.serve.errors import ApiError

__all__ = ["Deadline"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """``at`` is in the event loop's time; ``seconds`` is how long the request was given, to be told."""

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(at=asyncio.get_running_loop().time() + seconds, seconds=seconds)

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Cancels what is inside when the time is up.  Raises ApiError 503."""
        try:
            async with asyncio.timeout_at(self.at):
                yield
        except TimeoutError:
            raise ApiError.timed_out(self.seconds) from None

    async def each(self, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """``items``, each of them in time.  Closing this closes ``items``."""
        async with contextlib.aclosing(items):
            while True:
                async with self.kept():
                    try:
                        item = await anext(items)
                    except StopAsyncIteration:
                        return
                yield item
