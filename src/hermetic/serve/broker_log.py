"""What we have seen of the broker's log, so that it can never go back or show us another one."""

from __future__ import annotations

from hermetic.ledger import Pinned, SignedCheckpoint, VerifierKey, open_checkpoint
from hermetic.wire import unhex

__all__ = ["BrokerLog"]


class BrokerLog:
    """The newest checkpoint of the log with that key.  Kept in memory: a workload has no disk of its own."""

    def __init__(self, log_key: VerifierKey) -> None:
        self.key = log_key
        self._pinned: Pinned | None = None

    @property
    def size(self) -> int:
        """Entries under the newest checkpoint, 0 before the first: what the broker is told with every question."""
        return 0 if self._pinned is None else self._pinned.newest.size

    def follow(self, note: bytes, consistency: tuple[str, ...]) -> SignedCheckpoint:
        """The checkpoint in an answer, once it is known to continue the last one.  Raises Malformed, NotAuthentic."""
        checkpoint = open_checkpoint(note, log_key=self.key)
        proof = [unhex(step, what="consistency proof", length=32) for step in consistency]
        self._pinned = Pinned.first(checkpoint) if self._pinned is None else self._pinned.advance(checkpoint, proof)
        return checkpoint
