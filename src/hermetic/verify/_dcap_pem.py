"""Certificate chains as Intel sends them: PEM in one spelling, so that no byte of it can change unnoticed."""

from __future__ import annotations

import base64
import binascii
import re

from hermetic.errors import Malformed

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)\n-----END CERTIFICATE-----\n")
_WIDTHS = (64, 76)  # RFC 7468's, which Intel uses, and MIME's, which some quotes from before 2021 use
_MOST = 3


def certificates_from_pem(data: bytes, what: str) -> tuple[bytes, ...]:
    """The certificates (DER) of a chain of one to three, leaf first.

    Lines are of 64 or of 76 characters throughout a certificate and end in LF; after the last, one NUL may follow,
    which C programs keep.  Raises Malformed on anything else.
    """
    text = data.removesuffix(b"\0")
    blocks = _BLOCK.findall(text)
    if not 1 <= len(blocks) <= _MOST:
        raise Malformed(f"{what}: expected one to {_MOST} certificates in PEM")
    try:
        certificates = tuple(base64.b64decode(block.replace(b"\n", b""), validate=True) for block in blocks)
    except binascii.Error as error:
        raise Malformed(f"{what}: not base64") from error
    # Written again and compared: what base64 and line breaks leave open is closed here.
    if not _is_written(certificates, text):
        raise Malformed(f"{what}: not in the one spelling of PEM that is accepted")
    return certificates


def _is_written(certificates: tuple[bytes, ...], text: bytes) -> bool:
    for der in certificates:
        spelling = next((b for width in _WIDTHS if text.startswith(b := _block(base64.b64encode(der), width))), None)
        if spelling is None:
            return False
        text = text[len(spelling) :]
    return not text


def pem_from_certificates(certificates: tuple[bytes, ...]) -> bytes:
    """The inverse of :func:`certificates_from_pem`: lines of 64, no NUL."""
    return b"".join(_block(base64.b64encode(der), _WIDTHS[0]) for der in certificates)


def _block(text: bytes, width: int) -> bytes:
    lines = (text[start : start + width] for start in range(0, len(text), width))
    return b"\n".join((b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""))
