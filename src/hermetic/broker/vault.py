"""Secrets at rest: AES-256-GCM envelopes under one root key, each tied to the place it was stored at.

The place (table, tenant, name, generation, index in the log) is the associated data.  An envelope that was moved to
another row, or put back from an older copy of the row, therefore does not open.

While the broker runs outside a TEE, whoever can read the root key file can read every secret: its operator can.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hermetic.errors import Misconfigured, NotAuthentic
from hermetic.wire import transcript

__all__ = ["Place", "Vault", "make_root_key", "open_vault"]

_LABEL = "hermetic.broker.envelope.v1"
_VERSION = b"\x01"
_NONCE_BYTES = 12
_ROOT_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a secret is stored.  ``log_index`` is that of the entry which recorded its making, or None for signing keys
    (the log cannot record the key that signs it before it exists)."""

    table: str
    tenant: str
    name: str
    generation: int
    log_index: int | None

    def associated_data(self) -> bytes:
        """An injective encoding of the place."""
        index = b"" if self.log_index is None else self.log_index.to_bytes(8, "big")
        texts = (text.encode() for text in (self.table, self.tenant, self.name))
        return transcript(_LABEL, *texts, self.generation.to_bytes(8, "big"), index)


class Vault:
    """Seals and opens envelopes: ``version(1) || nonce(12) || ciphertext || tag(16)``."""

    def __init__(self, root_key: bytes) -> None:
        if len(root_key) != _ROOT_KEY_BYTES:
            raise Misconfigured("the root key is not 32 bytes long", code="root_key_malformed")
        self._aead = AESGCM(root_key)

    def __repr__(self) -> str:
        return "Vault(<redacted>)"

    def seal(self, secret: bytes, place: Place) -> bytes:
        """An envelope that opens at ``place`` and nowhere else."""
        # A broker seals a handful of secrets in its life, so random 96-bit nonces do not meet (NIST SP 800-38D §8.3).
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._aead.encrypt(nonce, secret, place.associated_data())

    def open(self, envelope: bytes, place: Place) -> bytes:
        """Raises NotAuthentic when the envelope was changed, moved, rolled back, or sealed under another root key."""
        nonce, sealed = envelope[1 : 1 + _NONCE_BYTES], envelope[1 + _NONCE_BYTES :]
        try:
            if envelope[:1] != _VERSION:
                raise InvalidTag
            return self._aead.decrypt(nonce, sealed, place.associated_data())
        except (InvalidTag, ValueError):
            raise NotAuthentic(
                f"the stored secret of {place.name} does not open in its place",
                code="envelope",
                fix="the data folder was altered, or its root key is another one; restore both from one backup",
            ) from None


def make_root_key(path: Path) -> None:
    """Makes the root key file (32 random bytes, mode 0600) unless there is one.  Never overwrites."""
    if path.exists():
        return
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(os.urandom(_ROOT_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    os.link(fresh, path)  # unlike rename, it refuses to replace a key that came into being meanwhile
    fresh.unlink()


def open_vault(path: Path) -> Vault:
    """Reads the root key.  Raises Misconfigured if it is missing, a link, or anybody else can read it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise Misconfigured(
            f"cannot open the root key {path}: {error.strerror}",
            code="root_key_unreadable",
            fix="hermetic broker init --config broker.toml makes one",
        ) from error
    with open(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077 or status.st_uid != os.geteuid():
            raise Misconfigured(
                f"the root key {path} must be a file that only its owner can read, and the owner must be this user",
                code="root_key_exposed",
                fix=f"chmod 600 {path}; if others could read it, treat every key in this broker as known",
            )
        return Vault(file.read(_ROOT_KEY_BYTES + 1))
