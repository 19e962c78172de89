"""Merkle trees: every published vector, every small tree against the RFC's own definition, and every single lie."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import NotAuthentic
from hermetic.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
    verify_subtree_consistency,
    verify_subtree_inclusion,
)
from ledger_support import leaves, mth, nodes_of
from vectors import ROOT, needs_vectors

VECTORS = ROOT / "independent" / "tlog-merkle" / "testdata"
SIZES = range(1, 34)


def _cases(kind: str) -> list[Any]:
    found = [pytest.param(path, id=path.stem) for path in sorted((VECTORS / kind).rglob("*.json"))]
    return found or [pytest.param(None, marks=needs_vectors)]


def _load(path: Path) -> tuple[dict[str, Any], list[bytes]]:
    case = json.loads(path.read_text(encoding="utf-8"))
    return case, [base64.b64decode(digest) for digest in case["proof"] or []]


def _expect(case: dict[str, Any], verify: Any, **arguments: Any) -> None:
    if case["wantErr"]:
        with pytest.raises(NotAuthentic):
            verify(**arguments)
    else:
        verify(**arguments)


@needs_vectors
def test_the_vectors_are_there() -> None:
    counts = {kind.name: len(list(kind.rglob("*.json"))) for kind in VECTORS.iterdir()}
    assert counts == {"inclusion": 25, "consistency": 25, "subtreeinclusion": 50, "subtreeconsistency": 26}


@pytest.mark.parametrize("path", _cases("inclusion"))
def test_inclusion_vectors(path: Path) -> None:
    case, proof = _load(path)
    _expect(
        case,
        verify_inclusion,
        leaf=base64.b64decode(case["leafHash"]),
        index=case["leafIdx"],
        size=case["treeSize"],
        proof=proof,
        root=base64.b64decode(case["root"]),
    )


@pytest.mark.parametrize("path", _cases("consistency"))
def test_consistency_vectors(path: Path) -> None:
    case, proof = _load(path)
    _expect(
        case,
        verify_consistency,
        old_size=case["size1"],
        old_root=base64.b64decode(case["root1"]),
        new_size=case["size2"],
        new_root=base64.b64decode(case["root2"]),
        proof=proof,
    )


@pytest.mark.parametrize("path", _cases("subtreeinclusion"))
def test_subtree_inclusion_vectors(path: Path) -> None:
    case, proof = _load(path)
    _expect(
        case,
        verify_subtree_inclusion,
        leaf=base64.b64decode(case["leafHash"]),
        index=case["leafIdx"],
        start=case["start"],
        end=case["end"],
        proof=proof,
        subtree_root=base64.b64decode(case["root"]),
    )


@pytest.mark.parametrize("path", _cases("subtreeconsistency"))
def test_subtree_consistency_vectors(path: Path) -> None:
    case, proof = _load(path)
    _expect(
        case,
        verify_subtree_consistency,
        start=case["start"],
        end=case["end"],
        size=case["size"],
        subtree_root=base64.b64decode(case["root1"]),
        root=base64.b64decode(case["root2"]),
        proof=proof,
    )


def test_the_hashes_are_those_of_the_rfc() -> None:
    assert hashlib.sha256(b"").digest() == EMPTY_ROOT
    assert leaf_hash(b"entry") == hashlib.sha256(b"\x00entry").digest()
    assert node_hash(b"l" * 32, b"r" * 32) == hashlib.sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()


@pytest.mark.parametrize("size", [0, *SIZES])
def test_roots_and_frontier_agree_with_the_definition(size: int) -> None:
    frontier = Frontier()
    for digest in leaves(size):
        frontier.push(digest)
    assert frontier.root() == root_hash(size, nodes_of(leaves(size))) == mth(leaves(size))


def test_the_frontier_reports_every_complete_subtree() -> None:
    frontier = Frontier()
    found = [completed for digest in leaves(8) for completed in frontier.push(digest)]
    expected = {(level, mth(leaves(8)[i << level : (i + 1) << level])) for level in range(4) for i in range(8 >> level)}
    assert len(found) == len(expected)
    assert set(found) == expected


def test_the_frontier_takes_subtrees_only_where_they_fit() -> None:
    frontier = Frontier()
    frontier.push(mth(leaves(4)), level=2)
    for digest in leaves(6)[4:]:
        frontier.push(digest)
    assert frontier.root() == mth(leaves(6))
    with pytest.raises(ValueError, match="does not fit"):
        frontier.push(leaves(1)[0], level=2)


@pytest.mark.parametrize("size", SIZES)
def test_every_inclusion_proof_holds_and_every_lie_about_it_fails(size: int) -> None:
    tree = leaves(size)
    root = mth(tree)
    for index in range(size):
        proof = inclusion_proof(index, size, nodes_of(tree))
        truth: dict[str, Any] = {"leaf": tree[index], "index": index, "size": size, "proof": proof, "root": root}
        verify_inclusion(**truth)
        lies: list[dict[str, Any]] = [
            {"index": (index + 1) % size} if size > 1 else {"index": 1},
            {"index": -1},
            {"index": size},
            {"leaf": leaf_hash(b"another")},
            {"root": leaf_hash(b"another")},
            {"proof": (*proof, root)},
            {"proof": (root, *proof)},
            *[{"proof": proof[:i] + proof[i + 1 :]} for i in range(len(proof))],
            *[{"proof": (*proof[:i], _flip(proof[i]), *proof[i + 1 :])} for i in range(len(proof))],
        ]
        for lie in lies:
            with pytest.raises(NotAuthentic):
                verify_inclusion(**(truth | lie))


@pytest.mark.parametrize("size", SIZES)
def test_every_consistency_proof_holds_and_every_lie_about_it_fails(size: int) -> None:
    tree = leaves(size)
    for old in range(size + 1):
        proof = consistency_proof(old, size, nodes_of(tree))
        truth: dict[str, Any] = {
            "old_size": old,
            "old_root": mth(tree[:old]),
            "new_size": size,
            "new_root": mth(tree),
            "proof": proof,
        }
        verify_consistency(**truth)
        lies: list[dict[str, Any]] = [
            {"old_root": leaf_hash(b"another")},
            {"proof": (*proof, leaf_hash(b"another"))},
            *[{"proof": proof[:i] + proof[i + 1 :]} for i in range(len(proof))],
            *[{"proof": (*proof[:i], _flip(proof[i]), *proof[i + 1 :])} for i in range(len(proof))],
        ]
        if old:
            lies += [{"new_root": leaf_hash(b"another")}, {"new_size": old - 1}, {"old_size": old + 1}]
        for lie in lies:
            with pytest.raises(NotAuthentic):
                verify_consistency(**(truth | lie))


@pytest.mark.parametrize("size", range(1, 18))
def test_subtrees_are_consistent_with_every_tree_that_holds_them(size: int) -> None:
    tree = leaves(size)
    for start in range(size):
        for end in range(start + 1, size + 1):
            proof = _subtree_proof(start, end, tree)
            truth: dict[str, Any] = {
                "start": start,
                "end": end,
                "size": size,
                "subtree_root": mth(tree[start:end]),
                "root": mth(tree),
                "proof": proof,
            }
            if start % (1 << (end - start - 1).bit_length()):
                with pytest.raises(NotAuthentic, match="not a subtree"):
                    verify_subtree_consistency(**truth)
                continue
            verify_subtree_consistency(**truth)
            with pytest.raises(NotAuthentic):
                verify_subtree_consistency(**(truth | {"proof": (*proof, mth(tree))}))
            with pytest.raises(NotAuthentic):
                verify_subtree_consistency(**(truth | {"subtree_root": leaf_hash(b"another")}))


def test_the_empty_tree_has_one_root_and_no_proof() -> None:
    truth: dict[str, Any] = {
        "old_size": 0,
        "old_root": EMPTY_ROOT,
        "new_size": 0,
        "new_root": EMPTY_ROOT,
        "proof": (),
    }
    verify_consistency(**truth)
    lies: list[dict[str, Any]] = [
        {"old_root": leaf_hash(b"another")},
        {"new_root": leaf_hash(b"another")},
        {"proof": (EMPTY_ROOT,)},
        {"new_size": -1},
    ]
    for lie in lies:
        with pytest.raises(NotAuthentic):
            verify_consistency(**(truth | lie))


def test_a_proof_says_why_it_fails_before_anything_is_hashed() -> None:
    tree = leaves(7)
    inclusion: dict[str, Any] = {"leaf": tree[6], "index": 6, "size": 7, "root": mth(tree)}
    inclusion["proof"] = inclusion_proof(6, 7, nodes_of(tree))
    for index in (-1, 7):
        with pytest.raises(NotAuthentic, match="is not in a tree"):
            verify_inclusion(**(inclusion | {"index": index}))
    with pytest.raises(NotAuthentic, match="is not a subtree"):
        verify_subtree_inclusion(leaf=tree[1], index=1, start=1, end=3, proof=(tree[2],), subtree_root=mth(tree[1:3]))
    consistency: dict[str, Any] = {"old_size": 3, "old_root": mth(tree[:3]), "new_size": 7, "new_root": mth(tree)}
    proof = consistency_proof(3, 7, nodes_of(tree))
    for lie, reason in [((), "empty"), ((*proof, tree[0]), "too long"), (proof[:-1], "too short")]:
        with pytest.raises(NotAuthentic, match=reason):
            verify_consistency(**consistency, proof=lie)


def test_hashes_of_another_length_are_refused() -> None:
    tree = leaves(2)
    with pytest.raises(NotAuthentic, match="32 bytes"):
        verify_inclusion(leaf=tree[0][:31], index=0, size=1, proof=(), root=tree[0][:31])
    with pytest.raises(NotAuthentic, match="32 bytes"):
        verify_consistency(old_size=1, old_root=b"", new_size=1, new_root=b"", proof=())


def test_proofs_of_what_is_not_there_are_not_made() -> None:
    nodes = nodes_of(leaves(4))
    for index, size in [(4, 4), (-1, 4), (0, 0)]:
        with pytest.raises(ValueError, match="not in a tree"):
            inclusion_proof(index, size, nodes)
    for old, new in [(5, 4), (-1, 4)]:
        with pytest.raises(ValueError, match="does not continue"):
            consistency_proof(old, new, nodes)


@given(st.integers(min_value=1, max_value=2000), st.data())
def test_proofs_of_large_trees_hold(size: int, data: st.DataObject) -> None:
    tree = leaves(size)
    nodes, root = nodes_of(tree), mth(tree)
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    old = data.draw(st.integers(min_value=0, max_value=size))
    verify_inclusion(leaf=tree[index], index=index, size=size, proof=inclusion_proof(index, size, nodes), root=root)
    verify_consistency(
        old_size=old,
        old_root=mth(tree[:old]),
        new_size=size,
        new_root=root,
        proof=consistency_proof(old, size, nodes),
    )


def _flip(digest: bytes) -> bytes:
    return bytes([digest[0] ^ 1]) + digest[1:]


def _subtree_proof(start: int, end: int, tree: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """SUBTREE_SUBPROOF of draft-ietf-plants-merkle-tree-certs, written as the draft's recursion."""

    def prove(start: int, end: int, part: tuple[bytes, ...], known: bool) -> tuple[bytes, ...]:
        if (start, end) == (0, len(part)):
            return () if known else (mth(part),)
        middle = 1 << ((len(part) - 1).bit_length() - 1)
        if end <= middle:
            return (*prove(start, end, part[:middle], known), mth(part[middle:]))
        if start >= middle:
            return (*prove(start - middle, end - middle, part[middle:], known), mth(part[:middle]))
        return (*prove(0, end - middle, part[middle:], False), mth(part[:middle]))

    return prove(start, end, tree, True)
