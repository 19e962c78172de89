"""Receipts: the published ACI example to the byte, strict parsing, and no bit that can change after signing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed, NotAuthentic
from hermetic.ledger import (
    Event,
    EventType,
    Receipt,
    exchange_events,
    leaf_commitment,
    sign_receipt,
    verify_receipt,
)
from hermetic.wire import Digest, canonical, sha256, sha256_digest
from receipt_support import KEY_ID, RECEIPT_KEY, receipt

KEYS = {KEY_ID: RECEIPT_KEY.public_key().public_bytes_raw()}

names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=12)
digests = st.binary(max_size=8).map(sha256_digest)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
unknown_events = st.builds(
    Event,
    type=names.map(lambda name: f"other.{name}"),
    fields=st.dictionaries(names.filter(lambda name: name != "type"), json_values, max_size=3),
)
counts = st.integers(min_value=0, max_value=2**53 - 1)
known_events = st.builds(
    exchange_events,
    request=digests,
    forwarded=digests,
    response=digests,
    manifest=digests,
    launch=digests,
    policy=st.none() | digests,
    prompt_tokens=counts,
    completion_tokens=counts,
)
receipts = st.builds(
    sign_receipt,
    receipt_id=names,
    chat_id=st.none() | names,
    model=st.none() | names,
    workload_keyset_digest=digests,
    endpoint=names,
    method=names,
    served_at=st.integers(min_value=0, max_value=253_402_300_799),
    events=st.builds(lambda known, unknown: (*known, *unknown), known_events, st.lists(unknown_events, max_size=2)),
    key_id=st.just(KEY_ID),
    private_key=st.just(RECEIPT_KEY),
)


def test_the_published_example_of_aci_1() -> None:
    """Seed, bodies and signature of the receipt in the ACI specification's own test vectors (§4)."""
    request = b'{"messages":[{"content":"hi","role":"user"}],"model":"demo-model"}'
    response = b'{"choices":[],"id":"chatcmpl-123"}'
    key = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
    upstream = {
        "model_id": "demo-model",
        "required": True,
        "result": "verified",
        "session_id": "95ad1cb4dd25445808c2e9d116caf420b05703730b506395e8fc1ca6faeae28f",
    }
    signed = sign_receipt(
        receipt_id="rcpt-0001",
        chat_id="chatcmpl-123",
        model="demo-model",
        workload_keyset_digest=Digest("sha256:53a5cd44b30dcc51999754c719f2628a041f174ecbf9662a6f8e898a10cd9371"),
        endpoint="/v1/chat/completions",
        method="POST",
        served_at=1_750_000_000,
        events=[
            Event(type=EventType.REQUEST_RECEIVED, fields={"body_hash": sha256_digest(request)}),
            Event(type=EventType.REQUEST_FORWARDED, fields={"body_hash": sha256_digest(request)}),
            Event(type="upstream.verified", fields=upstream),
            Event(type=EventType.RESPONSE_RETURNED, fields={"body_hash": sha256_digest(response)}),
        ],
        key_id="receipt-1",
        private_key=key,
    )
    assert sha256(signed.signed_bytes()).hex() == "1bd328e6880a5a12b3915af95ea32111310e04ab9e21ac3d71ce268e33b965c9"
    assert signed.signature.hex() == (
        "d5b005e093bde3b577faf270b7184b09e169cacb0ecb206b103bd2581f997db0"
        "3da616175454b063323a23ac1dc68f1ce506c2a6eba8aa0561d5e724f0b80c03"
    )
    assert signed.unknown_events == ("upstream.verified",)
    verify_receipt(Receipt.from_bytes(signed.to_bytes()), keys={"receipt-1": key.public_key().public_bytes_raw()})


@given(receipts)
def test_receipts_come_back_as_they_were_signed(signed: Receipt) -> None:
    parsed = Receipt.from_bytes(signed.to_bytes())
    assert parsed == signed
    assert Receipt.from_bytes(json.dumps(signed.to_json(), indent=2)) == signed
    verify_receipt(parsed, keys=KEYS)


def test_no_bit_of_a_receipt_can_change() -> None:
    data = receipt().to_bytes()
    for position in range(len(data) * 8):
        changed = bytearray(data)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises((Malformed, NotAuthentic)):
            verify_receipt(Receipt.from_bytes(bytes(changed)), keys=KEYS)


@pytest.mark.parametrize("keys", [{}, {"other": KEYS[KEY_ID]}, {KEY_ID: bytes(32)}, {KEY_ID: b"short"}])
def test_only_the_named_key_of_those_given_will_do(keys: dict[str, bytes]) -> None:
    with pytest.raises(NotAuthentic):
        verify_receipt(receipt(), keys=keys)


def test_the_order_of_events_is_signed() -> None:
    document = receipt().to_json()
    document["event_log"].reverse()
    with pytest.raises(NotAuthentic):
        verify_receipt(Receipt.from_json(document), keys=KEYS)


def _changed(**changes: Any) -> dict[str, Any]:
    return receipt().to_json() | changes


def _without(name: str) -> dict[str, Any]:
    document = receipt().to_json()
    del document[name]
    return document


def _events(*events: Any) -> dict[str, Any]:
    return _changed(event_log=list(events))


DIGEST = sha256_digest(b"")
RECEIVED = {"type": "request.received", "body_hash": DIGEST}


@pytest.mark.parametrize(
    "document",
    [
        *[_without(name) for name in receipt().to_json()],
        _changed(simulated=False),
        _changed(api_version="aci/2"),
        _changed(receipt_id=""),
        _changed(receipt_id=7),
        _changed(chat_id=7),
        _changed(model=""),
        _changed(endpoint="/v1\n"),
        _changed(method=None),
        _changed(workload_keyset_digest="53a5"),
        _changed(served_at=-1),
        _changed(served_at=1.5),
        _changed(served_at=True),
        _changed(served_at=253_402_300_800),
        _changed(key_id=["receipt-1"]),
        _changed(signature="00" * 63),
        _changed(signature="AA" * 64),
        _changed(event_log={}),
        _changed(event_log=None),
        _events(),
        _events("request.received"),
        _events({"body_hash": DIGEST}),
        _events({"type": 7}),
        _events({"type": ""}),
        _events({"type": "request.received"}),
        _events(RECEIVED | {"more": 1}),
        _events({"type": "request.received", "body_hash": "sha256:00"}),
        _events({"type": "hermetic.model", "body_hash": DIGEST}),
        _events({"type": "hermetic.usage", "prompt_tokens": 1}),
        _events({"type": "hermetic.usage", "prompt_tokens": 1, "completion_tokens": -1}),
        _events({"type": "hermetic.usage", "prompt_tokens": True, "completion_tokens": 1}),
        _events(RECEIVED, RECEIVED),
        _events(*[{"type": f"other.{number}"} for number in range(257)]),
        [],
        None,
    ],
)
def test_what_is_not_a_receipt_is_refused(document: object) -> None:
    with pytest.raises(Malformed):
        Receipt.from_json(document)


def test_a_signature_has_64_bytes() -> None:
    with pytest.raises(Malformed, match="64 bytes"):
        replace(receipt(), signature=bytes(63))


def test_a_name_that_appears_twice_is_refused() -> None:
    text = receipt().to_bytes().replace(b'{"api_version"', b'{"model":"other","api_version"', 1)
    with pytest.raises(Malformed, match="twice"):
        Receipt.from_bytes(text)


def test_unknown_events_are_kept_signed_and_named() -> None:
    events = (*receipt().events, Event(type="other.thing", fields={"n": 1}))
    signed = Receipt.from_bytes(receipt(events=events).to_bytes())
    verify_receipt(signed, keys=KEYS)
    assert signed.unknown_events == ("other.thing",)
    assert receipt().unknown_events == ()


def test_a_receipt_says_which_digest_belongs_to_what() -> None:
    assert receipt().digest(EventType.REQUEST_RECEIVED) == receipt().to_json()["event_log"][0]["body_hash"]
    only = receipt(events=[Event(type=EventType.MODEL, fields={"manifest_digest": DIGEST})])
    assert only.digest(EventType.MODEL) == DIGEST
    assert only.digest(EventType.RESPONSE_RETURNED) is None


def test_an_event_keeps_its_fields() -> None:
    fields: dict[str, Any] = {"body_hash": DIGEST}
    event = Event(type=EventType.REQUEST_RECEIVED, fields=fields)
    fields["body_hash"] = "changed"
    assert event.fields == {"body_hash": DIGEST}
    with pytest.raises(Malformed, match="one type"):
        Event(type="other", fields={"type": "request.received"})


def test_the_commitment_is_salted() -> None:
    record = receipt().to_bytes()
    assert leaf_commitment(b"s" * 32, record) == sha256(b"s" * 32 + canonical(receipt().to_json()))
    assert leaf_commitment(b"s" * 32, record) != leaf_commitment(b"t" * 32, record)
    with pytest.raises(Malformed, match="32 bytes"):
        leaf_commitment(b"", record)
