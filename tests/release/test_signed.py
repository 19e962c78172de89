"""Signed documents: one spelling, one signer, one type; nothing in them can be changed."""

from __future__ import annotations

import copy
import json
from typing import Any, get_type_hints

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

import hermetic.release
from hermetic.errors import Malformed, NotAuthentic
from hermetic.identity import format_ed25519
from hermetic.release import BrokerInfo, Challenge, Document, LeavesRequest, Made, Standing, convert, open_signed, sign
from hermetic.wire import canonical, parse_object, sha256_digest, transcript

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
BROKER = format_ed25519(KEY.public_key().public_bytes_raw())
STRANGER = format_ed25519(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
CHALLENGE = Challenge(
    challenge_id="00" * 16, nonce="11" * 32, expires_at=1_800_000_000, broker_key=BROKER, policy_epoch=3
)

challenges = st.builds(
    Challenge,
    challenge_id=st.binary(min_size=16, max_size=16).map(bytes.hex),
    nonce=st.binary(min_size=32, max_size=32).map(bytes.hex),
    expires_at=st.integers(min_value=0, max_value=253_402_300_799),
    broker_key=st.just(BROKER),
    policy_epoch=st.integers(min_value=0, max_value=2**31),
)
standings = st.builds(
    Standing,
    at=st.integers(min_value=0, max_value=253_402_300_799),
    broker_key=st.just(BROKER),
    resource=st.just("broker/clinic/triage"),
    policy_epoch=st.integers(min_value=0, max_value=2**31),
    policy_digest=st.binary(max_size=4).map(sha256_digest),
    versions=st.lists(st.binary(max_size=4).map(sha256_digest), max_size=3).map(tuple),
)


@given(document=challenges | standings)
def test_what_is_signed_comes_back(document: Document) -> None:
    over_the_wire = parse_object(json.dumps(sign(document, KEY)))
    assert open_signed(over_the_wire, type(document), broker_key=BROKER) == document


def test_the_signature_covers_the_type_and_the_canonical_form() -> None:
    signed = sign(CHALLENGE, KEY)
    message = transcript("hermetic.challenge.v1", canonical(signed["document"]))
    KEY.public_key().verify(bytes.fromhex(signed["signature"]), message)


def test_another_key_is_refused() -> None:
    with pytest.raises(NotAuthentic) as refused:
        open_signed(sign(CHALLENGE, KEY), Challenge, broker_key=STRANGER)
    assert refused.value.code == "broker_signature"


def test_a_document_passes_for_no_other_type() -> None:
    with pytest.raises(Malformed):
        open_signed(sign(CHALLENGE, KEY), BrokerInfo, broker_key=BROKER)
    signed = sign(CHALLENGE, KEY)
    signed["document"]["type"] = BrokerInfo.TYPE
    with pytest.raises(NotAuthentic):
        open_signed(signed, BrokerInfo, broker_key=BROKER)


def test_no_character_of_a_signed_document_can_be_changed() -> None:
    text = json.dumps(sign(CHALLENGE, KEY), separators=(",", ":"))
    accepted = []
    for position, old in enumerate(text):
        for new in {"0", "1", "a", " ", chr(ord(old) ^ 1)} - {old}:
            changed = text[:position] + new + text[position + 1 :]
            try:
                if open_signed(parse_object(changed), Challenge, broker_key=BROKER):
                    accepted.append(changed)
            except (Malformed, NotAuthentic):
                continue
    assert accepted == []


@pytest.mark.parametrize("spoil", ["missing", "unknown", "mistyped", "envelope"])
def test_documents_are_strict(spoil: str) -> None:
    """Even properly signed: a field too many or too few is not what we know how to read."""
    fields: dict[str, Any] = CHALLENGE.to_json()
    if spoil == "missing":
        del fields["nonce"]
    elif spoil == "unknown":
        fields["extra"] = 1
    elif spoil == "mistyped":
        fields["expires_at"] = "soon"
    signature = KEY.sign(transcript(Challenge.TYPE, canonical(fields))).hex()
    signed = {"document": fields, "signature": signature} | ({"extra": 1} if spoil == "envelope" else {})
    with pytest.raises(Malformed):
        open_signed(signed, Challenge, broker_key=BROKER)


@pytest.mark.parametrize("junk", [None, [], "x", {}, {"document": 1, "signature": "00" * 64}])
def test_what_is_no_signed_document_is_refused(junk: object) -> None:
    with pytest.raises(Malformed):
        open_signed(junk, Challenge, broker_key=BROKER)


def test_errors_name_the_field_and_never_quote_a_value() -> None:
    with pytest.raises(Malformed) as refused:
        convert({"challenge_id": "s3cret-value"}, Challenge, what="challenge")
    assert "s3cret-value" not in str(refused.value)
    assert "challenge_id" in str(refused.value) or "missing" in str(refused.value)


def test_every_document_type_has_a_name_of_its_own() -> None:
    kinds = [kind for kind in vars(hermetic.release).values() if isinstance(kind, type) and issubclass(kind, Document)]
    named = [kind.TYPE for kind in kinds if kind is not Document]
    assert len(set(named)) == len(named) == 5
    assert all(get_type_hints(kind) for kind in kinds if kind is not Document)


def test_leaves_are_signed_for_one_broker_keyset_and_order() -> None:
    request = LeavesRequest(
        log_size=0, keyset_digest=sha256_digest(b""), key_id="k", leaves=("00" * 32, "11" * 32), signature="00" * 64
    )
    others = [
        request.signed_bytes(STRANGER),
        msgspec.structs.replace(request, keyset_digest=sha256_digest(b"x")).signed_bytes(BROKER),
        msgspec.structs.replace(request, key_id="l").signed_bytes(BROKER),
        msgspec.structs.replace(request, leaves=("11" * 32, "00" * 32)).signed_bytes(BROKER),
        msgspec.structs.replace(request, leaves=("00" * 32,)).signed_bytes(BROKER),
    ]
    assert request.signed_bytes(BROKER) not in others
    assert len(set(others)) == len(others)


def test_documents_are_values() -> None:
    with pytest.raises(AttributeError):
        CHALLENGE.nonce = "00" * 32  # type: ignore[misc]
    assert copy.copy(CHALLENGE) == CHALLENGE
    made = Made(
        at=1,
        broker_key=BROKER,
        resource="broker/clinic/triage",
        resource_class="simulated",
        owner=BROKER,
        recipient="age1pq1x",
        generation=1,
    )
    assert made.to_json()["type"] == "hermetic.resource-made.v1"
