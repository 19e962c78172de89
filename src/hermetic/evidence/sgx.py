"""The DCAP quote of an SGX enclave, versions 3 to 5 (DCAP, Quote Format, A.3 to A.5).

The body is an enclave's report, 384 bytes.  A quote that parses has the shape of one and nothing more: nobody has
looked at its signatures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hermetic.evidence._dcap_enclave import ENCLAVE_REPORT_LENGTH, EnclaveAttributes, EnclaveFlag, EnclaveReport
from hermetic.evidence._dcap_header import SGX_TEE
from hermetic.evidence._dcap_quote import DcapQuote, QuoteFormat

__all__ = ["EnclaveAttributes", "EnclaveFlag", "EnclaveReport", "SgxQuote"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxQuote(DcapQuote[EnclaveReport]):
    """What a quote says of an enclave.  ``body.report_data`` is the enclave's own word, 64 bytes."""

    FORMAT: ClassVar = QuoteFormat(
        what="SGX quote",
        tee_type=SGX_TEE,
        versions=(3, 4, 5),
        bodies={1: ENCLAVE_REPORT_LENGTH},
        parse=EnclaveReport.from_bytes,
    )
