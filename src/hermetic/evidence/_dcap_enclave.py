"""The report of an SGX enclave, 384 bytes: the body of an SGX quote, and what a quoting enclave says of itself.

Intel SDM volume 3D, table 38-21; DCAP, Quote Format, A.3.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag

from hermetic.errors import Malformed

ENCLAVE_REPORT_LENGTH = 384

_LAYOUT = (  # little-endian, in the order of the specification
    ("cpu_svn", "16s"),  # 0
    ("misc_select", "I"),  # 16
    ("reserved_20", "12s"),
    ("isv_ext_prod_id", "16s"),  # 32
    ("attributes", "Q"),  # 48
    ("xfrm", "Q"),  # 56
    ("mr_enclave", "32s"),  # 64
    ("reserved_96", "32s"),
    ("mr_signer", "32s"),  # 128
    ("reserved_160", "32s"),
    ("config_id", "64s"),  # 192
    ("isv_prod_id", "H"),  # 256
    ("isv_svn", "H"),
    ("config_svn", "H"),
    ("reserved_262", "42s"),
    ("isv_family_id", "16s"),  # 304
    ("report_data", "64s"),  # 320
)
_NAMES = tuple(name for name, _ in _LAYOUT)
_STRUCT = struct.Struct("<" + "".join(code for _, code in _LAYOUT))
_RESERVED = tuple(name for name in _NAMES if name.startswith("reserved_"))
_BYTES = {name: int(code[:-1]) for name, code in _LAYOUT if code.endswith("s") and name not in _RESERVED}


class EnclaveFlag(IntFlag):
    """ATTRIBUTES.FLAGS of an enclave: what it may do, and what may be done to it."""

    INIT = 1 << 0
    """It was initialised."""
    DEBUG = 1 << 1
    """A debugger may read and write its memory."""
    MODE64 = 1 << 2
    PROVISION_KEY = 1 << 4
    """It may derive keys that outlive the platform's owner."""
    EINITTOKEN_KEY = 1 << 5
    CET = 1 << 6
    KSS = 1 << 7
    """Key separation and sharing: config and family identities mean something."""
    AEX_NOTIFY = 1 << 10


_KNOWN = sum(EnclaveFlag)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveAttributes:
    """ATTRIBUTES, low half.  ``unknown`` holds, in place, every set bit that this version has no name for."""

    flags: EnclaveFlag
    unknown: int = 0

    @classmethod
    def from_int(cls, value: int) -> EnclaveAttributes:
        """Never fails: every 64-bit value says something."""
        return cls(flags=EnclaveFlag(value & _KNOWN), unknown=value & ~_KNOWN)

    def to_int(self) -> int:
        return int(self.flags) | self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveReport:
    """What an enclave's report says, field by field; nobody has looked at a signature.

    ``xfrm`` is the mask of extended processor state, ``misc_select`` of extra state saved on an exit.
    """

    cpu_svn: bytes
    misc_select: int
    isv_ext_prod_id: bytes
    attributes: EnclaveAttributes
    xfrm: int
    mr_enclave: bytes
    mr_signer: bytes
    config_id: bytes
    isv_prod_id: int
    isv_svn: int
    config_svn: int
    isv_family_id: bytes
    report_data: bytes

    def __post_init__(self) -> None:
        for name, length in _BYTES.items():
            if len(getattr(self, name)) != length:
                raise Malformed(f"enclave report: {name} is not {length} bytes long")

    @classmethod
    def from_bytes(cls, data: bytes) -> EnclaveReport:
        """Raises Malformed on any size but 384, and on a reserved byte that is not zero."""
        if len(data) != ENCLAVE_REPORT_LENGTH:
            raise Malformed(f"enclave report: expected {ENCLAVE_REPORT_LENGTH} bytes, got {len(data)}")
        raw = dict(zip(_NAMES, _STRUCT.unpack(data), strict=True))
        for name in _RESERVED:
            if any(raw.pop(name)):
                raise Malformed(f"enclave report: {name} is not zero")
        return cls(**{**raw, "attributes": EnclaveAttributes.from_int(raw["attributes"])})

    def to_bytes(self) -> bytes:
        """The inverse of :meth:`from_bytes`."""
        values = {name: getattr(self, name, b"") for name in _NAMES} | {"attributes": self.attributes.to_int()}
        return _STRUCT.pack(*(values[name] for name in _NAMES))
