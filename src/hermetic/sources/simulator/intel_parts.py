"""Everything that goes into one bundle of simulated Intel evidence, before anything is signed.

Each part can be exchanged for another and all signatures still come out true, which no recorded evidence allows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from hermetic.evidence import EnclaveReport, EvidenceBundle, QuoteHeader, QuoteSignature, SgxQuote, TdReport, TdxQuote
from hermetic.evidence.pem import pem_from_certificates
from hermetic.sources.simulator.ec import EcKeys, public_point, raw_signature
from hermetic.sources.simulator.intel_collateral import Document, signed_answer
from hermetic.sources.simulator.intel_pki import IntelCertificate, IntelCrl
from hermetic.wire import sha256

_TEE_TYPE = {True: 0x00, False: 0x81}


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelParts:
    """The parts.  ``…_with`` are names of keys; ``version`` is the quote's.

    ``crl_ca`` is whom the platform's list comes with, ``collateral_root`` and ``crl_root`` the roots that collateral
    and list come with (None: the same one).  ``root_der`` is the root as it was kept, None to sign it anew.
    ``named_data`` is what the quoting enclave says of the key if not the truth, ``attestation_point`` what the quote
    carries instead of the key, and ``chain`` turns the quote's certificates into others.
    """

    keys: EcKeys
    tee: str
    version: int
    body: TdReport | EnclaveReport
    qe_report: EnclaveReport
    root: IntelCertificate
    ca: IntelCertificate
    pck: IntelCertificate
    signer: IntelCertificate
    crl_ca: IntelCertificate
    root_crl: IntelCrl
    pck_crl: IntelCrl
    tcb_info: Document
    qe_identity: Document
    event_logs: Mapping[str, bytes] = field(default_factory=dict)
    root_der: bytes | None = None
    collateral_root: IntelCertificate | None = None
    crl_root: IntelCertificate | None = None
    signed_with: str = "attestation"
    qe_signed_with: str = "pck"
    documents_signed_with: str = "signer"
    auth_data: bytes = bytes(32)
    named_data: bytes | None = None
    attestation_point: bytes | None = None
    chain: Callable[[tuple[bytes, ...]], tuple[bytes, ...]] = lambda ders: ders

    def root_certificate(self) -> bytes:
        """The root in DER, as it was kept, or signed anew."""
        return self.root_der or self.root.sign(self.keys)

    def issue(self) -> EvidenceBundle:
        """The quote and its collateral, signed."""
        return EvidenceBundle(
            tee=self.tee,
            evidence=self.quote().to_bytes(),
            endorsements=self.endorsements(),
            event_logs=self.event_logs,
        )

    def endorsements(self) -> dict[str, bytes]:
        """What Intel says, as its service answers it."""
        signers = pem_from_certificates((self.signer.sign(self.keys), self._root_or(self.collateral_root)))
        return {
            "tcb_info": signed_answer("tcbInfo", self.tcb_info, self.keys, self.documents_signed_with),
            "tcb_info_chain": signers,
            "qe_identity": signed_answer("enclaveIdentity", self.qe_identity, self.keys, self.documents_signed_with),
            "qe_identity_chain": signers,
            "pck_crl": self.pck_crl.sign(self.keys),
            "pck_crl_chain": pem_from_certificates((self.crl_ca.sign(self.keys), self._root_or(self.crl_root))),
            "root_crl": self.root_crl.sign(self.keys),
        }

    def quote(self) -> TdxQuote | SgxQuote:
        """The quote: the PCK signs what the quoting enclave says of the attestation key, and that signs the rest."""
        point = self.attestation_point or public_point(self.keys.key("attestation"))
        named = sha256(point, self.auth_data).ljust(64, b"\0") if self.named_data is None else self.named_data
        qe_report = replace(self.qe_report, report_data=named)
        ders = (self.pck.sign(self.keys), self.ca.sign(self.keys), self.root_certificate())
        signature = QuoteSignature(
            signature=bytes(64),
            attestation_key=point,
            qe_report=qe_report,
            qe_report_signature=self._sign(self.qe_signed_with, qe_report.to_bytes()),
            auth_data=self.auth_data,
            pck_chain=pem_from_certificates(self.chain(ders)),
        )
        unsigned = self._unsigned(signature)
        signed = replace(signature, signature=self._sign(self.signed_with, unsigned.signed_bytes()))
        return replace(unsigned, signature=signed)

    def _unsigned(self, signature: QuoteSignature) -> TdxQuote | SgxQuote:
        sgx = isinstance(self.body, EnclaveReport)
        header = QuoteHeader(version=self.version, tee_type=_TEE_TYPE[sgx], user_data=bytes(20))
        if isinstance(self.body, EnclaveReport):
            return SgxQuote(header=header, body=self.body, signature=signature)
        return TdxQuote(header=header, body=self.body, signature=signature)

    def _sign(self, key: str, data: bytes) -> bytes:
        return raw_signature(self.keys.key(key), data, "sha256")

    def _root_or(self, other: IntelCertificate | None) -> bytes:
        return self.root_certificate() if other is None else other.sign(self.keys)
