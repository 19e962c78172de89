"""NVIDIA's certificates, of devices and of manifests' signers: ECDSA on P-384 with SHA-384 throughout.

Reading is :mod:`hermetic.verify.x509`'s.  As there, which signature held is remembered, a refusal never.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import SignatureAlgorithmOID

from hermetic.errors import NotAuthentic
from hermetic.verify.x509 import Certificate, RevocationList

_REMEMBERED = 256


def require_chain(chain: tuple[Certificate, ...]) -> None:
    """Every certificate is issued by the one after it, and each but the first is an authority that may reach so deep.

    ``chain`` has the leaf first and a root, pinned by the caller, last.  Raises NotAuthentic.
    """
    require_signer(chain[0])
    for depth, (child, issuer) in enumerate(pairwise(chain)):
        _require_authority(issuer, below=depth)
        _require_issued(child, issuer)


def require_signer(leaf: Certificate) -> None:
    """``leaf`` signs statements and is no authority."""
    if _constraints(leaf) is not None:
        raise NotAuthentic(f"{leaf.common_name} is an authority; it must sign statements only")
    usage = _usage(leaf)
    if not usage.digital_signature or usage.key_cert_sign or usage.crl_sign:
        raise NotAuthentic(f"the key of {leaf.common_name} is not for signing statements")


@lru_cache(_REMEMBERED)
def require_listed_by(crl: RevocationList, issuer: Certificate) -> None:
    """``issuer`` signed ``crl``, and is the issuer that ``crl`` names."""
    if crl.issuer != issuer.subject:
        raise NotAuthentic(f"the list is not {issuer.common_name}'s")
    _require_ecdsa(crl.parsed, "the list")
    if not _usage(issuer).crl_sign:
        raise NotAuthentic(f"the key of {issuer.common_name} is not for signing lists")
    # Compares the two places that state the algorithm, too.
    if not crl.parsed.is_signature_valid(_p384_key(issuer)):
        raise NotAuthentic(f"the signature of {issuer.common_name} over the list is wrong")


def _require_authority(issuer: Certificate, *, below: int) -> None:
    """``issuer`` may sign certificates, with ``below`` further authorities between it and the leaf."""
    constraints = _constraints(issuer)
    if constraints is None:
        raise NotAuthentic(f"{issuer.common_name} does not say that it is an authority")
    if constraints.path_length is not None and constraints.path_length < below:
        raise NotAuthentic(f"{issuer.common_name} is not an authority of this depth")
    if not _usage(issuer).key_cert_sign:
        raise NotAuthentic(f"the key of {issuer.common_name} is not for signing certificates")


@lru_cache(_REMEMBERED)
def _require_issued(child: Certificate, issuer: Certificate) -> None:
    _require_ecdsa(child.parsed, child.common_name)
    _p384_key(issuer)
    try:
        # Compares the names, and the two places that state the algorithm, of which only one is signed; then verifies.
        child.parsed.verify_directly_issued_by(issuer.parsed)
    except InvalidSignature as error:
        raise NotAuthentic(f"the signature of {issuer.common_name} over {child.common_name} is wrong") from error
    except ValueError as error:
        raise NotAuthentic(f"{child.common_name} names another issuer, or states two algorithms") from error


def _constraints(certificate: Certificate) -> x509.BasicConstraints | None:
    """What an authority says of itself; None where the certificate is no authority."""
    try:
        extension = certificate.parsed.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return None
    if not extension.value.ca:
        return None
    if not extension.critical:
        raise NotAuthentic(f"{certificate.common_name} marks what it may issue as something that can be overlooked")
    return extension.value


def _usage(certificate: Certificate) -> x509.KeyUsage:
    try:
        return certificate.parsed.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as error:
        raise NotAuthentic(f"{certificate.common_name} does not say what its key is for") from error


def _p384_key(certificate: Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise NotAuthentic(f"the key of {certificate.common_name} is not on P-384")
    return key


def _require_ecdsa(signed: x509.Certificate | x509.CertificateRevocationList, what: str) -> None:
    stated = signed.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA384
    if not stated or not isinstance(signed.signature_hash_algorithm, hashes.SHA384):
        raise NotAuthentic(f"{what} is not signed with ECDSA and SHA-384")
