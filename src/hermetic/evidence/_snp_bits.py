"""The three bit fields of a SEV-SNP report: guest policy, platform info and key flags (AMD 56860, 4.3 and 7.3).

Unknown bits are kept, apart from the known ones, so that a policy can refuse them; none is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from hermetic.errors import Malformed


class GuestPolicyFlag(IntFlag):
    """What the guest's owner allowed or demanded at launch (bits 16 to 25 of POLICY)."""

    SMT = 1 << 16
    """Simultaneous multithreading may be on."""
    RESERVED_ONE = 1 << 17
    """Must be one."""
    MIGRATE_MA = 1 << 18
    """A migration agent may be associated with the guest."""
    DEBUG = 1 << 19
    """The host may read and write the guest's memory."""
    SINGLE_SOCKET = 1 << 20
    """The guest runs on one socket only."""
    CXL_ALLOW = 1 << 21
    """CXL devices and memory may be populated."""
    MEM_AES_256_XTS = 1 << 22
    """Memory encryption must be AES-256-XTS."""
    RAPL_DIS = 1 << 23
    """Running-average-power-limit readings must be disabled."""
    CIPHERTEXT_HIDING_DRAM = 1 << 24
    """The host must not see DRAM ciphertext."""
    PAGE_SWAP_DISABLE = 1 << 25
    """The host may not move, swap or read back the guest's pages."""


class PlatformFlag(IntFlag):
    """How the platform is configured (PLATFORM_INFO)."""

    SMT_EN = 1 << 0
    TSME_EN = 1 << 1
    ECC_EN = 1 << 2
    RAPL_DIS = 1 << 3
    CIPHERTEXT_HIDING_DRAM_EN = 1 << 4
    ALIAS_CHECK_COMPLETE = 1 << 5
    """Memory was checked for aliasing addresses since the last reset (BadRAM, CVE-2024-21944)."""
    TIO_EN = 1 << 7


class SigningKey(IntEnum):
    """Which kind of key signed the report (bits 2 to 4 of the flags at 0x48)."""

    VCEK = 0
    """The chip's own key."""
    VLEK = 1
    """A key that a cloud provider loaded."""
    NONE = 7
    """Nobody signed."""


_POLICY_KNOWN = sum(GuestPolicyFlag)
_PLATFORM_KNOWN = sum(PlatformFlag)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestPolicy:
    """POLICY at 0x08.  ``unknown`` holds, in place, every set bit that this version has no name for."""

    abi_major: int
    abi_minor: int
    flags: GuestPolicyFlag
    unknown: int = 0

    @classmethod
    def from_int(cls, value: int) -> GuestPolicy:
        """Never fails: every 64-bit value says something."""
        flags = value & ~0xFFFF
        return cls(
            abi_major=value >> 8 & 0xFF,
            abi_minor=value & 0xFF,
            # Masked first: Python keeps every value of a flag that it ever saw, and these bits are a stranger's.
            flags=GuestPolicyFlag(flags & _POLICY_KNOWN),
            unknown=flags & ~_POLICY_KNOWN,
        )

    def to_int(self) -> int:
        return self.abi_major << 8 | self.abi_minor | int(self.flags) | self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformInfo:
    """PLATFORM_INFO at 0x40.  ``unknown`` as in :class:`GuestPolicy`."""

    flags: PlatformFlag
    unknown: int = 0

    @classmethod
    def from_int(cls, value: int) -> PlatformInfo:
        """Never fails: every 64-bit value says something."""
        return cls(flags=PlatformFlag(value & _PLATFORM_KNOWN), unknown=value & ~_PLATFORM_KNOWN)

    def to_int(self) -> int:
        return int(self.flags) | self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFlags:
    """The flags at 0x48: which key signed, and what the platform masks."""

    author_key_en: bool
    mask_chip_key: bool
    signing_key: SigningKey

    @classmethod
    def from_int(cls, value: int) -> KeyFlags:
        """Raises Malformed for a reserved signing key or a reserved bit."""
        if value >> 5:
            raise Malformed(f"SEV-SNP report: reserved flags are set (0x{value:08x})")
        try:
            signing_key = SigningKey(value >> 2 & 0b111)
        except ValueError:
            raise Malformed(f"SEV-SNP report: signing key {value >> 2 & 0b111} is reserved") from None
        return cls(author_key_en=bool(value & 1), mask_chip_key=bool(value & 2), signing_key=signing_key)

    def to_int(self) -> int:
        return int(self.author_key_en) | int(self.mask_chip_key) << 1 | int(self.signing_key) << 2
