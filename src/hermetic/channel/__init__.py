"""Encryption to an attested key: HPKE, the EHBP protocol, the strict profile.

Nothing here opens a socket or reads a clock: bytes come in, bytes go out, and ``now`` is a parameter.
"""

from hermetic.channel.hpke import open_from, seal_to
from hermetic.channel.kem import X25519PrivateKey, X25519PublicKey, XWingPrivateKey, XWingPublicKey

__all__ = [
    "X25519PrivateKey",
    "X25519PublicKey",
    "XWingPrivateKey",
    "XWingPublicKey",
    "open_from",
    "seal_to",
]
