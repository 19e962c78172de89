"""Requests of the strict profile, both sides, sans-I/O (docs/spec/strict.md §3 to §6)."""

from __future__ import annotations

import os
from datetime import datetime

from hermetic.channel import hpke
from hermetic.channel._response import NONCE_LENGTH, SECRET_LENGTH, ResponseCipher
from hermetic.channel.refusals import BodyMeter
from hermetic.channel.replay import milliseconds
from hermetic.channel.strict._frames import MAX_CONTENT, Direction, FrameOpener, FrameSealer, Pending
from hermetic.channel.strict._head import NONCE_LENGTH as HEAD_NONCE_LENGTH
from hermetic.channel.strict._head import Fields, RequestHead
from hermetic.channel.strict._keys import Recipient, ServerKey
from hermetic.channel.strict._response import ResponseOpener, ResponseSealer
from hermetic.errors import ChannelBroken

CONTENT_TYPE = "application/hermetic-sealed"
KEY_ID_HEADER = "Hermetic-Key-Id"
METHOD_HEADER = "Hermetic-Method"

UNKNOWN_KEY_TYPE = "urn:hermetic:strict:unknown-key"
REFUSED_TYPE = "urn:hermetic:strict:refused"
"""The ``type`` of the two problem documents that a server sends in clear (§7)."""

_EXPORT_LABEL = b"hermetic strict response v1"


def seal_request(
    recipient: Recipient, *, method: str, target: str, fields: Fields, now: datetime, shape: int = 0
) -> RequestSealer:
    """Begins a request to an attested workload.  ``now`` is the client's clock, ``target`` the path and query.

    ``fields`` come from :func:`sealable`; ``shape`` asks for response frames of 2**shape bytes.  Raises Malformed where
    one of them cannot be sealed.
    """
    head = RequestHead(issued_at=milliseconds(now), nonce=os.urandom(HEAD_NONCE_LENGTH), shape=shape, fields=fields)
    context = hpke.setup_sender(recipient.public_key, recipient.info(method, target))
    return RequestSealer(context, head, key_id=recipient.key_id, method=method)


class RequestSealer:
    """The client's side: ``push`` the body, ``finish`` it, and send what they return, one after another.

    Made by :func:`seal_request`; with a context and a nonce of one's own for test vectors only.
    """

    def __init__(self, context: hpke.Sender, head: RequestHead, *, key_id: str, method: str) -> None:
        self._context = context
        self._shape = head.shape
        self._head: bytes | None = head.encode()
        self._frames = FrameSealer(context, Direction.REQUEST)
        self._pending = Pending()
        self.outer_fields = (
            ("Content-Type", CONTENT_TYPE),
            (KEY_ID_HEADER, key_id),
            (METHOD_HEADER, method),
        )

    def push(self, data: bytes) -> bytes:
        """Bytes to send for more of the body.  Some is held back, so that the last frame is never an empty one."""
        self._pending.add(data)
        sealed = []
        while len(self._pending) > MAX_CONTENT:
            sealed.append(self._opening(last=False) + self._frames.frame(self._pending.take(MAX_CONTENT)))
        return b"".join(sealed)

    def finish(self) -> bytes:
        """The rest of the bytes to send: the body has ended."""
        if not self._pending:
            return self._opening(last=True)
        return self._opening(last=False) + self._frames.frame(self._pending.take(MAX_CONTENT), last=True)

    def response_opener(self) -> ResponseOpener:
        """What opens the answer to this request."""
        secret = self._context.export(_EXPORT_LABEL, SECRET_LENGTH)
        return ResponseOpener(secret=secret, enc=self._context.enc, shape=self._shape)

    def _opening(self, *, last: bool) -> bytes:
        """``enc`` and frame 0, once."""
        head, self._head = self._head, None
        return b"" if head is None else self._context.enc + self._frames.frame(head, last=last)


class RequestOpener:
    """The server's side: ``push`` what arrives, take the body's parts, ``finish`` at the end of input.

    Two kinds of refusal, which are answered differently (§7):

    - Malformed and ChannelBroken: the sender has not proved anything.  One generic 400, in clear.
    - RequestRefused (a replay, a wrong clock, a body above ``max_body`` bytes): answered with ``response_sealer``.

    ``now`` is the server's clock.  No handler may see the body before ``finish`` has returned.
    """

    def __init__(self, key: ServerKey, *, method: str, target: str, now: datetime, max_body: int) -> None:
        self.method = method
        self._key = key
        self._info = key.info(method, target)
        self._now = now
        self._meter = BodyMeter(max_body)
        self._enc = b""
        self._context: hpke.Recipient | None = None
        self._frames: FrameOpener | None = None
        self._head: RequestHead | None = None

    @property
    def head(self) -> RequestHead:
        """The sealed header fields.  Raises ChannelBroken before frame 0 has opened."""
        if self._head is None:
            raise ChannelBroken("the request's head has not arrived")
        return self._head

    def push(self, data: bytes) -> list[bytes]:
        """The parts of the body that ``data`` completes."""
        arrived = len(data)
        if self._frames is None:
            data = self._set_up(data)
        if self._frames is None:
            return []
        parts = []
        for opened in self._frames.push(data):
            if opened.sequence == 0:
                self._admit(RequestHead.decode(opened.content))
            else:
                parts.append(opened.content)
        self._meter.count(sealed=arrived, content=sum(map(len, parts)))
        return parts

    def finish(self) -> None:
        """The input ended.  Raises ChannelBroken unless the last frame has opened and nothing follows it."""
        if self._frames is None:
            raise ChannelBroken("the request ended inside its encapsulated key")
        self._frames.finish()

    def response_sealer(self) -> ResponseSealer:
        """What seals the answer.  Raises ChannelBroken before frame 0 has opened: until then there is no context."""
        return self._response_sealer(os.urandom(NONCE_LENGTH))

    def _response_sealer(self, nonce: bytes) -> ResponseSealer:
        """With the nonce given, for test vectors.  A nonce used twice would repeat a key."""
        if self._context is None or self._head is None:
            raise ChannelBroken("there is no context to answer in")
        secret = self._context.export(_EXPORT_LABEL, SECRET_LENGTH)
        cipher = ResponseCipher(secret=secret, enc=self._enc, nonce=nonce)
        return ResponseSealer(cipher, nonce=nonce, shape=self._head.shape)

    def _set_up(self, data: bytes) -> bytes:
        """Makes the context once ``enc`` is complete; returns what follows it."""
        length = self._key.private_key.enc_length
        self._enc, rest = (self._enc + data)[:length], (self._enc + data)[length:]
        if len(self._enc) == length:
            self._context = hpke.setup_recipient(self._key.private_key, self._enc, self._info)
            self._frames = FrameOpener(self._context, Direction.REQUEST)
        return rest

    def _admit(self, head: RequestHead) -> None:
        """Frame 0 has opened.  From here on there is a context, so a refusal is sealed; and the request is used up."""
        self._head = head
        self._key.window.reserve(head.nonce, issued_at=head.issued_at, now=self._now)
