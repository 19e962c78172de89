"""What begins every DCAP quote: 48 bytes that say how to read the rest (Intel DCAP, Quote Format, A.3.1 and A.4.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hermetic.errors import Malformed

HEADER_LENGTH = 48
SGX_TEE, TDX_TEE = 0x00, 0x81
INTEL_QE = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
"""The vendor of the quoting enclave: Intel, the only one there is."""

_ECDSA_P256 = 2
_HEADER = struct.Struct("<HHIHH16s20s")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteHeader:
    """``version`` is 3 (SGX), 4 or 5 (SGX and TDX).

    ``qe_svn`` and ``pce_svn`` are stated in version 3 only and reserved (zero) after it; nothing rests on them.
    ``user_data`` is 20 bytes of the platform's own, of which the first 16 name the quoting enclave.
    """

    version: int
    tee_type: int
    qe_svn: int = 0
    pce_svn: int = 0
    user_data: bytes

    @classmethod
    def from_bytes(cls, data: bytes, *, tee_type: int, versions: tuple[int, ...]) -> QuoteHeader:
        """From the first 48 bytes.  Raises Malformed for another TEE, version, key type or vendor."""
        if len(data) < HEADER_LENGTH:
            raise Malformed(f"quote: a header is {HEADER_LENGTH} bytes, got {len(data)}")
        version, key_type, tee, qe_svn, pce_svn, vendor, user_data = _HEADER.unpack_from(data)
        if tee != tee_type or version not in versions:
            raise Malformed(
                f"quote: expected TEE 0x{tee_type:x} in version {' or '.join(map(str, versions))}, "
                f"got 0x{tee:x} in version {version}"
            )
        if key_type != _ECDSA_P256:
            raise Malformed(f"quote: attestation key type {key_type} is not 2 (ECDSA P-256)")
        if vendor != INTEL_QE:
            raise Malformed("quote: the quoting enclave is not Intel's")
        if version > 3 and (qe_svn or pce_svn):
            raise Malformed("quote: reserved bytes of the header are not zero")
        return cls(version=version, tee_type=tee, qe_svn=qe_svn, pce_svn=pce_svn, user_data=user_data)

    def to_bytes(self) -> bytes:
        return _HEADER.pack(
            self.version, _ECDSA_P256, self.tee_type, self.qe_svn, self.pce_svn, INTEL_QE, self.user_data
        )
