"""The log on disk: append-only, one writer, and no moment at which a crash loses an entry or signs a fork.

Two files are the log: ``entries``, 32 bytes for each leaf, and ``checkpoint``, the newest signed note.  Tiles and
proofs are made from them; ``tiles`` caches the roots of full tiles and is believed only as far as the checkpoint's root
confirms it.

One append, for all callers that wait at that moment (group commit):

1. write the new entries behind the last one, and sync them;
2. compute the root of the longer tree and sign it;
3. write the note to ``checkpoint.next``, and sync it and its name;
4. rename it to ``checkpoint``, and sync the folder;
5. only now show it to anyone.

A crash before 3 leaves entries that no signature covers: they were never acknowledged and are cut off.  A crash after 3
leaves a signed note with all its entries durable: it is completed.  So everything acknowledged is there again, and
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

from hermetic.errors import Malformed, Misconfigured, NotAuthentic, Refused, Unavailable
from hermetic.ledger.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint, sign_checkpoint
from hermetic.ledger.disk import Disk
from hermetic.ledger.merkle import EMPTY_ROOT, HASH_SIZE, consistency_proof, inclusion_proof
from hermetic.ledger.note import MAX_NOTE_SIZE, NoteSigner, VerifierKey
from hermetic.ledger.tiles import CHECKPOINT_PATH, TILE_WIDTH, Bundle, TiledTree, encode_bundle, parse_path

__all__ = ["Appended", "Log", "LogReader", "Resource"]

ENTRY_SIZE = HASH_SIZE
_ENTRIES = "entries"
_CHECKPOINT = "checkpoint"
_NEXT = "checkpoint.next"
_TILES = "tiles"
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """Leaves ``first_index`` and following are durable, and ``checkpoint`` covers them."""

    first_index: int
    checkpoint: SignedCheckpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A body to serve over HTTP.  ``immutable``: it may be cached for ever."""

    body: bytes
    content_type: str
    immutable: bool


class LogReader:
    """A log as it stands at one checkpoint: proofs, entries, and the files that C2SP clients ask for.

    Any number of threads may read.
    """

    def __init__(self, disk: Disk, tree: TiledTree, checkpoint: SignedCheckpoint) -> None:
        self._disk = disk
        self._tree = tree
        self._head = checkpoint

    @classmethod
    def load(cls, disk: Disk, *, log_key: VerifierKey) -> LogReader:
        """Reads a log that another process may be writing.  Raises NotAuthentic where it is not what was signed."""
        head = _read_note(disk, _CHECKPOINT, log_key)
        if head is None:
            raise Misconfigured("there is no log in that folder", code="log_missing")
        return cls(disk, _load(disk, [head]), head)

    @property
    def checkpoint(self) -> SignedCheckpoint:
        """The newest checkpoint."""
        return self._head

    def entry(self, index: int) -> bytes:
        """Entry ``index`` (32 bytes).  Raises Malformed if the log is not that long."""
        if not 0 <= index < self._head.size:
            raise Malformed(f"the log has {self._head.size} entries; there is no number {index}")
        return self._disk.read(_ENTRIES, index * ENTRY_SIZE, ENTRY_SIZE)

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """That entry ``index`` is in the tree of ``size`` leaves.  Raises Malformed if there is no such tree."""
        if not 0 <= index < size <= self._head.size:
            raise Malformed(f"the log has {self._head.size} entries; no proof of {index} in {size}")
        return inclusion_proof(index, size, self._tree.nodes(size))

    def consistency(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        """That the tree of ``new_size`` leaves continues that of ``old_size``.  Raises Malformed if there is none."""
        if not 0 <= old_size <= new_size <= self._head.size:
            raise Malformed(f"the log has {self._head.size} entries; no proof from {old_size} to {new_size}")
        return consistency_proof(old_size, new_size, self._tree.nodes(new_size))

    def resource(self, path: str) -> Resource | None:
        """What a C2SP client gets at ``path`` below the log's prefix; None where the log has nothing there.

        Of a tile, every width up to the present one can be had, so each partial tile ever promised still is.
        """
        head = self._head
        if path == CHECKPOINT_PATH:
            return Resource(body=head.note, content_type="text/plain; charset=utf-8", immutable=False)
        try:
            named = parse_path(path)
        except Malformed:
            return None
        level = 0 if isinstance(named, Bundle) else named.level
        if named.index * TILE_WIDTH + named.width > head.size >> (8 * level):
            return None
        body = self._bundle(named) if isinstance(named, Bundle) else self._tree.tile(named)
        return Resource(body=body, content_type="application/octet-stream", immutable=True)

    def _bundle(self, bundle: Bundle) -> bytes:
        start = bundle.index * TILE_WIDTH
        return encode_bundle(_split(_read_entries(self._disk, start, start + bundle.width)))


class Log(LogReader):
    """The log's one writer.  Made by :meth:`create` or :meth:`open`; any number of threads may append.

    Creating and opening are told apart on purpose: a log whose folder was lost must not quietly begin again under the
    same key, because every checkpoint it signed before would then be contradicted.
    """

    def __init__(self, disk: Disk, tree: TiledTree, checkpoint: SignedCheckpoint, signer: NoteSigner) -> None:
        super().__init__(disk, tree, checkpoint)
        self._signer = signer
        self._waiting: list[_Waiter] = []
        self._queue = Lock()
        self._writing = Lock()
        self._stopped = False

    @classmethod
    def create(cls, disk: Disk, *, signer: NoteSigner) -> Log:
        """Begins a log named ``signer.name`` in a folder that holds none.  Raises Misconfigured where one is."""
        with _disk_faults(), _locked(disk):
            if disk.size(_CHECKPOINT) or disk.size(_ENTRIES):
                raise Misconfigured("the folder already holds a log", code="log_exists", fix="open it instead")
            disk.write(_ENTRIES, 0, b"")
            disk.sync(_ENTRIES)
            head = sign_checkpoint(Checkpoint(origin=signer.name, size=0, root=EMPTY_ROOT), signer)
            _publish(disk, head)
        return cls(disk, _tree_over(disk), head, signer)

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

        Callers that wait at the same time share one sync and one checkpoint.  Raises Malformed on any other length,
        and Unavailable once a write has failed: whether those leaves are in is known when the log is opened again.
        """
        if not leaves or any(len(leaf) != ENTRY_SIZE for leaf in leaves):
            raise Malformed(f"a log takes one leaf or more, of {ENTRY_SIZE} bytes each")
        waiter = _Waiter(tuple(leaves))
        with self._queue:
            self._waiting.append(waiter)
        with self._writing:
            if waiter.first_index is None:  # nobody who wrote before us took our leaves along
                with self._queue:
                    batch, self._waiting = self._waiting, []
                self._commit(batch)
            return Appended(first_index=waiter.placed_at(), checkpoint=self._head)

    def close(self) -> None:
        """Gives the folder back.  Waits for a write that is under way; later appends raise Unavailable."""
        with self._writing:
            self._stopped = True
            self._disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _commit(self, batch: Sequence[_Waiter]) -> None:
        if self._stopped:
            raise Unavailable("the log is not writing", code="log_stopped", fix="open it again")
        self._stopped = True  # until all of this has worked
        with _disk_faults():
            self._write(batch)
        self._stopped = False

    def _write(self, batch: Sequence[_Waiter]) -> None:
        size = self._head.size
        entries = [leaf for waiter in batch for leaf in waiter.leaves]
        # 1. The entries are durable before anything is signed.
        self._disk.write(_ENTRIES, size * ENTRY_SIZE, b"".join(entries))
        self._disk.sync(_ENTRIES)
        # 2. Sign the longer tree.  It continues the last checkpoint by construction: the tree only ever grows.
        self._tree.extend(entries)
        checkpoint = Checkpoint(origin=self._signer.name, size=self._tree.size, root=self._tree.root())
        head = sign_checkpoint(checkpoint, self._signer)
        # 3. and 4.  Durable, and in its place.
        _publish(self._disk, head)
        full = size // TILE_WIDTH
        self._disk.write(_TILES, full * HASH_SIZE, self._tree.tile_roots(full))
        # 5. Shown.
        self._head = head
        for waiter in batch:
            waiter.first_index = size
            size += len(waiter.leaves)


class _Waiter:
    """Leaves that a caller waits for, and where they came to lie."""

    def __init__(self, leaves: tuple[bytes, ...]) -> None:
        self.leaves = leaves
        self.first_index: int | None = None

    def placed_at(self) -> int:
        if self.first_index is None:
            raise Unavailable("the log is not writing", code="log_stopped", fix="open it again")
        return self.first_index


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


def _publish(disk: Disk, head: SignedCheckpoint) -> None:
    disk.truncate(_NEXT, 0)
    disk.write(_NEXT, 0, head.note)
    disk.sync(_NEXT)
    disk.sync_folder()
    disk.rename(_NEXT, _CHECKPOINT)
    disk.sync_folder()


def _recover(disk: Disk, log_key: VerifierKey) -> tuple[SignedCheckpoint, TiledTree]:
    head = _read_note(disk, _CHECKPOINT, log_key)
    if head is None:
        raise Misconfigured("there is no log in that folder", code="log_missing", fix="create it, once")
    # 1. A newer note that was signed but not put in its place is completed; half a note binds nobody.
    try:
        pending = _read_note(disk, _NEXT, log_key)
    except Refused:
        pending = None
    if pending is not None and pending.size > head.size:
        tree = _load(disk, [head, pending])
        disk.sync(_NEXT)
        disk.rename(_NEXT, _CHECKPOINT)
        head = pending
    else:
        tree = _load(disk, [head])
        disk.remove(_NEXT)
    # 2. Entries that no note covers were never acknowledged.
    disk.truncate(_ENTRIES, head.size * ENTRY_SIZE)
    disk.sync(_ENTRIES)
    disk.sync_folder()
    # 3. The cache of tile roots is whole again, so that what is written behind it lies in its place.
    disk.truncate(_TILES, 0)
    disk.write(_TILES, 0, tree.tile_roots())
    return head, tree


def _load(disk: Disk, checkpoints: Sequence[SignedCheckpoint]) -> TiledTree:
    """The tree of the last of ``checkpoints``, checked against the root of each; their sizes rise."""
    first = checkpoints[0]
    # The cached roots may be short or wrong.  If they lead to the signed root they are right, and the entries below
    # them need not be read again; if not, the entries decide.
    cached = disk.read(_TILES, 0, first.size // TILE_WIDTH * HASH_SIZE)
    tree = _tree_over(disk)
    tree.extend_by_tiles(cached[: len(cached) // HASH_SIZE * HASH_SIZE])
    _extend_from_disk(disk, tree, first.size)
    if tree.root() != first.root:
        tree = _tree_over(disk)
    for checkpoint in checkpoints:
        _extend_from_disk(disk, tree, checkpoint.size)
        if tree.root() != checkpoint.root:
            raise NotAuthentic(
                f"the entries on disk are not those that the checkpoint of size {checkpoint.size} signed",
                code="log_corrupt",
                fix="restore the folder from a copy that is at least as new; never begin again under this key",
            )
    return tree


def _tree_over(disk: Disk) -> TiledTree:
    return TiledTree(lambda start, end: _read_entries(disk, start, end))


def _extend_from_disk(disk: Disk, tree: TiledTree, size: int) -> None:
    while tree.size < size:
        tree.extend(_split(_read_entries(disk, tree.size, min(size, tree.size + _CHUNK))))


def _read_entries(disk: Disk, start: int, end: int) -> bytes:
    data = disk.read(_ENTRIES, start * ENTRY_SIZE, (end - start) * ENTRY_SIZE)
    if len(data) != (end - start) * ENTRY_SIZE:
        raise NotAuthentic(
            f"entries {start} to {end} are missing on disk, and a checkpoint covers them", code="log_corrupt"
        )
    return data


def _read_note(disk: Disk, name: str, log_key: VerifierKey) -> SignedCheckpoint | None:
    if not disk.size(name):
        return None
    return open_checkpoint(disk.read(name, 0, MAX_NOTE_SIZE), log_key=log_key)


def _split(entries: bytes) -> list[bytes]:
    return [entries[i : i + ENTRY_SIZE] for i in range(0, len(entries), ENTRY_SIZE)]
