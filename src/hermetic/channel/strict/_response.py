"""Responses of the strict profile, both sides, sans-I/O (docs/spec/strict.md §4 and §5)."""

from __future__ import annotations

from hermetic.channel._response import NONCE_LENGTH, ResponseCipher
from hermetic.channel.strict._frames import LENGTH_FIELD, MAX_CONTENT, Direction, FrameOpener, FrameSealer, Pending
from hermetic.channel.strict._head import ResponseHead
from hermetic.errors import ChannelBroken


class ResponseSealer:
    """The server's side: ``start`` once, ``push`` each write, ``finish`` with the last one.

    With shape 0 every write becomes frames at once.  With another, writes are held back until they fill frames of
    exactly that size.
    """

    def __init__(self, cipher: ResponseCipher, *, nonce: bytes, shape: int) -> None:
        self._frames = FrameSealer(cipher, Direction.RESPONSE)
        self._nonce = nonce
        self._bucket = 1 << shape if shape else None
        self._room = (1 << shape) - LENGTH_FIELD if shape else MAX_CONTENT
        self._pending = Pending()

    def start(self, head: ResponseHead) -> bytes:
        """The response's nonce and frame 0.  Raises Malformed where the head cannot be sealed."""
        return self._nonce + self._frames.frame(head.encode())

    def push(self, data: bytes) -> bytes:
        """Bytes to send for one write."""
        self._pending.add(data)
        sealed = [self._frame() for _ in range(len(self._pending) // self._room)]
        if self._pending and self._bucket is None:
            sealed.append(self._frame())
        return b"".join(sealed)

    def finish(self, data: bytes = b"") -> bytes:
        """Bytes to send for the last write, which may be empty.  Ends with the last frame."""
        self._pending.add(data)
        sealed = []
        while len(self._pending) > self._room:
            sealed.append(self._frame())
        return b"".join(sealed) + self._frame(last=True)

    def _frame(self, *, last: bool = False) -> bytes:
        return self._frames.frame(self._pending.take(self._room), last=last, bucket=self._bucket)


class ResponseOpener:
    """The client's side: ``push`` what arrives, take the body's parts, ``finish`` at the end of input.

    What ``push`` returns is authentic, but only ``finish`` says that it was everything.  Raises ChannelBroken.
    """

    def __init__(self, *, secret: bytes, enc: bytes, shape: int) -> None:
        self._secret = secret
        self._enc = enc
        self._bucket = 1 << shape if shape else None
        self._nonce = b""
        self._frames: FrameOpener | None = None
        self._head: ResponseHead | None = None

    def __repr__(self) -> str:
        return "ResponseOpener(<redacted>)"

    @property
    def head(self) -> ResponseHead | None:
        """The authenticated status and header fields, once frame 0 has opened."""
        return self._head

    @property
    def ended(self) -> bool:
        """Whether the last frame has opened."""
        return self._frames is not None and self._frames.ended

    def push(self, data: bytes) -> list[bytes]:
        """The parts of the body that ``data`` completes."""
        if self._frames is None:
            data = self._set_up(data)
        if self._frames is None:
            return []
        parts = []
        for opened in self._frames.push(data):
            if opened.sequence == 0:
                self._head = ResponseHead.decode(opened.content)
            elif self._bucket not in (None, opened.bucket):
                raise ChannelBroken(f"asked for frames of {self._bucket} bytes, got one of {opened.bucket}")
            elif opened.content:
                parts.append(opened.content)
        return parts

    def finish(self) -> None:
        """The input ended.  Raises ChannelBroken unless the last frame has opened and nothing follows it."""
        if self._frames is None:
            raise ChannelBroken("the response ended before its first frame", code="truncated")
        self._frames.finish()

    def _set_up(self, data: bytes) -> bytes:
        """Derives the response's keys once the nonce is complete; returns what follows it."""
        self._nonce, rest = (self._nonce + data)[:NONCE_LENGTH], (self._nonce + data)[NONCE_LENGTH:]
        if len(self._nonce) == NONCE_LENGTH:
            cipher = ResponseCipher(secret=self._secret, enc=self._enc, nonce=self._nonce)
            self._frames = FrameOpener(cipher, Direction.RESPONSE)
        return rest
