"""Certificates of the simulated Intel, in the form that the real one issues (Intel SGX PCK Certificate profile, 1.3).

A template names its keys instead of holding them, so that a test can replace any one field and see who refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hermetic.sources.simulator.ec import EcCrl, EcKeys, hash_of, simulated_name

ROOT_NAME, SIGNER_NAME = "Intel SGX Root CA", "Intel SGX TCB Signing"
PCK_NAME = "Intel SGX PCK Certificate"
SGX_EXTENSION = "1.2.840.113741.1.13.1"

_YEAR = timedelta(days=365)
_REMEMBERED = 256

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelCertificate:
    """A certificate before it is signed.

    ``key`` and ``issuer_key`` are names of keys; ``authority`` is the depth that an authority may reach, None for who
    is none.  ``extension`` is Intel's own, in DER.  ``uses`` None: those of its kind.  A ``public_key`` takes the place
    of the named one; a ``bare`` certificate does not say what it is for.
    """

    name: str
    key: str
    issuer: str
    issuer_key: str
    serial: int
    first: datetime
    last: datetime
    authority: int | None = None
    extension: bytes | None = None
    uses: x509.KeyUsage | None = None
    hash_name: str = "sha256"
    public_key: PublicKey | None = field(default=None, repr=False, hash=False)
    bare: bool = False

    def sign(self, keys: EcKeys) -> bytes:
        """The certificate in DER: the same each time."""
        return _sign(self, keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelCrl:
    """A revocation list before it is signed, by the key named ``issuer_key``.  ``revoked``: serial numbers."""

    issuer: str
    issuer_key: str
    first: datetime
    last: datetime
    revoked: tuple[int, ...] = ()
    hash_name: str = "sha256"

    def sign(self, keys: EcKeys) -> bytes:
        """The list in DER: the same each time."""
        return _sign_list(self, keys)


def root_certificate(created: datetime) -> IntelCertificate:
    """The root: an authority over one level of others."""
    return IntelCertificate(
        name=ROOT_NAME,
        key="root",
        issuer=ROOT_NAME,
        issuer_key="root",
        serial=1,
        first=created,
        last=created + 25 * _YEAR,
        authority=1,
    )


def ca_certificate(created: datetime, *, processors: bool = False) -> IntelCertificate:
    """The authority over the certificates of platforms, or of machines with one processor package only."""
    return IntelCertificate(
        name=f"Intel SGX PCK {'Processor' if processors else 'Platform'} CA",
        key="processor ca" if processors else "ca",
        issuer=ROOT_NAME,
        issuer_key="root",
        serial=5 if processors else 2,
        first=created,
        last=created + 15 * _YEAR,
        authority=0,
    )


def signer_certificate(created: datetime) -> IntelCertificate:
    """Who signs what is published of platforms and enclaves."""
    return IntelCertificate(
        name=SIGNER_NAME,
        key="signer",
        issuer=ROOT_NAME,
        issuer_key="root",
        serial=3,
        first=created,
        last=created + 7 * _YEAR,
    )


def pck_certificate(created: datetime, extension: bytes, ca: IntelCertificate) -> IntelCertificate:
    """Of one platform at one level of firmware, which ``extension`` states, by ``ca``."""
    return IntelCertificate(
        name=PCK_NAME,
        key="pck",
        issuer=ca.name,
        issuer_key=ca.key,
        serial=4,
        first=created,
        last=created + 7 * _YEAR,
        extension=extension,
    )


def key_usage(*, authority: bool, signs_crls: bool = True) -> x509.KeyUsage:
    """As Intel's certificates say it: an authority signs certificates and lists, anybody else signs data."""
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority and signs_crls,
        encipher_only=False,
        decipher_only=False,
    )


@lru_cache(_REMEMBERED)
def _sign(template: IntelCertificate, keys: EcKeys) -> bytes:
    authority = template.authority is not None
    builder = (
        x509.CertificateBuilder()
        .subject_name(simulated_name("Intel", template.name))
        .issuer_name(simulated_name("Intel", template.issuer))
        .public_key(template.public_key or keys.key(template.key).public_key())
        .serial_number(template.serial)
        .not_valid_before(template.first)
        .not_valid_after(template.last)
    )
    if not template.bare:
        constraints = x509.BasicConstraints(ca=authority, path_length=template.authority)
        builder = builder.add_extension(constraints, critical=True)
        builder = builder.add_extension(template.uses or key_usage(authority=authority), critical=True)
    if template.extension is not None:
        stated = x509.UnrecognizedExtension(x509.ObjectIdentifier(SGX_EXTENSION), template.extension)
        builder = builder.add_extension(stated, critical=False)
    signed = builder.sign(keys.key(template.issuer_key), hash_of(template.hash_name), ecdsa_deterministic=True)
    return signed.public_bytes(serialization.Encoding.DER)


@lru_cache(_REMEMBERED)
def _sign_list(template: IntelCrl, keys: EcKeys) -> bytes:
    crl = EcCrl(first=template.first, last=template.last, revoked=template.revoked, hash_name=template.hash_name)
    return crl.sign(simulated_name("Intel", template.issuer), keys.key(template.issuer_key))
