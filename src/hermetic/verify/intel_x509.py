"""What :mod:`hermetic.verify.x509` does for AMD's RSA, for Intel's ECDSA: P-256 with SHA-256, and nothing else.

The same two rules hold: the verifier fixes the algorithm, and a signature that held is remembered, a refusal never.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import SignatureAlgorithmOID

from hermetic.errors import NotAuthentic
from hermetic.verify.x509 import Certificate, RevocationList

_REMEMBERED, _REMEMBERED_LISTS = 256, 32
_HALF = 32


def p256_key(certificate: Certificate) -> ec.EllipticCurvePublicKey:
    """The certificate's key.  Raises NotAuthentic where it is not on P-256."""
    key = certificate.public_key
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise NotAuthentic(f"the key of {certificate.common_name} is not on P-256")
    return key


def p256_key_from_point(point: bytes) -> ec.EllipticCurvePublicKey:
    """From x and y, 32 big-endian bytes each.  Raises NotAuthentic where the point is not on the curve."""
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + point)
    except ValueError as error:
        raise NotAuthentic("a key that is not a point of P-256") from error


def require_p256(key: ec.EllipticCurvePublicKey, data: bytes, signature: bytes) -> None:
    """``key`` signed SHA-256 of ``data``; ``signature`` is r and s, 32 big-endian bytes each."""
    r, s = (int.from_bytes(half, "big") for half in (signature[:_HALF], signature[_HALF:]))
    try:
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise NotAuthentic("another signature, or other bytes") from error


@lru_cache(_REMEMBERED)
def require_p256_issued(child: Certificate, issuer: Certificate) -> None:
    """``issuer`` signed ``child`` with ECDSA P-256 and SHA-256, and is the issuer that ``child`` names."""
    _require_stated(child.parsed, child.common_name)
    p256_key(issuer)
    try:
        # Compares the names, and the two places that state the algorithm, of which only one is signed; then verifies.
        child.parsed.verify_directly_issued_by(issuer.parsed)
    except InvalidSignature as error:
        raise NotAuthentic(f"the signature of {issuer.common_name} over {child.common_name} is wrong") from error
    except ValueError as error:
        raise NotAuthentic(f"{child.common_name} names another issuer, or states two algorithms") from error


@lru_cache(_REMEMBERED_LISTS)
def require_p256_listed_by(crl: RevocationList, issuer: Certificate) -> None:
    """``issuer`` signed ``crl`` as it signs certificates, and is the issuer that ``crl`` names."""
    if crl.issuer != issuer.subject:
        raise NotAuthentic(f"the list is not {issuer.common_name}'s")
    _require_stated(crl.parsed, "the list")
    if not crl.parsed.is_signature_valid(p256_key(issuer)):
        raise NotAuthentic(f"the signature of {issuer.common_name} over the list is wrong")


def require_end_entity(certificate: Certificate) -> None:
    """``certificate`` signs data and is no authority, and says both."""
    find = certificate.parsed.extensions.get_extension_for_class
    try:
        constraints, usage = find(x509.BasicConstraints), find(x509.KeyUsage)
    except x509.ExtensionNotFound as error:
        raise NotAuthentic(f"{certificate.common_name} does not say what it is for") from error
    if constraints.value.ca or not usage.value.digital_signature:
        raise NotAuthentic(f"the key of {certificate.common_name} is not for this use")


def _require_stated(signed: x509.Certificate | x509.CertificateRevocationList, what: str) -> None:
    if signed.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        raise NotAuthentic(f"{what} is not signed with ECDSA and SHA-256")
