"""The DCAP quote of a TDX trust domain, versions 4 and 5 (DCAP, Quote Format, A.4 and A.5).

    version 4   header 48 · TD report 584 · signature data
    version 5   header 48 · body type 2, body length 4 · TD report 584 (type 2) or 648 (type 3) · signature data

A quote that parses has the shape of one and nothing more: nobody has looked at its signatures.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hermetic.errors import Malformed
from hermetic.evidence._dcap_header import HEADER_LENGTH, TDX_TEE, QuoteHeader
from hermetic.evidence._dcap_signature import QuoteSignature, Reader
from hermetic.evidence._dcap_td import TD10_LENGTH, TD15_LENGTH, TdAttributes, TdFlag, TdReport

__all__ = ["TdAttributes", "TdFlag", "TdReport", "TdxQuote"]

_BODY = struct.Struct("<HI")
_BODY_LENGTH = {2: TD10_LENGTH, 3: TD15_LENGTH}
_BODY_TYPE = {length: kind for kind, length in _BODY_LENGTH.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxQuote:
    """What a quote says of a trust domain.  ``body.report_data`` is the domain's own word, 64 bytes."""

    header: QuoteHeader
    body: TdReport
    signature: QuoteSignature

    def __post_init__(self) -> None:
        if self.header.version == 4 and self.body.tee_tcb_svn2 is not None:
            raise Malformed("TDX quote: a report of TDX 1.5 needs version 5")

    @classmethod
    def from_bytes(cls, data: bytes) -> TdxQuote:
        """Raises Malformed on another version or body, a length that is not exact, or a reserved byte not zero."""
        header = QuoteHeader.from_bytes(data, tee_type=TDX_TEE, versions=(4, 5))
        reader = Reader(data[HEADER_LENGTH:], "TDX quote")
        length = TD10_LENGTH
        if header.version == 5:
            kind, length = _BODY.unpack(reader.take(_BODY.size))
            if _BODY_LENGTH.get(kind) != length:
                raise Malformed(f"TDX quote: a body of type {kind} and {length} bytes is not one that we know")
        body = TdReport.from_bytes(reader.take(length))
        signature = reader.take(reader.number(4))
        reader.end()
        return cls(header=header, body=body, signature=QuoteSignature.from_bytes(signature, version=header.version))

    def signed_bytes(self) -> bytes:
        """What the attestation key signs: all before the signature's length.  Parsing loses nothing of it."""
        body = self.body.to_bytes()
        prefix = b"" if self.header.version == 4 else _BODY.pack(_BODY_TYPE[len(body)], len(body))
        return self.header.to_bytes() + prefix + body

    def to_bytes(self) -> bytes:
        """The whole quote: the inverse of :meth:`from_bytes`."""
        signature = self.signature.to_bytes(version=self.header.version)
        return self.signed_bytes() + len(signature).to_bytes(4, "little") + signature
