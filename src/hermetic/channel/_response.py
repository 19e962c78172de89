"""The answering half of a sealed exchange: a symmetric stream under a secret that the request's context exports.

RFC 9458 §4.4's construction.  The answering side contributes a nonce, so that two answers to one request (or to its
replay) never share a key.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hermetic.channel._hkdf import expand, extract
from hermetic.errors import ChannelBroken

SECRET_LENGTH = 32
NONCE_LENGTH = 32
MESSAGE_LIMIT = 2**64
"""The sequence is a u64: beyond it a nonce would repeat."""


class ResponseCipher:
    """Seals, or opens, the messages of one response in order.  One object does one of the two.

    ``secret`` is 32 exported bytes, ``enc`` the request's encapsulated key, ``nonce`` 32 fresh bytes of the answering
    side.
    """

    __slots__ = ("_base_nonce", "_cipher", "_sequence")

    def __init__(self, *, secret: bytes, enc: bytes, nonce: bytes) -> None:
        key, base_nonce = derive(secret=secret, enc=enc, nonce=nonce)
        self._cipher = AESGCM(key)
        self._base_nonce = int.from_bytes(base_nonce, "big")
        self._sequence = 0

    def __repr__(self) -> str:
        return f"ResponseCipher(<redacted>, sequence={self._sequence})"

    @property
    def sequence(self) -> int:
        """The number of the next message."""
        return self._sequence

    def seal(self, plaintext: bytes, aad: bytes = b"") -> bytes:
        """The next message, 16 bytes longer than ``plaintext``."""
        ciphertext = self._cipher.encrypt(self._next_nonce(), plaintext, aad)
        self._sequence += 1
        return ciphertext

    def open(self, ciphertext: bytes, aad: bytes = b"") -> bytes:
        """The next message.  Raises ChannelBroken if it is not exactly that one."""
        try:
            plaintext = self._cipher.decrypt(self._next_nonce(), ciphertext, aad)
        except InvalidTag:
            raise ChannelBroken("a frame of the response does not open") from None
        self._sequence += 1
        return plaintext

    def _next_nonce(self) -> bytes:
        if self._sequence >= MESSAGE_LIMIT:
            raise ChannelBroken("a response has reached its message limit", code="message_limit")
        return (self._base_nonce ^ self._sequence).to_bytes(12, "big")


def derive(*, secret: bytes, enc: bytes, nonce: bytes) -> tuple[bytes, bytes]:
    """The 32-byte AES key and the 12-byte base nonce."""
    prk = extract(enc + nonce, secret)
    return expand(prk, b"key", 32), expand(prk, b"nonce", 12)
