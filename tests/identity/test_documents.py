"""Keysets and launch documents: one spelling each, nothing unknown, nothing missing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given

from hermetic.errors import Malformed, NotAcceptable
from hermetic.identity import (
    ED25519,
    EHBP,
    RELEASE,
    STRICT,
    Keyset,
    LaunchDocument,
    PublicKey,
    format_ed25519,
    parse_ed25519,
)
from hermetic.wire import canonical, parse_object, sha256_digest
from identity_support import keyset, keysets, launch, launches


@given(keysets())
def test_a_keyset_survives_the_wire(original: Keyset) -> None:
    read = Keyset.from_json(parse_object(canonical(original.to_json())))
    assert read == original
    assert read.digest == original.digest


@given(launches)
def test_a_launch_document_survives_the_wire(original: LaunchDocument) -> None:
    read = LaunchDocument.from_json(parse_object(canonical(original.to_json())))
    assert read == original
    assert read.digest == original.digest


@pytest.mark.parametrize("document", [keyset(), launch()], ids=["keyset", "launch"])
def test_every_missing_and_every_unknown_field_refuses(document: Keyset | LaunchDocument) -> None:
    parse = type(document).from_json
    whole = document.to_json()
    parse(whole)
    for name in whole:
        with pytest.raises(Malformed, match=name):
            parse({key: value for key, value in whole.items() if key != name})
    with pytest.raises(Malformed, match="unknown extra"):
        parse(whole | {"extra": 1})
    for other in (None, [], [whole], "keyset"):
        with pytest.raises(Malformed, match="expected an object"):
            parse(other)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("subject",), ""),
        (("subject",), "two\nlines"),
        pytest.param(("subject",), "a" * 1025, id="a long subject"),
        (("not_after",), True),
        (("not_after",), -1),
        (("not_after",), "soon"),
        (("not_after",), 253_402_300_800),
        (("receipt_signing_keys",), {}),
        (("receipt_signing_keys", 0, "algo"), "rsa"),
        (("receipt_signing_keys", 0, "algo"), EHBP),
        (("receipt_signing_keys", 0, "algo"), []),
        (("receipt_signing_keys", 0, "public_key"), "AQ=="),
        (("e2ee_public_keys", 0, "algo"), ED25519),
        (("e2ee_public_keys", 0, "key_id"), "sign"),
        (("tls_public_keys",), [{"spki_sha256": "00" * 32, "domain": "clinic.example"}]),
        (("tls_public_keys",), [{"spki_sha256": sha256_digest(b"spki"), "domain": "a" * 254}]),
    ],
)
def test_a_wrong_keyset_field_refuses(path: tuple[Any, ...], value: object) -> None:
    document: Any = copy.deepcopy(keyset().to_json())
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(Malformed):
        Keyset.from_json(document)


def test_the_largest_keyset() -> None:
    most = [PublicKey(key_id=f"k{n}", algo=EHBP, public_key=bytes((n,)) * 32).to_json() for n in range(65)]
    edges: dict[str, Any] = {
        "subject": "a" * 1024,
        "not_after": 253_402_300_799,
        "e2ee_public_keys": most[:64],
        "tls_public_keys": [{"spki_sha256": sha256_digest(b"spki"), "domain": "a" * 253}],
    }
    document = keyset(receipt_signing_keys=()).to_json()
    assert len(Keyset.from_json(document | edges).e2ee_public_keys) == 64
    with pytest.raises(Malformed, match="a list of at most 64"):
        Keyset.from_json(document | edges | {"e2ee_public_keys": most})


def test_roles_never_share_a_key() -> None:
    shared = PublicKey(key_id="other", algo=EHBP, public_key=b"\x01" * 32)
    with pytest.raises(Malformed, match="share a key"):
        keyset(e2ee_public_keys=(shared,))


def test_a_keyset_without_keys_refuses() -> None:
    with pytest.raises(Malformed, match="names no key"):
        keyset(receipt_signing_keys=(), e2ee_public_keys=())


def test_a_role_is_filled_by_exactly_one_key() -> None:
    assert keyset().key(STRICT).key_id == "strict"
    with pytest.raises(NotAcceptable, match="holds 0 keys"):
        keyset(e2ee_public_keys=()).key(RELEASE)
    twice = (
        PublicKey(key_id="a", algo=EHBP, public_key=b"a" * 32),
        PublicKey(key_id="b", algo=EHBP, public_key=b"b" * 32),
    )
    with pytest.raises(NotAcceptable, match="holds 2 keys"):
        keyset(e2ee_public_keys=twice).key(EHBP)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", "hermetic.launch.v2"),
        ("program_digest", "sha256:ABC"),
        ("config_digest", None),
        ("argv", "hermetic serve"),
        ("argv", [""]),
        ("environment", {"A": 1}),
        ("environment", []),
        ("environment", {f"A{number}": "b" for number in range(65)}),
        ("models", [{"name": "toy"}]),
        ("broker_key", "ed25519:AAAA"),
        ("broker_key", "x25519:" + "A" * 44),
        ("outbound", {"peer": "everyone"}),
    ],
)
def test_a_wrong_launch_field_refuses(field: str, value: object) -> None:
    with pytest.raises(Malformed):
        LaunchDocument.from_json(launch().to_json() | {field: value})


def test_every_launch_field_changes_the_digest() -> None:
    changed = {
        "service": "other",
        "program_digest": keyset().digest,
        "argv": ("hermetic",),
        "environment": {"A": "b"},
        "config_digest": keyset().digest,
        "models": (),
        "broker_key": None,
        "outbound": {"peer": keyset().digest},
    }
    digests = {launch(**{field: value}).digest for field, value in changed.items()}
    assert len(digests | {launch().digest}) == len(changed) + 1


def test_an_ed25519_key_has_one_spelling() -> None:
    text = format_ed25519(b"k" * 32)
    assert parse_ed25519(text) == b"k" * 32
    for wrong in (text + "=", text.removeprefix("ed25519:"), text[:-2] + "\n=", "ed25519:AAAA", "", None, 7):
        with pytest.raises(Malformed):
            parse_ed25519(wrong)


def test_no_public_key_floods_a_log() -> None:
    assert "public_key=" not in repr(keyset().key(STRICT))
