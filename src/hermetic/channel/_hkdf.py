"""HKDF (RFC 5869) and its labelled form (RFC 9180 §4).  SHA-256, unless an HPKE suite says otherwise."""

from __future__ import annotations

import hmac

_LONGEST = {"sha256": 255 * 32, "sha512": 255 * 64}


def extract(salt: bytes, ikm: bytes, *, hash_name: str = "sha256") -> bytes:
    """HKDF-Extract: a pseudorandom key.  An empty salt is the same as one of zero bytes (RFC 5869 §2.2)."""
    return hmac.digest(salt, ikm, hash_name)


def expand(prk: bytes, info: bytes, length: int, *, hash_name: str = "sha256") -> bytes:
    """HKDF-Expand: ``length`` bytes.  Raises ValueError above 255 blocks (RFC 5869 §2.3)."""
    if not 0 <= length <= _LONGEST[hash_name]:
        raise ValueError(f"HKDF gives 0 to {_LONGEST[hash_name]} bytes, not {length}")
    output, block, counter = b"", b"", 0
    while len(output) < length:
        counter += 1
        block = hmac.digest(prk, block + info + bytes([counter]), hash_name)
        output += block
    return output[:length]


def labeled_extract(suite_id: bytes, salt: bytes, label: bytes, ikm: bytes, *, hash_name: str = "sha256") -> bytes:
    """LabeledExtract of RFC 9180 §4."""
    return extract(salt, b"HPKE-v1" + suite_id + label + ikm, hash_name=hash_name)


def labeled_expand(
    suite_id: bytes, prk: bytes, label: bytes, info: bytes, length: int, *, hash_name: str = "sha256"
) -> bytes:
    """LabeledExpand of RFC 9180 §4."""
    labeled_info = length.to_bytes(2, "big") + b"HPKE-v1" + suite_id + label + info
    return expand(prk, labeled_info, length, hash_name=hash_name)
