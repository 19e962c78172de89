"""Base64 as age writes it: the standard alphabet, no padding, one spelling for each value (C2SP age, Conventions)."""

from __future__ import annotations

import base64
import binascii

from hermetic.errors import Malformed


def encode(data: bytes) -> bytes:
    """Unpadded canonical base64."""
    return base64.b64encode(data).rstrip(b"=")


def decode(text: bytes, *, what: str, length: int | None = None) -> bytes:
    """The bytes of unpadded canonical base64.  Raises Malformed on any other spelling or a wrong length."""
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise Malformed(f"{what}: not base64") from error
    # Re-encoding refuses what a decoder forgives: padding that was written out, and non-zero trailing bits.
    if encode(data) != text:
        raise Malformed(f"{what}: base64 is not canonical")
    if length is not None and len(data) != length:
        raise Malformed(f"{what}: expected {length} bytes, got {len(data)}")
    return data
