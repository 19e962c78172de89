"""Strict base64 and hex: one spelling for each value, so that no two documents mean the same bytes."""

from __future__ import annotations

import base64
import binascii
import re

from hermetic.errors import Malformed

_LOWER_HEX = re.compile(r"(?:[0-9a-f]{2})*")


def b64encode(data: bytes) -> str:
    """Standard base64 with padding (RFC 4648 §4)."""
    return base64.b64encode(data).decode("ascii")


def b64decode(text: object, *, what: str = "value", length: int | None = None) -> bytes:
    """The bytes of canonical, padded base64.  Raises Malformed on any other spelling or on a wrong length."""
    if not isinstance(text, str):
        raise Malformed(f"{what}: expected base64 text, got {type(text).__name__}")
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Malformed(f"{what}: not base64") from error
    if b64encode(data) != text:
        raise Malformed(f"{what}: base64 is not canonical")
    return _sized(data, what, length)


def unhex(text: object, *, what: str = "value", length: int | None = None) -> bytes:
    """The bytes of lowercase hex.  Raises Malformed on any other spelling or on a wrong length."""
    if not isinstance(text, str) or _LOWER_HEX.fullmatch(text) is None:
        raise Malformed(f"{what}: expected lowercase hex digits")
    return _sized(bytes.fromhex(text), what, length)


def _sized(data: bytes, what: str, length: int | None) -> bytes:
    if length is not None and len(data) != length:
        raise Malformed(f"{what}: expected {length} bytes, got {len(data)}")
    return data
