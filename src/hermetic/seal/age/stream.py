"""The payload as a stream: 64 KiB chunks of ChaCha20-Poly1305, each in its place, the last one marked.

Sans-I/O: ``push`` bytes as they come, ``finish`` when the input ended.  A stream proves its end: without ``finish``
nothing says that the file is whole (C2SP age, "Payload").
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from hermetic.errors import NotAuthentic

CHUNK = 64 * 1024
TAG = 16
SEALED_CHUNK = CHUNK + TAG


def chunk_nonce(index: int, *, final: bool) -> bytes:
    """11 bytes of counter and the final flag.  Safe to count from zero: the payload key serves one payload only."""
    return index.to_bytes(11, "big") + (b"\x01" if final else b"\x00")


def broken_payload() -> NotAuthentic:
    """The one refusal for a payload that was changed, cut, reordered, extended or sealed under another key."""
    return NotAuthentic("the sealed contents were changed or cut short", code="payload_broken")


class PayloadSealer:
    """Plaintext in, sealed chunks out.  ``key`` is the 32-byte payload key; use a sealer once."""

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(key)
        self._buffer = bytearray()
        self._index = 0

    def push(self, data: bytes) -> bytes:
        """The chunks that ``data`` completes.  A full chunk is held back until it is known not to be the last."""
        self._buffer += data
        sealed = []
        while len(self._buffer) > CHUNK:
            sealed.append(self._seal(final=False))
        return b"".join(sealed)

    def finish(self) -> bytes:
        """The final chunk: empty only when the whole payload is."""
        return self._seal(final=True)

    def _seal(self, *, final: bool) -> bytes:
        chunk = bytes(self._buffer[:CHUNK])
        del self._buffer[:CHUNK]
        sealed = self._aead.encrypt(chunk_nonce(self._index, final=final), chunk, None)
        self._index += 1
        return sealed


class PayloadOpener:
    """Sealed chunks in, plaintext out.  Every byte that it gives is authentic and in its place; that they are *all* is
    known only once ``finish`` has returned.  Use an opener once; after a refusal it stays refused."""

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(key)
        self._buffer = bytearray()
        self._index = 0
        self._closed = False

    def push(self, data: bytes) -> bytes:
        """The plaintext of the chunks that ``data`` completes.  Raises NotAuthentic."""
        self._buffer += data
        opened = []
        while len(self._buffer) > SEALED_CHUNK:
            opened.append(self._open(final=False))
        return b"".join(opened)

    def finish(self) -> bytes:
        """The final chunk's plaintext.  Raises NotAuthentic when the stream did not end with a final chunk."""
        chunk = self._open(final=True)
        self._closed = True
        if not chunk and self._index > 1:  # an empty final chunk after others would be a second spelling
            raise broken_payload()
        return chunk

    def _open(self, *, final: bool) -> bytes:
        if self._closed:
            raise broken_payload()
        sealed = bytes(self._buffer[:SEALED_CHUNK])
        del self._buffer[:SEALED_CHUNK]
        try:
            chunk = self._aead.decrypt(chunk_nonce(self._index, final=final), sealed, None)
        except InvalidTag:
            self._closed = True
            raise broken_payload() from None
        self._index += 1
        return chunk
