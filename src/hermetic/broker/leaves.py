"""Receipts' leaves from workloads: who may append to the log, and to what.

A leaf is 32 bytes that say nothing by themselves.  Only a keyset that was granted a key, and has not expired, may
append, by a signature of one of its receipt keys over exactly these leaves.
"""

from __future__ import annotations

from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hermetic.broker.journal import Record
from hermetic.broker.store import Store
from hermetic.errors import NotReleased
from hermetic.release import LeavesRequest
from hermetic.wire import unhex

__all__ = ["RECEIPT", "admit_leaves"]

RECEIPT = "receipt"


def admit_leaves(request: LeavesRequest, *, store: Store, broker_key: str, now: datetime) -> tuple[Record, ...]:
    """A record for each leaf.  Raises NotReleased, with one code whatever the reason, where it may not append."""
    # 1. That keyset was given a key here, and is still alive.
    grant = store.grant(request.keyset_digest)
    if grant is None or now.timestamp() >= grant.not_after:
        raise _not_granted()
    # 2. One of its receipt keys signed exactly these leaves, for this broker.
    public = grant.receipt_keys.get(request.key_id)
    if public is None:
        raise _not_granted()
    try:
        signature = unhex(request.signature, what="signature", length=64)
        Ed25519PublicKey.from_public_bytes(public).verify(signature, request.signed_bytes(broker_key))
    except (InvalidSignature, ValueError):
        raise _not_granted() from None
    leaves = (unhex(leaf, what="leaf", length=32) for leaf in request.leaves)
    return tuple(Record(leaf=leaf, at=int(now.timestamp()), kind=RECEIPT) for leaf in leaves)


def _not_granted() -> NotReleased:
    return NotReleased(
        "only a workload that was granted a key may append, and it must sign what it appends",
        code="not_granted",
        fix="ask for a release first; if the keyset has expired, attest with a new one",
    )
