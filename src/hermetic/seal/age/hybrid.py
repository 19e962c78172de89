"""Post-quantum hybrid recipients: ML-KEM-768 and X25519 together (X-Wing), by HPKE; age 1.3 and later.

Who records a file today and has a quantum computer later must still break X25519 *and* ML-KEM.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from hermetic.errors import Malformed
from hermetic.seal.age import _base64, _bech32
from hermetic.seal.age.filekey import FILE_KEY_BYTES, FileKey
from hermetic.seal.age.header import Stanza

KIND = "mlkem768x25519"
_INFO = b"age-encryption.org/mlkem768x25519"
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_ENCAPSULATION_BYTES = 1120
_MLKEM_PUBLIC_BYTES = 1184
_MLKEM_SEED_BYTES = 64
_WRAPPED_BYTES = FILE_KEY_BYTES + 16


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridRecipient:
    """``age1pq1…``: ML-KEM-768 encapsulation key ‖ X25519 public key, 1216 bytes (C2SP age, "MLKEM768-X25519")."""

    PREFIX: ClassVar[str] = "age1pq"
    post_quantum: ClassVar[bool] = True

    public: bytes

    def __str__(self) -> str:
        return _bech32.encode(self.PREFIX, self.public)

    def wrap(self, file_key: FileKey) -> Stanza:
        """A stanza that only the holder of the identity can unwrap.  Raises Malformed for an impossible public key."""
        try:
            public = MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(self.public[:_MLKEM_PUBLIC_BYTES]),
                X25519PublicKey.from_public_bytes(self.public[_MLKEM_PUBLIC_BYTES:]),
            )
            sealed = _SUITE.encrypt(file_key.secret, public, info=_INFO)
        except ValueError:
            raise Malformed("a post-quantum recipient is not a valid public key") from None
        encapsulation = _base64.encode(sealed[:_ENCAPSULATION_BYTES]).decode("ascii")
        return Stanza(kind=KIND, arguments=(encapsulation,), body=sealed[_ENCAPSULATION_BYTES:])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HybridIdentity:
    """``AGE-SECRET-KEY-PQ-1…``: the 32-byte X-Wing seed."""

    PREFIX: ClassVar[str] = "AGE-SECRET-KEY-PQ-"

    secret: bytes

    def __repr__(self) -> str:
        return f"HybridIdentity({str(self.recipient())[:16]}…, <redacted>)"

    @classmethod
    def generate(cls) -> HybridIdentity:
        return cls(secret=os.urandom(32))

    def reveal(self) -> str:
        """The identity as text: a secret."""
        return _bech32.encode(self.PREFIX, self.secret)

    def recipient(self) -> HybridRecipient:
        """The public side."""
        mlkem, x25519 = self._private_keys()
        return HybridRecipient(public=mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw())

    def unwrap(self, stanza: Stanza) -> FileKey | None:
        """The file key, or None when the stanza is of another kind or addressed to somebody else.

        Raises Malformed when it is of this kind and misshapen, which does not depend on the key.
        """
        if stanza.kind != KIND:
            return None
        if len(stanza.arguments) != 1:
            raise Malformed(f"an {KIND} stanza has one argument, got {len(stanza.arguments)}")
        argument = stanza.arguments[0].encode("ascii")
        encapsulation = _base64.decode(argument, what="encapsulated key", length=_ENCAPSULATION_BYTES)
        # The length is checked before decrypting: a longer body could open under several keys (partitioning oracle).
        if len(stanza.body) != _WRAPPED_BYTES:
            raise Malformed(f"an {KIND} stanza's body is {_WRAPPED_BYTES} bytes, got {len(stanza.body)}")
        private = MLKEM768X25519PrivateKey(*self._private_keys())
        try:
            return FileKey(secret=_SUITE.decrypt(encapsulation + stanza.body, private, info=_INFO))
        except InvalidTag:
            return None

    def _private_keys(self) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
        """X-Wing's expansion of the seed: SHAKE-256 to d ‖ z (ML-KEM, 64 bytes) and an X25519 scalar (32 bytes)."""
        expanded = hashlib.shake_256(self.secret).digest(_MLKEM_SEED_BYTES + 32)
        return (
            MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_BYTES]),
            X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_BYTES:]),
        )
