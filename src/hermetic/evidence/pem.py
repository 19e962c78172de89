"""PEM (RFC 7468): DER in base64 between marks, as files and services write it.

Text around the blocks and the way in which lines break are ignored.  Where not a byte may change unnoticed, a verifier
asks for one spelling on top (:func:`pem_from_certificates` writes it).
"""

from __future__ import annotations

import re

from hermetic.errors import Malformed
from hermetic.wire import b64decode, b64encode

__all__ = [
    "CERTIFICATE",
    "MAX_CERTIFICATE",
    "REVOCATION_LIST",
    "certificates_from_pem",
    "pem_blocks",
    "pem_from_certificates",
]

CERTIFICATE, REVOCATION_LIST = "CERTIFICATE", "X509 CRL"
MAX_CERTIFICATE = 8192
"""Bytes of DER; vendors' certificates take about one thousand."""

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----([A-Za-z0-9+/=\s]*)-----END \1-----")
_LINE = 64


def pem_blocks(text: bytes) -> tuple[tuple[str, bytes], ...]:
    """Label and content of each whole block, in order; none where there is none.  Raises Malformed on bad base64."""
    return tuple(
        (label.decode("ascii"), b64decode(b"".join(body.split()).decode("ascii"), what="PEM"))
        for label, body in _BLOCK.findall(text)
    )


def certificates_from_pem(text: bytes) -> tuple[bytes, ...]:
    """The certificates in DER, in their order, none of which was read.  Raises Malformed, also for none."""
    certificates = tuple(der for label, der in pem_blocks(text) if label == CERTIFICATE)
    if not certificates:
        raise Malformed(f"no {CERTIFICATE} in PEM")
    if any(len(der) > MAX_CERTIFICATE for der in certificates):
        raise Malformed(f"PEM: a certificate of more than {MAX_CERTIFICATE} bytes")
    return certificates


def pem_from_certificates(certificates: tuple[bytes, ...], *, width: int = _LINE) -> bytes:
    """In one spelling: lines of ``width`` characters, each ended by LF, and nothing between the blocks."""
    return b"".join(_written(b64encode(der).encode("ascii"), width) for der in certificates)


def _written(text: bytes, width: int) -> bytes:
    lines = (text[start : start + width] for start in range(0, len(text), width))
    return b"\n".join((b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""))
