"""The journal: nothing is answered before it is durable here and in the log.

One thread writes.  Whatever waits at that moment is one batch: one database transaction, then one append to the log,
so that many releases share two syncs (group commit).

    1. each record gets the next index, and its rows are committed;
    2. the leaves are appended to the log, which syncs and signs a checkpoint;
    3. only then do the waiting answers leave.

A crash between 1 and 2 leaves records without leaves; opening the journal appends them, at the very indexes they were
given.  The reverse, a log longer than the database, means that an older database was put back: that refuses.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.broker.store import Entry, Store
from hermetic.errors import NotAuthentic, Refused, Unavailable
from hermetic.ledger import Log, SignedCheckpoint, leaf_commitment
from hermetic.release import Document, sign
from hermetic.wire import canonical

__all__ = ["Journal", "Record", "Recorded"]

_SALT_BYTES = 32
_LARGEST_BATCH = 512


def _nothing_else(_: Store, __: int) -> None:
    return None


def _always(_: Store) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Something to write down: a leaf, the document behind it if the broker made it, and the rows that go with it.

    ``also`` runs inside the transaction, once the record's index in the log is known.  ``guard`` runs there before
    it, after everything that is written earlier, and refuses by raising: then nothing of that submission is written.
    """

    leaf: bytes
    at: int
    kind: str
    document: bytes | None = None
    salt: bytes | None = field(default=None, repr=False)
    also: Callable[[Store, int], None] = _nothing_else
    guard: Callable[[Store], None] = _always

    @classmethod
    def of(
        cls,
        document: Document,
        *,
        at: int,
        key: Ed25519PrivateKey,
        also: Callable[[Store, int], None] = _nothing_else,
        guard: Callable[[Store], None] = _always,
    ) -> Record:
        """The broker's own document, signed.  Its leaf is SHA-256(salt ‖ signed document): the log shows nobody what
        it says, and whoever holds both can prove it."""
        salt = os.urandom(_SALT_BYTES)
        signed = canonical(sign(document, key))
        leaf = leaf_commitment(salt, signed)
        return cls(leaf=leaf, at=at, kind=document.TYPE, document=signed, salt=salt, also=also, guard=guard)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Durable: the records, their indexes in the log, in order, and a signed checkpoint that covers them."""

    records: tuple[Record, ...]
    indexes: tuple[int, ...]
    checkpoint: SignedCheckpoint


class Journal:
    """Owns the database's entries and the log.  Any thread may submit; one thread writes."""

    def __init__(self, store: Store, log: Log) -> None:
        """Brings the log up to the database.  Raises NotAuthentic if the two do not tell the same story."""
        _reconcile(store, log)
        self._store = store
        self._log = log
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._failed = False
        self._closing = False
        self._gate = threading.Lock()  # so that nothing is queued behind the end
        self._thread = threading.Thread(target=self._run, name="hermetic-journal", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether records can still be written.  After a failed write nobody knows what the disk holds."""
        return not self._failed and not self._closing

    def submit(self, records: Sequence[Record]) -> Future[Recorded]:
        """Resolves once the records are durable in database and log.

        Fails with Unavailable when they cannot be, and with the refusal of a record's guard.
        """
        waiting = _Waiting(records=tuple(records))
        with self._gate:
            if self.healthy:
                self._queue.put(waiting)
            else:
                waiting.future.set_exception(_stopped())
        return waiting.future

    def close(self) -> None:
        """Writes what waits, then stops."""
        with self._gate:
            self._closing = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            batch = [self._queue.get()]
            while len(batch) < _LARGEST_BATCH and not self._queue.empty():
                batch.append(self._queue.get())
            stopping = None in batch
            waiting = [each for each in batch if each is not None]
            if waiting:
                self._write(waiting)

    def _write(self, batch: list[_Waiting]) -> None:
        if self._failed:
            for waiting in batch:
                waiting.future.set_exception(_stopped())
            return
        try:
            indexes, checkpoint = self._commit(batch)
        except Exception as error:
            # Whatever it was, nothing may be answered from here on: the next start finds out what the disk holds.
            self._failed = True
            for waiting in batch:
                waiting.future.set_exception(_stopped(error))
            return
        for waiting, placed in zip(batch, indexes, strict=True):
            if isinstance(placed, Refused):
                waiting.future.set_exception(placed)
            else:
                waiting.future.set_result(Recorded(records=waiting.records, indexes=placed, checkpoint=checkpoint))

    def _commit(self, batch: list[_Waiting]) -> tuple[list[tuple[int, ...] | Refused], SignedCheckpoint]:
        upcoming = self._log.checkpoint.size
        fresh: list[bytes] = []
        placed: list[tuple[int, ...] | Refused] = []
        # 1. Rows first, in one transaction.
        with self._store.writing():
            for waiting in batch:
                refusal = _refusal(self._store, waiting.records)
                if refusal is not None:
                    placed.append(refusal)
                    continue
                indexes = []
                for record in waiting.records:
                    # A leaf that is there already keeps its place, so that asking twice adds nothing.
                    known = self._store.index_of(record.leaf)
                    if known is None:
                        _insert(self._store, record, upcoming)
                        fresh.append(record.leaf)
                        known, upcoming = upcoming, upcoming + 1
                    indexes.append(known)
                placed.append(tuple(indexes))
        # 2. Then the tree, at the same indexes: nobody else appends to it.
        if not fresh:
            return placed, self._log.checkpoint
        return placed, self._log.append(fresh).checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    records: tuple[Record, ...]
    future: Future[Recorded] = field(default_factory=Future)


def _refusal(store: Store, records: Sequence[Record]) -> Refused | None:
    """What the first guard that refuses says, with everything earlier in this batch already in the transaction."""
    try:
        for record in records:
            record.guard(store)
    except Refused as error:
        return error
    return None


def _insert(store: Store, record: Record, log_index: int) -> None:
    store.add_entry(
        Entry(
            log_index=log_index,
            leaf=record.leaf,
            at=record.at,
            kind=record.kind,
            document=record.document,
            salt=record.salt,
        )
    )
    record.also(store, log_index)


def _reconcile(store: Store, log: Log) -> None:
    entries, size = store.entry_count(), log.checkpoint.size
    if entries < size:
        raise NotAuthentic(
            f"the log has {size} entries and the database {entries}: an older database was put back",
            code="rolled_back",
            fix="restore database and log from one backup; clients will notice if that is older than what they saw",
        )
    last = store.entry(size - 1)
    if last is not None and last.leaf != log.entry(size - 1):
        raise NotAuthentic(
            f"entry {size - 1} differs between database and log", code="rolled_back", fix="restore both from one backup"
        )
    if entries > size:
        log.append(store.leaves_from(size))


def _stopped(cause: Exception | None = None) -> Unavailable:
    error = Unavailable(
        "the broker could not write its journal, and answers nothing without it",
        code="journal_stopped",
        fix="look at the disk, then start the broker again",
    )
    error.__cause__ = cause
    return error
