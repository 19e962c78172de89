"""Receipts, and the append-only log that holds a commitment to each (RFC 6962 trees in C2SP's formats).

    signed receipt ─leaf_commitment→ Log.append → checkpoint (signed) + inclusion proof, beside the receipt
    checkpoint ─consistency proof→ the next checkpoint: nothing was changed or taken away

A leaf is SHA-256(salt ‖ signed record): the log shows that a record exists, never what it says.
"""

from hermetic.ledger.audit import Audit
from hermetic.ledger.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint, parse_checkpoint, sign_checkpoint
from hermetic.ledger.disk import Disk, FolderDisk
from hermetic.ledger.envelope import Inclusion, ReceiptFile, verify_logged
from hermetic.ledger.examine import examine
from hermetic.ledger.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from hermetic.ledger.note import NoteSigner, VerifierKey, open_note, parse_note, sign_note
from hermetic.ledger.pinned import Pinned, PinnedCheckpoints
from hermetic.ledger.question import conclude
from hermetic.ledger.reader import LogReader, Resource
from hermetic.ledger.receipt import (
    Event,
    EventType,
    Receipt,
    exchange_events,
    leaf_commitment,
    sign_receipt,
    verify_receipt,
)
from hermetic.ledger.store import Appended, Log

__all__ = [
    "EMPTY_ROOT",
    "Appended",
    "Audit",
    "Checkpoint",
    "Disk",
    "Event",
    "EventType",
    "FolderDisk",
    "Inclusion",
    "Log",
    "LogReader",
    "NoteSigner",
    "Pinned",
    "PinnedCheckpoints",
    "Receipt",
    "ReceiptFile",
    "Resource",
    "SignedCheckpoint",
    "VerifierKey",
    "conclude",
    "examine",
    "exchange_events",
    "leaf_commitment",
    "leaf_hash",
    "open_checkpoint",
    "open_note",
    "parse_checkpoint",
    "parse_note",
    "sign_checkpoint",
    "sign_note",
    "sign_receipt",
    "verify_consistency",
    "verify_inclusion",
    "verify_logged",
    "verify_receipt",
]
