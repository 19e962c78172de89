"""SHA-256 digests as text: ``"sha256:" + 64 lowercase hex digits``, the one form that documents hold."""

from __future__ import annotations

import hashlib
import re
from typing import NewType

Digest = NewType("Digest", str)
"""``sha256:<64 lowercase hex>``.  Only :func:`sha256_digest` and checked parsers make one."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def sha256(*parts: bytes) -> bytes:
    """SHA-256 over the concatenation of ``parts`` (32 bytes)."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def sha256_digest(*parts: bytes) -> Digest:
    """The textual digest of the concatenation of ``parts``."""
    return Digest("sha256:" + sha256(*parts).hex())


def is_digest(value: object) -> bool:
    """Whether ``value`` is spelt as a digest.  Says nothing about what it is the digest of."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None
