"""Reading a log from its folder: proofs, entries, and the files that C2SP clients ask for.

Two files are the log: ``entries``, 32 bytes for each leaf, and ``checkpoint``, the newest signed note.  Tiles and
proofs are made from them.  ``tiles`` caches the roots of full tiles, and is believed only as far as the checkpoint's
root confirms it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hermetic.errors import Malformed, Misconfigured, NotAuthentic
from hermetic.ledger.checkpoint import SignedCheckpoint, open_checkpoint
from hermetic.ledger.disk import Disk
from hermetic.ledger.merkle import HASH_SIZE, consistency_proof, inclusion_proof
from hermetic.ledger.note import MAX_NOTE_SIZE, VerifierKey
from hermetic.ledger.tiles import CHECKPOINT_PATH, TILE_HEIGHT, TILE_WIDTH, Bundle, TiledTree, encode_bundle, parse_path

__all__ = ["CHECKPOINT", "ENTRIES", "ENTRY_SIZE", "TILES", "LogReader", "Resource", "load_tree", "read_checkpoint"]

ENTRY_SIZE = 32
ENTRIES = "entries"
CHECKPOINT = "checkpoint"
TILES = "tiles"
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A body to serve over HTTP.  ``immutable``: it may be cached for ever."""

    body: bytes
    content_type: str
    immutable: bool


class LogReader:
    """A log as it stands at one checkpoint.  Any number of threads may read."""

    def __init__(self, disk: Disk, tree: TiledTree, checkpoint: SignedCheckpoint) -> None:
        self._disk = disk
        self._tree = tree
        self._head = checkpoint

    @classmethod
    def load(cls, disk: Disk, *, log_key: VerifierKey) -> LogReader:
        """Reads a log that another process may be writing.

        Raises Misconfigured where there is none, NotAuthentic where the files are not what the checkpoint signed.
        """
        head = read_checkpoint(disk, CHECKPOINT, log_key=log_key)
        if head is None:
            raise Misconfigured("there is no log in that folder", code="log_missing")
        return cls(disk, load_tree(disk, [head]), head)

    @property
    def checkpoint(self) -> SignedCheckpoint:
        """The newest checkpoint."""
        return self._head

    def entry(self, index: int) -> bytes:
        """Entry ``index`` (32 bytes).  Raises Malformed if the log is not that long."""
        if not 0 <= index < self._head.size:
            raise Malformed(f"the log has {self._head.size} entries; there is no number {index}")
        return _read_entries(self._disk, index, index + 1)

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
        if named.index * TILE_WIDTH + named.width > head.size >> (TILE_HEIGHT * level):
            return None
        body = self._bundle(named) if isinstance(named, Bundle) else self._tree.tile(named)
        return Resource(body=body, content_type="application/octet-stream", immutable=True)

    def _bundle(self, bundle: Bundle) -> bytes:
        start = bundle.index * TILE_WIDTH
        return encode_bundle(_split(_read_entries(self._disk, start, start + bundle.width)))


def read_checkpoint(disk: Disk, name: str, *, log_key: VerifierKey) -> SignedCheckpoint | None:
    """The checkpoint in file ``name``, verified; None if there is no such file.  Raises Malformed or NotAuthentic."""
    if not disk.size(name):
        return None
    return open_checkpoint(disk.read(name, 0, MAX_NOTE_SIZE), log_key=log_key)


def load_tree(disk: Disk, checkpoints: Sequence[SignedCheckpoint]) -> TiledTree:
    """The tree of the last of ``checkpoints``, checked against the root of each; their sizes rise.

    Raises NotAuthentic where entries are missing or lead to another root.
    """
    first = checkpoints[0]
    # The cached roots may be short or wrong.  If they lead to the signed root they are right, and the entries below
    # them need not be read again; if not, the entries decide.
    cached = disk.read(TILES, 0, first.size // TILE_WIDTH * HASH_SIZE)
    tree = _tree_over(disk)
    tree.extend_by_tiles(cached[: len(cached) // HASH_SIZE * HASH_SIZE])
    _extend(tree, disk, first.size)
    if tree.root() != first.root:
        tree = _tree_over(disk)
    for checkpoint in checkpoints:
        _extend(tree, disk, checkpoint.size)
        if tree.root() != checkpoint.root:
            raise _corrupt(f"the entries on disk are not those that the checkpoint of size {checkpoint.size} signed")
    return tree


def _tree_over(disk: Disk) -> TiledTree:
    return TiledTree(lambda start, end: _read_entries(disk, start, end))


def _extend(tree: TiledTree, disk: Disk, size: int) -> None:
    while tree.size < size:
        tree.extend(_split(_read_entries(disk, tree.size, min(size, tree.size + _CHUNK))))


def _read_entries(disk: Disk, start: int, end: int) -> bytes:
    data = disk.read(ENTRIES, start * ENTRY_SIZE, (end - start) * ENTRY_SIZE)
    if len(data) != (end - start) * ENTRY_SIZE:
        raise _corrupt(f"entries {start} to {end} are missing on disk, and a checkpoint covers them")
    return data


def _split(entries: bytes) -> list[bytes]:
    return [entries[i : i + ENTRY_SIZE] for i in range(0, len(entries), ENTRY_SIZE)]


def _corrupt(reason: str) -> NotAuthentic:
    return NotAuthentic(
        reason,
        code="log_corrupt",
        fix="restore the folder from a copy that is at least as new; never begin again under this key",
    )
