"""What the application behind the channel sees: the opened request, and a way to answer that always seals.

An answer goes out through a :class:`Sealing` and nothing else.  ``extensions`` are taken out of the scope, because some
of them (``pathsend``, ``zerocopysend``, trailers) put bytes on the wire past it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from hermetic.channel.asgi._answers import FAILED, Answer
from hermetic.channel.asgi._types import Application, Headers, Message, Receive, Scope, Send

_BODYLESS_METHODS = ("GET", "HEAD")


class Sealing(Protocol):
    """Seals one response.  ``head`` and ``body`` return what goes out."""

    def head(self, status: int, headers: Headers) -> tuple[int, Headers, bytes]:
        """The outer status and header fields, and the first bytes of the outer body."""
        ...

    def body(self, data: bytes, *, last: bool) -> bytes:
        """More bytes of the outer body."""
        ...


class SealedSend:
    """The ``send`` that an application gets."""

    def __init__(self, send: Send, sealing: Sealing, *, method: str) -> None:
        self._send = send
        self._sealing = sealing
        self._drops_body = method == "HEAD"
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self.started:
            await self._start(message["status"], _lowered(message.get("headers", ())))
        elif message["type"] == "http.response.body" and self.started:
            await self._continue(message.get("body", b""), last=not message.get("more_body", False))
        else:
            # Whatever else a server understands would leave this machine unsealed.
            raise RuntimeError(f"{message['type']} cannot be sent through the channel here")

    async def answer(self, answer: Answer) -> None:
        """A whole answer of the channel's own, sealed like any other."""
        await self._start(answer.status, answer.headers)
        await self._continue(answer.body, last=True)

    async def _start(self, status: int, headers: Headers) -> None:
        outer_status, outer_headers, first = self._sealing.head(status, headers)
        self.started = True
        await self._send({"type": "http.response.start", "status": outer_status, "headers": list(outer_headers)})
        await self._body(first, last=False)

    async def _continue(self, data: bytes, *, last: bool) -> None:
        await self._body(self._sealing.body(b"" if self._drops_body else data, last=last), last=last)

    async def _body(self, sealed: bytes, *, last: bool) -> None:
        if sealed or last:
            await self._send({"type": "http.response.body", "body": sealed, "more_body": not last})


async def run(application: Application, scope: Scope, body: bytes, receive: Receive, send: SealedSend) -> None:
    """Runs the application on the opened request.  If it fails or ends before it has answered, a sealed 500 says so.

    If it fails later the response ends without its end mark, and its client knows.
    """
    try:
        await application(scope, _after(body, receive), send)
    except Exception:
        if not send.started:
            await send.answer(FAILED)
        raise
    if not send.started:
        await send.answer(FAILED)


def inner_scope(outer: Scope, *, profile: str, method: str, headers: Headers, body: bytes) -> dict[str, Any]:
    """The scope of the opened request.  ``headers`` say nothing about the connection; the body's length is its own."""
    if body or method not in _BODYLESS_METHODS:
        headers = (*headers, (b"content-length", str(len(body)).encode("ascii")))
    return {**outer, "method": method, "headers": list(headers), "extensions": {}, "hermetic.channel": profile}


class Disconnected(Exception):
    """The client has gone: there is nobody to answer."""


async def pieces(receive: Receive) -> AsyncIterator[bytes]:
    """The outer body as it arrives.  Raises Disconnected if the client goes before its end."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        yield bytes(message.get("body", b""))
        more = message.get("more_body", False)


def _after(body: bytes, receive: Receive) -> Receive:
    """The opened body once, then the server's own events: a disconnect must reach whoever streams an answer."""
    given = False

    async def inner_receive() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return inner_receive


def _lowered(headers: Any) -> Headers:
    return tuple((bytes(name).lower(), bytes(value)) for name, value in headers)
