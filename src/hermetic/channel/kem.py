"""The two key encapsulation mechanisms that the channel uses, behind one pair of interfaces.

    X25519   DHKEM(X25519, HKDF-SHA256), RFC 9180 §4.1, 0x0020      what EHBP clients speak
    X-Wing   ML-KEM-768 with X25519, draft-connolly-cfrg-xwing-kem, 0x647a      safe while either half is

A public key is a value.  A private key shows itself in no ``repr`` and leaves only through ``private_bytes``.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

from hermetic.channel._hkdf import labeled_expand, labeled_extract
from hermetic.errors import Malformed

_XWING_LABEL = bytes.fromhex("5c2e2f2f5e5c")


class Encapsulated(NamedTuple):
    """What encapsulation gives: the secret that both sides will share, and the bytes that carry it."""

    shared_secret: bytes
    enc: bytes


class KemPublicKey(Protocol):
    """A key anyone may encapsulate to."""

    kem_id: ClassVar[int]
    enc_length: ClassVar[int]

    @property
    def raw(self) -> bytes: ...

    def encapsulate(self) -> Encapsulated: ...


class KemPrivateKey(Protocol):
    """The key that opens what was encapsulated to its public half."""

    kem_id: ClassVar[int]
    enc_length: ClassVar[int]

    def public_key(self) -> KemPublicKey: ...

    def decapsulate(self, enc: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class X25519PublicKey:
    """``raw`` is the 32-byte u-coordinate.  Raises Malformed on another length."""

    kem_id: ClassVar[int] = 0x0020
    enc_length: ClassVar[int] = 32
    key_length: ClassVar[int] = 32

    raw: bytes
    _key: x25519.X25519PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _sized(self.raw, self.key_length, "X25519 public key")
        object.__setattr__(self, "_key", x25519.X25519PublicKey.from_public_bytes(self.raw))

    def encapsulate(self) -> Encapsulated:
        """Raises Malformed if this key is a point of low order, which would share a secret with everybody."""
        return _x25519_encapsulate(self, x25519.X25519PrivateKey.generate())


class X25519PrivateKey:
    """An X25519 key.  ``private_bytes`` is the only way out."""

    kem_id: ClassVar[int] = X25519PublicKey.kem_id
    enc_length: ClassVar[int] = X25519PublicKey.enc_length

    __slots__ = ("_key", "_public")

    def __init__(self, private_bytes: bytes) -> None:
        _sized(private_bytes, 32, "X25519 private key")
        self._key = x25519.X25519PrivateKey.from_private_bytes(private_bytes)
        self._public = X25519PublicKey(self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> X25519PrivateKey:
        return cls(os.urandom(32))

    def __repr__(self) -> str:
        return "X25519PrivateKey(<redacted>)"

    def private_bytes(self) -> bytes:
        """The 32 secret bytes."""
        return self._key.private_bytes_raw()

    def public_key(self) -> X25519PublicKey:
        return self._public

    def decapsulate(self, enc: bytes) -> bytes:
        """The shared secret.  Raises Malformed on a wrong length or a point of low order (RFC 9180 §7.1.4)."""
        _sized(enc, self.enc_length, "encapsulated key")
        dh = _exchange(self._key, x25519.X25519PublicKey.from_public_bytes(enc))
        return _dhkem_secret(dh, enc + self._public.raw)


@dataclass(frozen=True, slots=True)
class XWingPublicKey:
    """``raw`` is the ML-KEM-768 key (1184 bytes) then the X25519 key (32).  Raises Malformed on anything else."""

    kem_id: ClassVar[int] = 0x647A
    enc_length: ClassVar[int] = 1120
    key_length: ClassVar[int] = 1216

    raw: bytes
    _mlkem: mlkem.MLKEM768PublicKey = field(init=False, repr=False, compare=False)
    _x25519: x25519.X25519PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _sized(self.raw, self.key_length, "X-Wing public key")
        try:
            lattice = mlkem.MLKEM768PublicKey.from_public_bytes(self.raw[:1184])
        except ValueError as error:
            raise Malformed("X-Wing public key: its ML-KEM-768 half is not a key") from error
        object.__setattr__(self, "_mlkem", lattice)
        object.__setattr__(self, "_x25519", x25519.X25519PublicKey.from_public_bytes(self.raw[1184:]))

    def encapsulate(self) -> Encapsulated:
        """Raises Malformed if the X25519 half is a point of low order."""
        lattice_secret, lattice_enc = self._mlkem.encapsulate()
        ephemeral = x25519.X25519PrivateKey.generate()
        curve_enc = ephemeral.public_key().public_bytes_raw()
        curve_secret = _exchange(ephemeral, self._x25519)
        shared = _xwing_secret(lattice_secret, curve_secret, curve_enc, self.raw[1184:])
        return Encapsulated(shared_secret=shared, enc=lattice_enc + curve_enc)


class XWingPrivateKey:
    """An X-Wing key, made from a 32-byte seed.  ``private_bytes`` (the seed) is the only way out."""

    kem_id: ClassVar[int] = XWingPublicKey.kem_id
    enc_length: ClassVar[int] = XWingPublicKey.enc_length

    __slots__ = ("_mlkem", "_public", "_seed", "_x25519")

    def __init__(self, seed: bytes) -> None:
        _sized(seed, 32, "X-Wing seed")
        expanded = hashlib.shake_256(seed).digest(96)
        self._seed = seed
        self._mlkem = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self._x25519 = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
        self._public = XWingPublicKey(
            self._mlkem.public_key().public_bytes_raw() + self._x25519.public_key().public_bytes_raw()
        )

    @classmethod
    def generate(cls) -> XWingPrivateKey:
        return cls(os.urandom(32))

    def __repr__(self) -> str:
        return "XWingPrivateKey(<redacted>)"

    def private_bytes(self) -> bytes:
        """The 32-byte seed."""
        return self._seed

    def public_key(self) -> XWingPublicKey:
        return self._public

    def decapsulate(self, enc: bytes) -> bytes:
        """The shared secret.  Raises Malformed on a wrong length or a point of low order.

        A forged ML-KEM half raises nothing: it gives a secret that nobody knows (implicit rejection), and what was
        sealed under the real one does not open.
        """
        _sized(enc, self.enc_length, "encapsulated key")
        lattice_secret = self._mlkem.decapsulate(enc[:1088])
        curve_enc = enc[1088:]
        curve_secret = _exchange(self._x25519, x25519.X25519PublicKey.from_public_bytes(curve_enc))
        return _xwing_secret(lattice_secret, curve_secret, curve_enc, self._public.raw[1184:])


def _x25519_encapsulate(public_key: X25519PublicKey, ephemeral: x25519.X25519PrivateKey) -> Encapsulated:
    """Encap of RFC 9180 §4.1 with the ephemeral key given, for test vectors."""
    enc = ephemeral.public_key().public_bytes_raw()
    dh = _exchange(ephemeral, public_key._key)
    return Encapsulated(shared_secret=_dhkem_secret(dh, enc + public_key.raw), enc=enc)


def _dhkem_secret(dh: bytes, kem_context: bytes) -> bytes:
    """ExtractAndExpand of RFC 9180 §4.1."""
    suite_id = b"KEM" + X25519PublicKey.kem_id.to_bytes(2, "big")
    eae_prk = labeled_extract(suite_id, b"", b"eae_prk", dh)
    return labeled_expand(suite_id, eae_prk, b"shared_secret", kem_context, 32)


def _xwing_secret(lattice_secret: bytes, curve_secret: bytes, curve_enc: bytes, curve_public: bytes) -> bytes:
    """The combiner of X-Wing §5.3.  ML-KEM binds its own ciphertext, so only the curve's halves are hashed in."""
    return hashlib.sha3_256(lattice_secret + curve_secret + curve_enc + curve_public + _XWING_LABEL).digest()


def _exchange(private: x25519.X25519PrivateKey, public: x25519.X25519PublicKey) -> bytes:
    try:
        return private.exchange(public)
    except ValueError as error:  # the all-zero secret (RFC 7748 §6.1)
        raise Malformed("X25519: a point of low order") from error


def _sized(data: bytes, length: int, what: str) -> None:
    if len(data) != length:
        raise Malformed(f"{what}: expected {length} bytes, got {len(data)}")
