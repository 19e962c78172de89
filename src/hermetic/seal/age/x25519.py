"""X25519 recipients: keys whose files every age client opens.  Not secure against a future quantum computer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hermetic.errors import Malformed
from hermetic.seal.age import _base64, _bech32
from hermetic.seal.age.filekey import FILE_KEY_BYTES, FileKey
from hermetic.seal.age.header import Stanza

KIND = "X25519"
_INFO = b"age-encryption.org/v1/X25519"
_WRAPPED_BYTES = FILE_KEY_BYTES + 16
_NONCE = bytes(12)


@dataclass(frozen=True, slots=True, kw_only=True)
class X25519Recipient:
    """``age1…``: a 32-byte X25519 public key (C2SP age, "The X25519 recipient type")."""

    PREFIX: ClassVar[str] = "age"
    post_quantum: ClassVar[bool] = False

    public: bytes

    def __str__(self) -> str:
        return _bech32.encode(self.PREFIX, self.public)

    def wrap(self, file_key: FileKey) -> Stanza:
        """A stanza that only the holder of the identity can unwrap.  Raises Malformed for a low-order public key."""
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        key = _wrap_key(ephemeral, self.public, share=share, recipient=self.public)
        # The nonce is fixed and this is safe: the ephemeral key, and so the wrap key, is used for this one message.
        body = ChaCha20Poly1305(key).encrypt(_NONCE, file_key.secret, None)
        return Stanza(kind=KIND, arguments=(_base64.encode(share).decode("ascii"),), body=body)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class X25519Identity:
    """``AGE-SECRET-KEY-1…``: a 32-byte X25519 private key."""

    PREFIX: ClassVar[str] = "AGE-SECRET-KEY-"

    secret: bytes

    def __repr__(self) -> str:
        return f"X25519Identity({self.recipient()}, <redacted>)"

    @classmethod
    def generate(cls) -> X25519Identity:
        return cls(secret=X25519PrivateKey.generate().private_bytes_raw())

    def reveal(self) -> str:
        """The identity as text: a secret."""
        return _bech32.encode(self.PREFIX, self.secret)

    def recipient(self) -> X25519Recipient:
        """The public side."""
        return X25519Recipient(public=X25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw())

    def unwrap(self, stanza: Stanza) -> FileKey | None:
        """The file key, or None when the stanza is of another kind or addressed to somebody else.

        Raises Malformed when it is of this kind and misshapen, which does not depend on the key.
        """
        if stanza.kind != KIND:
            return None
        if len(stanza.arguments) != 1:
            raise Malformed(f"an X25519 stanza has one argument, got {len(stanza.arguments)}")
        share = _base64.decode(stanza.arguments[0].encode("ascii"), what="X25519 share", length=32)
        # The length is checked before decrypting: a longer body could open under several keys (partitioning oracle).
        if len(stanza.body) != _WRAPPED_BYTES:
            raise Malformed(f"an X25519 stanza's body is {_WRAPPED_BYTES} bytes, got {len(stanza.body)}")
        private = X25519PrivateKey.from_private_bytes(self.secret)
        key = _wrap_key(private, share, share=share, recipient=private.public_key().public_bytes_raw())
        try:
            return FileKey(secret=ChaCha20Poly1305(key).decrypt(_NONCE, stanza.body, None))
        except InvalidTag:
            return None


def _wrap_key(private: X25519PrivateKey, public: bytes, *, share: bytes, recipient: bytes) -> bytes:
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:  # the shared secret is all zero, whatever the private key: the public one has low order
        raise Malformed("an X25519 public key has low order") from None
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=share + recipient, info=_INFO).derive(shared)
