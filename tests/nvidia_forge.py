"""A vendor of devices for tests, with keys of its own: the same formats, a knob for each thing that can be wrong.

It signs what it is told to.  The verifier is the one that judges hardware; only the pinned roots differ.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from lxml import etree

from hermetic.evidence.nvidia import DeviceBundle, Measurement, NvidiaReport, OpaqueData, OpaqueField, OpaqueType
from hermetic.verify import Root
from hermetic.verify.nvidia import NvidiaRoots
from hermetic.wire import sha256_digest

NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
YEAR = timedelta(days=365)
NONCE = bytes(range(32))
FWID = b"f" * 48
DEVICE = (
    "GH100 A01 GSP FMC LF",
    "GH100 A01 GSP BROM",
    "NVIDIA GH100 Provisioner ICA 1",
    "NVIDIA GH100 Identity",
    "Test Device Identity CA",
)
SIGNER = ("Test RIM L4 Signer", "Test L3", "Test L2", "Test CoRIM Root")
_KEY_USAGES = (
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
_COMPOSITE, _TCB_INFO = "2.23.133.5.4.1", "2.23.133.5.4.1.1"
_SHA384_OID = bytes.fromhex("0609608648016503040202")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True, kw_only=True)
class Template:
    """What a certificate should say; the defaults are right."""

    name: str
    ca: bool | None = True
    """None leaves the constraints out, as the device's leaf does."""
    path_length: int | None = None
    critical: bool = True
    usage: tuple[str, ...] | None = ("key_cert_sign", "crl_sign")
    extended: tuple[x509.ObjectIdentifier, ...] = ()
    extensions: tuple[tuple[str, bytes], ...] = ()
    critical_extensions: tuple[tuple[str, bytes], ...] = ()
    first: datetime = NOW - YEAR
    last: datetime = NOW + YEAR
    algorithm: Any = field(default_factory=hashes.SHA384)
    curve: Any = field(default_factory=ec.SECP384R1)


@cache
def key_of(name: str, curve: str = "secp384r1") -> ec.EllipticCurvePrivateKey:
    """One key for each name, made once: a certificate re-issued with another template keeps it."""
    return ec.generate_private_key({"secp384r1": ec.SECP384R1(), "secp256r1": ec.SECP256R1()}[curve])


def certify(template: Template, issuer: Entry | None = None, serial: int = 0x1234) -> Entry:
    """A certificate by ``issuer``, or by itself."""
    key = key_of(template.name, template.curve.name)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, template.name)])
    signing_key = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(template.first)
        .not_valid_after(template.last)
    )
    if template.ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(template.ca, template.path_length), template.critical)
    if template.usage is not None:
        builder = builder.add_extension(x509.KeyUsage(**{name: name in template.usage for name in _KEY_USAGES}), True)
    if template.extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(template.extended), True)
    for oid, der in (*template.extensions, *template.critical_extensions):
        critical = (oid, der) in template.critical_extensions
        builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), der), critical)
    return Entry(certificate=builder.sign(signing_key, template.algorithm), key=key)


def fwid_extension(fwid: bytes = FWID, oid: str = _COMPOSITE) -> tuple[str, bytes]:
    """The firmware's identity as Hopper writes it, or Blackwell."""
    identity = _tlv(0x30, _SHA384_OID + _tlv(0x04, fwid))
    if oid == _COMPOSITE:
        return oid, _tlv(0x30, b"\x02\x01\x01" + _tlv(0x30, b"the device's key") + identity)
    return oid, _tlv(0x30, _tlv(0x80, b"NVIDIA") + _tlv(0xA6, identity + _tlv(0x30, _SHA384_OID + _tlv(4, bytes(48)))))


def _tlv(tag: int, content: bytes) -> bytes:
    length = bytes((len(content),)) if len(content) < 0x80 else bytes((0x81, len(content)))
    return bytes((tag,)) + length + content


def device_templates(names: Sequence[str] = DEVICE) -> tuple[Template, ...]:
    """Leaf first, root last."""
    leaf = Template(name=names[0], ca=None, usage=("digital_signature",), extensions=(fwid_extension(),))
    return (leaf, *(Template(name=name) for name in names[1:]))


def signer_templates() -> tuple[Template, ...]:
    leaf = Template(name=SIGNER[0], ca=False, usage=("digital_signature",))
    return (leaf, Template(name=SIGNER[1], path_length=0), Template(name=SIGNER[2]), Template(name=SIGNER[3]))


def chain(templates: Sequence[Template]) -> tuple[Entry, ...]:
    """The certificates of ``templates``, each issued by the one after it, leaf first."""
    entries: list[Entry] = []
    for at, template in enumerate(reversed(templates)):
        entries.append(certify(template, entries[-1] if entries else None, serial=100 + at))
    return tuple(reversed(entries))


@cache
def device_chain() -> tuple[Entry, ...]:
    return chain(device_templates())


@cache
def signer_chain() -> tuple[Entry, ...]:
    return chain(signer_templates())


def roots(device: Entry | None = None, manifest: Entry | None = None) -> NvidiaRoots:
    pinned = (device or device_chain()[-1], manifest or signer_chain()[-1])
    one, other = (
        Root(name=f"test {n}", sha256=sha256_digest(entry.der), vendor="a test", simulated=True)
        for n, entry in enumerate(pinned)
    )
    return NvidiaRoots(device=(one,), manifest=(other,))


# Reports


def gpu_fields(**changes: bytes | None) -> OpaqueData:
    """The fields of a GPU that is well; None leaves one out."""
    usual: dict[str, bytes | None] = {
        "FIRMWARE_VERSION": bytes.fromhex("005e009601000000"),
        "CHIP_SKU": b"882\0",
        "PROJECT": b"1010\0",
        "PROJECT_SKU": b"0200\0",
        "DRIVER_VERSION": b"550.144.03\0",
        "NVDEC0_STATUS": b"\xaa",
        "FWID": FWID,
        "FEATURE_FLAG": b"\0\0",
    }
    values = usual | changes
    return OpaqueData(
        fields=tuple(
            OpaqueField(type=OpaqueType[name], value=value) for name, value in values.items() if value is not None
        )
    )


def measured(index: int) -> bytes:
    """What the test device measures at ``index``, counted from 0 as manifests do."""
    return hashlib.sha384(b"measured" + bytes((index,))).digest()


def sign(report: NvidiaReport, leaf: Entry) -> bytes:
    return report.signed_bytes() + raw_signature(leaf, report.signed_bytes())


def raw_signature(entry: Entry, data: bytes) -> bytes:
    """r‖s, big-endian."""
    r, s = decode_dss_signature(entry.key.sign(data, ec.ECDSA(hashes.SHA384())))
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")


def report(opaque: OpaqueData | None = None, blocks: int = 64) -> NvidiaReport:
    return NvidiaReport(
        nonce=NONCE,
        slot=0,
        measurements=tuple(Measurement(index=n + 1, type=1, value=measured(n)) for n in range(blocks)),
        responder_nonce=bytes(32),
        opaque=opaque or gpu_fields(),
        signature=bytes(96),
    )


# Manifests


@dataclass(frozen=True, kw_only=True)
class Rim:
    """What a manifest should say; ``golden`` maps an index to its alternatives, ``inactive`` lists further indexes."""

    product: str = "GH100"
    version: str = "550.144.03"
    golden: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    inactive: tuple[int, ...] = (60,)

    def content(self) -> str:
        resources = "".join(
            [_resource(index, values, "True") for index, values in self.golden.items()]
            + [_resource(index, (bytes(48),), "False") for index in self.inactive]
        )
        return (
            '<SoftwareIdentity xmlns="http://standards.iso.org/iso/19770/-2/2015/schema.xsd" '
            'xmlns:ns2="http://www.w3.org/2001/04/xmlenc#sha384" name="test" tagId="0f">'
            '<Entity name="test"/>'
            '<Meta xmlns:ns1="https://trustedcomputinggroup.org/resource/'
            'tcg-reference-integrity-manifest-rim-information-model/" '
            f'colloquialVersion="{self.version}" edition="GPU" product="{self.product}" ns1:BindingSpec="RIMIM" '
            'ns1:PlatformManufacturerId="5703"/>'
            f"<Payload>{resources}</Payload></SoftwareIdentity>"
        )


def _resource(index: int, values: Sequence[bytes], active: str) -> str:
    hashes_ = " ".join(f'ns2:Hash{n}="{value.hex()}"' for n, value in enumerate(values))
    return (
        f'<Resource type="Measurement" index="{index}" active="{active}" alternatives="{len(values)}" {hashes_} '
        f'name="Measurement_{index}" size="48"/>'
    )


DRIVER = Rim(golden={n: (measured(n),) for n in (7, 21, 35)})
FIRMWARE = Rim(version="96.00.5E.00.01", golden={n: (bytes(48), measured(n)) for n in (1, 2, 9)})
DS = "http://www.w3.org/2000/09/xmldsig#"
C14N = "http://www.w3.org/2006/12/xml-c14n11"


def c14n(text: str | bytes) -> bytes:
    data: bytes = etree.tostring(etree.fromstring(text), method="c14n")
    return data


def signature_of(content: str, signer: tuple[Entry, ...]) -> str:
    """The signature element over ``content``, to be put at the end of its root."""
    digest = base64.b64encode(hashlib.sha384(c14n(content)).digest()).decode()
    info = (
        f'<ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{C14N}"/>'
        '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"/>'
        f'<ds:Reference URI=""><ds:Transforms><ds:Transform Algorithm="{DS}enveloped-signature"/>'
        f'<ds:Transform Algorithm="{C14N}"/></ds:Transforms>'
        '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#sha384"/>'
        f"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    )
    # In scope there: the namespaces of the root and of the signature.
    scoped = etree.fromstring(
        content.replace("</SoftwareIdentity>", f'<ds:S xmlns:ds="{DS}">{info}</ds:S></SoftwareIdentity>')
    )
    signed_info = etree.tostring(scoped[-1][0], method="c14n")
    value = base64.b64encode(raw_signature(signer[0], signed_info)).decode()
    certificates = "".join(
        f"<ds:X509Certificate>{base64.encodebytes(entry.der).decode()}</ds:X509Certificate>" for entry in signer
    )
    return (
        f'<ds:Signature xmlns:ds="{DS}">{info}<ds:SignatureValue>{value}</ds:SignatureValue>'
        f"<ds:KeyInfo><ds:X509Data>{certificates}</ds:X509Data></ds:KeyInfo></ds:Signature>"
    )


def sign_rim(rim: Rim | str, signer: tuple[Entry, ...] | None = None) -> bytes:
    content = rim if isinstance(rim, str) else rim.content()
    signature = signature_of(content, signer or signer_chain())
    return content.replace("</SoftwareIdentity>", f"{signature}</SoftwareIdentity>").encode()


# Answers about revocation


def answer(
    subject: Entry,
    issuer: Entry,
    *,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    first: datetime = NOW - timedelta(days=1),
    last: datetime | None = NOW + timedelta(days=1),
    responder: Entry | None = None,
    attached: tuple[Entry, ...] | None = None,
    nonce: bytes | None = None,
    naming: hashes.HashAlgorithm | None = None,
    by_name: bool = False,
) -> bytes:
    """What ``issuer``, or a ``responder``, says about ``subject``; its certificate comes along unless others do."""
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    speaker = responder or issuer
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=subject.certificate,
            issuer=issuer.certificate,
            algorithm=naming or hashes.SHA1(),  # noqa: S303 - only names a certificate
            cert_status=status,
            this_update=first,
            next_update=last,
            revocation_time=first if revoked else None,
            revocation_reason=x509.ReasonFlags.certificate_hold if revoked else None,
        )
        .responder_id(
            ocsp.OCSPResponderEncoding.NAME if by_name else ocsp.OCSPResponderEncoding.HASH, speaker.certificate
        )
    )
    if attached is None:
        attached = () if responder is None else (responder,)
    if attached:
        builder = builder.certificates([entry.certificate for entry in attached])
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    made = builder.sign(speaker.key, hashes.SHA384())
    return made.public_bytes(serialization.Encoding.DER)


def responder(issuer: Entry, **changes: Any) -> Entry:
    """A delegate that ``issuer`` named for answering."""
    template = Template(
        name=f"responder of {issuer.certificate.subject.rfc4514_string()}",
        ca=None,
        usage=("digital_signature",),
        extended=(ExtendedKeyUsageOID.OCSP_SIGNING,),
    )
    return certify(replace(template, **changes), issuer, serial=900)


def revocation_list(
    issuer: Entry,
    *revoked: Entry,
    first: datetime = NOW - timedelta(days=1),
    last: datetime = NOW + timedelta(days=1),
    signed_by: Entry | None = None,
    algorithm: Any = None,
) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(first)
        .next_update(last)
    )
    for entry in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(entry.certificate.serial_number)
            .revocation_date(first)
            .build()
        )
    return builder.sign((signed_by or issuer).key, algorithm or hashes.SHA384()).public_bytes(
        serialization.Encoding.DER
    )


def good_answers(entries: Sequence[Entry], subjects: range) -> tuple[bytes, ...]:
    return tuple(answer(entries[at], entries[at + 1]) for at in subjects)


@cache
def all_good() -> tuple[bytes, ...]:
    """About everybody in both chains."""
    return good_answers(device_chain(), range(1, 4)) + good_answers(signer_chain(), range(3))


RIM_NAMES = ("NV_GPU_DRIVER_GH100_550.144.03", "NV_GPU_VBIOS_1010_0200_882_96005E0001")


def bundle(
    made: NvidiaReport | None = None,
    device: tuple[Entry, ...] | None = None,
    driver: Rim = DRIVER,
    firmware: Rim = FIRMWARE,
    names: tuple[str, str] = RIM_NAMES,
    **changes: Any,
) -> DeviceBundle:
    """Evidence of a GPU that is well in every respect but those that are given."""
    entries = device or device_chain()
    whole = DeviceBundle(
        evidence=sign(made or report(), entries[0]),
        certificates=tuple(entry.der for entry in entries),
        rims={names[0]: sign_rim(driver), names[1]: sign_rim(firmware)},
        ocsp=all_good(),
    )
    return replace(whole, **changes)
