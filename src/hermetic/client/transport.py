"""Transports for httpx2, which the ``openai`` package uses: every request goes to an attested server, sealed.

    transport = SealedTransport("https://host", attest)
    client = openai.OpenAI(base_url="https://host/v1", http_client=httpx2.Client(transport=transport), ...)

``attest`` verifies the server, has a policy accept it and returns ``open_session(accepted)``.  It is called before the
first request leaves, when the keys are about to expire, and when the server has changed them; a read is then repeated
by itself, and anything else is the caller's to repeat.

Refusals are raised as they are (:mod:`hermetic.errors`), not as httpx2's errors: clients retry those by themselves, and
a broken channel is nothing to retry in silence.  What fails before an answer has begun (no connection, a time-out)
stays httpx2's; a request that a client then repeats is sealed anew, and is no replay.

A response's ``extensions["hermetic.session"]`` is the session it came in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx2

from hermetic.channel import Session
from hermetic.client.exchange import (
    MAX_REFUSAL,
    Asked,
    Exchange,
    KeyUnknown,
    Origin,
    Profile,
    begin_exchange,
    refusal,
    refuse_other_place,
)
from hermetic.client.sessions import AsyncSessions, Sessions, utc_now
from hermetic.errors import ChannelBroken, Misconfigured

__all__ = ["AsyncSealedTransport", "SealedTransport"]

_PORTS = {"http": 80, "https": 443}
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})


class _Door:
    """What both transports know: where they may go, and how."""

    def __init__(self, url: str, *, clock: Callable[[], datetime], profile: Profile, shape: int) -> None:
        self._origin = _origin(httpx2.URL(url))
        self._clock = clock
        self._profile = profile
        self._shape = shape

    def asked(self, request: httpx2.Request) -> Asked:
        """The request, if it is one that may be sealed.  Raises Misconfigured."""
        refuse_other_place(origin=self._origin, asked=_origin(request.url), credentials=bool(request.url.userinfo))
        return Asked.of(method=request.method, raw_path=request.url.raw_path, headers=request.headers.raw)

    def begin(self, session: Session, asked: Asked) -> Exchange:
        return begin_exchange(self._profile, session, asked, now=self._clock(), shape=self._shape)


class SealedTransport(httpx2.BaseTransport):
    """For ``httpx2.Client``.  ``inner`` carries the sealed bytes; ``shape`` asks for frames of 2**shape bytes."""

    def __init__(
        self,
        url: str,
        attest: Callable[[], Session],
        *,
        profile: Profile = Profile.STRICT,
        shape: int = 0,
        inner: httpx2.BaseTransport | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._door = _Door(url, clock=clock, profile=profile, shape=shape)
        self._sessions = Sessions(attest, clock=clock)
        self._inner = inner or httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        # 1. It may be sealed: one origin, nothing of the channel's own.
        asked = self._door.asked(request)
        # 2. The server is accepted, now.
        session = self._sessions.current()
        try:
            # 3. Sealed, answered, and the answer's head opened.
            return self._exchange(session, asked, request)
        except KeyUnknown:
            # 4. It has new keys, if the evidence says so too: they are what the next request is sealed for.
            session = self._sessions.renew(session)
            _refuse_to_repeat(request)
            return self._exchange(session, asked, request)

    def close(self) -> None:
        self._inner.close()

    def _exchange(self, session: Session, asked: Asked, request: httpx2.Request) -> httpx2.Response:
        exchange = self._door.begin(session, asked)
        content = _whole(exchange, request) or _sealed(exchange, request.stream)
        answer = self._inner.handle_request(_outer(request, exchange, content))
        try:
            if not exchange.begin(answer.status_code, tuple(answer.headers.raw)):
                raise refusal(answer.status_code, _read(answer))
            opened = _OpenedStream(answer, exchange)
            opened.read_head()
        except BaseException:
            answer.close()
            raise
        return _response(answer, exchange, opened, session)


class AsyncSealedTransport(httpx2.AsyncBaseTransport):
    """For ``httpx2.AsyncClient``: as :class:`SealedTransport`, with an ``attest`` to await."""

    def __init__(
        self,
        url: str,
        attest: Callable[[], Awaitable[Session]],
        *,
        profile: Profile = Profile.STRICT,
        shape: int = 0,
        inner: httpx2.AsyncBaseTransport | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._door = _Door(url, clock=clock, profile=profile, shape=shape)
        self._sessions = AsyncSessions(attest, clock=clock)
        self._inner = inner or httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        asked = self._door.asked(request)
        session = await self._sessions.current()
        try:
            return await self._exchange(session, asked, request)
        except KeyUnknown:
            session = await self._sessions.renew(session)
            _refuse_to_repeat(request)
            return await self._exchange(session, asked, request)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _exchange(self, session: Session, asked: Asked, request: httpx2.Request) -> httpx2.Response:
        exchange = self._door.begin(session, asked)
        content = _whole(exchange, request) or _sealed_async(exchange, request.stream)
        answer = await self._inner.handle_async_request(_outer(request, exchange, content))
        try:
            if not exchange.begin(answer.status_code, tuple(answer.headers.raw)):
                raise refusal(answer.status_code, await _read_async(answer))
            opened = _AsyncOpenedStream(answer, exchange)
            await opened.read_head()
        except BaseException:
            await answer.aclose()
            raise
        return _response(answer, exchange, opened, session)


class _OpenedStream(httpx2.SyncByteStream):
    """The opened body, as it arrives.  Its normal end means that it is whole (in the strict profile)."""

    def __init__(self, answer: httpx2.Response, exchange: Exchange) -> None:
        self._answer = answer
        self._exchange = exchange
        self._chunks = iter(answer.stream)  # type: ignore[arg-type]
        self._parts: list[bytes] = []

    def read_head(self) -> None:
        """Reads until status and fields are known."""
        with _cut(self._exchange):
            while self._exchange.head is None:
                chunk = next(self._chunks, None)
                if chunk is None:
                    self._exchange.open_end()
                    raise ChannelBroken("the answer holds no head")
                self._parts += self._exchange.open(chunk)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._parts
        with _cut(self._exchange):
            for chunk in self._chunks:
                yield from self._exchange.open(chunk)
        self._exchange.open_end()

    def close(self) -> None:
        self._answer.close()


class _AsyncOpenedStream(httpx2.AsyncByteStream):
    """As :class:`_OpenedStream`."""

    def __init__(self, answer: httpx2.Response, exchange: Exchange) -> None:
        self._answer = answer
        self._exchange = exchange
        self._chunks = aiter(answer.stream)  # type: ignore[arg-type]
        self._parts: list[bytes] = []

    async def read_head(self) -> None:
        with _cut(self._exchange):
            while self._exchange.head is None:
                chunk = await anext(self._chunks, None)
                if chunk is None:
                    self._exchange.open_end()
                    raise ChannelBroken("the answer holds no head")
                self._parts += self._exchange.open(chunk)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part
        with _cut(self._exchange):
            async for chunk in self._chunks:
                for part in self._exchange.open(chunk):
                    yield part
        self._exchange.open_end()

    async def aclose(self) -> None:
        await self._answer.aclose()


@contextmanager
def _cut(exchange: Exchange) -> Iterator[None]:
    """A connection that breaks inside an answer is a cut answer, unless its end has been proved already."""
    try:
        yield
    except httpx2.TimeoutException:
        raise
    except httpx2.TransportError as error:
        if not exchange.complete:
            raise ChannelBroken("the connection broke before the answer's end", code="truncated") from error


def _outer(request: httpx2.Request, exchange: Exchange, content: Any) -> httpx2.Request:
    """The request that the network sees."""
    # ``target`` would send the sealed bytes to another path than the one they are bound to.
    extensions = {name: value for name, value in request.extensions.items() if name != "target"}
    headers = list(exchange.headers)
    return httpx2.Request(exchange.method, request.url, headers=headers, content=content, extensions=extensions)


def _whole(exchange: Exchange, request: httpx2.Request) -> bytes | None:
    """A body that is in memory is sealed in one piece, and its length is known."""
    if not isinstance(request.stream, httpx2.ByteStream):
        return None
    return exchange.seal(b"".join(request.stream)) + exchange.seal_end()


def _sealed(exchange: Exchange, body: Any) -> Iterator[bytes]:
    for data in body:
        yield exchange.seal(data)
    yield exchange.seal_end()


async def _sealed_async(exchange: Exchange, body: Any) -> AsyncIterator[bytes]:
    async for data in body:
        yield exchange.seal(data)
    yield exchange.seal_end()


def _refuse_to_repeat(request: httpx2.Request) -> None:
    """Only what does nothing twice is sent twice.

    That the server did not know the key was said in clear: whoever said it may have had the request carried out first,
    by another genuine workload (docs/spec/protocol.md, rule 13).
    """
    if request.method not in _REPEATABLE or not isinstance(request.stream, httpx2.ByteStream):
        raise ChannelBroken(
            "the server's keys changed while it was asked; it was attested again",
            code="key_changed",
            fix="the request may have been carried out; send it again if it may be",
        )


def _response(answer: httpx2.Response, exchange: Exchange, opened: Any, session: Session) -> httpx2.Response:
    if exchange.head is None:
        raise ChannelBroken("the answer holds no head")
    extensions = answer.extensions | {"hermetic.session": session}
    head = exchange.head
    return httpx2.Response(head.status, headers=list(head.fields), stream=opened, extensions=extensions)


def _read(answer: httpx2.Response) -> bytes:
    """The beginning of an answer in clear."""
    body = b""
    for chunk in answer.stream:  # type: ignore[union-attr]
        body += chunk
        if len(body) > MAX_REFUSAL:
            break
    return body[:MAX_REFUSAL]


async def _read_async(answer: httpx2.Response) -> bytes:
    body = b""
    async for chunk in answer.stream:  # type: ignore[union-attr]
        body += chunk
        if len(body) > MAX_REFUSAL:
            break
    return body[:MAX_REFUSAL]


def _origin(url: httpx2.URL) -> Origin:
    port = url.port or _PORTS.get(url.scheme)
    if port is None or not url.host:
        raise Misconfigured("expected a URL that begins with http:// or https://")
    return url.scheme, url.host, port
