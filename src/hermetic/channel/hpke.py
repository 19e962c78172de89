"""HPKE (RFC 9180), base mode: contexts that seal, open and export, and single-shot boxes.

The KEM comes with the key (:mod:`hermetic.channel.kem`).  KDF and AEAD are HKDF-SHA256 and AES-256-GCM; the others are
here so that the RFC's own vectors can be run.  Base mode authenticates nobody: whoever holds the public key can seal.
What proves the recipient is that its key was attested; what proves the sender is inside the box.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from hermetic.channel._hkdf import labeled_expand, labeled_extract
from hermetic.channel.kem import Encapsulated, KemPrivateKey, KemPublicKey
from hermetic.errors import ChannelBroken, Malformed

NONCE_LENGTH = 12
TAG_LENGTH = 16
MESSAGE_LIMIT = 2 ** (8 * NONCE_LENGTH) - 1
"""RFC 9180 §5.2: a context refuses to seal or open beyond this, because a nonce would repeat."""

_MODE_BASE = b"\x00"


class Kdf(Enum):
    """Key derivation functions by their HPKE identifier, RFC 9180 §7.2."""

    HKDF_SHA256 = 0x0001
    HKDF_SHA512 = 0x0003


class Aead(Enum):
    """AEADs by their HPKE identifier, RFC 9180 §7.3."""

    AES_128_GCM = 0x0001
    AES_256_GCM = 0x0002
    CHACHA20_POLY1305 = 0x0003


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What is combined with a key's KEM."""

    kdf: Kdf = Kdf.HKDF_SHA256
    aead: Aead = Aead.AES_256_GCM


DEFAULT_SUITE = Suite()

_HASHES = {Kdf.HKDF_SHA256: ("sha256", 32), Kdf.HKDF_SHA512: ("sha512", 64)}
_KEY_LENGTHS = {Aead.AES_128_GCM: 16, Aead.AES_256_GCM: 32, Aead.CHACHA20_POLY1305: 32}
_CIPHERS: dict[Aead, Callable[[bytes], AESGCM | ChaCha20Poly1305]] = {
    Aead.AES_128_GCM: AESGCM,
    Aead.AES_256_GCM: AESGCM,
    Aead.CHACHA20_POLY1305: ChaCha20Poly1305,
}


def setup_sender(public_key: KemPublicKey, info: bytes, *, suite: Suite = DEFAULT_SUITE) -> Sender:
    """SetupBaseS (RFC 9180 §5.1.1): a context whose ``enc`` lets the holder of the private key follow."""
    return _sender(public_key.kem_id, public_key.encapsulate(), info, suite)


def setup_recipient(private_key: KemPrivateKey, enc: bytes, info: bytes, *, suite: Suite = DEFAULT_SUITE) -> Recipient:
    """SetupBaseR (RFC 9180 §5.1.1).  Says nothing about ``enc`` yet: only opening proves that the sender was there.

    Raises Malformed where ``enc`` cannot be an encapsulated key at all.
    """
    return Recipient(_Schedule(private_key.kem_id, private_key.decapsulate(enc), info, suite))


def seal_to(public_key: KemPublicKey, info: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """One box, ``enc || ciphertext``; :func:`open_from` with the same ``info`` and ``aad`` opens it (RFC 9180 §6.1)."""
    sender = setup_sender(public_key, info)
    return sender.enc + sender.seal(plaintext, aad)


def open_from(private_key: KemPrivateKey, info: bytes, aad: bytes, box: bytes) -> bytes:
    """The plaintext of a box.  Raises Malformed if it is too short, ChannelBroken if anything in it was changed."""
    if len(box) < private_key.enc_length + TAG_LENGTH:
        raise Malformed(f"a sealed box has at least {private_key.enc_length + TAG_LENGTH} bytes, not {len(box)}")
    enc, ciphertext = box[: private_key.enc_length], box[private_key.enc_length :]
    return setup_recipient(private_key, enc, info).open(ciphertext, aad)


class _Context:
    """A key schedule's outcome and where in the sequence we are: what both ends of a context have."""

    __slots__ = ("_schedule", "_sequence")

    def __init__(self, schedule: _Schedule) -> None:
        self._schedule = schedule
        self._sequence = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<redacted>, sequence={self._sequence})"

    def export(self, exporter_context: bytes, length: int) -> bytes:
        """A secret of ``length`` bytes that only the two ends know (RFC 9180 §5.3)."""
        return self._schedule.expand(self._schedule.exporter_secret, b"sec", exporter_context, length)

    def _nonce(self) -> bytes:
        """ComputeNonce of RFC 9180 §5.2.  Raises ChannelBroken where the sequence is used up."""
        if self._sequence >= MESSAGE_LIMIT:
            raise ChannelBroken("an HPKE context has reached its message limit", code="message_limit")
        return (self._schedule.base_nonce ^ self._sequence).to_bytes(NONCE_LENGTH, "big")


class Sender(_Context):
    """The sealing end.  Messages are numbered; each is sealed once, in order."""

    __slots__ = ("enc",)

    def __init__(self, schedule: _Schedule, enc: bytes) -> None:
        super().__init__(schedule)
        self.enc = enc

    def seal(self, plaintext: bytes, aad: bytes = b"") -> bytes:
        """The next message: ciphertext and tag, 16 bytes longer than ``plaintext``."""
        ciphertext = self._schedule.cipher.encrypt(self._nonce(), plaintext, aad)
        self._sequence += 1
        return ciphertext


class Recipient(_Context):
    """The opening end.  Opens messages in the order in which they were sealed, and in no other."""

    __slots__ = ()

    def open(self, ciphertext: bytes, aad: bytes = b"") -> bytes:
        """The next message.  Raises ChannelBroken if it is not exactly that one; the sequence then stays."""
        try:
            plaintext = self._schedule.cipher.decrypt(self._nonce(), ciphertext, aad)
        except InvalidTag:
            raise ChannelBroken("a sealed message does not open") from None
        self._sequence += 1  # only after success, RFC 9180 §5.2
        return plaintext


class _Schedule:
    """KeySchedule of RFC 9180 §5.1 in base mode, where psk and psk_id are empty."""

    __slots__ = ("_hash_name", "_suite_id", "base_nonce", "cipher", "exporter_secret")

    def __init__(self, kem_id: int, shared_secret: bytes, info: bytes, suite: Suite) -> None:
        self._hash_name, hash_length = _HASHES[suite.kdf]
        self._suite_id = b"HPKE" + b"".join(n.to_bytes(2, "big") for n in (kem_id, suite.kdf.value, suite.aead.value))
        context = _no_psk(self._suite_id, self._hash_name) + self.extract(b"", b"info_hash", info)
        secret = self.extract(shared_secret, b"secret", b"")
        self.cipher = _CIPHERS[suite.aead](self.expand(secret, b"key", context, _KEY_LENGTHS[suite.aead]))
        self.base_nonce = int.from_bytes(self.expand(secret, b"base_nonce", context, NONCE_LENGTH), "big")
        self.exporter_secret = self.expand(secret, b"exp", context, hash_length)

    def extract(self, salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return labeled_extract(self._suite_id, salt, label, ikm, hash_name=self._hash_name)

    def expand(self, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
        return labeled_expand(self._suite_id, prk, label, info, length, hash_name=self._hash_name)


@cache
def _no_psk(suite_id: bytes, hash_name: str) -> bytes:
    """How the context of a schedule without a pre-shared key begins: the same for every message of a suite."""
    return _MODE_BASE + labeled_extract(suite_id, b"", b"psk_id_hash", b"", hash_name=hash_name)


def _sender(kem_id: int, encapsulated: Encapsulated, info: bytes, suite: Suite = DEFAULT_SUITE) -> Sender:
    """The sealing end with the encapsulation given, for test vectors."""
    return Sender(_Schedule(kem_id, encapsulated.shared_secret, info, suite), encapsulated.enc)
