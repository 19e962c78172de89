"""An Intel of our own: a root, its authorities, platforms, collateral and quotes, each part open to one change.

It is what lets a test change one thing and leave every signature true, which no recorded evidence can.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from hermetic.evidence import (
    SGX,
    TDX,
    EnclaveAttributes,
    EnclaveFlag,
    EnclaveReport,
    EvidenceBundle,
    QuoteHeader,
    QuoteSignature,
    SgxQuote,
    TdAttributes,
    TdFlag,
    TdReport,
    TdxQuote,
)
from hermetic.verify import Root
from hermetic.verify._dcap_pem import pem_from_certificates
from hermetic.verify.intel_pck import SGX_EXTENSION
from hermetic.wire import sha256, sha256_digest

NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
REPORT_DATA = bytes(range(64))
FMSPC, PPID, INSTANCE = bytes.fromhex("90c06f000000"), bytes(range(16)), bytes(range(16, 32))
QE_SIGNER = bytes(range(32))
DAY = timedelta(days=1)
Extensions = list[tuple[x509.ExtensionType, bool]]


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    """One key for each name, for the whole run."""
    return ec.generate_private_key(ec.SECP256R1())


def usage(*, authority: bool, signs_crls: bool = True) -> x509.KeyUsage:
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


@dataclass(frozen=True, kw_only=True)
class Cert:
    """What to write in a certificate."""

    name: str
    key: str
    issuer: str
    issuer_key: str
    serial: int
    authority: int | None = None  # path length
    first: datetime = NOW - 30 * DAY
    last: datetime = NOW + 3000 * DAY
    extra: bytes | None = None  # Intel's extension
    uses: x509.KeyUsage | None = None
    hash: Any = field(default_factory=hashes.SHA256)
    signing_key: Any = None
    bare: bool = False  # says nothing of its uses

    def der(self) -> bytes:
        constraints = x509.BasicConstraints(ca=self.authority is not None, path_length=self.authority)
        uses = self.uses or usage(authority=self.authority is not None)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(self.name))
            .issuer_name(_name(self.issuer))
            .public_key((self.signing_key or key(self.key)).public_key())
            .serial_number(self.serial)
            .not_valid_before(self.first)
            .not_valid_after(self.last)
        )
        if not self.bare:
            builder = builder.add_extension(constraints, critical=True).add_extension(uses, critical=True)
        if self.extra is not None:
            oid = x509.ObjectIdentifier(SGX_EXTENSION)
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, self.extra), critical=False)
        return builder.sign(key(self.issuer_key), self.hash).public_bytes(Encoding.DER)


ROOT = Cert(name="Intel SGX Root CA", key="root", issuer="Intel SGX Root CA", issuer_key="root", serial=1, authority=1)
CA = Cert(
    name="Intel SGX PCK Platform CA", key="ca", issuer="Intel SGX Root CA", issuer_key="root", serial=2, authority=0
)
SIGNER = Cert(name="Intel SGX TCB Signing", key="signer", issuer="Intel SGX Root CA", issuer_key="root", serial=3)


def tlv(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _pair(oid: str, value: bytes) -> bytes:
    return tlv(0x30, _oid(oid) + value)


def _oid(dotted: str) -> bytes:
    oid = x509.ObjectIdentifier(dotted)
    general = x509.RegisteredID(oid)  # the one place where the library writes an identifier alone
    der = x509.SubjectAlternativeName([general]).public_bytes()
    return b"\x06" + der[3:]  # the tag of the identifier instead of that of the name


def _integer(number: int) -> bytes:
    return tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def pck_extension(
    *, components: tuple[int, ...] = (5,) * 16, pce_svn: int = 13, fmspc: bytes = FMSPC, pce_id: bytes = bytes(2)
) -> bytes:
    base = SGX_EXTENSION
    tcb = b"".join(_pair(f"{base}.2.{n + 1}", _integer(svn)) for n, svn in enumerate(components))
    tcb += _pair(f"{base}.2.17", _integer(pce_svn)) + _pair(f"{base}.2.18", tlv(0x04, bytes(components)))
    flags = b"".join(_pair(f"{base}.7.{n}", tlv(0x01, bytes((value,)))) for n, value in ((1, 255), (2, 0), (3, 255)))
    fields = (
        _pair(f"{base}.1", tlv(0x04, PPID)),
        _pair(f"{base}.2", tlv(0x30, tcb)),
        _pair(f"{base}.3", tlv(0x04, pce_id)),
        _pair(f"{base}.4", tlv(0x04, fmspc)),
        _pair(f"{base}.5", tlv(0x0A, b"\1")),
        _pair(f"{base}.6", tlv(0x04, INSTANCE)),
        _pair(f"{base}.7", tlv(0x30, flags)),
    )
    return tlv(0x30, b"".join(fields))


PCK = Cert(
    name="Intel SGX PCK Certificate",
    key="pck",
    issuer="Intel SGX PCK Platform CA",
    issuer_key="ca",
    serial=4,
    extra=pck_extension(),
)


@dataclass(frozen=True, kw_only=True)
class List:
    """What to write in a revocation list."""

    issuer: str
    issuer_key: str
    revoked: tuple[int, ...] = ()
    first: datetime = NOW - DAY
    last: datetime = NOW + DAY
    hash: Any = field(default_factory=hashes.SHA256)

    def der(self) -> bytes:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(_name(self.issuer))
            .last_update(self.first)
            .next_update(self.last)
            .add_extension(x509.CRLNumber(1), critical=False)
        )
        for serial in self.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self.first).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(key(self.issuer_key), self.hash).public_bytes(Encoding.DER)


ROOT_CRL = List(issuer="Intel SGX Root CA", issuer_key="root")
PCK_CRL = List(issuer="Intel SGX PCK Platform CA", issuer_key="ca")

QE_REPORT = EnclaveReport(
    cpu_svn=bytes(16),
    misc_select=0,
    isv_ext_prod_id=bytes(16),
    attributes=EnclaveAttributes(flags=EnclaveFlag.INIT | EnclaveFlag.PROVISION_KEY),
    xfrm=0xE7,
    mr_enclave=bytes(32),
    mr_signer=QE_SIGNER,
    config_id=bytes(64),
    isv_prod_id=2,
    isv_svn=4,
    config_svn=0,
    isv_family_id=bytes(16),
    report_data=bytes(64),
)
TD_REPORT = TdReport(
    tee_tcb_svn=bytes((7, 1, 5, *bytes(13))),
    mr_seam=bytes(range(48)),
    mr_signer_seam=bytes(48),
    seam_attributes=bytes(8),
    td_attributes=TdAttributes(flags=TdFlag.SEPT_VE_DISABLE),
    xfam=0xE7,
    mr_td=bytes(range(1, 49)),
    mr_config_id=bytes(48),
    mr_owner=bytes(48),
    mr_owner_config=bytes(48),
    rtmrs=(bytes(48), bytes(48), bytes(48), bytes(48)),
    report_data=REPORT_DATA,
    tee_tcb_svn2=bytes((7, 1, 5, *bytes(13))),
    mr_service_td=bytes(48),
)
_MODULE = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}


def _level(status: str, svn: int, *advisories: str) -> dict[str, Any]:
    parts = [{"svn": svn}] * 16
    tdx = [{"svn": svn}, {"svn": 0}, {"svn": svn}] + [{"svn": 0}] * 13
    return {
        "tcb": {"sgxtcbcomponents": parts, "pcesvn": 10 + svn // 2, "tdxtcbcomponents": tdx},
        "tcbDate": "2025-05-14T00:00:00Z",
        "tcbStatus": status,
        "advisoryIDs": list(advisories),
    }


def _isv_level(status: str, svn: int, *advisories: str) -> dict[str, Any]:
    return {
        "tcb": {"isvsvn": svn},
        "tcbDate": "2025-08-13T00:00:00Z",
        "tcbStatus": status,
        "advisoryIDs": list(advisories),
    }


def _dates() -> dict[str, str]:
    return {"issueDate": f"{NOW - DAY:%Y-%m-%dT%H:%M:%SZ}", "nextUpdate": f"{NOW + DAY:%Y-%m-%dT%H:%M:%SZ}"}


def tcb_info(tee: str = "TDX") -> dict[str, Any]:
    """Levels 5 (up to date) and 3 (outdated) of the platform, 7 and 4 of module version 1."""
    document: dict[str, Any] = {"id": tee, "version": 3, **_dates(), "fmspc": FMSPC.hex().upper(), "pceId": "0000"}
    document |= {"tcbType": 0, "tcbEvaluationDataNumber": 18}
    if tee == "TDX":
        levels = [_isv_level("UpToDate", 7), _isv_level("OutOfDate", 4, "INTEL-SA-00002")]
        document |= {"tdxModule": _MODULE, "tdxModuleIdentities": [{"id": "TDX_01", **_MODULE, "tcbLevels": levels}]}
    document["tcbLevels"] = [_level("UpToDate", 5), _level("OutOfDate", 3, "INTEL-SA-00001")]
    return document


def qe_identity(tee: str = "TDX") -> dict[str, Any]:
    """Levels 4 (up to date) and 2 (outdated) of the quoting enclave."""
    return {
        "id": {"TDX": "TD_QE", "SGX": "QE"}[tee],
        "version": 2,
        **_dates(),
        "tcbEvaluationDataNumber": 18,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000",
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": QE_SIGNER.hex().upper(),
        "isvprodid": 2,
        "tcbLevels": [_isv_level("UpToDate", 4), _isv_level("OutOfDate", 2, "INTEL-SA-00003")],
    }


@dataclass(frozen=True, kw_only=True)
class Intel:
    """Everything that goes into one bundle.  ``change`` edits the documents before they are signed."""

    tee: str = TDX
    root: Cert = ROOT
    ca: Cert = CA
    pck: Cert = PCK
    signer: Cert = SIGNER
    crl_ca: Cert = CA
    root_crl: List = ROOT_CRL
    pck_crl: List = PCK_CRL
    body: TdReport = TD_REPORT
    qe_report: EnclaveReport = QE_REPORT
    auth_data: bytes = bytes(32)
    named_data: bytes | None = None  # what the quoting enclave says of the key, if not the truth
    signed_with: str = "attestation"
    qe_signed_with: str = "pck"
    documents_signed_with: str = "signer"
    collateral_root: Cert | None = None
    crl_root: Cert | None = None
    attestation_point: bytes | None = None
    chain: Callable[[tuple[bytes, ...]], tuple[bytes, ...]] = lambda ders: ders
    change: Callable[[dict[str, Any], dict[str, Any]], None] = lambda tcb, qe: None

    @property
    def roots(self) -> tuple[Root, ...]:
        return (Root(name="our own Intel", sha256=sha256_digest(self._der(self.root)), vendor="tests", simulated=True),)

    def issue(self) -> EvidenceBundle:
        root, ca = self._der(self.root), self._der(self.ca)
        other_root = self._der(self.collateral_root or self.root)
        documents = copy.deepcopy((tcb_info(self.tee.upper()), qe_identity(self.tee.upper())))
        self.change(*documents)
        signer_chain = pem_from_certificates((self._der(self.signer), other_root))
        endorsements = {
            "tcb_info": self._signed("tcbInfo", documents[0]),
            "tcb_info_chain": signer_chain,
            "qe_identity": self._signed("enclaveIdentity", documents[1]),
            "qe_identity_chain": signer_chain,
            "pck_crl": self.pck_crl.der(),
            "pck_crl_chain": pem_from_certificates((self._der(self.crl_ca), self._der(self.crl_root or self.root))),
            "root_crl": self.root_crl.der(),
        }
        chain = pem_from_certificates(self.chain((self._der(self.pck), ca, root)))
        return EvidenceBundle(tee=self.tee, evidence=self._quote(chain).to_bytes(), endorsements=endorsements)

    def _quote(self, chain: bytes) -> TdxQuote | SgxQuote:
        attestation_key = self.attestation_point or _point(key("attestation"))
        named = sha256(attestation_key, self.auth_data).ljust(64, b"\0") if self.named_data is None else self.named_data
        report = replace(self.qe_report, report_data=named)
        signature = QuoteSignature(
            signature=bytes(64),
            attestation_key=attestation_key,
            qe_report=report,
            qe_report_signature=sign(key(self.qe_signed_with), report.to_bytes()),
            auth_data=self.auth_data,
            pck_chain=chain,
        )
        quote: TdxQuote | SgxQuote
        if self.tee == TDX:
            header = QuoteHeader(version=5, tee_type=0x81, user_data=bytes(20))
            quote = TdxQuote(header=header, body=self.body, signature=signature)
        else:
            header = QuoteHeader(version=3, tee_type=0, user_data=bytes(20))
            body = replace(QE_REPORT, mr_enclave=bytes(range(32)), report_data=REPORT_DATA)
            quote = SgxQuote(header=header, body=body, signature=signature)
        made = sign(key(self.signed_with), quote.signed_bytes())
        return replace(quote, signature=replace(signature, signature=made))

    def _signed(self, member: str, document: dict[str, Any]) -> bytes:
        body = json.dumps(document, separators=(",", ":"))
        signature = sign(key(self.documents_signed_with), body.encode()).hex()
        return f'{{"{member}":{body},"signature":"{signature}"}}'.encode()

    @staticmethod
    def _der(cert: Cert) -> bytes:
        """ECDSA signs at random: one certificate has to stay one certificate."""
        return _DERS.setdefault(id(cert), (cert, cert.der()))[1]


_DERS: dict[int, tuple[Cert, bytes]] = {}


def sign(private: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """r and s, 32 bytes each."""
    r, s = decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _point(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


__all__ = ["NOW", "REPORT_DATA", "SGX", "TDX", "Intel"]
