"""What evidence binds: one construction for every purpose (protocols.md §3).

The workload's own agent computes this from typed fields; nobody can ask it for a report over raw bytes.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass

from hermetic.errors import Malformed
from hermetic.evidence import NO_DEVICES
from hermetic.wire import Digest, canonical, is_digest, sha256, sha256_digest, unhex

__all__ = ["NO_CONTEXT", "Binding", "Purpose"]

NONCE_BYTES = 32


class Purpose(enum.StrEnum):
    """Why evidence was made.  A verifier accepts exactly one."""

    SESSION = "hermetic.session.v1"
    RELEASE = "hermetic.release.v1"
    BROKER = "hermetic.broker.v1"
    JOB = "hermetic.job.v1"
    FEDERATE = "hermetic.federate.v1"


NO_CONTEXT = sha256_digest(b"hermetic.context.none")
"""The context of an exchange that is about nothing beyond its nonce (a session)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The fields that the hardware's signature ties together.

    ``nonce`` is the verifier's, 32 bytes; ``context_digest`` covers what the exchange is about; ``devices_digest``
    covers the devices' own evidence.  Raises Malformed when a field has the wrong form.
    """

    purpose: Purpose
    nonce: bytes
    keyset_digest: Digest
    launch_digest: Digest
    context_digest: Digest = NO_CONTEXT
    devices_digest: Digest = NO_DEVICES

    def __post_init__(self) -> None:
        if len(self.nonce) != NONCE_BYTES:
            raise Malformed(f"nonce: expected {NONCE_BYTES} bytes, got {len(self.nonce)}")
        for name in ("keyset_digest", "launch_digest", "context_digest", "devices_digest"):
            if not is_digest(getattr(self, name)):
                raise Malformed(f"{name}: not a digest")

    def report_data(self) -> bytes:
        """The 64 bytes the platform signs: SHA-512 over the canonical fields."""
        fields = {
            "purpose": str(self.purpose),
            "nonce": self.nonce.hex(),
            "keyset_digest": self.keyset_digest,
            "launch_digest": self.launch_digest,
            "context_digest": self.context_digest,
            "devices_digest": self.devices_digest,
        }
        return hashlib.sha512(canonical(fields)).digest()

    def device_nonce(self) -> bytes:
        """The 32 bytes a device is challenged with; devices are asked before the CPU, which signs their evidence."""
        return sha256(
            b"hermetic.device.v1", _raw(self.keyset_digest), self.nonce, _raw(self.context_digest)
        )  # all four parts have a fixed length, so plain concatenation is injective


def _raw(value: Digest) -> bytes:
    return unhex(value.removeprefix("sha256:"), what="digest", length=32)
