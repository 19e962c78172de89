"""EHBP over ASGI: the request's body opened, the response's sealed; status and header fields travel in clear."""

from __future__ import annotations

from hermetic.channel import ehbp
from hermetic.channel.asgi._answers import Answer, openai_error, problem
from hermetic.channel.asgi._inner import Disconnected, SealedSend, inner_scope, pieces, run
from hermetic.channel.asgi._types import Application, Headers, Receive, Scope, Send, single, values
from hermetic.channel.refusals import RequestRefused
from hermetic.errors import ChannelBroken, Malformed

_KEY_MISMATCH = problem(422, ehbp.KEY_MISMATCH_TYPE, "The request was sealed to another key. Attest the server again.")
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_OWN = frozenset({ehbp.REQUEST_HEADER.lower().encode("ascii"), ehbp.RESPONSE_HEADER.lower().encode("ascii")})


class EhbpEndpoint:
    """Serves EHBP requests with ``application`` behind them."""

    def __init__(self, application: Application, key: ehbp.ServerKey, *, max_body: int) -> None:
        self._application = application
        self._key = key
        self._max_body = max_body
        self.key_configuration = Answer(
            status=200,
            content_type=ehbp.KEYS_CONTENT_TYPE,
            body=ehbp.encode_key_config(key.private_key.public_key()),
        )

    @staticmethod
    def claims(headers: Headers) -> bool:
        """Whether a request means to speak this profile."""
        return bool(values(headers, ehbp.REQUEST_HEADER))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = tuple(scope["headers"])
        encapsulated = single(headers, ehbp.REQUEST_HEADER)
        try:
            # 1. One encapsulated key, well formed.
            if encapsulated is None:
                raise Malformed(f"expected one {ehbp.REQUEST_HEADER} header")
            opener = ehbp.RequestOpener(self._key, encapsulated, max_body=self._max_body)
        except Malformed as error:
            await openai_error(400, error.code, str(error)).send(send)
            return
        sealed = SealedSend(send, _EhbpSealing(opener.response_sealer()), method=scope["method"])
        try:
            # 2. Every frame opens, and it was not here before.
            body = await self._open(opener, receive)
        except Disconnected:
            return
        except ehbp.KeyMismatch:
            await _KEY_MISMATCH.send(send)
            return
        except (RequestRefused, Malformed, ChannelBroken) as refusal:
            status = refusal.status if isinstance(refusal, RequestRefused) else 400
            answer = openai_error(status, refusal.code, str(refusal))
            # Once a frame has opened there is a context, and every answer is sealed in it.
            await (sealed.answer(answer) if opener.opened else answer.send(send))
            return
        # 3. Only now does the application see it.
        fields = tuple((name, value) for name, value in headers if name not in _FRAMING | _OWN)
        inner = inner_scope(scope, profile="ehbp", method=scope["method"], headers=fields, body=body)
        await run(self._application, inner, body, receive, sealed)

    @staticmethod
    async def _open(opener: ehbp.RequestOpener, receive: Receive) -> bytes:
        parts: list[bytes] = []
        async for piece in pieces(receive):
            parts += opener.push(piece)
        opener.finish()
        return b"".join(parts)


class _EhbpSealing:
    """The status and the fields stay outside; the length is no longer the body's."""

    def __init__(self, sealer: ehbp.ResponseSealer) -> None:
        self._sealer = sealer

    def head(self, status: int, headers: Headers) -> tuple[int, Headers, bytes]:
        kept = tuple((name, value) for name, value in headers if name not in _FRAMING | _OWN)
        nonce = (ehbp.RESPONSE_HEADER.lower().encode("ascii"), self._sealer.header.encode("ascii"))
        return status, (*kept, nonce), b""

    def body(self, data: bytes, *, last: bool) -> bytes:
        return self._sealer.push(data)
