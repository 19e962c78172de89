"""The keys that a workload makes for itself when it starts.  They are never written down and go with the process."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.channel.kem import X25519PrivateKey, XWingPrivateKey
from hermetic.identity import ED25519, EHBP, RELEASE, STRICT, Keyset, PublicKey
from hermetic.wire import sha256

__all__ = ["WorkloadKeys"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadKeys:
    """One key for each role: signing receipts, EHBP, the strict channel, and taking released keys."""

    receipt: Ed25519PrivateKey = field(repr=False)
    ehbp: X25519PrivateKey = field(repr=False)
    strict: XWingPrivateKey = field(repr=False)
    release: XWingPrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> WorkloadKeys:
        return cls(
            receipt=Ed25519PrivateKey.generate(),
            ehbp=X25519PrivateKey.generate(),
            strict=XWingPrivateKey.generate(),
            release=XWingPrivateKey.generate(),
        )

    def keyset(self, *, subject: str, not_after: int) -> Keyset:
        """The public halves, for the service ``subject``, good until ``not_after`` (Unix seconds)."""
        return Keyset(
            subject=subject,
            not_after=not_after,
            receipt_signing_keys=(_public(ED25519, self.receipt.public_key().public_bytes_raw()),),
            e2ee_public_keys=(
                _public(EHBP, self.ehbp.public_key().raw),
                _public(STRICT, self.strict.public_key().raw),
                _public(RELEASE, self.release.public_key().raw),
            ),
        )


def _public(algo: str, raw: bytes) -> PublicKey:
    return PublicKey(key_id=sha256(raw).hex()[:16], algo=algo, public_key=raw)
