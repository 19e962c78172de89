"""Auditing a whole log: every entry, every tile, the root, and every checkpoint that was seen before.

Sans-I/O: fetch what :meth:`Audit.resources` names, :meth:`Audit.push` each body in that order, then
:meth:`Audit.finish`.  Memory stays small however long the log is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hermetic.errors import Malformed, NotAuthentic
from hermetic.ledger.checkpoint import Checkpoint
from hermetic.ledger.tiles import TILE_WIDTH, Bundle, Tile, TiledTree, bundles_of, parse_bundle, tiles_of

__all__ = ["Audit"]

_ENTRY_SIZE = 32


class Audit:
    """Recomputes the log that ``checkpoint`` describes.

    ``seen`` are roots by size, from checkpoints kept earlier; each must be passed on the way.  A log's own folder keeps
    entries only, and has no ``tiles`` to compare.
    """

    def __init__(self, checkpoint: Checkpoint, *, seen: Mapping[int, bytes] | None = None, tiles: bool = True) -> None:
        self._checkpoint = checkpoint
        self._seen = dict(sorted((seen or {}).items()))
        self._tiles = tiles
        self._bundle = b""
        self._tree = TiledTree(self._last_bundle)
        self._waiting = self.resources()
        if any(size > checkpoint.size for size in self._seen):
            raise NotAuthentic(
                f"the log {checkpoint.origin} went back to {checkpoint.size} entries; it had {max(self._seen)} before",
                code="log_rollback",
                fix="keep both checkpoints and ask whoever keeps the log",
            )

    @property
    def entries(self) -> int:
        """How many entries were recomputed so far."""
        return self._tree.size

    def resources(self) -> Iterator[Bundle | Tile]:
        """All there is to fetch, in the order to push it."""
        size = self._checkpoint.size
        for bundle in bundles_of(size):
            yield bundle
            if self._tiles:
                yield Tile(level=0, index=bundle.index, width=bundle.width)
        if self._tiles:
            yield from (tile for tile in tiles_of(size) if tile.level > 0)

    def tile(self, tile: Tile) -> bytes:
        """A tile above level 0, as recomputed: with the level-0 tiles, enough to make any proof."""
        return self._tree.tile(tile)

    def push(self, body: bytes) -> None:
        """The body of the next resource.  Raises Malformed, or NotAuthentic where it contradicts what came before."""
        named = next(self._waiting, None)
        if named is None:
            raise Malformed("the log has no further resource")
        if isinstance(named, Bundle):
            self._push_bundle(named, body)
        elif body != self._tree.tile(named):
            raise NotAuthentic(f"{named.path} does not hold the hashes of the log's entries", code="log_tile")

    def finish(self) -> None:
        """All of it was pushed, and leads to the checkpoint's root.  Raises NotAuthentic."""
        if next(self._waiting, None) is not None:
            raise NotAuthentic("the log was not read to its end", code="log_incomplete")
        if self._tree.root() != self._checkpoint.root:
            raise NotAuthentic(
                f"the log's entries lead to root {self._tree.root().hex()}, not to {self._checkpoint.root.hex()}",
                code="log_root",
            )
        self._compare_seen()

    def _push_bundle(self, bundle: Bundle, body: bytes) -> None:
        entries = parse_bundle(body, width=bundle.width)
        if any(len(entry) != _ENTRY_SIZE for entry in entries):
            raise Malformed(f"{bundle.path}: an entry is not {_ENTRY_SIZE} bytes long")
        self._bundle = b"".join(entries)
        start = self._tree.size
        for size in [size for size in self._seen if start < size < start + len(entries)]:
            self._tree.extend(entries[self._tree.size - start : size - start])
            self._compare_seen()
        self._tree.extend(entries[self._tree.size - start :])
        self._compare_seen()

    def _compare_seen(self) -> None:
        size, root = self._tree.size, self._tree.root()
        if self._seen.get(size, root) != root:
            raise NotAuthentic(
                f"the log {self._checkpoint.origin} shows more than one history: two roots for {size} entries",
                code="log_fork",
                fix="keep both checkpoints: together they prove it",
            )

    def _last_bundle(self, start: int, end: int) -> bytes:
        # Level-0 tiles are asked for right after their bundle, so the tree never reads further back than that.
        first = start % TILE_WIDTH
        return self._bundle[first * _ENTRY_SIZE : (first + end - start) * _ENTRY_SIZE]
