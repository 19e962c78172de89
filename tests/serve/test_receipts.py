"""Receipts: complete when the answer is, signed over what passed, and only for whoever asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.ledger import EventType, Inclusion, ReceiptFile, verify_logged, verify_receipt
from hermetic.serve.batch import Batch
from hermetic.serve.credentials import Principal
from hermetic.serve.engine import Usage
from hermetic.serve.errors import ApiError
from hermetic.serve.issue import ABORTED, Issuer
from hermetic.serve.receipts import Exchange, Receipts
from hermetic.wire import canonical, sha256_digest
from serve_support import KEY, MODEL, OTHER_KEY, Served

ALICE, BOB = Principal("alice"), Principal("bob")
USAGE = Usage(prompt=3, completion=2, cached=0)
ASKED = {"messages": [], "max_tokens": 1}


async def _unreachable(_: object) -> list[Inclusion]:
    raise AssertionError("nothing is appended here")


def issuer() -> Issuer:
    return Issuer(
        model="toy",
        manifest=sha256_digest(b"manifest"),
        keyset=sha256_digest(b"keyset"),
        launch=sha256_digest(b"launch"),
        policy=sha256_digest(b"policy"),
        key_id="receipt",
        private_key=Ed25519PrivateKey.generate(),
    )


def receipts(*, capacity: int = 10, per_owner: int = 10, signer: Issuer | None = None) -> Receipts:
    return Receipts(signer or issuer(), Batch(_unreachable), capacity=capacity, per_owner=per_owner)


def exchange(kept: Receipts, owner: Principal | None = ALICE, *, whole: bool = True) -> Exchange:
    with kept.exchange(
        owner, chat_id="chatcmpl-1", endpoint="/v1/chat/completions", received=b"in", forwarded=ASKED
    ) as made:
        made.sent(b"out")
        if whole:
            made.finish(USAGE)
    return made


def in_loop(test: Any) -> None:
    """A batch belongs to an event loop."""

    async def run() -> None:
        test()

    asyncio.run(run())


def test_a_receipt_says_what_passed() -> None:
    def test() -> None:
        signer = issuer()
        kept = receipts(signer=signer)
        receipt = kept.file(exchange(kept).receipt_id, owner=ALICE).receipt
        verify_receipt(receipt, keys={"receipt": signer.private_key.public_key().public_bytes_raw()})
        assert (receipt.chat_id, receipt.endpoint, receipt.method) == ("chatcmpl-1", "/v1/chat/completions", "POST")
        said = {
            EventType.REQUEST_RECEIVED: sha256_digest(b"in"),
            EventType.REQUEST_FORWARDED: sha256_digest(canonical(ASKED)),
            EventType.RESPONSE_RETURNED: sha256_digest(b"out"),
            EventType.MODEL: signer.manifest,
            EventType.LAUNCH: signer.launch,
            EventType.POLICY: signer.policy,
        }
        assert {event: receipt.digest(event) for event in said} == said
        assert receipt.workload_keyset_digest == signer.keyset

    in_loop(test)


def test_an_answer_that_was_cut_says_so() -> None:
    def test() -> None:
        kept = receipts()
        receipt = kept.file(exchange(kept, whole=False).receipt_id, owner=ALICE).receipt
        events = {event.type: dict(event.fields) for event in receipt.events}
        assert events[ABORTED] == {"body_hash": sha256_digest(b"out")}
        assert EventType.RESPONSE_RETURNED not in events
        assert EventType.USAGE not in events

    in_loop(test)


def test_nothing_sent_is_nothing_to_sign() -> None:
    def test() -> None:
        kept = receipts()
        with kept.exchange(ALICE, chat_id="c", endpoint="/", received=b"", forwarded=ASKED) as made:
            pass
        with pytest.raises(ApiError):
            kept.file(made.receipt_id, owner=ALICE)

    in_loop(test)


def test_an_exchange_ends_once() -> None:
    def test() -> None:
        made = exchange(receipts())
        with pytest.raises(RuntimeError):
            made.abort()

    in_loop(test)


def test_a_receipt_is_its_owners() -> None:
    def test() -> None:
        kept = receipts()
        made = exchange(kept)
        with pytest.raises(ApiError) as refusal:
            kept.file(made.receipt_id, owner=BOB)
        assert refusal.value.status == 404
        ownerless = exchange(kept, None)
        with pytest.raises(ApiError):
            kept.file(ownerless.receipt_id, owner=ALICE)

    in_loop(test)


def _kept(kept: Receipts, made: Exchange, owner: Principal) -> bool:
    try:
        kept.file(made.receipt_id, owner=owner)
    except ApiError:
        return False
    return True


def test_memory_is_bounded_and_nobody_crowds_others_out() -> None:
    def test() -> None:
        kept = receipts(capacity=4, per_owner=2)
        bobs = exchange(kept, BOB)
        alices = [exchange(kept) for _ in range(5)]
        assert [_kept(kept, made, ALICE) for made in alices] == [False, False, False, True, True]
        assert _kept(kept, bobs, BOB)
        others = [Principal(f"p{number}") for number in range(3)]
        newest = [exchange(kept, other) for other in others]
        assert all(_kept(kept, made, other) for made, other in zip(newest, others, strict=True))
        assert not _kept(kept, bobs, BOB)
        assert [_kept(kept, made, ALICE) for made in alices[-2:]] == [False, True]

    in_loop(test)


def test_what_nobody_owns_takes_nobodys_place() -> None:
    def test() -> None:
        kept = receipts(capacity=1)
        alices = exchange(kept)
        exchange(kept, None)
        assert _kept(kept, alices, ALICE)

    in_loop(test)


def test_owners_are_forgotten_with_their_last_receipt_and_not_before() -> None:
    def test() -> None:
        kept = receipts(capacity=3, per_owner=2)
        bobs = [exchange(kept, BOB) for _ in range(2)]
        for number in range(3):
            assert _kept(kept, bobs[1], BOB)
            exchange(kept, Principal(f"p{number}"))
        assert [_kept(kept, made, BOB) for made in bobs] == [False, False]
        assert BOB not in kept._owned
        assert exchange(kept, BOB).ended

    in_loop(test)


def test_a_place_for_a_receipt_that_is_no_longer_kept() -> None:
    async def run() -> None:
        async def append(leaves: Sequence[bytes]) -> list[Inclusion]:
            return [Inclusion(index=index, proof=(), note=b"note") for index in range(len(leaves))]

        batch = Batch(append)
        kept = Receipts(issuer(), batch, capacity=1, per_owner=1)
        gone, there = exchange(kept), exchange(kept)
        await batch.drain(seconds=5)
        assert not _kept(kept, gone, ALICE)
        placed = kept.file(there.receipt_id, owner=ALICE).inclusion
        assert placed is not None
        assert placed.index == 1

    asyncio.run(run())


# -- over a real socket, with a real log


GREETING = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 2}


def _fetch(http: httpx2.Client, receipt_id: str) -> ReceiptFile:
    response = http.get(f"/v1/receipts/{receipt_id}")
    assert response.status_code == 200
    return ReceiptFile.from_bytes(response.content)


@pytest.mark.parametrize("stream", [False, True])
def test_a_receipt_is_there_with_the_answer_and_in_the_log_soon_after(
    served: Served, http: httpx2.Client, stream: bool
) -> None:
    response = http.post("/v1/chat/completions", json=GREETING | {"stream": stream})
    receipt_id = response.headers["x-receipt-id"]
    file = _fetch(http, receipt_id)
    verify_receipt(
        file.receipt, keys={key.key_id: key.public_key for key in served.attester.keyset.receipt_signing_keys}
    )
    assert file.receipt.digest(EventType.RESPONSE_RETURNED) == sha256_digest(response.content)
    assert file.receipt.digest(EventType.REQUEST_RECEIVED) == sha256_digest(response.request.content)
    assert file.receipt.workload_keyset_digest == served.attester.keyset.digest
    assert file.receipt.digest(EventType.LAUNCH) == served.launch.digest
    until = time.monotonic() + 30
    while file.inclusion is None and time.monotonic() < until:
        time.sleep(0.02)
        file = _fetch(http, receipt_id)
    assert file.inclusion is not None
    verify_logged(file.receipt.to_bytes(), salt=file.salt, inclusion=file.inclusion, log_key=served.log.signer.verifier)


def test_another_key_finds_nothing(served: Served, http: httpx2.Client) -> None:
    receipt_id = http.post("/v1/chat/completions", json=GREETING).headers["x-receipt-id"]
    url = f"{served.url}/v1/receipts/{receipt_id}"
    for key, status in ((KEY, 200), (OTHER_KEY, 404), ("wrong", 401)):
        assert httpx2.get(url, headers={"Authorization": f"Bearer {key}"}).status_code == status
    assert httpx2.get(url).status_code == 401
    assert http.get("/v1/receipts/rcpt-00").status_code == 404


def test_a_refused_request_has_no_receipt(http: httpx2.Client) -> None:
    assert "x-receipt-id" not in http.post("/v1/chat/completions", json={**GREETING, "n": 2}).headers
