"""The same transports for httpx, for code that still uses it.

Each is a thin coat: it hands the request to the httpx2 transport and the answer back, and turns httpx2's errors into
httpx's of the same name.  Connections are httpx2's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import httpx2

from hermetic.client import transport

__all__ = ["AsyncSealedTransport", "SealedTransport"]


class SealedTransport(httpx.BaseTransport):
    """For ``httpx.Client``, around a transport for httpx2."""

    def __init__(self, sealed: transport.SealedTransport) -> None:
        self._sealed = sealed

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with _as_httpx():
            answer = self._sealed.handle_request(_converted(request))
        return httpx.Response(
            answer.status_code,
            headers=answer.headers.raw,
            stream=_Answer(answer),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        self._sealed.close()


class AsyncSealedTransport(httpx.AsyncBaseTransport):
    """For ``httpx.AsyncClient``, around a transport for httpx2."""

    def __init__(self, sealed: transport.AsyncSealedTransport) -> None:
        self._sealed = sealed

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with _as_httpx():
            answer = await self._sealed.handle_async_request(_converted(request))
        return httpx.Response(
            answer.status_code,
            headers=answer.headers.raw,
            stream=_AsyncAnswer(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._sealed.aclose()


class _Answer(httpx.SyncByteStream):
    def __init__(self, answer: httpx2.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.stream  # type: ignore[misc]

    def close(self) -> None:
        self._answer.close()


class _AsyncAnswer(httpx.AsyncByteStream):
    def __init__(self, answer: httpx2.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for chunk in self._answer.stream:  # type: ignore[union-attr]
                yield chunk

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that is read from somewhere, whichever way."""

    def __init__(self, body: httpx.SyncByteStream | httpx.AsyncByteStream) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield from self._body  # type: ignore[misc]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._body:  # type: ignore[union-attr]
            yield data


def _converted(request: httpx.Request) -> httpx2.Request:
    body = request.stream
    stream = httpx2.ByteStream(b"".join(body)) if isinstance(body, httpx.ByteStream) else _Body(body)
    return httpx2.Request(
        request.method, str(request.url), headers=request.headers.raw, stream=stream, extensions=request.extensions
    )


@contextmanager
def _as_httpx() -> Iterator[None]:
    try:
        yield
    except httpx2.TransportError as error:
        same = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise same(str(error)) from error
