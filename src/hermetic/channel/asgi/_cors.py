"""Cross-origin requests, for pages that speak a profile from a browser."""

from __future__ import annotations

from collections.abc import Collection

from hermetic.channel import ehbp
from hermetic.channel.asgi._types import Headers, Message, Scope, Send, single

_EXPOSED = f"{ehbp.RESPONSE_HEADER}, {ehbp.REQUEST_HEADER}, Content-Type"
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_SECONDS = "600"


class Cors:
    """Says yes to the origins it was given, ``*`` meaning any, and nothing to others.  Never allows cookies."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def wrap(self, scope: Scope, send: Send) -> Send:
        """``send``, which now says what an allowed origin may read."""
        extra = self._headers(tuple(scope["headers"]))
        if not extra:
            return send

        async def allowing_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        return allowing_send

    def is_preflight(self, scope: Scope) -> bool:
        """Whether a browser asks, on behalf of an allowed origin, what it may send."""
        headers: Headers = tuple(scope["headers"])
        asks = single(headers, "access-control-request-method") is not None
        return scope["method"] == "OPTIONS" and asks and bool(self._headers(headers))

    async def preflight(self, scope: Scope, send: Send) -> None:
        """The answer.  Any header may be sent: nothing here rests on a header being absent from a browser's request."""
        asked = single(tuple(scope["headers"]), "access-control-request-headers") or ehbp.REQUEST_HEADER
        headers = [
            (b"access-control-allow-methods", _METHODS.encode("ascii")),
            (b"access-control-allow-headers", asked.encode("latin-1")),
            (b"access-control-max-age", _SECONDS.encode("ascii")),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _headers(self, request: Headers) -> Headers:
        origin = single(request, "origin")
        if origin is None or not self._origins & {origin, "*"}:
            return ()
        return (
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", _EXPOSED.encode("ascii")),
            (b"vary", b"Origin"),
        )
