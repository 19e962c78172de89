"""The few things every route needs of ASGI: a bounded body, an answer, and notice when the client has gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping

from starlette.types import Receive, Scope, Send

from hermetic.serve.errors import ApiError

__all__ = ["ClientGone", "header", "read_body", "respond", "respond_error", "while_connected"]


class ClientGone(Exception):
    """The client hung up.  There is nobody to answer."""


def header(scope: Scope, name: bytes) -> str | None:
    """The one value of a header, ``name`` in lowercase; None if it is absent.  Given twice, it counts as absent."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if len(values) == 1 else None


async def read_body(receive: Receive, *, limit: int) -> bytes:
    """The whole body.  Raises ApiError 413 once it is longer than ``limit`` bytes, ClientGone if it ends early."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise ApiError.too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def respond(
    send: Send,
    body: bytes,
    *,
    status: int = 200,
    content_type: bytes = b"application/json",
    headers: Mapping[str, str] | None = None,
) -> None:
    """A whole answer in one go."""
    listed = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    listed += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": body})


async def respond_error(send: Send, error: ApiError) -> None:
    """A refusal in OpenAI's shape."""
    await respond(send, error.body(), status=error.status, headers=error.headers)


async def while_connected(receive: Receive, work: Awaitable[None]) -> None:
    """Runs ``work`` and cancels it when the client hangs up.  The body must have been read.  Raises ClientGone."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_hung_up(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        task.result()
    finally:
        for pending in (task, watch):
            pending.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await pending


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
