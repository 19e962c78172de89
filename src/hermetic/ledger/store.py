"""The log's one writer: append-only, and no moment at which a crash loses an entry or signs a fork.

One append:

1. write the new entries behind the last one, and sync them;
2. compute the root of the longer tree and sign it;
3. write the note to ``checkpoint.next``, and sync it and its name;
4. rename it to ``checkpoint``, and sync the folder;
5. only now show it to anyone.

A crash before 3 leaves entries that no signature covers: they were never acknowledged and do not count.  A crash after
3 leaves a signed note with all its entries durable: it is completed.  So everything acknowledged is there again, and
every note that was signed and kept is continued.  A write that *fails* stops the log until it is opened again, because
after a failed sync nobody knows what the disk holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Self

from hermetic.errors import Malformed, Misconfigured, Refused, Unavailable
from hermetic.ledger.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from hermetic.ledger.disk import Disk
from hermetic.ledger.merkle import EMPTY_ROOT, HASH_SIZE
from hermetic.ledger.note import NoteSigner, VerifierKey
from hermetic.ledger.reader import CHECKPOINT, ENTRIES, ENTRY_SIZE, TILES, LogReader, load_tree, read_checkpoint
from hermetic.ledger.tiles import TILE_WIDTH, TiledTree

__all__ = ["Appended", "Log"]

_NEXT = "checkpoint.next"


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """Leaves ``first_index`` and following are durable, and ``checkpoint`` covers them."""

    first_index: int
    checkpoint: SignedCheckpoint


class Log(LogReader):
    """A log that grows.  Made by :meth:`create` or :meth:`open`; holds its folder's lock until closed.

    Creating and opening are told apart on purpose: a log whose folder was lost must not quietly begin again under the
    same key, because every checkpoint it signed before would then be contradicted.
    """

    def __init__(self, disk: Disk, tree: TiledTree, checkpoint: SignedCheckpoint, signer: NoteSigner) -> None:
        super().__init__(disk, tree, checkpoint)
        self._signer = signer
        self._writing = Lock()
        self._stopped = False

    @classmethod
    def create(cls, disk: Disk, *, signer: NoteSigner) -> Log:
        """Begins a log named ``signer.name`` in a folder that holds none.  Raises Misconfigured where one is."""
        with _disk_faults(), _locked(disk):
            if disk.size(CHECKPOINT) or disk.size(ENTRIES):
                raise Misconfigured("the folder already holds a log", code="log_exists", fix="open it instead")
            disk.remove(_NEXT)  # of a creation that a crash cut short
            head = sign_checkpoint(Checkpoint(origin=signer.name, size=0, root=EMPTY_ROOT), signer)
            disk.write(_NEXT, 0, head.note)
            _put_next_in_place(disk)
            return cls(disk, load_tree(disk, [head]), head, signer)

    @classmethod
    def open(cls, disk: Disk, *, signer: NoteSigner) -> Log:
        """Takes up the log where it stands, completing or discarding what a crash left unfinished.

        Raises Misconfigured where there is no log, Unavailable where another process keeps it, and NotAuthentic where
        the files are not what the checkpoint signed: such a log is left untouched for a person to look at.
        """
        with _disk_faults(), _locked(disk):
            head, tree = _recover(disk, signer.verifier)
            return cls(disk, tree, head, signer)

    def append(self, leaves: Sequence[bytes]) -> Appended:
        """Adds leaves (32 bytes each) and returns once they are durable and signed for.

        A call costs four syncs however many leaves it brings, so whoever serves many callers gathers theirs.  Any
        thread may call.  Raises Malformed on a leaf of another length, and Unavailable once a write has failed:
        whether those leaves are in is known when the log is opened again.
        """
        if not leaves or any(len(leaf) != ENTRY_SIZE for leaf in leaves):
            raise Malformed(f"a log takes one leaf or more, of {ENTRY_SIZE} bytes each")
        with self._writing:
            if self._stopped:
                raise Unavailable("the log is not writing", code="log_stopped", fix="open it again")
            first_index = self._head.size
            self._stopped = True  # until all of this has worked
            with _disk_faults():
                self._write(leaves)
            self._stopped = False
            return Appended(first_index=first_index, checkpoint=self._head)

    def close(self) -> None:
        """Gives the folder back, after a write that is under way.  Later appends raise Unavailable."""
        with self._writing:
            self._stopped = True
            self._disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, leaves: Sequence[bytes]) -> None:
        size = self._head.size
        # 1. The entries are durable before anything is signed.
        self._disk.write(ENTRIES, size * ENTRY_SIZE, b"".join(leaves))
        self._disk.sync(ENTRIES)
        # 2. Sign the longer tree.  It continues the last checkpoint by construction: the tree only ever grows.
        self._tree.extend(leaves)
        checkpoint = Checkpoint(origin=self._signer.name, size=self._tree.size, root=self._tree.root())
        head = sign_checkpoint(checkpoint, self._signer)
        # 3. and 4.  Durable, and in its place.
        self._disk.write(_NEXT, 0, head.note)
        _put_next_in_place(self._disk)
        # The cache needs no sync: whoever reads it holds it against the signed root.
        full = size // TILE_WIDTH
        self._disk.write(TILES, full * HASH_SIZE, self._tree.tile_roots(full))
        # 5. Shown.
        self._head = head


def _put_next_in_place(disk: Disk) -> None:
    # From the rename on anyone may read it in the folder, so content and name are durable before: a power failure may
    # undo the rename, and recovery then finds the same note under its first name.
    disk.sync(_NEXT)
    disk.sync_folder()
    disk.rename(_NEXT, CHECKPOINT)
    disk.sync_folder()


def _recover(disk: Disk, log_key: VerifierKey) -> tuple[SignedCheckpoint, TiledTree]:
    head = read_checkpoint(disk, CHECKPOINT, log_key=log_key)
    if head is None:
        raise Misconfigured("there is no log in that folder", code="log_missing", fix="create it, once")
    # 1. A newer note that was signed but not put in its place is completed; half a note binds nobody.
    try:
        pending = read_checkpoint(disk, _NEXT, log_key=log_key)
    except Refused:
        pending = None
    if pending is not None and pending.size > head.size:
        tree = load_tree(disk, [head, pending])
        _put_next_in_place(disk)
        head = pending
    else:
        tree = load_tree(disk, [head])
        disk.remove(_NEXT)
    # 2. Entries that no note covers were never acknowledged, and the next append overwrites them.  The cache of tile
    #    roots is made whole, so that what is written behind it lies in its place.
    disk.write(TILES, 0, tree.tile_roots())
    return head, tree


@contextmanager
def _disk_faults() -> Iterator[None]:
    """What the operating system says about the disk, as a refusal of ours; it names no content."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"the log's disk failed: {error.strerror or type(error).__name__}",
            code="log_disk",
            fix="free or repair the disk, then open the log again",
        ) from error


@contextmanager
def _locked(disk: Disk) -> Iterator[None]:
    """Takes the disk, and gives it back if what follows fails."""
    disk.lock()
    try:
        yield
    except BaseException:
        disk.close()
        raise
