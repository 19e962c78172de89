"""What a quote says of a trust domain: the TD report of TDX 1.0 (584 bytes) and 1.5 (648) (DCAP, A.4.2, A.4.3).

Unknown bits are kept, apart from the known ones, so that a policy can refuse them; none is dropped.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag

from hermetic.errors import Malformed

TD10_LENGTH, TD15_LENGTH = 584, 648

_LAYOUT = (  # in the order of the specification, which starts anew at each offset given
    ("tee_tcb_svn", "16s"),  # 0
    ("mr_seam", "48s"),  # 16
    ("mr_signer_seam", "48s"),  # 64
    ("seam_attributes", "8s"),  # 112
    ("td_attributes", "Q"),  # 120
    ("xfam", "Q"),  # 128
    ("mr_td", "48s"),  # 136
    ("mr_config_id", "48s"),  # 184
    ("mr_owner", "48s"),  # 232
    ("mr_owner_config", "48s"),  # 280
    ("rtmr0", "48s"),  # 328
    ("rtmr1", "48s"),
    ("rtmr2", "48s"),
    ("rtmr3", "48s"),
    ("report_data", "64s"),  # 520
)
_LAYOUT_15 = (*_LAYOUT, ("tee_tcb_svn2", "16s"), ("mr_service_td", "48s"))  # 584, 600
_NAMES, _NAMES_15 = (tuple(name for name, _ in layout) for layout in (_LAYOUT, _LAYOUT_15))
_TD10, _TD15 = (struct.Struct("<" + "".join(code for _, code in layout)) for layout in (_LAYOUT, _LAYOUT_15))
_RTMRS = ("rtmr0", "rtmr1", "rtmr2", "rtmr3")
_BYTES = {name: int(code[:-1]) for name, code in _LAYOUT_15 if code.endswith("s") and name not in _RTMRS}


class TdFlag(IntFlag):
    """TDATTRIBUTES: what the domain's owner asked for.  Any bit of the lowest byte makes the domain untrusted (TUD)."""

    DEBUG = 1 << 0
    """The host may read and write the domain's memory."""
    HGS_PLUS_PROF = 1 << 4
    PERF_PROF = 1 << 5
    PMT_PROF = 1 << 6
    LASS = 1 << 27
    SEPT_VE_DISABLE = 1 << 28
    """The host cannot inject faults by unmapping pages."""
    MIGRATABLE = 1 << 29
    """The domain may be moved to another machine."""
    PKS = 1 << 30
    KL = 1 << 31
    TPA = 1 << 62
    PERFMON = 1 << 63


_KNOWN = sum(TdFlag)


@dataclass(frozen=True, slots=True, kw_only=True)
class TdAttributes:
    """TDATTRIBUTES.  ``unknown`` holds, in place, every set bit that this version has no name for."""

    flags: TdFlag
    unknown: int = 0

    @classmethod
    def from_int(cls, value: int) -> TdAttributes:
        """Never fails: every 64-bit value says something."""
        return cls(flags=TdFlag(value & _KNOWN), unknown=value & ~_KNOWN)

    def to_int(self) -> int:
        return int(self.flags) | self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class TdReport:
    """Field by field; nobody has looked at a signature.

    ``tee_tcb_svn`` is of the TDX module that launched the domain (byte 0 its version, byte 1 its major one).
    ``rtmrs`` are the four run-time registers, 48 bytes each.  From TDX 1.5, ``tee_tcb_svn2`` is of the module that runs
    it now and ``mr_service_td`` names the service domain bound to it (zero: none); before, both are None.
    """

    tee_tcb_svn: bytes
    mr_seam: bytes
    mr_signer_seam: bytes
    seam_attributes: bytes
    td_attributes: TdAttributes
    xfam: int
    mr_td: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    rtmrs: tuple[bytes, bytes, bytes, bytes]
    report_data: bytes
    tee_tcb_svn2: bytes | None = None
    mr_service_td: bytes | None = None

    def __post_init__(self) -> None:
        if (self.tee_tcb_svn2 is None) != (self.mr_service_td is None):
            raise Malformed("TD report: a second module version and a service domain come together")
        for name, length in _BYTES.items():
            value = getattr(self, name)
            if value is not None and len(value) != length:
                raise Malformed(f"TD report: {name} is not {length} bytes long")
        if [len(register) for register in self.rtmrs] != [48] * 4:
            raise Malformed("TD report: expected four registers of 48 bytes")

    @classmethod
    def from_bytes(cls, data: bytes) -> TdReport:
        """From 584 bytes (TDX 1.0) or 648 (1.5).  Raises Malformed on any other size."""
        if len(data) not in (TD10_LENGTH, TD15_LENGTH):
            raise Malformed(f"TD report: expected {TD10_LENGTH} or {TD15_LENGTH} bytes, got {len(data)}")
        names, layout = (_NAMES, _TD10) if len(data) == TD10_LENGTH else (_NAMES_15, _TD15)
        raw = dict(zip(names, layout.unpack(data), strict=True))
        rtmrs = tuple(raw.pop(name) for name in _RTMRS)
        return cls(**{**raw, "td_attributes": TdAttributes.from_int(raw["td_attributes"]), "rtmrs": rtmrs})

    def to_bytes(self) -> bytes:
        """The inverse of :meth:`from_bytes`."""
        raw = {name: getattr(self, name) for name in _NAMES_15 if name not in _RTMRS}
        raw |= {"td_attributes": self.td_attributes.to_int()} | dict(zip(_RTMRS, self.rtmrs, strict=True))
        names, layout = (_NAMES, _TD10) if self.tee_tcb_svn2 is None else (_NAMES_15, _TD15)
        return layout.pack(*(raw[name] for name in names))
