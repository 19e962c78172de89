"""The ``aci/1`` statement, for clients of the Attested Confidential Inference protocol.

Weaker than ours: it binds neither purpose, launch document nor devices.  It is served on its own route only, and none
of our own verifiers accepts it.
"""

from __future__ import annotations

import re

from hermetic.errors import Malformed
from hermetic.wire import Digest, canonical, sha256

__all__ = ["ACI_VERSION", "aci_report_data"]

ACI_VERSION = "aci/1"
_NONCE = re.compile(r"[0-9a-f]{64}")


def aci_report_data(keyset_digest: Digest, nonce: str | None) -> bytes:
    """SHA-256 of the exact statement, zero-padded to 64 bytes.  ``nonce`` is 64 lowercase hex digits, or None.

    Raises Malformed on any other nonce.
    """
    if nonce is not None and _NONCE.fullmatch(nonce) is None:
        raise Malformed("nonce: expected 64 lowercase hex digits", code="invalid_request_error")
    statement = {"keyset_digest": keyset_digest, "nonce": nonce, "purpose": "aci.report_data.v1"}
    return sha256(canonical(statement)).ljust(64, b"\0")
