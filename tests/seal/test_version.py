"""Resource versions: what an owner signed, and nothing that only looks like it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from hermetic.errors import HermeticError, Malformed, NotAuthentic
from hermetic.seal import (
    ResourceVersion,
    SignedVersion,
    encode_owner_key,
    owner_name,
    parse_owner_key,
    sign_version,
)
from hermetic.wire import Digest, canonical, sha256_digest, transcript
from seal_support import flipped

OWNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAME = owner_name(OWNER)
HEADERS = tuple(sorted(sha256_digest(bytes([n])) for n in range(3)))
VERSION = ResourceVersion(
    resource="broker/acme/smol", version="1.2", manifest_digest=sha256_digest(b"m"), headers=HEADERS
)


def test_what_was_signed_is_what_is_verified() -> None:
    signed = sign_version(VERSION, OWNER)
    assert SignedVersion.parse(signed.encode()).verify(owner=NAME) == VERSION
    assert SignedVersion.from_json(signed.to_json()) == signed
    assert signed.digest == SignedVersion.parse(signed.encode()).digest


def test_no_bit_can_be_changed() -> None:
    data = sign_version(VERSION, OWNER).encode()
    for bit in range(len(data) * 8):
        with pytest.raises((Malformed, NotAuthentic)):
            SignedVersion.parse(flipped(data, bit)).verify(owner=NAME)


def test_another_owner_s_signature_is_refused() -> None:
    other = Ed25519PrivateKey.generate()
    with pytest.raises(NotAuthentic):
        sign_version(VERSION, other).verify(owner=NAME)
    with pytest.raises(NotAuthentic):
        sign_version(VERSION, OWNER).verify(owner=owner_name(other))


def signed_by_owner(**changes: Any) -> SignedVersion:
    """Fields changed *before* the owner signs: only the fields' own rules are left to refuse."""
    document = {**sign_version(VERSION, OWNER).document, **changes}
    document = {name: value for name, value in document.items() if value is not None}
    return SignedVersion(
        document=document,
        signature=OWNER.sign(transcript("hermetic.resource-version.v1", canonical(document))),
    )


def test_the_owner_s_own_name_is_part_of_it() -> None:
    assert signed_by_owner().verify(owner=NAME) == VERSION
    with pytest.raises(NotAuthentic):
        signed_by_owner(owner=owner_name(Ed25519PrivateKey.generate())).verify(owner=NAME)


BAD: dict[str, dict[str, Any]] = {
    "another type": {"type": "hermetic.policy.v1"},
    "no type": {"type": None},
    "unknown field": {"extra": 1},
    "two parts": {"resource": "acme/smol"},
    "four parts": {"resource": "a/b/c/d"},
    "upper case": {"resource": "Broker/acme/smol"},
    "dots": {"resource": "broker/../smol"},
    "leading slash": {"resource": "/broker/acme"},
    "empty part": {"resource": "broker//smol"},
    "line feed": {"resource": "broker/acme/smol\n"},
    "number as version": {"version": 1},
    "empty version": {"version": ""},
    "version with a slash": {"version": "1/2"},
    "version with a line feed": {"version": "1\n"},
    "manifest is no digest": {"manifest_digest": "sha256:00"},
    "no header": {"headers": []},
    "headers not sorted": {"headers": list(reversed(HEADERS))},
    "header twice": {"headers": [HEADERS[0], HEADERS[0]]},
    "header is no digest": {"headers": ["x"]},
    "header in upper case": {"headers": [HEADERS[0].upper()]},
    "no headers": {"headers": None},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_a_signature_does_not_make_nonsense_sense(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        signed_by_owner(**changes).verify(owner=NAME)


def test_a_signature_over_the_same_fields_of_another_type_is_refused() -> None:
    document = sign_version(VERSION, OWNER).document
    for message in (canonical(document), transcript("hermetic.policy.v1", canonical(document))):
        with pytest.raises(NotAuthentic):
            SignedVersion(document=document, signature=OWNER.sign(message)).verify(owner=NAME)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.pop("signature"),
        lambda v: v.update(more=1),
        lambda v: v.update(signature="00"),
        lambda v: v.update(signature=v["signature"].upper()),
        lambda v: v.update(document=[]),
        lambda v: v.update(signature=None),
    ],
)
def test_other_envelopes_are_refused(change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(sign_version(VERSION, OWNER).encode())
    change(value)
    with pytest.raises(Malformed):
        SignedVersion.from_json(value)


@pytest.mark.parametrize("value", [None, [], "document", 1])
def test_what_is_no_object_is_no_version(value: object) -> None:
    with pytest.raises(Malformed):
        SignedVersion.from_json(value)


@pytest.mark.parametrize("owner", ["", NAME.removeprefix("ed25519:"), "ed25519:AAAA", NAME + "x", "rsa:" + NAME[8:]])
def test_an_owner_s_name_has_one_spelling(owner: str) -> None:
    with pytest.raises(Malformed):
        sign_version(VERSION, OWNER).verify(owner=owner)


def test_a_version_that_nobody_could_verify_is_not_made() -> None:
    for headers in ((), tuple(reversed(HEADERS)), (Digest("x"),)):
        with pytest.raises(Malformed):
            ResourceVersion(resource="a/b/c", version="1", manifest_digest=VERSION.manifest_digest, headers=headers)


def test_an_owner_s_key_survives_its_file() -> None:
    pem = encode_owner_key(OWNER)
    assert owner_name(parse_owner_key(pem)) == NAME
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----")


def other_pem(encrypted: bool) -> bytes:
    lock = BestAvailableEncryption(b"x") if encrypted else NoEncryption()
    key = OWNER if encrypted else generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)


@pytest.mark.parametrize("pem", [b"", b"text", encode_owner_key(OWNER)[:60], other_pem(False), other_pem(True)])
def test_other_keys_are_refused_and_not_quoted(pem: bytes) -> None:
    with pytest.raises(HermeticError) as refusal:
        parse_owner_key(pem)
    assert refusal.value.code == "malformed"
    assert "BEGIN" not in str(refusal.value)
