"""The SEV-SNP attestation report: 0x4A0 bytes, versions 2 to 5 (AMD 56860, 7.3, ATTESTATION_REPORT).

The parser and its inverse stand side by side, so that the simulator writes what the verifier reads.  A report that
parses has the shape of one and nothing more: nobody has looked at its signature.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from hermetic.errors import Malformed
from hermetic.evidence._snp_bits import GuestPolicy, KeyFlags, PlatformInfo, SigningKey
from hermetic.evidence._snp_tcb import TcbVersion

REPORT_LENGTH = 0x4A0
SIGNED_LENGTH = 0x2A0
VERSIONS = range(2, 6)

_ECDSA_P384_SHA384 = 1
_SCALAR = 48
_SIGNATURE_HALF = 72

_LAYOUT = (  # the signed part, little-endian: name and struct format, in the order of the specification
    ("version", "I"),  # 0x000
    ("guest_svn", "I"),
    ("policy", "Q"),
    ("family_id", "16s"),  # 0x010
    ("image_id", "16s"),
    ("vmpl", "I"),  # 0x030
    ("signature_algo", "I"),
    ("current_tcb", "8s"),
    ("platform_info", "Q"),  # 0x040
    ("flags", "I"),
    ("reserved_4c", "4s"),
    ("report_data", "64s"),  # 0x050
    ("measurement", "48s"),  # 0x090
    ("host_data", "32s"),  # 0x0C0
    ("id_key_digest", "48s"),  # 0x0E0
    ("author_key_digest", "48s"),  # 0x110
    ("report_id", "32s"),  # 0x140
    ("report_id_ma", "32s"),
    ("reported_tcb", "8s"),  # 0x180
    ("cpuid", "3s"),  # from version 3
    ("reserved_18b", "21s"),
    ("chip_id", "64s"),  # 0x1A0
    ("committed_tcb", "8s"),  # 0x1E0
    ("current_firmware", "4s"),
    ("committed_firmware", "4s"),
    ("launch_tcb", "8s"),  # 0x1F0
    ("launch_mitigations", "Q"),  # from version 5
    ("current_mitigations", "Q"),
    ("reserved_208", "152s"),
)
_NAMES = tuple(name for name, _ in _LAYOUT)
_SIGNED = struct.Struct("<" + "".join(code for _, code in _LAYOUT))

_NUMBERS = ("version", "guest_svn", "vmpl")
_BYTES = {
    "family_id": 16,
    "image_id": 16,
    "report_data": 64,
    "measurement": 48,
    "host_data": 32,
    "id_key_digest": 48,
    "author_key_digest": 48,
    "report_id": 32,
    "report_id_ma": 32,
    "chip_id": 64,
}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class FirmwareVersion:
    """A version of the SEV firmware, ordered as versions are: major, minor, build; 0 to 255 each."""

    major: int
    minor: int
    build: int

    @classmethod
    def from_bytes(cls, raw: bytes) -> FirmwareVersion:
        """Build, minor, major and a reserved byte.  Raises Malformed where that is not zero."""
        if raw[3]:
            raise Malformed("SEV-SNP report: a reserved byte beside a firmware version is not zero")
        return cls(major=raw[2], minor=raw[1], build=raw[0])

    def to_bytes(self) -> bytes:
        return bytes((self.build, self.minor, self.major, 0))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.build}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpuid:
    """Which processor the firmware ran on (from version 3)."""

    family: int
    model: int
    stepping: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EcdsaSignature:
    """An ECDSA P-384 signature: two numbers below 2**384, whatever they are worth."""

    r: int
    s: int

    @classmethod
    def from_bytes(cls, raw: bytes) -> EcdsaSignature:
        """r and s, 72 little-endian bytes each of which the upper 24 are zero, then zeros.  Raises Malformed."""
        r, s, padding = raw[:_SIGNATURE_HALF], raw[_SIGNATURE_HALF : 2 * _SIGNATURE_HALF], raw[2 * _SIGNATURE_HALF :]
        # No signature covers these bytes, so whatever stood in them would go unnoticed: only zeros may.
        if any(r[_SCALAR:]) or any(s[_SCALAR:]) or any(padding):
            raise Malformed("SEV-SNP report: the bytes around the signature are not zero")
        return cls(r=int.from_bytes(r, "little"), s=int.from_bytes(s, "little"))

    def to_bytes(self) -> bytes:
        halves = (half.to_bytes(_SCALAR, "little").ljust(_SIGNATURE_HALF, b"\0") for half in (self.r, self.s))
        return b"".join(halves).ljust(REPORT_LENGTH - SIGNED_LENGTH, b"\0")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpReport:
    """What a report says of itself, field by field in the specification's order.

    ``cpuid`` is None below version 3; ``launch_mitigations`` and ``current_mitigations`` (64-bit vectors) below 5.
    Every way of making one raises Malformed where a field has the wrong size or its version has no such field.
    """

    version: int
    guest_svn: int
    policy: GuestPolicy
    family_id: bytes
    image_id: bytes
    vmpl: int
    current_tcb: TcbVersion
    platform_info: PlatformInfo
    author_key_en: bool
    mask_chip_key: bool
    signing_key: SigningKey
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    reported_tcb: TcbVersion
    cpuid: Cpuid | None
    chip_id: bytes
    committed_tcb: TcbVersion
    current_firmware: FirmwareVersion
    committed_firmware: FirmwareVersion
    launch_tcb: TcbVersion
    launch_mitigations: int | None
    current_mitigations: int | None
    signature: EcdsaSignature = field(repr=False)

    def __post_init__(self) -> None:
        if self.version not in VERSIONS:
            raise Malformed(f"SEV-SNP report: version {self.version} is not one of 2 to 5")
        for name, length in _BYTES.items():
            if len(getattr(self, name)) != length:
                raise Malformed(f"SEV-SNP report: {name} is not {length} bytes long")
        if (self.cpuid is not None) != (self.version >= 3):
            raise Malformed("SEV-SNP report: a CPUID exists from version 3 on, and there always")
        if {self.launch_mitigations is not None, self.current_mitigations is not None} != {self.version >= 5}:
            raise Malformed("SEV-SNP report: mitigation vectors exist from version 5 on, and there always")

    @classmethod
    def from_bytes(cls, data: bytes) -> SnpReport:
        """Raises Malformed on any size but 0x4A0, another version or algorithm, or a reserved byte that is not zero."""
        if len(data) != REPORT_LENGTH:
            raise Malformed(f"SEV-SNP report: expected {REPORT_LENGTH} bytes, got {len(data)}")
        raw: dict[str, Any] = dict(zip(_NAMES, _SIGNED.unpack_from(data), strict=True))
        version, flags = raw["version"], KeyFlags.from_int(raw["flags"])
        if raw["signature_algo"] != _ECDSA_P384_SHA384:
            raise Malformed(f"SEV-SNP report: signature algorithm {raw['signature_algo']} is not 1 (ECDSA P-384)")
        for name in ("reserved_4c", "reserved_18b", "reserved_208"):
            if any(raw[name]):
                raise Malformed(f"SEV-SNP report: {name} is not zero")
        if version < 3 and any(raw["cpuid"]):
            raise Malformed("SEV-SNP report: before version 3 the bytes of CPUID are reserved and must be zero")
        if version < 5 and (raw["launch_mitigations"] or raw["current_mitigations"]):
            raise Malformed("SEV-SNP report: before version 5 the mitigation vectors are reserved and must be zero")
        family, model, stepping = raw["cpuid"]
        return cls(
            **{name: raw[name] for name in (*_NUMBERS, *_BYTES)},
            current_tcb=TcbVersion(raw=raw["current_tcb"]),
            reported_tcb=TcbVersion(raw=raw["reported_tcb"]),
            committed_tcb=TcbVersion(raw=raw["committed_tcb"]),
            launch_tcb=TcbVersion(raw=raw["launch_tcb"]),
            policy=GuestPolicy.from_int(raw["policy"]),
            platform_info=PlatformInfo.from_int(raw["platform_info"]),
            author_key_en=flags.author_key_en,
            mask_chip_key=flags.mask_chip_key,
            signing_key=flags.signing_key,
            cpuid=Cpuid(family=family, model=model, stepping=stepping) if version >= 3 else None,
            current_firmware=FirmwareVersion.from_bytes(raw["current_firmware"]),
            committed_firmware=FirmwareVersion.from_bytes(raw["committed_firmware"]),
            launch_mitigations=raw["launch_mitigations"] if version >= 5 else None,
            current_mitigations=raw["current_mitigations"] if version >= 5 else None,
            signature=EcdsaSignature.from_bytes(data[SIGNED_LENGTH:]),
        )

    def signed_bytes(self) -> bytes:
        """The 0x2A0 bytes that a signer signs.  (A verifier takes those that it received, never these.)"""
        flags = KeyFlags(
            author_key_en=self.author_key_en, mask_chip_key=self.mask_chip_key, signing_key=self.signing_key
        )
        raw: dict[str, Any] = {
            **{name: getattr(self, name) for name in (*_NUMBERS, *_BYTES)},
            "current_tcb": self.current_tcb.raw,
            "reported_tcb": self.reported_tcb.raw,
            "committed_tcb": self.committed_tcb.raw,
            "launch_tcb": self.launch_tcb.raw,
            "policy": self.policy.to_int(),
            "signature_algo": _ECDSA_P384_SHA384,
            "platform_info": self.platform_info.to_int(),
            "flags": flags.to_int(),
            "cpuid": bytes((self.cpuid.family, self.cpuid.model, self.cpuid.stepping)) if self.cpuid else b"",
            "current_firmware": self.current_firmware.to_bytes(),
            "committed_firmware": self.committed_firmware.to_bytes(),
            "launch_mitigations": self.launch_mitigations or 0,
            "current_mitigations": self.current_mitigations or 0,
        }
        return _SIGNED.pack(*(raw.get(name, b"") for name in _NAMES))

    def to_bytes(self) -> bytes:
        """The whole report, 0x4A0 bytes: the inverse of :meth:`from_bytes`."""
        return self.signed_bytes() + self.signature.to_bytes()
