"""Tree digests: what a sealed file's plaintext must be, checked leaf by leaf by the threads that open it.

A Merkle tree in the shape of RFC 6962 §2.1 over leaves of 1 MiB, one a span:

    leaf = SHA-256(0x00 ‖ salt ‖ plaintext)      node = SHA-256(0x01 ‖ left ‖ right)
    digest = SHA-256(transcript("hermetic.tree.v1", salt, u64be(size), root))

The salt follows from the file key, so a digest tells nothing about the file to whoever cannot open it: neither that two
bundles hold the same file, nor that it is one they know.  An owner can reveal a salt without revealing the file key.
"""

from __future__ import annotations

import hashlib

from hermetic.seal.age import SPAN, FileKey
from hermetic.wire import Digest, sha256, sha256_digest, transcript

LEAF = SPAN
"""Bytes of plaintext in a leaf; the last one may be shorter."""

_LABEL = "hermetic.tree.v1"


def tree_salt(file_key: FileKey) -> bytes:
    """32 bytes.  One-way: it does not lead back to the file key."""
    return file_key.derive(info=_LABEL.encode("ascii"))


class TreeHasher:
    """Collects leaves in any order, from any thread; ``size`` is the file's, in bytes."""

    def __init__(self, *, salt: bytes, size: int) -> None:
        self._salt = salt
        self.size = size
        self._leaves: list[bytes | None] = [None] * -(-size // LEAF)

    def leaf(self, number: int, data: bytes | memoryview) -> None:
        """The plaintext of leaf ``number``."""
        hasher = hashlib.sha256(b"\x00" + self._salt)
        hasher.update(data)
        self._leaves[number] = hasher.digest()

    def digest(self) -> Digest:
        """The digest of the whole, once every leaf has come.  Raises ValueError before."""
        leaves = [leaf for leaf in self._leaves if leaf is not None]
        if len(leaves) != len(self._leaves):
            raise ValueError("a leaf is missing")
        return sha256_digest(transcript(_LABEL, self._salt, self.size.to_bytes(8, "big"), _root(leaves)))


def tree_digest(data: bytes | memoryview, *, salt: bytes) -> Digest:
    """The tree digest of ``data`` in one call."""
    view = memoryview(data)
    tree = TreeHasher(salt=salt, size=len(view))
    for number in range(-(-len(view) // LEAF)):
        tree.leaf(number, view[number * LEAF : (number + 1) * LEAF])
    return tree.digest()


def _root(leaves: list[bytes]) -> bytes:
    """The root; all leaves but the last pair up level by level, and an odd one rises as it is (RFC 6962 §2.1)."""
    if not leaves:
        return sha256()
    level = leaves
    while len(level) > 1:
        pairs = [sha256(b"\x01", level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2 :]
    return level[0]
