"""JSON Web Signatures, compact, by one pinned key (RFC 7515, RFC 7518, RFC 8037): EdDSA over Ed25519, or ES256.

The key decides the algorithm; the header may only agree.  A header that offers a key of its own, or asks for anything
that is not known here, is refused: nothing that a stranger wrote chooses what he is checked with (RFC 8725, 3.1, 3.5).
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from hermetic.errors import Malformed, Misconfigured, NotAuthentic
from hermetic.wire import canonical, parse_object, sha256

__all__ = ["PublicKey", "SigningKey", "b64url", "key_id", "open_jws", "sign_jws", "unb64url"]

SigningKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey
PublicKey = Ed25519PublicKey | ec.EllipticCurvePublicKey

_LIMIT = 512 * 1024
_SCALAR = 32
_HEADER = frozenset({"alg", "typ", "kid"})


def b64url(data: bytes) -> str:
    """Base64 for addresses, without padding (RFC 7515, 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64url(text: str, *, what: str) -> bytes:
    """The inverse, of its one spelling.  Raises Malformed."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"{what}: not base64url") from error
    if b64url(data) != text:  # padding, or bits that no byte holds
        raise Malformed(f"{what}: base64url in another spelling than the one")
    return data


def key_id(key: PublicKey) -> str:
    """The key's JWK thumbprint (RFC 7638, RFC 8037)."""
    return b64url(sha256(canonical(_jwk(key))))


def sign_jws(payload: bytes, key: SigningKey, *, typ: str) -> str:
    """The compact serialisation of ``payload`` signed by ``key``."""
    public = key.public_key()
    header = canonical({"alg": _algorithm(public), "kid": key_id(public), "typ": typ})
    signed = f"{b64url(header)}.{b64url(payload)}"
    return f"{signed}.{b64url(_sign(key, signed.encode('ascii')))}"


def open_jws(token: str, key: PublicKey, *, typs: frozenset[str]) -> bytes:
    """The payload that ``key`` signed, in a token of one of ``typs``.

    Raises Malformed where it is no compact serialisation, NotAuthentic where the header asks for anything but the
    pinned key and its algorithm, or where the signature is not that key's.
    """
    if len(token) > _LIMIT:
        raise Malformed(f"JWS: larger than {_LIMIT} bytes")
    pieces = token.split(".")
    if len(pieces) != 3:
        raise Malformed("JWS: expected three parts")
    header = parse_object(unb64url(pieces[0], what="JWS header"), what="JWS header", limit=4096)
    payload = unb64url(pieces[1], what="JWS payload")
    signature = unb64url(pieces[2], what="JWS signature")
    # 1. The header asks for nothing but what the caller pinned.
    if foreign := sorted(header.keys() - _HEADER):
        raise NotAuthentic(f"JWS header: {', '.join(foreign)} is not accepted", code="jws.header")
    if header.get("alg") != _algorithm(key):
        raise NotAuthentic(f"JWS header: an algorithm other than the key's, {_algorithm(key)}", code="jws.algorithm")
    if header.get("typ") not in typs:
        raise NotAuthentic(f"JWS header: expected typ {' or '.join(sorted(typs))}", code="jws.type")
    if "kid" in header and header["kid"] != key_id(key):
        raise NotAuthentic("JWS header: it names another key", code="jws.key")
    # 2. The key signed exactly these bytes.
    _verify(key, signature, f"{pieces[0]}.{pieces[1]}".encode("ascii"))
    return payload


def _algorithm(key: PublicKey) -> str:
    if isinstance(key, Ed25519PublicKey):
        return "EdDSA"
    if isinstance(key.curve, ec.SECP256R1):
        return "ES256"
    raise Misconfigured("a key of P-256 or Ed25519 is needed", fix="make one: hermetic keygen --owner")


def _jwk(key: PublicKey) -> dict[str, Any]:
    """The members that a thumbprint is over."""
    if isinstance(key, Ed25519PublicKey):
        return {"crv": "Ed25519", "kty": "OKP", "x": b64url(key.public_bytes_raw())}
    _algorithm(key)
    numbers = key.public_numbers()
    x, y = (b64url(value.to_bytes(_SCALAR, "big")) for value in (numbers.x, numbers.y))
    return {"crv": "P-256", "kty": "EC", "x": x, "y": y}


def _sign(key: SigningKey, data: bytes) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(data)
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(_SCALAR, "big") + s.to_bytes(_SCALAR, "big")


def _verify(key: PublicKey, signature: bytes, data: bytes) -> None:
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, data)
            return
        if len(signature) != 2 * _SCALAR:
            raise NotAuthentic("JWS: an ES256 signature is 64 bytes long", code="jws.signature")
        r, s = (int.from_bytes(half, "big") for half in (signature[:_SCALAR], signature[_SCALAR:]))
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise NotAuthentic("JWS: the key that was pinned did not sign this", code="jws.signature") from None
