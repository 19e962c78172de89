"""Certificates of the simulated NVIDIA: of devices, and of those who sign manifests; ECDSA P-384 as the real ones.

A template holds everything that a certificate will say, so that a test can replace any one field and see who refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hermetic.sources.simulator.der import OCTETS, SEQUENCE, integer, oid, tlv
from hermetic.sources.simulator.ec import P384, EcCrl, EcKeys, hash_of, simulated_name
from hermetic.verify.nvidia import Architecture

COMPOSITE, TCB_INFO = "2.23.133.5.4.1", "2.23.133.5.4.1.1"
"""Where Hopper and the switches state their firmware's identity, and where Blackwell does (TCG DICE)."""

DEVICE_ROOT, MANIFEST_ROOT = "NVIDIA Device Identity CA", "NVIDIA CoRIM signing Root CA"

_SHA384 = "2.16.840.1.101.3.4.2.2"
_IMPLICIT_VENDOR, _IMPLICIT_FWIDS = 0x80, 0xA6
_YEAR = timedelta(days=365)
_SIGNERS = ("NVIDIA RIM Signer", "NVIDIA RIM Signing CA", "NVIDIA RIM Intermediate CA", MANIFEST_ROOT)
_CHIPS = {
    Architecture.HOPPER: ("GH100", "GSP"),
    Architecture.BLACKWELL: ("GB100", "GSP"),
    Architecture.NVSWITCH3: ("LS_10", "FSP"),
}
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """One certificate and its key."""

    certificate: x509.Certificate = field(repr=False)
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def common_name(self) -> str:
        return str(self.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


@dataclass(frozen=True, slots=True, kw_only=True)
class NvidiaCertificate:
    """A certificate before it is signed; the defaults are those of an authority.

    ``ca`` None leaves the constraints out, as a device's leaf does, ``usage`` None the uses.  ``key`` names the key
    where it is not named like the certificate.  ``extensions`` are further ones, as pairs of a dotted identifier and
    DER.
    """

    name: str
    first: datetime
    last: datetime
    serial: int = 0x1234
    key: str = ""
    ca: bool | None = True
    path_length: int | None = None
    critical: bool = True
    usage: tuple[str, ...] | None = ("key_cert_sign", "crl_sign")
    extended: tuple[x509.ObjectIdentifier, ...] = ()
    extensions: tuple[tuple[str, bytes], ...] = ()
    critical_extensions: tuple[tuple[str, bytes], ...] = ()
    hash_name: str = "sha384"
    curve: str = P384

    def issue(self, keys: EcKeys, issuer: Issued | None = None) -> Issued:
        """The certificate by ``issuer``, or by itself: the same each time."""
        key, subject = keys.key(self.key or self.name, self.curve), simulated_name("NVIDIA", self.name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(self.serial)
            .not_valid_before(self.first)
            .not_valid_after(self.last)
        )
        for extension, critical in self._stated():
            builder = builder.add_extension(extension, critical)
        signing_key = issuer.key if issuer else key
        certificate = builder.sign(signing_key, hash_of(self.hash_name), ecdsa_deterministic=True)
        return Issued(certificate=certificate, key=key)

    def _stated(self) -> list[tuple[x509.ExtensionType, bool]]:
        stated: list[tuple[x509.ExtensionType, bool]] = []
        if self.ca is not None:
            stated.append((x509.BasicConstraints(self.ca, self.path_length), self.critical))
        if self.usage is not None:
            stated.append((x509.KeyUsage(**{name: name in self.usage for name in _USAGES}), True))
        if self.extended:
            stated.append((x509.ExtendedKeyUsage(self.extended), True))
        for critical, further in ((False, self.extensions), (True, self.critical_extensions)):
            stated += [
                (x509.UnrecognizedExtension(x509.ObjectIdentifier(dotted), der), critical) for dotted, der in further
            ]
        return stated


def issue_chain(templates: Sequence[NvidiaCertificate], keys: EcKeys) -> tuple[Issued, ...]:
    """The certificates of ``templates``, leaf first, each issued by the one after it, the last by itself."""
    issued: list[Issued] = []
    for template in reversed(templates):
        issued.append(template.issue(keys, issued[-1] if issued else None))
    return tuple(reversed(issued))


def device_templates(
    architecture: Architecture, *, number: int, fwid: bytes, created: datetime, keys: EcKeys
) -> tuple[NvidiaCertificate, ...]:
    """The chain of the device with this number: its leaf, its boot ROM, provisioner, identity, root.

    Leaf and boot ROM are the device's own, the others those of all devices of the architecture.
    """
    chip, processor = _CHIPS[architecture]
    last = created + 25 * _YEAR
    extension = fwid_extension(fwid, TCB_INFO if architecture is Architecture.BLACKWELL else COMPOSITE)

    def authority(name: str, key: str) -> NvidiaCertificate:
        return NvidiaCertificate(name=name, key=key, serial=_serial(keys, key), first=created, last=last)

    leaf = authority(f"{chip} A01 {processor} FMC LF", f"{chip} {number} leaf")
    return (
        replace(leaf, ca=None, usage=("digital_signature",), extensions=(extension,)),
        authority(f"{chip} A01 {processor} BROM", f"{chip} {number} boot ROM"),
        authority(f"NVIDIA {chip} Provisioner ICA 1", f"{chip} provisioner"),
        authority(f"NVIDIA {chip} Identity", f"{chip} identity"),
        device_root(created),
    )


def device_root(created: datetime) -> NvidiaCertificate:
    """The root of every device."""
    return NvidiaCertificate(name=DEVICE_ROOT, serial=1, first=created, last=created + 30 * _YEAR)


def signer_templates(created: datetime) -> tuple[NvidiaCertificate, ...]:
    """The chain of who signs manifests: signer, its authority, that one's, root."""
    last = created + 25 * _YEAR
    signer, below, above, root = (
        NvidiaCertificate(name=name, serial=serial, first=created, last=last)
        for serial, name in zip((4, 3, 2, 1), _SIGNERS, strict=True)
    )
    return (
        replace(signer, ca=False, usage=("digital_signature",), last=created + 15 * _YEAR),
        replace(below, path_length=0),
        above,
        root,
    )


def fwid_extension(fwid: bytes, where: str = COMPOSITE) -> tuple[str, bytes]:
    """The identity (48 bytes) of the firmware that holds a key, as the boot ROM writes it into a certificate."""
    identity = tlv(SEQUENCE, oid(_SHA384), tlv(OCTETS, fwid))
    if where == COMPOSITE:
        return where, tlv(SEQUENCE, integer(1), tlv(SEQUENCE, b"the device's key"), identity)
    other = tlv(SEQUENCE, oid(_SHA384), tlv(OCTETS, bytes(48)))
    return where, tlv(SEQUENCE, tlv(_IMPLICIT_VENDOR, b"NVIDIA"), tlv(_IMPLICIT_FWIDS, identity, other))


def revocation_list(
    issuer: Issued,
    *revoked: Issued,
    first: datetime,
    last: datetime,
    signed_by: Issued | None = None,
    hash_name: str = "sha384",
) -> bytes:
    """A list in DER by ``issuer``, or in its name by another."""
    serials = tuple(entry.certificate.serial_number for entry in revoked)
    crl = EcCrl(first=first, last=last, revoked=serials, hash_name=hash_name)
    return crl.sign(issuer.certificate.subject, (signed_by or issuer).key)


def _serial(keys: EcKeys, key: str) -> int:
    """A number that no other certificate has, positive and of 16 bytes: of a device's leaf, what names the device."""
    return int.from_bytes(keys.secret(f"{key} serial", 16), "big") >> 1 | 1
