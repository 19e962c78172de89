"""Certificates and revocation lists, read strictly and checked against what the verifier expects.

The verifier fixes the algorithm; a certificate may only agree.  Parsing is :mod:`cryptography`'s; each ``require_…``
returns nothing and raises NotAuthentic with the reason.

Thousands of reports come with the same few endorsements, so what was read, and which signature held over which bytes,
is remembered.  Neither can change with time.  What can (validity, revocation) is judged anew at each ``now``, and a
refusal is never remembered.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import ExtensionOID, NameOID

from hermetic.errors import Malformed, NotAuthentic
from hermetic.wire import Digest, sha256_digest

# AMD gives every VCEK and VLEK the serial number zero, and cryptography says so on each load.  Nothing here rests on
# that number: the leaf is told apart by its key, its issuer by a pinned digest.
warnings.filterwarnings(
    "ignore", message="Parsed a serial number which wasn't positive", module=r"hermetic\.verify\.x509"
)

_UNREADABLE = (
    ValueError,
    TypeError,  # a name whose value is of a kind that its type cannot have
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_REMEMBERED, _REMEMBERED_LISTS = 256, 32  # of at most 8 KiB and 64 KiB each
_SALT = 48
_RSA_BITS = 4096

# What a certificate or list may mark critical: the extensions that this module evaluates.
_UNDERSTOOD = frozenset({ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE})
_CRL_EXTENSIONS = frozenset({ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CRL_NUMBER})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Certificate:
    """A certificate whose every part could be read; nothing in it is believed.

    ``extensions`` are those that :mod:`cryptography` has no type for, by dotted identifier, as DER.  Compared by
    identity, which is what makes a remembered signature cheap: :func:`load_certificate` gives one object for one DER.
    """

    parsed: x509.Certificate = field(repr=False)
    subject: x509.Name = field(repr=False)
    digest: Digest
    common_name: str
    public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey = field(repr=False)
    extensions: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RevocationList:
    """A revocation list that could be read; nothing in it is believed.  Compared by identity, as certificates are."""

    parsed: x509.CertificateRevocationList = field(repr=False)
    issuer: x509.Name


@lru_cache(_REMEMBERED)
def load_certificate(der: bytes, what: str) -> Certificate:
    """Raises Malformed on anything but one whole certificate.  ``what`` names it for the message."""
    try:
        parsed = x509.load_der_x509_certificate(der)
        # Reading is lazy there; what this module will look at is read here, and refused if it cannot be.
        subject, key, extensions = parsed.subject, parsed.public_key(), list(parsed.extensions)
        _require_whole_bits(der, parsed.signature)
        if parsed.serial_number < 0:  # no list could name it (RFC 5280, 4.1.2.2)
            raise ValueError("negative serial number")
    except _UNREADABLE as error:
        raise Malformed(f"{what}: not a certificate that can be read") from error
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1 or not str(names[0].value).isprintable():
        raise Malformed(f"{what}: expected exactly one common name, and a printable one: it is shown to people")
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise Malformed(f"{what}: expected an RSA or an elliptic-curve key")
    if any(entry.critical and entry.oid not in _UNDERSTOOD for entry in extensions):
        raise Malformed(f"{what}: a critical extension is not understood")
    unrecognized = (entry.value for entry in extensions if isinstance(entry.value, x509.UnrecognizedExtension))
    return Certificate(
        parsed=parsed,
        subject=subject,
        digest=sha256_digest(der),
        common_name=str(names[0].value),
        public_key=key,
        extensions=MappingProxyType({value.oid.dotted_string: value.value for value in unrecognized}),
    )


@lru_cache(_REMEMBERED_LISTS)
def load_crl(der: bytes) -> RevocationList:
    """Raises Malformed on anything but one whole, complete (not delta, not partitioned) revocation list."""
    try:
        parsed = x509.load_der_x509_crl(der)
        issuer, kinds = parsed.issuer, {entry.oid for entry in parsed.extensions}
        critical = [entry.oid for revoked in parsed for entry in revoked.extensions if entry.critical]
        _require_whole_bits(der, parsed.signature)
    except _UNREADABLE as error:
        raise Malformed("CRL: not a revocation list that can be read") from error
    if not kinds <= _CRL_EXTENSIONS or critical:
        raise Malformed("CRL: an extension is not understood, so it may not list all that was revoked")
    return RevocationList(parsed=parsed, issuer=issuer)


def require_authority(certificate: Certificate, *, path_length: int | None, signs_crls: bool) -> None:
    """``certificate``, with an RSA key of AMD's size, has the uses of an authority: see :func:`require_uses`."""
    require_uses(certificate, path_length=path_length, signs_crls=signs_crls)
    _rsa_key(certificate)


def require_uses(certificate: Certificate, *, path_length: int | None, signs_crls: bool) -> None:
    """``certificate`` may sign certificates (and lists, if ``signs_crls``), under at most ``path_length`` others."""
    find = certificate.parsed.extensions.get_extension_for_class
    try:
        constraints, usage = find(x509.BasicConstraints), find(x509.KeyUsage)
    except x509.ExtensionNotFound as error:
        raise NotAuthentic(f"{certificate.common_name} does not say that it is an authority") from error
    if not (constraints.critical and constraints.value.ca and constraints.value.path_length == path_length):
        raise NotAuthentic(f"{certificate.common_name} is not an authority of this depth")
    if not usage.value.key_cert_sign or (signs_crls and not usage.value.crl_sign):
        raise NotAuthentic(f"the key of {certificate.common_name} is not for this use")


@lru_cache(_REMEMBERED)
def require_issued(child: Certificate, issuer: Certificate) -> None:
    """``issuer`` signed ``child`` with RSASSA-PSS over SHA-384, and is the issuer that ``child`` names."""
    _require_pss(child.parsed, child.common_name)
    _rsa_key(issuer)
    try:
        # Compares the names, and the two places that state the algorithm, of which only one is signed; then verifies.
        child.parsed.verify_directly_issued_by(issuer.parsed)
    except InvalidSignature as error:
        raise NotAuthentic(f"the signature of {issuer.common_name} over {child.common_name} is wrong") from error
    except ValueError as error:
        raise NotAuthentic(f"{child.common_name} names another issuer, or states two algorithms") from error


def require_valid(certificate: Certificate, now: datetime) -> None:
    """``now`` lies within the certificate's validity, both ends included (RFC 5280, 4.1.2.5)."""
    first, last = certificate.parsed.not_valid_before_utc, certificate.parsed.not_valid_after_utc
    if not first <= now <= last:
        raise NotAuthentic(f"{certificate.common_name} is valid from {first:%Y-%m-%d} to {last:%Y-%m-%d}")


@lru_cache(_REMEMBERED_LISTS)
def require_listed_by(crl: RevocationList, issuer: Certificate) -> None:
    """``issuer`` signed ``crl`` as it signs certificates, and is the issuer that ``crl`` names."""
    if crl.issuer != issuer.subject:
        raise NotAuthentic(f"the list is not {issuer.common_name}'s")
    _require_pss(crl.parsed, "the list")
    # Compares the two places that state the algorithm, too.
    if not crl.parsed.is_signature_valid(_rsa_key(issuer)):
        raise NotAuthentic(f"the signature of {issuer.common_name} over the list is wrong")


def require_current(crl: RevocationList, now: datetime) -> None:
    """``crl`` is the one to go by at ``now``."""
    first, last = crl.parsed.last_update_utc, crl.parsed.next_update_utc
    if last is None:
        raise NotAuthentic("the list does not say until when it holds")
    if not first <= now < last:
        raise NotAuthentic(f"the list holds from {first:%Y-%m-%d} until {last:%Y-%m-%d}")


def require_unrevoked(crl: RevocationList, *certificates: Certificate) -> None:
    """None of ``certificates`` is on ``crl``, by serial number."""
    for certificate in certificates:
        serial = certificate.parsed.serial_number
        if crl.parsed.get_revoked_certificate_by_serial_number(serial) is not None:
            raise NotAuthentic(f"{certificate.common_name}, serial number 0x{serial:x}, is revoked")


def require_ecdsa_p384(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, data: bytes, *, r: int, s: int) -> None:
    """``key`` is a P-384 key and signed SHA-384 of ``data``."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise NotAuthentic("a key that is not on P-384")
    try:
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA384()))
    except InvalidSignature as error:
        raise NotAuthentic("another signature, or other bytes") from error


def _require_whole_bits(der: bytes, signature: bytes) -> None:
    """The signature is a whole number of bytes.

    It ends the DER, after a byte that counts the bits to ignore.  No signature covers that count, and where the last
    bits happen to be zero the parser takes other counts too: one certificate would have several spellings.
    """
    if der[-len(signature) - 1] != 0:
        raise ValueError("bits to ignore in a signature")


def _rsa_key(certificate: Certificate) -> rsa.RSAPublicKey:
    key = certificate.public_key
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != _RSA_BITS:
        raise NotAuthentic(f"the key of {certificate.common_name} is not RSA-{_RSA_BITS}")
    return key


def _require_pss(signed: x509.Certificate | x509.CertificateRevocationList, what: str) -> None:
    """``signed`` states RSASSA-PSS, SHA-384, MGF1 with SHA-384 and a salt of 48 bytes."""
    try:
        scheme = signed.signature_algorithm_parameters
        hash_name = getattr(signed.signature_hash_algorithm, "name", None)
    except _UNREADABLE as error:
        raise NotAuthentic(f"{what} states an algorithm that cannot be read") from error
    stated = (
        isinstance(scheme, padding.PSS)
        and isinstance(scheme.mgf, padding.MGF1)
        and (hash_name, scheme.mgf._algorithm.name, scheme._salt_length) == ("sha384", "sha384", _SALT)
    )
    if not stated:
        raise NotAuthentic(f"{what} is not signed with RSASSA-PSS, SHA-384 and a salt of {_SALT} bytes")
