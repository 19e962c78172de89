"""A local OpenAI endpoint in front of a verified server: any tool that speaks OpenAI's API can use it unchanged.

    tool ──plain HTTP on loopback──▶ proxy ──attested, encrypted──▶ server

The proxy is as trusted as the tool beside it.  It listens on loopback, answers only requests that name it as their host
(a web page elsewhere cannot reach it by rebinding a name) and that no page from elsewhere makes (a browser would send
them, with the key added here, without asking), and passes bodies on without looking at them.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import httpx2

from hermetic.errors import ChannelBroken, HermeticError, Unavailable

__all__ = ["Proxy"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOP_BY_HOP = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_MAX_BODY = 32 * 1024 * 1024


class Proxy:
    """An ASGI application.  ``client`` carries the attested transport; ``api_key`` replaces what the tool sends."""

    def __init__(self, client: httpx2.AsyncClient, *, api_key: str | None = None) -> None:
        self._client = client
        self._api_key = api_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            raise RuntimeError(f"no {scope['type']} here")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await self._client.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        if re.sub(r":\d+\Z", "", dict(headers).get("host", "")) not in _LOCAL_HOSTS:
            await _refuse(send, 403, "wrong_host", "this proxy answers to localhost only")
            return
        if not all(_local(value) for name, value in headers if name == "origin"):
            await _refuse(send, 403, "wrong_origin", "this proxy answers to tools and pages of this machine only")
            return
        body = await _read(receive)
        if body is None:
            await _refuse(send, 413, "too_large", f"the request is larger than {_MAX_BODY} bytes")
            return
        # The bytes as the tool wrote them: a path that was decoded would be another path when it is encoded again.
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        target = f"{path}?{query}" if query else path
        request = self._client.build_request(scope["method"], target, headers=self._forwarded(headers), content=body)
        await self._pass_on(request, send)

    def _forwarded(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        kept = [
            (name, value) for name, value in headers if name not in _HOP_BY_HOP and not name.startswith("hermetic-")
        ]
        if self._api_key is not None:
            kept = [(name, value) for name, value in kept if name != "authorization"]
            kept.append(("authorization", f"Bearer {self._api_key}"))
        return kept

    async def _pass_on(self, request: httpx2.Request, send: Send) -> None:
        started = False
        try:
            response = await self._client.send(request, stream=True)
            async for message in _messages(response):
                await send(message)
                started = True
        except (HermeticError, httpx2.HTTPError) as error:
            # Once bytes went out there is no status left to change: the connection is cut, so that a truncated answer
            # never looks like a whole one.
            if started:
                raise ChannelBroken("the answer was cut") from error
            await _explain(send, error)


def _local(origin: str) -> bool:
    """Whether a page of this machine asks.  ``null`` is anybody's, a sandboxed frame's for instance."""
    scheme, _, host = origin.partition("://")
    return scheme in ("http", "https") and re.sub(r":\d+\Z", "", host) in _LOCAL_HOSTS


async def _messages(response: httpx2.Response) -> AsyncIterator[Message]:
    try:
        headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in response.headers.items()
            if name.lower() not in _HOP_BY_HOP
        ]
        yield {"type": "http.response.start", "status": response.status_code, "headers": headers}
        async for chunk in response.aiter_raw():
            yield {"type": "http.response.body", "body": chunk, "more_body": True}
        yield {"type": "http.response.body", "body": b"", "more_body": False}
    finally:
        await response.aclose()


async def _read(receive: Receive) -> bytes | None:
    """The whole body, or None if it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _MAX_BODY:
            return None
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return bytes(body)


async def _explain(send: Send, error: Exception) -> None:
    """A refusal in OpenAI's shape: 502 where the server was refused or broke, 503 where it did not answer."""
    if isinstance(error, HermeticError):
        message = f"{error.message} ({error.fix})" if error.fix else error.message
        await _refuse(send, 503 if isinstance(error, Unavailable) else 502, error.code, message)
    else:
        await _refuse(send, 503, "unavailable", f"the server does not answer ({type(error).__name__})")


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    body = json.dumps({"error": {"message": message, "type": "hermetic_error", "param": None, "code": code}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
