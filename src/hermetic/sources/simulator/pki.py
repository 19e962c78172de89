"""Certificates and revocation lists of the simulated AMD, in the form that the real one issues (AMD 57230, 2 and 3).

A template holds everything that a certificate will say, so that a test can replace any one field and see who refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from hermetic.evidence import Product, SigningKey

_YEAR = timedelta(days=365)
_HASHES: dict[str, hashes.SHA256 | hashes.SHA384] = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateTemplate:
    """A certificate before it is signed.

    ``path_length`` and ``signs_crls`` are said only of an ``authority``.  ``extensions`` are further ones, in DER by
    dotted identifier, ``critical`` or not.  ``hash_name`` and ``salt`` are those of the issuer's RSASSA-PSS.
    """

    common_name: str
    serial: int
    not_before: datetime
    not_after: datetime
    public_key: PublicKey = field(repr=False)
    authority: bool = False
    path_length: int | None = None
    signs_crls: bool = False
    extensions: Mapping[str, bytes] = field(default_factory=dict)
    critical: bool = False
    hash_name: str = "sha384"
    salt: int = 48

    def sign(self, issuer_name: str, issuer_key: rsa.RSAPrivateKey) -> bytes:
        """The certificate in DER."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(self.common_name))
            .issuer_name(_name(issuer_name))
            .serial_number(self.serial)
            .not_valid_before(self.not_before)
            .not_valid_after(self.not_after)
            .public_key(self.public_key)
        )
        if self.authority:
            constraints = x509.BasicConstraints(ca=True, path_length=self.path_length)
            builder = builder.add_extension(constraints, critical=True)
            builder = builder.add_extension(_usage(self.signs_crls), critical=True)
        for oid, value in self.extensions.items():
            extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
            builder = builder.add_extension(extension, critical=self.critical)
        signed = builder.sign(issuer_key, _HASHES[self.hash_name], rsa_padding=_pss(self.hash_name, self.salt))
        return signed.public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlTemplate:
    """A revocation list before it is signed.  ``revoked``: serial numbers.  ``delta`` has it say that it is partial."""

    this_update: datetime
    next_update: datetime
    revoked: tuple[int, ...] = ()
    delta: bool = False
    hash_name: str = "sha384"
    salt: int = 48

    def sign(self, issuer_name: str, issuer_key: rsa.RSAPrivateKey) -> bytes:
        """The list in DER."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(_name(issuer_name))
            .last_update(self.this_update)
            .next_update(self.next_update)
            .add_extension(x509.CRLNumber(1), critical=False)
        )
        if self.delta:
            builder = builder.add_extension(x509.DeltaCRLIndicator(1), critical=True)
        for serial in self.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self.this_update)
            builder = builder.add_revoked_certificate(entry.build())
        signed = builder.sign(issuer_key, _HASHES[self.hash_name], rsa_padding=_pss(self.hash_name, self.salt))
        return signed.public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdKeys:
    """The private keys of a simulated AMD: RSA-4096 as AMD's are.  ``asvk`` signs VLEKs, ``ask`` signs VCEKs."""

    ark: rsa.RSAPrivateKey = field(repr=False)
    ask: rsa.RSAPrivateKey = field(repr=False)
    asvk: rsa.RSAPrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> AmdKeys:
        """Three new keys; about two seconds."""
        ark, ask, asvk = (rsa.generate_private_key(public_exponent=65537, key_size=4096) for _ in range(3))
        return cls(ark=ark, ask=ask, asvk=asvk)


def ark_template(product: Product, keys: AmdKeys, created: datetime) -> CertificateTemplate:
    """The root as AMD makes it: an authority of any depth that also signs the revocation list."""
    return CertificateTemplate(
        common_name=f"ARK-{product}",
        serial=0x10000,
        not_before=created,
        not_after=created + 25 * _YEAR,
        public_key=keys.ark.public_key(),
        authority=True,
        signs_crls=True,
    )


def intermediate_template(product: Product, kind: SigningKey, keys: AmdKeys, created: datetime) -> CertificateTemplate:
    """The ASK (for VCEKs) or the ASVK (for VLEKs): an authority over leaves only."""
    vlek = kind is SigningKey.VLEK
    return CertificateTemplate(
        common_name=f"SEV-VLEK-{product}" if vlek else f"SEV-{product}",
        serial=0x10101 if vlek else 0x10001,
        not_before=created,
        not_after=created + 25 * _YEAR,
        public_key=(keys.asvk if vlek else keys.ask).public_key(),
        authority=True,
        path_length=0,
    )


def _name(common_name: str) -> x509.Name:
    """AMD's common names, which verifiers compare, under a name that tells a person whose certificate this is."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Hermetic Simulator"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "SIMULATED, not AMD"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usage(signs_crls: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=signs_crls,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pss(hash_name: str, salt: int) -> padding.PSS:
    return padding.PSS(mgf=padding.MGF1(_HASHES[hash_name]), salt_length=salt)
