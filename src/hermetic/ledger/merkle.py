"""Merkle trees of RFC 6962: hashes, and the two proofs that make a log worth having.

An **inclusion proof** shows that an entry is in the tree of a given size; a **consistency proof** shows that a larger
tree only added to a smaller one.  Verifying takes hashes that nobody trusts yet and raises NotAuthentic unless they
lead to the root.  Generating takes a :data:`Nodes` reader, so that neither files nor tiles are known here.

``D[a:b]`` below is the slice of leaves that the RFC writes so, and ``MTH`` its Merkle Tree Hash (§2.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hermetic.errors import NotAuthentic
from hermetic.wire import sha256

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "Frontier",
    "Nodes",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "range_hash",
    "root_hash",
    "verify_consistency",
    "verify_inclusion",
    "verify_subtree_consistency",
    "verify_subtree_inclusion",
]

HASH_SIZE = 32
EMPTY_ROOT = sha256()
"""The root of the tree without leaves: the hash of the empty string."""

Nodes = Callable[[int, int], bytes]
"""``(level, index)`` to ``MTH(D[index * 2**level : (index + 1) * 2**level])``: the root of a complete subtree."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf that holds ``entry``.  The prefix 0 keeps a leaf from passing for a node."""
    return sha256(b"\x00", entry)


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the node above ``left`` and ``right``."""
    return sha256(b"\x01", left, right)


class Frontier:
    """The right edge of a growing tree: one hash for each bit set in its size.

    That is enough to add leaves and to know the root.
    """

    def __init__(self) -> None:
        self._size = 0
        self._peaks: list[bytes] = []

    @property
    def size(self) -> int:
        """The number of leaves so far."""
        return self._size

    def push(self, digest: bytes, *, level: int = 0) -> list[tuple[int, bytes]]:
        """Adds a complete subtree of ``2**level`` leaves with root ``digest``, at a place where one fits.

        Returns the complete subtrees that came to be, as ``(level, hash)`` from the smallest, ``digest`` first.
        """
        if self._size % (1 << level):
            raise ValueError(f"a subtree of 2**{level} leaves does not fit behind {self._size} leaves")
        completed = [(level, digest)]
        position = self._size >> level
        while position & 1:
            level += 1
            position >>= 1
            digest = node_hash(self._peaks.pop(), digest)
            completed.append((level, digest))
        self._peaks.append(digest)
        self._size += 1 << completed[0][0]
        return completed

    def root(self) -> bytes:
        """The root of the tree of :attr:`size` leaves."""
        if not self._peaks:
            return EMPTY_ROOT
        digest = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            digest = node_hash(peak, digest)
        return digest


def range_hash(start: int, end: int, nodes: Nodes) -> bytes:
    """``MTH(D[start:end])``, for an aligned ``start``: a multiple of the smallest power of two >= ``end - start``."""
    width = end - start
    if width & (width - 1) == 0:
        level = width.bit_length() - 1
        return nodes(level, start >> level)
    middle = start + _split(width)
    return node_hash(range_hash(start, middle, nodes), range_hash(middle, end, nodes))


def root_hash(size: int, nodes: Nodes) -> bytes:
    """The root of the tree of the first ``size`` leaves."""
    return range_hash(0, size, nodes) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, nodes: Nodes) -> tuple[bytes, ...]:
    """The audit path of leaf ``index`` in the tree of ``size`` leaves, from the leaf up (RFC 6962 §2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves")
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_hash(middle, end, nodes))
            end = middle
        else:
            path.append(range_hash(start, middle, nodes))
            start = middle
    return tuple(reversed(path))


def consistency_proof(old_size: int, new_size: int, nodes: Nodes) -> tuple[bytes, ...]:
    """That the first ``old_size`` leaves of the tree of ``new_size`` leaves are the old tree (RFC 6962 §2.1.2).

    It is empty for equal sizes and for an empty old tree: there is nothing to show.
    """
    if not 0 <= old_size <= new_size:
        raise ValueError(f"a tree of {new_size} leaves does not continue one of {old_size}")
    if old_size == 0:
        return ()
    path = []
    start, end = 0, new_size
    while old_size < end:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(range_hash(middle, end, nodes))
            end = middle
        else:
            path.append(range_hash(start, middle, nodes))
            start = middle
    if start:
        # The old tree is not a subtree of the new one: its last complete part is where the verifier starts.
        path.append(range_hash(start, end, nodes))
    return tuple(reversed(path))


def verify_inclusion(*, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """``leaf`` (a leaf *hash*) is number ``index`` of the ``size`` leaves under ``root``.  Raises NotAuthentic.

    ``root`` must come from a checkpoint that was verified; everything else may come from anyone (RFC 9162 §2.1.3.2).
    """
    if not 0 <= index < size:
        raise _no_inclusion(f"leaf {index} is not in a tree of {size} leaves")
    # 1. The path first climbs inside the smallest subtree that holds both this leaf and the last one, then along the
    #    right edge, where every sibling lies to the left.  So its length is known before anything is hashed.
    inner = (index ^ (size - 1)).bit_length()
    border = (index >> inner).bit_count()
    if len(proof) != inner + border:
        raise _no_inclusion(f"expected {inner + border} hashes, got {len(proof)}")
    if not all(len(digest) == HASH_SIZE for digest in (leaf, root, *proof)):
        raise _no_inclusion("a hash is not 32 bytes long")
    # 2. The path leads to the root.
    digest = leaf
    for level, sibling in enumerate(proof[:inner]):
        digest = node_hash(sibling, digest) if index >> level & 1 else node_hash(digest, sibling)
    for sibling in proof[inner:]:
        digest = node_hash(sibling, digest)
    if digest != root:
        raise _no_inclusion(f"the path of leaf {index} leads to another root")


def verify_consistency(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """The tree under ``new_root`` begins with the tree under ``old_root``.  Raises NotAuthentic (RFC 9162 §2.1.4.2).

    Anything continues the empty tree, whose only root is :data:`EMPTY_ROOT` and whose only proof is empty.
    """
    if old_size == 0:
        if old_root != EMPTY_ROOT or proof or new_size < 0 or (new_size == 0 and new_root != EMPTY_ROOT):
            raise _not_consistent("the empty tree has one root and needs no proof")
        return
    verify_subtree_consistency(start=0, end=old_size, size=new_size, subtree_root=old_root, root=new_root, proof=proof)


def verify_subtree_inclusion(
    *, leaf: bytes, index: int, start: int, end: int, proof: Sequence[bytes], subtree_root: bytes
) -> None:
    """``leaf`` (a leaf hash) is leaf ``index`` of the log, in the subtree ``D[start:end]``.  Raises NotAuthentic."""
    if not _is_subtree(start, end):
        raise _no_inclusion(f"[{start}, {end}) is not a subtree")
    verify_inclusion(leaf=leaf, index=index - start, size=end - start, proof=proof, root=subtree_root)


def verify_subtree_consistency(
    *, start: int, end: int, size: int, subtree_root: bytes, root: bytes, proof: Sequence[bytes]
) -> None:
    """The subtree ``D[start:end]`` with ``subtree_root`` is part of the tree of ``size`` leaves under ``root``.

    Raises NotAuthentic.  With ``start == 0`` this is RFC 9162 §2.1.4.2; the general case is
    draft-ietf-plants-merkle-tree-certs, "Verifying a subtree consistency proof".
    """
    if not _is_subtree(start, end) or end > size:
        raise _not_consistent(f"[{start}, {end}) is not a subtree of a tree of {size} leaves")
    if not all(len(digest) == HASH_SIZE for digest in (subtree_root, root, *proof)):
        raise _not_consistent("a hash is not 32 bytes long")
    # 1. Where the subtree's first and last leaf and the tree's last leaf lie, seen from the level of the proof's first
    #    hash: the largest complete subtree that the two trees share at the subtree's right edge.
    first, last, top = start, end - 1, size - 1
    while first != last and (last & 1 or last == top):
        first, last, top = first >> 1, last >> 1, top >> 1
    seeded = first == last
    if not seeded and not proof:
        raise _not_consistent("the proof is empty")
    old = new = subtree_root if seeded else proof[0]
    # 2. Each further hash is a left sibling (of both trees while inside the subtree) or a right one (of the larger).
    for sibling in proof[0 if seeded else 1 :]:
        if top == 0:
            raise _not_consistent("the proof is too long")
        if last & 1 or last == top:
            if first < last:
                old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            while not last & 1 and last:
                first, last, top = first >> 1, last >> 1, top >> 1
        else:
            new = node_hash(new, sibling)
        first, last, top = first >> 1, last >> 1, top >> 1
    # 3. It reached the top, and both roots.
    if top:
        raise _not_consistent("the proof is too short")
    if old != subtree_root or new != root:
        raise _not_consistent(f"the tree of {size} leaves does not continue the one of {end}")


def _split(width: int) -> int:
    """The largest power of two below ``width``: where RFC 6962 divides a tree."""
    return 1 << ((width - 1).bit_length() - 1)


def _is_subtree(start: int, end: int) -> bool:
    return 0 <= start < end and start % (1 << (end - start - 1).bit_length()) == 0


def _no_inclusion(reason: str) -> NotAuthentic:
    return NotAuthentic(f"inclusion proof: {reason}", code="inclusion_proof")


def _not_consistent(reason: str) -> NotAuthentic:
    return NotAuthentic(f"consistency proof: {reason}", code="consistency_proof")
