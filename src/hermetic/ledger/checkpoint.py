"""Checkpoints (c2sp.org/tlog-checkpoint): a log's name, its size and its root, in a signed note.

A :class:`Checkpoint` is only what somebody claims.  A :class:`SignedCheckpoint` comes from :func:`open_checkpoint` or
:func:`sign_checkpoint` alone: the log's key stands behind it, and the note is kept, because two signed notes that
contradict each other are the proof that a log lied.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hermetic.errors import Malformed, NotAuthentic
from hermetic.ledger.merkle import EMPTY_ROOT, HASH_SIZE
from hermetic.ledger.note import NoteSigner, VerifierKey, open_note, sign_note
from hermetic.wire import b64decode, b64encode

__all__ = ["Checkpoint", "SignedCheckpoint", "open_checkpoint", "parse_checkpoint", "sign_checkpoint"]

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_MAX_SIZE = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a log claims to be: ``size`` leaves under ``root`` (32 bytes)."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lines = (self.origin, *self.extensions)
        if not all(lines) or any("\n" in line for line in lines):
            raise Malformed("checkpoint: origin and extension lines are single lines and not empty")
        if not 0 <= self.size <= _MAX_SIZE or len(self.root) != HASH_SIZE:
            raise Malformed("checkpoint: expected a size below 2**63 and a root of 32 bytes")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise Malformed("checkpoint: the empty tree has the hash of the empty string as its root")

    def text(self) -> str:
        """The note's text: origin, size, root and extensions, a line each."""
        return "\n".join((self.origin, str(self.size), b64encode(self.root), *self.extensions)) + "\n"

    def __str__(self) -> str:
        return f"{self.origin} at size {self.size}, root {self.root.hex()[:16]}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint whose signature by the log's key holds, and the note that says so (bytes, to keep and pass on).

    ``signed_by`` are the keys whose signatures were verified: the log's, and those of the witnesses asked for.
    """

    checkpoint: Checkpoint
    note: bytes
    signed_by: tuple[VerifierKey, ...]

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.checkpoint.origin

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self.checkpoint.size

    @property
    def root(self) -> bytes:
        """The root hash (32 bytes)."""
        return self.checkpoint.root


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint in a note's text.  Nothing in it is believed yet.  Raises Malformed."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop():
        raise Malformed("checkpoint: expected three lines or more, each ended by a newline")
    origin, size, root, *extensions = lines
    if _SIZE.fullmatch(size) is None:
        raise Malformed("checkpoint: the tree size is not a decimal number in its one spelling")
    return Checkpoint(
        origin=origin,
        size=int(size),
        root=b64decode(root, what="checkpoint root", length=HASH_SIZE),
        extensions=tuple(extensions),
    )


def open_checkpoint(data: bytes, *, log_key: VerifierKey, witnesses: Sequence[VerifierKey] = ()) -> SignedCheckpoint:
    """The checkpoint in the note ``data``, signed by ``log_key`` and by every one of ``witnesses``.

    The log signs under its origin as the key's name.  Raises Malformed, or NotAuthentic where a signature is missing or
    does not hold, or where the note is another log's.
    """
    note, signed_by = open_note(data, keys=(log_key, *witnesses))
    for key in (log_key, *witnesses):
        if key not in signed_by:
            raise NotAuthentic(f"checkpoint: expected a signature by {key.name}, got none", code="note_signature")
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != log_key.name:
        raise NotAuthentic(
            f"checkpoint: expected the log {log_key.name}, got {checkpoint.origin}", code="checkpoint_origin"
        )
    return SignedCheckpoint(checkpoint=checkpoint, note=data, signed_by=signed_by)


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> SignedCheckpoint:
    """``checkpoint`` in a note signed by the log's own key.

    Whether a log *may* sign it, because it continues everything it signed before, is for :mod:`hermetic.ledger.store`.
    """
    if signer.name != checkpoint.origin:
        raise Malformed(f"checkpoint: {signer.name} does not sign for {checkpoint.origin}")
    note = sign_note(checkpoint.text(), [signer])
    return SignedCheckpoint(checkpoint=checkpoint, note=bytes(note), signed_by=(signer.verifier,))
