"""Owners' signing keys: Ed25519 in PKCS #8 PEM, as ``openssl genpkey -algorithm ed25519`` writes it."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hermetic.errors import Malformed
from hermetic.identity import format_ed25519


def encode_owner_key(key: Ed25519PrivateKey) -> bytes:
    """The key as PEM: a secret."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def parse_owner_key(pem: bytes) -> Ed25519PrivateKey:
    """Raises Malformed; never quotes ``pem``."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Malformed("not an unencrypted private key in PEM", fix="make one: hermetic keygen --owner") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Malformed("an owner's key is Ed25519", fix="make one: hermetic keygen --owner")
    return key


def owner_name(key: Ed25519PrivateKey) -> str:
    """The public side as documents and configurations spell it: ``ed25519:<base64>``."""
    return format_ed25519(key.public_key().public_bytes_raw())
