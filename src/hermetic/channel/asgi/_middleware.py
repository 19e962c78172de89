"""One door for every kind of client (see :class:`SealedChannel`)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from hermetic.channel import ehbp, strict
from hermetic.channel.asgi._answers import openai_error
from hermetic.channel.asgi._cors import Cors
from hermetic.channel.asgi._ehbp import EhbpEndpoint
from hermetic.channel.asgi._strict import StrictEndpoint
from hermetic.channel.asgi._types import Application, Headers, Receive, Scope, Send
from hermetic.errors import Misconfigured

DEFAULT_MAX_BODY = 16 * 1024 * 1024

_PLAINTEXT_REFUSED = openai_error(
    400,
    "plaintext_refused",
    "This server answers sealed requests only. Use a Hermetic or EHBP client, which verifies the server first.",
)
_BOTH_PROFILES = openai_error(400, "two_profiles", "The request claims two channel profiles at once.")


class SealedChannel:
    """ASGI middleware: opens sealed requests, hands them to ``application``, seals what it answers.

    EHBP and strict clients use the same ordinary paths.  Behind it, ``scope["hermetic.channel"]`` is ``"strict"``,
    ``"ehbp"`` or ``"plaintext"``; method, header fields and body are the opened request's; the body comes in one piece,
    whole, after its last frame has opened.

    - ``plaintext_routes``: paths that may be read in clear, by GET or HEAD.  Everything else in clear is refused.
    - ``clock``: the server's time, aware; it bounds the memory of nonces.
    - ``max_body``: the most bytes of body that a request may have.
    - ``cors_origins``: origins whose pages may use the server, ``*`` for any.

    What the application raises is raised on, after a sealed answer if there was none: whoever runs the server must not
    let it print an exception, which may hold a prompt.

    Not offered: WebSockets, and any way of answering but ``http.response.start`` and ``http.response.body``.
    """

    def __init__(
        self,
        application: Application,
        *,
        ehbp: ehbp.ServerKey | None,
        strict: strict.ServerKey | None,
        plaintext_routes: Collection[str],
        clock: Callable[[], datetime],
        max_body: int = DEFAULT_MAX_BODY,
        cors_origins: Collection[str] = (),
    ) -> None:
        if ehbp is None and strict is None:
            raise Misconfigured("a sealed channel needs a key for at least one profile")
        self._application = application
        self._ehbp = EhbpEndpoint(application, ehbp, max_body=max_body) if ehbp else None
        self._strict = StrictEndpoint(application, strict, clock=clock, max_body=max_body) if strict else None
        self._plaintext_routes = frozenset(plaintext_routes)
        self._cors = Cors(cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, self._cors.wrap(scope, send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            raise RuntimeError(f"no {scope['type']} behind a sealed channel")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = tuple(scope["headers"])
        wants_strict, wants_ehbp = StrictEndpoint.claims(headers), EhbpEndpoint.claims(headers)
        if wants_strict and wants_ehbp:
            await _BOTH_PROFILES.send(send)
        elif wants_strict and self._strict is not None:
            await self._strict(scope, receive, send)
        elif wants_ehbp and self._ehbp is not None:
            await self._ehbp(scope, receive, send)
        elif wants_strict or wants_ehbp:
            await _PLAINTEXT_REFUSED.send(send)
        else:
            await self._in_clear(scope, receive, send)

    async def _in_clear(self, scope: Scope, receive: Receive, send: Send) -> None:
        reads = scope["method"] in ("GET", "HEAD")
        if self._cors.is_preflight(scope):
            await self._cors.preflight(scope, send)
        elif reads and scope["path"] == ehbp.KEYS_PATH and self._ehbp is not None:
            await self._ehbp.key_configuration.send(send)
        elif reads and scope["path"] in self._plaintext_routes:
            await self._application({**scope, "hermetic.channel": "plaintext"}, receive, send)
        else:
            await _PLAINTEXT_REFUSED.send(send)
