"""Encryption to an attested key: HPKE, the EHBP protocol, the strict profile, and the door of a server.

    Accepted ──open_session──▶ Session          what a client may talk to
    strict.ServerKey, ehbp.ServerKey            what a server opens with
    asgi.SealedChannel                          both profiles in front of an application

Nothing here opens a socket or reads a clock: bytes come in, bytes go out, and ``now`` is a parameter.
"""

from hermetic.channel.hpke import open_from, seal_to
from hermetic.channel.kem import X25519PrivateKey, X25519PublicKey, XWingPrivateKey, XWingPublicKey
from hermetic.channel.session import Session, open_session

__all__ = [
    "Session",
    "X25519PrivateKey",
    "X25519PublicKey",
    "XWingPrivateKey",
    "XWingPublicKey",
    "open_from",
    "open_session",
    "seal_to",
]
