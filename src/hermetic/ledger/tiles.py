"""Tiled logs (c2sp.org/tlog-tiles): a tree and its entries cut into files that never change.

A **tile** holds up to 256 consecutive hashes of one level in eight: level 0 the leaves' hashes, level 1 the roots of
full level-0 tiles, and so on.  An **entry bundle** holds the up to 256 entries of one level-0 tile.  Here are their
names, their bytes, :class:`TiledTree`, which makes them, and :class:`TileNodes`, which makes proofs of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from hermetic.errors import Malformed
from hermetic.ledger.merkle import HASH_SIZE, Frontier, Nodes, leaf_hash, node_hash

__all__ = [
    "CHECKPOINT_PATH",
    "TILE_HEIGHT",
    "TILE_WIDTH",
    "Bundle",
    "Tile",
    "TileNodes",
    "TiledTree",
    "bundles_of",
    "encode_bundle",
    "parse_bundle",
    "parse_path",
    "tiles_of",
]

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
CHECKPOINT_PATH = "checkpoint"
_MAX_LEVEL = 63
_MAX_INDEX = 2**55
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Names ``width`` hashes of level ``8 * level``, the first of them number ``index * 256``."""

    level: int
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        if not 0 <= self.level <= _MAX_LEVEL:
            raise Malformed(f"tile: levels go from 0 to {_MAX_LEVEL}, got {self.level}")
        _check_place(self.index, self.width)

    @property
    def path(self) -> str:
        """Where a log serves it, relative to the log's prefix."""
        return f"tile/{self.level}/{_place(self.index, self.width)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Names ``width`` entries, the first of them number ``index * 256``."""

    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        _check_place(self.index, self.width)

    @property
    def path(self) -> str:
        """Where a log serves it, relative to the log's prefix."""
        return f"tile/entries/{_place(self.index, self.width)}"


def parse_path(path: str) -> Tile | Bundle:
    """What a path under a log's prefix names.  Raises Malformed on any but the one spelling.

    Nothing here says that the log has it.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise Malformed("not the path of a tile or an entry bundle")
    index = int(match["index"].replace("x", "").replace("/", ""))
    width = int(match["width"] or TILE_WIDTH)
    named = (
        Bundle(index=index, width=width)
        if match["level"] == "entries"
        else Tile(level=int(match["level"]), index=index, width=width)
    )
    if named.path != path:
        raise Malformed(f"the path is not in its one spelling, {named.path}")
    return named


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile of a tree of ``size`` leaves, level by level."""
    level = 0
    while count := size >> (TILE_HEIGHT * level):
        for index, width in _cut(count):
            yield Tile(level=level, index=index, width=width)
        level += 1


def bundles_of(size: int) -> Iterator[Bundle]:
    """Every entry bundle of a log of ``size`` entries, in order."""
    for index, width in _cut(size):
        yield Bundle(index=index, width=width)


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """The bytes of an entry bundle: each entry behind its length as u16be."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(data: bytes, *, width: int) -> tuple[bytes, ...]:
    """The ``width`` entries of an entry bundle.  Raises Malformed on any other number, and on leftover bytes."""
    entries: list[bytes] = []
    position = 0
    while position < len(data) and len(entries) < width:
        end = position + 2 + int.from_bytes(data[position : position + 2], "big")
        entries.append(data[position + 2 : end])
        position = end
    # Inside an entry the data would have ended before ``position``.
    if position != len(data) or len(entries) != width:
        raise Malformed(f"entry bundle: expected exactly {width} entries")
    return tuple(entries)


class TileNodes:
    """Any node of a tree, from its tiles, for the proofs of :mod:`hermetic.ledger.merkle`.

    ``read`` gives a tile's bytes, fetched from a log or from memory.  A proof made from tiles that nobody verified is
    just a proof: whoever verifies it finds out.
    """

    def __init__(self, read: Callable[[Tile], bytes]) -> None:
        self._rows = lru_cache(maxsize=256)(lambda tile: _rows(tile, read(tile)))

    def at(self, size: int) -> Nodes:
        """The complete subtrees within the first ``size`` leaves.  Asking raises Malformed on a tile of odd length."""

        def node(level: int, index: int) -> bytes:
            tile_level, row = divmod(level, TILE_HEIGHT)
            tile_index = index >> (TILE_HEIGHT - row)
            width = min(TILE_WIDTH, (size >> (TILE_HEIGHT * tile_level)) - tile_index * TILE_WIDTH)
            hashes = self._rows(Tile(level=tile_level, index=tile_index, width=width))[row]
            offset = (index - (tile_index << (TILE_HEIGHT - row))) * HASH_SIZE
            return hashes[offset : offset + HASH_SIZE]

        return node


class TiledTree:
    """An append-only tree that remembers the roots of its full tiles, and can make every tile and every node again.

    Leaf hashes are not kept: ``entries(start, end)`` gives the entries again, 32 bytes each, joined.  That leaves one
    byte of memory for eight leaves.  One thread extends; any thread may read, up to a size it knows to be complete.
    """

    def __init__(self, entries: Callable[[int, int], bytes]) -> None:
        self._entries = entries
        self._frontier = Frontier()
        self._levels: list[bytearray] = []
        self._nodes = TileNodes(self.tile)

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._frontier.size

    def root(self) -> bytes:
        """The root of the whole tree."""
        return self._frontier.root()

    def tile_roots(self, start: int = 0) -> bytes:
        """The roots of the full level-0 tiles from tile ``start``, joined: what :meth:`extend_by_tiles` takes."""
        return bytes(self._levels[0][start * HASH_SIZE :]) if self._levels else b""

    def extend(self, entries: Iterable[bytes]) -> None:
        """Adds a leaf for each entry."""
        for entry in entries:
            self._push(leaf_hash(entry), level=0)

    def extend_by_tiles(self, roots: bytes) -> None:
        """Adds full level-0 tiles by their roots, joined.  Only at a tile's edge."""
        for start in range(0, len(roots), HASH_SIZE):
            self._push(roots[start : start + HASH_SIZE], level=TILE_HEIGHT)

    def tile(self, tile: Tile) -> bytes:
        """The bytes of ``tile``, which lies within the tree."""
        start = tile.index * TILE_WIDTH
        if tile.level == 0:
            entries = self._entries(start, start + tile.width)
            return b"".join(leaf_hash(entries[i : i + HASH_SIZE]) for i in range(0, tile.width * HASH_SIZE, HASH_SIZE))
        return bytes(self._levels[tile.level - 1][start * HASH_SIZE : (start + tile.width) * HASH_SIZE])

    def nodes(self, size: int) -> Nodes:
        """The complete subtrees within the first ``size`` leaves, to make proofs of."""
        return self._nodes.at(size)

    def _push(self, digest: bytes, *, level: int) -> None:
        for height, completed in self._frontier.push(digest, level=level):
            if height and height % TILE_HEIGHT == 0:  # the root of a full tile
                tile_level = height // TILE_HEIGHT
                if tile_level > len(self._levels):
                    self._levels.append(bytearray())
                self._levels[tile_level - 1] += completed


def _rows(tile: Tile, hashes: bytes) -> tuple[bytes, ...]:
    """The complete subtrees inside a tile, row by row: its own hashes, those of pairs of them, and so on up."""
    if len(hashes) != tile.width * HASH_SIZE:
        raise Malformed(f"{tile.path}: expected {tile.width} hashes, got {len(hashes)} bytes")
    rows = [hashes]
    while len(rows[-1]) >= 2 * HASH_SIZE:
        below = rows[-1]
        pairs = range(0, len(below) - 2 * HASH_SIZE + 1, 2 * HASH_SIZE)
        rows.append(
            b"".join(node_hash(below[i : i + HASH_SIZE], below[i + HASH_SIZE : i + 2 * HASH_SIZE]) for i in pairs)
        )
    return tuple(rows)


def _cut(count: int) -> Iterator[tuple[int, int]]:
    full, rest = divmod(count, TILE_WIDTH)
    for index in range(full):
        yield index, TILE_WIDTH
    if rest:
        yield full, rest


def _check_place(index: int, width: int) -> None:
    if not 0 <= index < _MAX_INDEX or not 1 <= width <= TILE_WIDTH:
        raise Malformed(f"tile: no tile number {index} of width {width}")


def _place(index: int, width: int) -> str:
    digits = f"{index:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    place = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
    return place if width == TILE_WIDTH else f"{place}.p/{width}"
