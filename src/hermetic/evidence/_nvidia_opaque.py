"""The opaque data of an NVIDIA measurement response: type, length, value, over and over, all of it signed.

Types and values are NVIDIA's own (its published verifiers name them).  Every field is kept, known or not, in the order
that it came in, so that what was parsed can be written again; what a property returns has been read strictly.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from hermetic.errors import Malformed


class OpaqueType(IntEnum):
    """The fields that this version has a name for."""

    DRIVER_VERSION = 3
    GPU_INFO = 4
    FIRMWARE_VERSION = 6
    """The VBIOS of a GPU (8 bytes, the parts in an order of their own), or the BIOS of a switch (text)."""
    NVDEC0_STATUS = 11
    MEASUREMENT_COUNTS = 12
    CPR_INFO = 13
    BOARD_ID = 14
    CHIP_SKU = 15
    CHIP_SKU_MOD = 16
    PROJECT = 17
    PROJECT_SKU = 18
    PROJECT_SKU_MOD = 19
    FWID = 20
    PROTECTED_PCIE_STATUS = 21
    SWITCH_PDI = 22
    """On a GPU, the switches at the other end of its links, eight bytes each; on a switch, itself."""
    FLOORSWEPT_PORTS = 23
    POSITION_ID = 24
    LOCK_SWITCH_STATUS = 25
    GPU_PDIS = 26
    """On a switch, the GPUs at the other end of its links, eight bytes each."""
    GPU_LINK_CONN = 32
    SYS_ENABLE_STATUS = 33
    OPAQUE_DATA_VERSION = 34
    CHIP_INFO = 35
    FEATURE_FLAG = 36


class FeatureMode(StrEnum):
    """How a GPU is shared and linked, by its own signed word."""

    SPT = "single-gpu passthrough"
    MPT = "multi-gpu passthrough"
    PPCIE = "protected PCIe"


_MODES = {0: FeatureMode.SPT, 1: FeatureMode.MPT, 2: FeatureMode.PPCIE}
_SWITCHED = {0xAA: True, 0x55: False}
_PDI = 8
_NO_PDI = bytes(_PDI)
_HEADER = struct.Struct("<HH")
# What becomes part of a manifest's name, and so of an address or a file name, holds letters, digits and dots alone.
_WORD = re.compile(r"[A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*")
_TEXT_VERSION = re.compile(r"[0-9A-F]{2}(?:\.[0-9A-F]{2}){4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaqueField:
    """One field as it came.  ``type`` is NVIDIA's number, of which :class:`OpaqueType` names the known ones."""

    type: int
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaqueData:
    """All fields, in order.  Raises Malformed for a type that comes twice, or a known field that cannot be read."""

    fields: tuple[OpaqueField, ...]

    def __post_init__(self) -> None:
        types = [field.type for field in self.fields]
        if len(set(types)) != len(types):
            raise Malformed("NVIDIA report: an opaque field comes twice, so what it says depends on who reads it")
        # Read once here, so that whoever holds a report can read all of it.
        _ = self.driver_version, self.firmware_version, self.mode, self.nvdec0_enabled, self.protected_pcie
        _ = self.fwid, self.measurement_counts, self.switch_pdis, self.gpu_pdis
        _ = self.chip_sku, self.project, self.project_sku, self.chip_info

    @classmethod
    def from_bytes(cls, data: bytes) -> OpaqueData:
        """Raises Malformed unless ``data`` is fields and nothing else."""
        fields, offset = [], 0
        while offset < len(data):
            if offset + _HEADER.size > len(data):
                raise Malformed("NVIDIA report: the opaque data ends inside the head of a field")
            kind, length = _HEADER.unpack_from(data, offset)
            offset += _HEADER.size
            if offset + length > len(data):
                raise Malformed("NVIDIA report: the opaque data ends inside a field")
            fields.append(OpaqueField(type=kind, value=data[offset : offset + length]))
            offset += length
        return cls(fields=tuple(fields))

    def to_bytes(self) -> bytes:
        """The inverse of :meth:`from_bytes`."""
        return b"".join(_HEADER.pack(field.type, len(field.value)) + field.value for field in self.fields)

    @property
    def unknown_types(self) -> tuple[int, ...]:
        """Types that this version has no name for: signed, kept, and not understood."""
        known = set(OpaqueType)
        return tuple(field.type for field in self.fields if field.type not in known)

    @property
    def driver_version(self) -> str | None:
        """The version of the GPU's driver ("580.159.03"); a switch has none."""
        return self._word(OpaqueType.DRIVER_VERSION)

    @property
    def firmware_version(self) -> str:
        """The version of VBIOS or switch BIOS, as NVIDIA writes it: "96.00.5E.00.01".  Every report has one."""
        raw = self.get(OpaqueType.FIRMWARE_VERSION)
        if raw is None:
            raise Malformed("NVIDIA report: it does not say which firmware runs")
        if len(raw) == 8:
            # Four bytes from the last to the first, then the fifth; the rest is not in use.
            if any(raw[5:]):
                raise Malformed("NVIDIA report: unused bytes of the VBIOS version are not zero")
            return ".".join(f"{byte:02X}" for byte in (*reversed(raw[:4]), raw[4]))
        text = raw.decode("ascii", "replace")
        if _TEXT_VERSION.fullmatch(text) is None:
            raise Malformed("NVIDIA report: the firmware version is not five bytes in hex")
        return text

    @property
    def chip_sku(self) -> str | None:
        return self._word(OpaqueType.CHIP_SKU)

    @property
    def project(self) -> str | None:
        return self._word(OpaqueType.PROJECT)

    @property
    def project_sku(self) -> str | None:
        return self._word(OpaqueType.PROJECT_SKU)

    @property
    def chip_info(self) -> str | None:
        """The chip by name ("GB100"), where the firmware is new enough to say."""
        return self._word(OpaqueType.CHIP_INFO)

    @property
    def fwid(self) -> bytes | None:
        """The digest of the firmware that holds the signing key (48 bytes); old drivers do not report it."""
        return self._sized(OpaqueType.FWID, 48)

    @property
    def nvdec0_enabled(self) -> bool | None:
        """Whether the first video decoder is on, and with it one of the measurements."""
        return self._switch(OpaqueType.NVDEC0_STATUS)

    @property
    def protected_pcie(self) -> bool | None:
        return self._switch(OpaqueType.PROTECTED_PCIE_STATUS)

    @property
    def mode(self) -> FeatureMode | None:
        """None where the driver is too old to say."""
        raw = self._sized(OpaqueType.FEATURE_FLAG, 2)
        if raw is None:
            return None
        value = int.from_bytes(raw, "little")
        if value not in _MODES:
            raise Malformed(f"NVIDIA report: feature flag {value} is not one of 0 to 2")
        return _MODES[value]

    @property
    def measurement_counts(self) -> tuple[int, ...]:
        """How often each measurement was extended."""
        raw = self.get(OpaqueType.MEASUREMENT_COUNTS) or b""
        if len(raw) % 4:
            raise Malformed("NVIDIA report: the measurement counts are not whole")
        return tuple(int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4))

    @property
    def switch_pdis(self) -> tuple[bytes, ...]:
        """Who is at the other end of each link of a GPU, or who this switch is.  Eight bytes each; repetitions stay."""
        return self._pdis(OpaqueType.SWITCH_PDI)

    @property
    def gpu_pdis(self) -> tuple[bytes, ...]:
        """Which GPUs a switch is linked to.  Eight bytes each; links that are not in use are left out."""
        return self._pdis(OpaqueType.GPU_PDIS)

    def get(self, kind: OpaqueType) -> bytes | None:
        """The raw value of one field, None where it is absent."""
        return next((field.value for field in self.fields if field.type == kind), None)

    def _word(self, kind: OpaqueType) -> str | None:
        raw = self.get(kind)
        if raw is None:
            return None
        text = raw.rstrip(b"\0").decode("ascii", "replace")
        if _WORD.fullmatch(text) is None:
            raise Malformed(f"NVIDIA report: {kind.name.lower()} is not a word of letters, digits and dots")
        return text

    def _sized(self, kind: OpaqueType, length: int) -> bytes | None:
        raw = self.get(kind)
        if raw is not None and len(raw) != length:
            raise Malformed(f"NVIDIA report: {kind.name.lower()} is not {length} bytes long")
        return raw

    def _switch(self, kind: OpaqueType) -> bool | None:
        raw = self._sized(kind, 1)
        if raw is None:
            return None
        if raw[0] not in _SWITCHED:
            raise Malformed(f"NVIDIA report: {kind.name.lower()} is neither 0xAA nor 0x55")
        return _SWITCHED[raw[0]]

    def _pdis(self, kind: OpaqueType) -> tuple[bytes, ...]:
        raw = self.get(kind) or b""
        if len(raw) % _PDI:
            raise Malformed(f"NVIDIA report: {kind.name.lower()} is not a list of 8 bytes each")
        entries = (raw[at : at + _PDI] for at in range(0, len(raw), _PDI))
        return tuple(entry for entry in entries if entry != _NO_PDI)
