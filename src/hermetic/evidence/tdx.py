"""The DCAP quote of a TDX trust domain, versions 4 and 5 (DCAP, Quote Format, A.4 and A.5).

The body is a TD report of TDX 1.0 (584 bytes) or, in version 5, of 1.5 (648).  A quote that parses has the shape of one
and nothing more: nobody has looked at its signatures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hermetic.evidence._dcap_header import TDX_TEE
from hermetic.evidence._dcap_quote import DcapQuote, QuoteFormat
from hermetic.evidence._dcap_td import TD10_LENGTH, TD15_LENGTH, TdAttributes, TdFlag, TdReport

__all__ = ["TdAttributes", "TdFlag", "TdReport", "TdxQuote"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxQuote(DcapQuote[TdReport]):
    """What a quote says of a trust domain.  ``body.report_data`` is the domain's own word, 64 bytes."""

    FORMAT: ClassVar = QuoteFormat(
        what="TDX quote",
        tee_type=TDX_TEE,
        versions=(4, 5),
        bodies={2: TD10_LENGTH, 3: TD15_LENGTH},
        parse=TdReport.from_bytes,
    )
