"""Receipts into the log: only from a workload that was granted a key, and only what it signed."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker_support import RESOURCE, House, Running, Workload, changed
from hermetic.client.broker import BrokerClient
from hermetic.errors import NotReleased
from hermetic.identity import format_ed25519
from hermetic.ledger import VerifierKey, leaf_hash, open_checkpoint, verify_inclusion
from hermetic.release import LeavesAnswer, LeavesRequest, convert
from hermetic.wire import sha256_digest


def _leaf() -> bytes:
    return os.urandom(32)


def _granted(running: Running) -> Workload:
    workload = running.house.workload()
    assert running.post(running.request(workload)).status_code == 200
    return workload


def _request(running: Running, workload: Workload, *leaves: bytes, broker_key: str | None = None) -> LeavesRequest:
    unsigned = LeavesRequest(
        log_size=0,
        keyset_digest=workload.keyset.digest,
        key_id="receipt",
        leaves=tuple(leaf.hex() for leaf in leaves),
        signature="00" * 64,
    )
    signature = workload.receipt_key.sign(unsigned.signed_bytes(broker_key or running.broker_key))
    return msgspec.structs.replace(unsigned, signature=signature.hex())


def _post(running: Running, request: LeavesRequest) -> Any:
    return running.http.post("/v1/log/leaves", content=msgspec.json.encode(request))


def _refused(running: Running, request: LeavesRequest) -> None:
    before = running.server.broker.log.checkpoint.size
    answer = _post(running, request)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_granted")
    assert running.server.broker.log.checkpoint.size == before


def test_each_leaf_is_placed_and_proven(running: Running) -> None:
    workload, leaves = _granted(running), [_leaf() for _ in range(5)]
    answer = convert(_post(running, _request(running, workload, *leaves)).json(), LeavesAnswer, what="leaves")
    log_key = VerifierKey.parse(running.house.made.log_key)
    checkpoint = open_checkpoint(answer.checkpoint.encode(), log_key=log_key)
    first = answer.leaves[0].index
    assert [place.index for place in answer.leaves] == list(range(first, first + 5))
    for leaf, place in zip(leaves, answer.leaves, strict=True):
        verify_inclusion(
            leaf=leaf_hash(leaf),
            index=place.index,
            size=checkpoint.size,
            proof=[bytes.fromhex(step) for step in place.inclusion],
            root=checkpoint.root,
        )


def test_asking_again_after_a_lost_answer_adds_nothing(running: Running) -> None:
    workload = _granted(running)
    request = _request(running, workload, _leaf(), _leaf())
    first = _post(running, request).json()
    size = running.server.broker.log.checkpoint.size
    again = _post(running, request).json()
    assert [place["index"] for place in again["leaves"]] == [place["index"] for place in first["leaves"]]
    assert running.server.broker.log.checkpoint.size == size


def test_a_workload_that_was_granted_nothing_may_not_append(running: Running) -> None:
    _refused(running, _request(running, running.house.workload(), _leaf()))
    denied = changed(running.house.workload(), program_digest=sha256_digest(b"other"))
    running.denied(running.request(denied))
    _refused(running, _request(running, denied, _leaf()))


def test_only_what_a_receipt_key_of_that_keyset_signed_is_taken(running: Running) -> None:
    workload, other = _granted(running), _granted(running)
    good = _request(running, workload, _leaf(), _leaf())
    stranger = replace(workload, receipt_key=Ed25519PrivateKey.generate())
    for bad in (
        msgspec.structs.replace(good, signature="00" * 64),
        msgspec.structs.replace(good, leaves=good.leaves[:1]),
        msgspec.structs.replace(good, leaves=tuple(reversed(good.leaves))),
        msgspec.structs.replace(good, leaves=(*good.leaves, _leaf().hex())),
        msgspec.structs.replace(good, key_id="other"),
        msgspec.structs.replace(good, key_id="release"),
        msgspec.structs.replace(good, keyset_digest=other.keyset.digest),
        _request(running, stranger, _leaf()),
        _request(running, workload, _leaf(), broker_key=format_ed25519(bytes(32))),
    ):
        _refused(running, bad)
    assert _post(running, good).status_code == 200


def test_the_grant_outlives_a_restart_and_ends_with_the_keyset(house: House) -> None:
    with house.serving() as running:
        workload = _granted(running)
    with house.serving() as running:
        assert _post(running, _request(running, workload, _leaf())).status_code == 200
        # The broker's clock, not the caller's: a vendor's newer date moves it past the keyset's end.
        running.server.broker.clock.observe([workload.keyset.expires()])
        _refused(running, _request(running, workload, _leaf()))


def test_there_is_a_limit_to_one_request(house: House) -> None:
    house.limits["leaves"] = 3
    house.write_config()
    with house.serving() as running:
        workload = _granted(running)
        answer = _post(running, _request(running, workload, *(_leaf() for _ in range(4))))
        assert answer.status_code == 400
        assert _post(running, _request(running, workload, *(_leaf() for _ in range(3)))).status_code == 200


@pytest.mark.parametrize("leaf", ["", "00" * 31, "00" * 33, "0G" * 32, "AB" * 32])
def test_a_leaf_is_32_bytes_in_lowercase_hex(running: Running, leaf: str) -> None:
    workload = _granted(running)
    request = msgspec.to_builtins(_request(running, workload, _leaf())) | {"leaves": [leaf]}
    answer = running.http.post("/v1/log/leaves", content=msgspec.json.encode(request))
    assert answer.status_code == 400


def test_the_client_appends_and_is_told_no(running: Running) -> None:
    workload = running.house.workload()
    with BrokerClient(running.url, broker_key=running.broker_key) as client:
        with pytest.raises(NotReleased) as refused:
            client.append([_leaf()], signer=workload.signer)
        assert refused.value.code == "not_granted"
        client.release(workload.attester, [running.house.sealed[RESOURCE].want()], release_key=workload.release_key)
        leaves = [_leaf(), _leaf()]
        first, second = client.append(leaves, signer=workload.signer)
        assert second.index == first.index + 1
        assert client.append(leaves[:1], signer=workload.signer)[0].index == first.index
