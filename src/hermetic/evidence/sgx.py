"""The DCAP quote of an SGX enclave, version 3 (DCAP, Quote Format, A.3): header 48 · report 384 · signature data.

A quote that parses has the shape of one and nothing more: nobody has looked at its signatures.
"""

from __future__ import annotations

from dataclasses import dataclass

from hermetic.evidence._dcap_enclave import ENCLAVE_REPORT_LENGTH, EnclaveAttributes, EnclaveFlag, EnclaveReport
from hermetic.evidence._dcap_header import HEADER_LENGTH, SGX_TEE, QuoteHeader
from hermetic.evidence._dcap_signature import QuoteSignature, Reader

__all__ = ["EnclaveAttributes", "EnclaveFlag", "EnclaveReport", "SgxQuote"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxQuote:
    """What a quote says of an enclave.  ``body.report_data`` is the enclave's own word, 64 bytes."""

    header: QuoteHeader
    body: EnclaveReport
    signature: QuoteSignature

    @classmethod
    def from_bytes(cls, data: bytes) -> SgxQuote:
        """Raises Malformed on another version, a length that is not exact, or a reserved byte that is not zero."""
        header = QuoteHeader.from_bytes(data, tee_type=SGX_TEE, versions=(3,))
        reader = Reader(data[HEADER_LENGTH:], "SGX quote")
        body = EnclaveReport.from_bytes(reader.take(ENCLAVE_REPORT_LENGTH))
        signature = reader.take(reader.number(4))
        reader.end()
        return cls(header=header, body=body, signature=QuoteSignature.from_bytes(signature, version=header.version))

    def signed_bytes(self) -> bytes:
        """The 432 bytes that the attestation key signs: parsing loses nothing of them."""
        return self.header.to_bytes() + self.body.to_bytes()

    def to_bytes(self) -> bytes:
        """The whole quote: the inverse of :meth:`from_bytes`."""
        signature = self.signature.to_bytes(version=self.header.version)
        return self.signed_bytes() + len(signature).to_bytes(4, "little") + signature
