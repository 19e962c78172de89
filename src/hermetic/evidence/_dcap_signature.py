"""What ends every DCAP quote: the signature, and how its key leads to a certificate (DCAP, Quote Format, A.3.7, A.4.4).

    signature data = signature 64 · attestation key 64 · certification data
    version 4, 5:    certification data of type 6 = QE report 384 · signature 64 · authentication data · type 5
    version 3:       the same content, without the type 6 around it
    type 5:          the chain of the provisioning certification key (PCK), PEM

Every length is exact: nothing is allowed between, inside or after what is named here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from hermetic.errors import Malformed
from hermetic.evidence._dcap_enclave import ENCLAVE_REPORT_LENGTH, EnclaveReport

_QE_REPORT, _PCK_CHAIN = 6, 5
_PREFIX = struct.Struct("<HI")  # certification data: type, length
_IDENTITIES = {
    1: "the platform's identity",
    2: "the platform's identity, encrypted",
    3: "the platform's identity, encrypted",
    4: "a certificate alone",
}


class Reader:
    """Takes bytes from the front, never more than there are."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data, self._at, self._what = data, 0, what

    def take(self, length: int) -> bytes:
        """Raises Malformed where fewer than ``length`` bytes are left."""
        taken = self._data[self._at : self._at + length]
        if len(taken) != length:
            raise Malformed(f"{self._what}: cut short")
        self._at += length
        return taken

    def peek(self, length: int) -> bytes:
        """The next ``length`` bytes, or as many as there are, without taking them."""
        return self._data[self._at : self._at + length]

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "little")

    def end(self) -> None:
        """Raises Malformed where bytes are left over."""
        if left := len(self._data) - self._at:
            raise Malformed(f"{self._what}: {left} bytes more than it says")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteSignature:
    """``signature`` (r and s, 32 big-endian bytes each) by ``attestation_key`` (x and y, likewise) over the quote.

    ``qe_report`` is what vouches for the key, signed in turn (``qe_report_signature``) by the key of ``pck_chain``;
    ``qe_report_bytes`` are its bytes as received.  ``auth_data`` is of the quoting enclave's own choosing.
    """

    signature: bytes = field(repr=False)
    attestation_key: bytes
    qe_report: EnclaveReport
    qe_report_signature: bytes = field(repr=False)
    auth_data: bytes = field(repr=False)
    pck_chain: bytes = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("signature", "attestation_key", "qe_report_signature"):
            if len(getattr(self, name)) != 64:
                raise Malformed(f"quote: {name} is not 64 bytes long")
        if len(self.auth_data) > 0xFFFF:
            raise Malformed("quote: authentication data is at most 65535 bytes long")

    @property
    def qe_report_bytes(self) -> bytes:
        """The 384 bytes that the PCK signed: parsing loses nothing, so these are those that were received."""
        return self.qe_report.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes, *, version: int) -> QuoteSignature:
        """Raises Malformed on another kind of certification data, and on any length that is not exact."""
        reader = Reader(data, "quote signature")
        signature, attestation_key = reader.take(64), reader.take(64)
        if version > 3:
            nested = _certification(reader, _QE_REPORT)
            reader.end()
            reader = Reader(nested, "quote certification data")
        report, report_signature = reader.take(ENCLAVE_REPORT_LENGTH), reader.take(64)
        auth_data = reader.take(reader.number(2))
        pck_chain = _certification(reader, _PCK_CHAIN)
        reader.end()
        return cls(
            signature=signature,
            attestation_key=attestation_key,
            qe_report=EnclaveReport.from_bytes(report),
            qe_report_signature=report_signature,
            auth_data=auth_data,
            pck_chain=pck_chain,
        )

    def to_bytes(self, *, version: int) -> bytes:
        """The inverse of :meth:`from_bytes`."""
        content = b"".join(
            (
                self.qe_report_bytes,
                self.qe_report_signature,
                len(self.auth_data).to_bytes(2, "little"),
                self.auth_data,
                _PREFIX.pack(_PCK_CHAIN, len(self.pck_chain)),
                self.pck_chain,
            )
        )
        nested = content if version == 3 else _PREFIX.pack(_QE_REPORT, len(content)) + content
        return self.signature + self.attestation_key + nested


def _certification(reader: Reader, expected: int) -> bytes:
    kind, length = _PREFIX.unpack(reader.take(_PREFIX.size))
    if kind != expected:
        name = f", {_IDENTITIES[kind]} in place of its chain" if kind in _IDENTITIES else ""
        raise Malformed(f"quote: certification data of type {kind}{name}; expected type {expected}")
    return reader.take(length)
