"""What lies beside a receipt: its salt, the place of its commitment in the log, and the report that bound its key.

    {"receipt", "salt", "index", "inclusion", "checkpoint", "attestation"}

``index``, ``inclusion`` and ``checkpoint`` are all null while the log has not taken the receipt in: it is *pending*.
``attestation`` is the report that bound the signing key, or absent.  Nothing of it is signed with the receipt, so that
the log can answer later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hermetic.errors import Malformed
from hermetic.identity import AttestationReport
from hermetic.ledger.checkpoint import SignedCheckpoint, open_checkpoint
from hermetic.ledger.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from hermetic.ledger.note import MAX_NOTE_SIZE, VerifierKey
from hermetic.ledger.receipt import SALT_SIZE, Receipt, leaf_commitment
from hermetic.wire import parse_json, unhex

__all__ = ["Inclusion", "ReceiptFile", "verify_logged"]

_NAMES = frozenset({"receipt", "salt", "index", "inclusion", "checkpoint"})
_LONGEST_PROOF = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """Where a commitment is said to lie: leaf ``index``, the hashes beside its path, and a checkpoint's note."""

    index: int
    proof: tuple[bytes, ...]
    note: bytes


def verify_logged(record: bytes, *, salt: bytes, inclusion: Inclusion, log_key: VerifierKey) -> SignedCheckpoint:
    """The log with ``log_key`` holds the commitment to ``record``; the checkpoint that says so.

    ``record`` is the canonical form of a signed record, whoever made it.  Raises Malformed or NotAuthentic.
    """
    checkpoint = open_checkpoint(inclusion.note, log_key=log_key)
    verify_inclusion(
        leaf=leaf_hash(leaf_commitment(salt, record)),
        index=inclusion.index,
        size=checkpoint.size,
        proof=inclusion.proof,
        root=checkpoint.root,
    )
    return checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptFile:
    """A receipt as it is kept.  Nothing in it is trusted: :func:`hermetic.ledger.examine` says what holds."""

    receipt: Receipt
    salt: bytes
    inclusion: Inclusion | None = None
    attestation: AttestationReport | None = None

    def __post_init__(self) -> None:
        if len(self.salt) != SALT_SIZE:
            raise Malformed(f"receipt file: the salt has {SALT_SIZE} bytes")

    @property
    def commitment(self) -> bytes:
        """The log's entry for this receipt (32 bytes)."""
        return leaf_commitment(self.salt, self.receipt.to_bytes())

    def logged(self, inclusion: Inclusion) -> ReceiptFile:
        """This file, with its place in the log."""
        return replace(self, inclusion=inclusion)

    def attested(self, report: AttestationReport) -> ReceiptFile:
        """This file, with the attestation report of the workload that signed the receipt."""
        return replace(self, attestation=report)

    def to_json(self) -> dict[str, Any]:
        place: dict[str, Any] = {"index": None, "inclusion": None, "checkpoint": None}
        if self.inclusion is not None:
            place = {
                "index": self.inclusion.index,
                "inclusion": [digest.hex() for digest in self.inclusion.proof],
                "checkpoint": self.inclusion.note.decode("utf-8"),
            }
        document = {"receipt": self.receipt.to_json(), "salt": self.salt.hex(), **place}
        if self.attestation is not None:
            document["attestation"] = self.attestation.to_json()
        return document

    @classmethod
    def from_bytes(cls, data: bytes | str) -> ReceiptFile:
        return cls.from_json(parse_json(data, what="receipt file", limit=4 * 1024 * 1024))

    @classmethod
    def from_json(cls, obj: object) -> ReceiptFile:
        """Raises Malformed on anything missing, unknown or of the wrong form."""
        if not isinstance(obj, dict) or obj.keys() - {"attestation"} != _NAMES:
            raise Malformed(f"receipt file: expected an object of {', '.join(sorted(_NAMES))}")
        return cls(
            receipt=Receipt.from_json(obj["receipt"]),
            salt=unhex(obj["salt"], what="salt", length=SALT_SIZE),
            inclusion=_inclusion(obj),
            attestation=AttestationReport.from_json(obj["attestation"]) if "attestation" in obj else None,
        )


def _inclusion(obj: Mapping[str, Any]) -> Inclusion | None:
    index, proof, checkpoint = obj["index"], obj["inclusion"], obj["checkpoint"]
    if index is None and proof is None and checkpoint is None:
        return None
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < 2**53:
        raise Malformed("receipt file: index is not the number of a leaf")
    if not isinstance(proof, list) or len(proof) > _LONGEST_PROOF:
        raise Malformed(f"receipt file: inclusion is not a list of at most {_LONGEST_PROOF} hashes")
    if not isinstance(checkpoint, str) or len(checkpoint) > MAX_NOTE_SIZE:
        raise Malformed("receipt file: checkpoint is not the text of a note")
    try:
        note = checkpoint.encode("utf-8")
    except UnicodeEncodeError:
        raise Malformed("receipt file: checkpoint is not the text of a note") from None
    hashes = tuple(unhex(digest, what="inclusion", length=HASH_SIZE) for digest in proof)
    return Inclusion(index=index, proof=hashes, note=note)
