"""How long a request may take to arrive.

Whoever sends slowly has shown no key yet: the channel has to read the whole body before it can open it.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hermetic.serve.asgi import respond_error
from hermetic.serve.errors import ApiError

__all__ = ["Arrival"]


class _TooSlow(Exception):
    """The time is up and the body has not ended."""


class Arrival:
    """Gives a body ``seconds`` to arrive whole, and answers 408 when it does not.  Stands outside the channel."""

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self._seconds
        arriving = True

        async def in_time() -> Message:
            nonlocal arriving
            if not arriving:  # what comes now is the end of the connection, whenever that is
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise _TooSlow from None
            arriving = message["type"] == "http.request" and message.get("more_body", False)
            return message

        try:
            await self._app(scope, in_time, send)
        except _TooSlow:
            await respond_error(send, ApiError.too_slow(self._seconds))
