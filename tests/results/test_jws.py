"""Signatures by one pinned key: what it signed opens, and nothing else, whatever a header asks for."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import HermeticError, Malformed, Misconfigured, NotAuthentic
from hermetic.results.jws import SigningKey, b64url, key_id, open_jws, sign_jws, unb64url
from hermetic.wire import canonical
from results_support import ED25519, P256

KEYS: dict[str, SigningKey] = {"EdDSA": ED25519, "ES256": P256}
TYPS = frozenset({"test+jwt"})
algorithms = pytest.mark.parametrize("alg", KEYS)


def sealed(alg: str, payload: bytes = b'{"a": 1}') -> str:
    return sign_jws(payload, KEYS[alg], typ="test+jwt")


def opened(token: str, alg: str) -> bytes:
    return open_jws(token, KEYS[alg].public_key(), typs=TYPS)


def forged(alg: str, header: dict[str, Any] | bytes, payload: bytes = b"{}") -> str:
    """Signed by the right key over a header of the test's own."""
    import base64

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    signed = f"{b64url(raw)}.{b64url(payload)}".encode()
    key = KEYS[alg]
    if isinstance(key, Ed25519PrivateKey):
        signature = key.sign(signed)
    else:
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{signed.decode()}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def good(alg: str, /, **changes: Any) -> dict[str, Any]:
    header = {"alg": alg, "typ": "test+jwt", "kid": key_id(KEYS[alg].public_key())} | changes
    return {name: value for name, value in header.items() if value is not None}


@algorithms
@given(payload=st.binary(max_size=200))
def test_what_was_signed_opens(alg: str, payload: bytes) -> None:
    assert opened(sealed(alg, payload), alg) == payload


@algorithms
def test_an_independent_library_reads_and_writes_the_same(alg: str) -> None:
    key = KEYS[alg]
    token = sealed(alg)
    assert jwt.decode(token, key.public_key(), algorithms=[alg]) == {"a": 1}
    assert jwt.get_unverified_header(token) == good(alg)
    theirs = jwt.encode({"b": 2}, key, algorithm=alg, headers={"typ": "test+jwt"})
    assert json.loads(opened(theirs, alg)) == {"b": 2}


@algorithms
def test_every_bit_counts(alg: str) -> None:
    token = sealed(alg).encode()
    for bit in range(len(token) * 8):
        mutant = bytearray(token)
        mutant[bit // 8] ^= 1 << bit % 8
        with pytest.raises((Malformed, NotAuthentic)):
            opened(mutant.decode("latin-1"), alg)


@algorithms
def test_every_truncation_and_whatever_is_added(alg: str) -> None:
    token = sealed(alg)
    for mutant in (
        *(token[:length] for length in range(len(token))),
        token + "A",
        token + "=",
        token + ".",
        " " + token,
    ):
        with pytest.raises((Malformed, NotAuthentic)):
            opened(mutant, alg)


@algorithms
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"alg": "none"}, "jws.algorithm", id="no algorithm"),
        pytest.param({"alg": "HS256"}, "jws.algorithm", id="a shared secret"),
        pytest.param({"alg": "RS256"}, "jws.algorithm", id="another kind of key"),
        pytest.param({"alg": None}, "jws.algorithm", id="an algorithm left out"),
        pytest.param({"typ": "JWT"}, "jws.type", id="another type"),
        pytest.param({"typ": None}, "jws.type", id="a type left out"),
        pytest.param({"kid": "another"}, "jws.key", id="another key"),
        pytest.param({"jwk": {"kty": "OKP"}}, "jws.header", id="a key of its own"),
        pytest.param({"jku": "https://example.com/keys"}, "jws.header", id="keys elsewhere"),
        pytest.param({"x5u": "https://example.com/chain"}, "jws.header", id="a chain elsewhere"),
        pytest.param({"x5c": []}, "jws.header", id="a chain of its own"),
        pytest.param({"crit": ["b64"], "b64": False}, "jws.header", id="something critical"),
        pytest.param({"cty": "JWT"}, "jws.header", id="a nested token"),
    ],
)
def test_headers_that_ask_for_something(alg: str, changes: dict[str, Any], code: str) -> None:
    assert opened(forged(alg, good(alg)), alg) == b"{}"
    assert opened(forged(alg, good(alg, kid=None)), alg) == b"{}"
    with pytest.raises(NotAuthentic) as refusal:
        opened(forged(alg, good(alg, **changes)), alg)
    assert refusal.value.code == code


@algorithms
@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b'{"alg": "EdDSA", "alg": "ES256", "typ": "test+jwt"}', id="a name twice"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b" " * 5000 + b"{}", id="very long"),
    ],
)
def test_headers_that_cannot_be_read(alg: str, header: bytes) -> None:
    with pytest.raises(Malformed):
        opened(forged(alg, header), alg)


def test_the_other_kind_of_key_opens_nothing() -> None:
    for alg, other in (("EdDSA", "ES256"), ("ES256", "EdDSA")):
        with pytest.raises(NotAuthentic) as refusal:
            opened(sealed(alg), other)
        assert refusal.value.code == "jws.algorithm"


@algorithms
def test_another_key_of_the_same_kind(alg: str) -> None:
    other = Ed25519PrivateKey.generate() if alg == "EdDSA" else ec.generate_private_key(ec.SECP256R1())
    anonymous = forged(alg, good(alg, kid=None))
    for token, code in ((sealed(alg), "jws.key"), (anonymous, "jws.signature")):
        with pytest.raises(NotAuthentic) as refusal:
            open_jws(token, other.public_key(), typs=TYPS)
        assert refusal.value.code == code


def test_an_es256_signature_has_one_length() -> None:
    header, payload, signature = sealed("ES256").split(".")
    raw = unb64url(signature, what="signature")
    for other in (raw + b"\0", raw[:-1], b""):
        with pytest.raises(NotAuthentic, match="64 bytes"):
            opened(f"{header}.{payload}.{b64url(other)}", "ES256")


def test_other_curves_are_no_keys_for_this() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(Misconfigured, match="P-256 or Ed25519"):
        sign_jws(b"{}", key, typ="test+jwt")
    with pytest.raises(Misconfigured):
        key_id(key.public_key())


def test_very_long_tokens() -> None:
    with pytest.raises(Malformed, match="larger"):
        opened("a" * (512 * 1024 + 1), "EdDSA")


@pytest.mark.parametrize("text", ["A", "AB=", "AAAA=", "AB", "A+", "A/AA", "A AA", "ä"])
def test_base64url_has_one_spelling(text: str) -> None:
    assert unb64url("AA", what="it") == b"\0"
    with pytest.raises(HermeticError):
        unb64url(text, what="it")


def test_thumbprints_are_those_of_the_standard() -> None:
    """RFC 8037, A.3."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    x = unb64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", what="x")
    assert key_id(Ed25519PublicKey.from_public_bytes(x)) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert canonical({"a": 1}) == b'{"a":1}'
