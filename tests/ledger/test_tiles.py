"""Tiles: the specification's own examples, one spelling for each path, and bytes that make the whole tree again."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.ledger.merkle import consistency_proof, inclusion_proof, verify_consistency, verify_inclusion
from hermetic.ledger.tiles import (
    Bundle,
    Tile,
    TiledTree,
    TileNodes,
    bundles_of,
    encode_bundle,
    parse_bundle,
    parse_path,
    tiles_of,
)
from ledger_support import commitments, leaves, mth

indexes = st.integers(min_value=0, max_value=2**55 - 1)
widths = st.integers(min_value=1, max_value=256)
resources = st.one_of(
    st.builds(Tile, level=st.integers(min_value=0, max_value=63), index=indexes, width=widths),
    st.builds(Bundle, index=indexes, width=widths),
)


def tree_of(size: int) -> TiledTree:
    entries = b"".join(commitments(0, size))
    tree = TiledTree(lambda start, end: entries[start * 32 : end * 32])
    tree.extend(commitments(0, size))
    return tree


@pytest.mark.parametrize(
    ("named", "path"),
    [
        (Tile(level=0, index=0), "tile/0/000"),
        (Tile(level=0, index=1234067), "tile/0/x001/x234/067"),
        (Tile(level=1, index=5, width=17), "tile/1/005.p/17"),
        (Tile(level=63, index=999_999), "tile/63/x999/999"),
        (Bundle(index=1000, width=255), "tile/entries/x001/000.p/255"),
    ],
)
def test_paths_are_those_of_the_specification(named: Tile | Bundle, path: str) -> None:
    assert named.path == path
    assert parse_path(path) == named


@given(resources)
def test_paths_come_back_as_they_were_written(named: Tile | Bundle) -> None:
    assert parse_path(named.path) == named


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "/tile/0/000",
        "tile/0/000/",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/000.p/01",
        "tile/0/000.p",
        "tile/0/٠٠٠",
        "tile/0/../../checkpoint",
        "tile/data/000",
        "tile/entries/000\n",
        "tile/0/" + "x999/" * 6 + "999",
    ],
)
def test_any_other_path_is_refused(path: str) -> None:
    with pytest.raises(Malformed):
        parse_path(path)


def test_the_tiles_of_70000_leaves_are_those_of_the_specification() -> None:
    tiles = list(tiles_of(70_000))
    assert Counter((tile.level, tile.width) for tile in tiles) == {
        (0, 256): 273,
        (0, 112): 1,
        (1, 256): 1,
        (1, 17): 1,
        (2, 1): 1,
    }


def test_the_tiles_of_256_leaves_are_those_of_the_specification() -> None:
    assert list(tiles_of(256)) == [Tile(level=0, index=0), Tile(level=1, index=0, width=1)]
    assert list(tiles_of(0)) == []
    assert list(bundles_of(0)) == []


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 700])
def test_tiles_hold_the_hashes_they_name(size: int) -> None:
    tree = tree_of(size)
    for tile in tiles_of(size):
        span = 256**tile.level
        first = tile.index * 256
        expected = [mth(leaves(size)[i * span : (i + 1) * span]) for i in range(first, first + tile.width)]
        assert tree.tile(tile) == b"".join(expected)


def test_a_third_level_appears_when_it_should() -> None:
    tree = tree_of(65_536)
    assert tree.tile(Tile(level=2, index=0, width=1)) == tree.root()


@pytest.mark.parametrize("size", [1, 5, 256, 300, 700])
def test_proofs_made_of_tiles_hold(size: int) -> None:
    tree = tree_of(size)
    nodes = TileNodes(tree.tile).at(size)
    for index in {0, size // 2, size - 1}:
        proof = inclusion_proof(index, size, nodes)
        verify_inclusion(leaf=leaves(size)[index], index=index, size=size, proof=proof, root=tree.root())
    for old in {1, size // 2, size}:
        verify_consistency(
            old_size=old,
            old_root=mth(leaves(old)),
            new_size=size,
            new_root=tree.root(),
            proof=consistency_proof(old, size, nodes),
        )


def test_a_tree_goes_on_from_its_tile_roots() -> None:
    whole = tree_of(700)
    entries = b"".join(commitments(0, 800))
    taken_up = TiledTree(lambda start, end: entries[start * 32 : end * 32])
    taken_up.extend_by_tiles(whole.tile_roots())
    assert taken_up.size == 512
    taken_up.extend(commitments(512, 188))
    assert taken_up.root() == whole.root()
    assert whole.tile_roots(1) == whole.tile_roots()[32:]


def test_a_tile_of_another_length_makes_no_proof() -> None:
    nodes = TileNodes(lambda tile: bytes(32 * tile.width - 1)).at(5)
    with pytest.raises(Malformed, match="expected 5 hashes"):
        inclusion_proof(0, 5, nodes)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_bundles_come_back_as_they_were_written(entries: list[bytes]) -> None:
    assert parse_bundle(encode_bundle(entries), width=len(entries)) == tuple(entries)


def test_a_bundle_holds_exactly_what_it_promises() -> None:
    whole = encode_bundle([b"one", b"two"])
    for data, width in [
        (whole, 1),
        (whole, 3),
        (whole + b"\x00", 2),
        (whole[:-1], 2),
        (whole[:6], 2),
        (b"", 1),
    ]:
        with pytest.raises(Malformed):
            parse_bundle(data, width=width)


@pytest.mark.parametrize(("level", "index", "width"), [(64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 2**55, 1), (0, 0, 257)])
def test_tiles_that_no_log_has_cannot_be_named(level: int, index: int, width: int) -> None:
    with pytest.raises(Malformed):
        Tile(level=level, index=index, width=width)
