"""The file key: 16 secret bytes from which everything in one age file follows."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hermetic.errors import Malformed

FILE_KEY_BYTES = 16
NONCE_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FileKey:
    """The symmetric key of exactly one file (C2SP age, "File key").  Whoever holds it can read that file."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) != FILE_KEY_BYTES:
            raise Malformed(f"a file key is {FILE_KEY_BYTES} bytes, got {len(self.secret)}")

    def __repr__(self) -> str:
        return "FileKey(<redacted>)"

    @classmethod
    def generate(cls) -> FileKey:
        """A fresh key.  Never use one for two files: their payload keys would be told apart by the nonce alone."""
        return cls(secret=os.urandom(FILE_KEY_BYTES))

    def derive(self, *, salt: bytes = b"", info: bytes) -> bytes:
        """32 bytes by HKDF-SHA256; ``info`` names the use, so that no two uses share a key."""
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(self.secret)

    def header_mac(self, data: bytes) -> bytes:
        """The 32-byte MAC of a header (C2SP age, "Header MAC")."""
        mac = hmac.HMAC(self.derive(info=b"header"), hashes.SHA256())
        mac.update(data)
        return mac.finalize()

    def payload_key(self, nonce: bytes) -> bytes:
        """The 32-byte key of the payload that begins with ``nonce`` (C2SP age, "Payload").

        Raises Malformed unless it has 16 bytes: a file that ends within its nonce.
        """
        if len(nonce) != NONCE_BYTES:
            raise Malformed(f"a payload begins with a nonce of {NONCE_BYTES} bytes, got {len(nonce)}")
        return self.derive(salt=nonce, info=b"payload")
