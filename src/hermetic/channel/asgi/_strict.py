"""The strict profile over ASGI (docs/spec/strict.md §3.3, §5.4, §7)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from hermetic.channel import strict
from hermetic.channel.asgi._answers import openai_error, problem
from hermetic.channel.asgi._inner import Disconnected, SealedSend, inner_scope, pieces, run
from hermetic.channel.asgi._types import Application, Headers, Receive, Scope, Send, single
from hermetic.channel.refusals import RequestRefused
from hermetic.errors import ChannelBroken, Malformed

# One answer for everything that a stranger could learn from: which check refused is nobody's business.
_REFUSED = problem(400, strict.REFUSED_TYPE, "The sealed request was refused.")
_UNKNOWN_KEY = problem(422, strict.UNKNOWN_KEY_TYPE, "The server has no such key. Attest it again.")


class StrictEndpoint:
    """Serves strict requests with ``application`` behind them."""

    def __init__(
        self, application: Application, key: strict.ServerKey, *, clock: Callable[[], datetime], max_body: int
    ) -> None:
        self._application = application
        self._key = key
        self._clock = clock
        self._max_body = max_body

    @staticmethod
    def claims(headers: Headers) -> bool:
        """Whether a request means to speak this profile."""
        names = {name for name, _ in headers}
        return (
            strict.KEY_ID_HEADER.lower().encode() in names
            or strict.METHOD_HEADER.lower().encode() in names
            or single(headers, "content-type") == strict.CONTENT_TYPE
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = tuple(scope["headers"])
        # 1. It names a key that we have.  Answered before the body is read, so that the client may safely retry.
        key_id = single(headers, strict.KEY_ID_HEADER)
        if key_id is not None and key_id != self._key.key_id:
            await _UNKNOWN_KEY.send(send)
            return
        try:
            # 2. It is spelt as the profile wants, and binds the method and target that we see.
            opener = self._opener(scope, headers, key_id)
            # 3. Every frame opens, up to the last; it is fresh, and it was not here before.
            body = await self._open(opener, receive)
        except Disconnected:
            return
        except RequestRefused as refusal:
            sealed = SealedSend(send, _StrictSealing(opener.response_sealer()), method="POST")
            await sealed.answer(openai_error(refusal.status, refusal.code, str(refusal)))
            return
        except (Malformed, ChannelBroken):
            await _REFUSED.send(send)
            return
        # 4. Only now does the application see it.
        fields = (*_hosts(headers), *opener.head.fields)
        inner = inner_scope(scope, profile="strict", method=opener.method, headers=fields, body=body)
        sealed = SealedSend(send, _StrictSealing(opener.response_sealer()), method=opener.method)
        await run(self._application, inner, body, receive, sealed)

    def _opener(self, scope: Scope, headers: Headers, key_id: str | None) -> strict.RequestOpener:
        method = single(headers, strict.METHOD_HEADER)
        sealed = single(headers, "content-type") == strict.CONTENT_TYPE and scope["method"] == "POST"
        if key_id is None or method is None or not sealed:
            raise Malformed("a strict request is a POST of the profile's content type with one key id and one method")
        return strict.RequestOpener(
            self._key, method=method, target=_target(scope), now=self._clock(), max_body=self._max_body
        )

    @staticmethod
    async def _open(opener: strict.RequestOpener, receive: Receive) -> bytes:
        parts: list[bytes] = []
        async for piece in pieces(receive):
            parts += opener.push(piece)
        opener.finish()
        return b"".join(parts)


class _StrictSealing:
    """Every response is a 200 outside; what it is, is inside."""

    def __init__(self, sealer: strict.ResponseSealer) -> None:
        self._sealer = sealer

    def head(self, status: int, headers: Headers) -> tuple[int, Headers, bytes]:
        first = self._sealer.start(strict.ResponseHead(status=status, fields=strict.sealable(headers)))
        outer = ((b"content-type", strict.CONTENT_TYPE.encode("ascii")), (b"cache-control", b"no-store"))
        return 200, outer, first

    def body(self, data: bytes, *, last: bool) -> bytes:
        return self._sealer.finish(data) if last else self._sealer.push(data)


def _target(scope: Scope) -> str:
    """Path and query as they stood on the request line."""
    raw_path: bytes | None = scope.get("raw_path")
    query: bytes = scope.get("query_string", b"")
    if raw_path is None:
        raise Malformed("the server does not pass on the path as it was sent")
    return (raw_path + (b"?" + query if query else b"")).decode("latin-1")


def _hosts(headers: Headers) -> Headers:
    """The outer ``Host``, which nobody vouches for: gateways rewrite it, and the profile does not bind it."""
    return tuple((name, value) for name, value in headers if name == b"host")
