"""Tree digests: RFC 6962's shape, told apart by salt and size."""

from __future__ import annotations

import os
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hermetic.seal import FileKey, TreeHasher, tree_digest, tree_salt
from hermetic.seal.tree import LEAF
from hermetic.wire import sha256_digest, transcript

SALT = bytes(range(32))


def root(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1 as it is written: split at the largest power of two below the number of leaves."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + root(leaves[:k]) + root(leaves[k:])).digest()


@pytest.mark.parametrize("size", [0, 1, LEAF - 1, LEAF, LEAF + 1, 3 * LEAF, 5 * LEAF + 9])
def test_the_tree_is_that_of_rfc_6962(size: int) -> None:
    data = os.urandom(size)
    leaves = [sha256(b"\x00" + SALT + data[at : at + LEAF]).digest() for at in range(0, size, LEAF)]
    expected = sha256_digest(transcript("hermetic.tree.v1", SALT, size.to_bytes(8, "big"), root(leaves)))
    assert tree_digest(data, salt=SALT) == expected


@given(st.integers(1, 300))
@settings(max_examples=30)
def test_any_number_of_leaves_has_that_shape(count: int) -> None:
    from hermetic.seal.tree import _root

    leaves = [sha256(bytes([n % 256, n // 256])).digest() for n in range(count)]
    assert _root(leaves) == root(leaves)


def test_leaves_come_in_any_order() -> None:
    data = os.urandom(3 * LEAF + 1)
    tree = TreeHasher(salt=SALT, size=len(data))
    for number in (2, 0, 3, 1):
        tree.leaf(number, data[number * LEAF : (number + 1) * LEAF])
    assert tree.digest() == tree_digest(data, salt=SALT)


def test_a_missing_leaf_is_an_error_and_never_a_digest() -> None:
    tree = TreeHasher(salt=SALT, size=2 * LEAF)
    tree.leaf(1, bytes(LEAF))
    with pytest.raises(ValueError, match="missing"):
        tree.digest()


def test_a_digest_depends_on_every_part() -> None:
    base = tree_digest(bytes(100), salt=SALT)
    assert base != tree_digest(bytes(100), salt=bytes(32))
    assert base != tree_digest(bytes(101), salt=SALT)
    assert base != tree_digest(bytes(99) + b"x", salt=SALT)
    swapped = b"a" * LEAF + b"b" * LEAF, b"b" * LEAF + b"a" * LEAF
    assert tree_digest(swapped[0], salt=SALT) != tree_digest(swapped[1], salt=SALT)


def test_the_same_file_under_two_keys_cannot_be_recognised() -> None:
    first, second = FileKey.generate(), FileKey.generate()
    for known in (b"a known file", b""):
        assert tree_digest(known, salt=tree_salt(first)) != tree_digest(known, salt=tree_salt(second))
    assert tree_salt(first) == tree_salt(FileKey(secret=first.secret))
