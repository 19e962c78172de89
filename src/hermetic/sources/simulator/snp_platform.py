"""How a simulated SEV-SNP platform is set up: one knob for each thing that a policy can ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hermetic.evidence import (
    Cpuid,
    EcdsaSignature,
    FirmwareVersion,
    GuestPolicy,
    GuestPolicyFlag,
    PlatformFlag,
    PlatformInfo,
    Product,
    SigningKey,
    SnpReport,
    Tcb,
)

_HEALTHY_POLICY = GuestPolicy(
    abi_major=1,
    abi_minor=55,
    flags=GuestPolicyFlag.RESERVED_ONE
    | GuestPolicyFlag.SINGLE_SOCKET
    | GuestPolicyFlag.MEM_AES_256_XTS
    | GuestPolicyFlag.RAPL_DIS
    | GuestPolicyFlag.CIPHERTEXT_HIDING_DRAM
    | GuestPolicyFlag.PAGE_SWAP_DISABLE,
)
_HEALTHY_INFO = PlatformInfo(
    flags=PlatformFlag.TSME_EN
    | PlatformFlag.ECC_EN
    | PlatformFlag.RAPL_DIS
    | PlatformFlag.CIPHERTEXT_HIDING_DRAM_EN
    | PlatformFlag.ALIAS_CHECK_COMPLETE,
)

# Levels and processors of machines that exist; what a healthy one of each product reports.
TCBS: Mapping[Product, Tcb] = MappingProxyType(
    {
        Product.MILAN: Tcb(boot_loader=4, tee=0, snp=24, microcode=219),
        Product.GENOA: Tcb(boot_loader=10, tee=0, snp=25, microcode=84),
        Product.TURIN: Tcb(fmc=0, boot_loader=1, tee=0, snp=2, microcode=71),
    }
)
CPUIDS: Mapping[Product, Cpuid] = MappingProxyType(
    {
        Product.MILAN: Cpuid(family=0x19, model=0x01, stepping=1),
        Product.GENOA: Cpuid(family=0x19, model=0x11, stepping=1),
        Product.TURIN: Cpuid(family=0x1A, model=0x02, stepping=1),
    }
)
_FIRMWARE = FirmwareVersion(major=1, minor=55, build=61)
_UNSIGNED = EcdsaSignature(r=0, s=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpPlatform:
    """A platform and the guest on it, healthy unless told otherwise.

    A TCB left None is the healthy one of the product; ``cpuid`` likewise.  ``mask_chip_id`` hides the chip's identity
    as a host may.  Mitigation vectors are reported from version 5 on, a CPUID from version 3 on.
    """

    version: int = 5
    signing_key: SigningKey = SigningKey.VCEK
    policy: GuestPolicy = _HEALTHY_POLICY
    platform_info: PlatformInfo = _HEALTHY_INFO
    guest_svn: int = 1
    vmpl: int = 0
    family_id: bytes = bytes(16)
    image_id: bytes = bytes(16)
    id_key_digest: bytes = bytes(48)
    author_key_digest: bytes = bytes(48)
    author_key_en: bool = False
    mask_chip_key: bool = False
    mask_chip_id: bool = False
    report_id_ma: bytes = b"\xff" * 32
    current_tcb: Tcb | None = None
    committed_tcb: Tcb | None = None
    reported_tcb: Tcb | None = None
    launch_tcb: Tcb | None = None
    cpuid: Cpuid | None = None
    current_firmware: FirmwareVersion = _FIRMWARE
    committed_firmware: FirmwareVersion = _FIRMWARE
    launch_mitigations: int = 0b11
    current_mitigations: int = 0b11

    def reported(self, product: Product) -> Tcb:
        """The TCB that the signing key is derived for."""
        return self.reported_tcb or TCBS[product]

    def report(
        self,
        product: Product,
        *,
        chip_id: bytes,
        report_id: bytes,
        report_data: bytes,
        measurement: bytes,
        host_data: bytes,
    ) -> SnpReport:
        """The report, not yet signed."""

        def level(tcb: Tcb | None) -> Tcb:
            return tcb or TCBS[product]

        vectors = self.version >= 5
        return SnpReport(
            version=self.version,
            guest_svn=self.guest_svn,
            policy=self.policy,
            family_id=self.family_id,
            image_id=self.image_id,
            vmpl=self.vmpl,
            current_tcb=level(self.current_tcb).encode(product),
            platform_info=self.platform_info,
            author_key_en=self.author_key_en,
            mask_chip_key=self.mask_chip_key,
            signing_key=self.signing_key,
            report_data=report_data,
            measurement=measurement,
            host_data=host_data,
            id_key_digest=self.id_key_digest,
            author_key_digest=self.author_key_digest,
            report_id=report_id,
            report_id_ma=self.report_id_ma,
            reported_tcb=level(self.reported_tcb).encode(product),
            cpuid=(self.cpuid or CPUIDS[product]) if self.version >= 3 else None,
            chip_id=bytes(64) if self.mask_chip_id else chip_id.ljust(64, b"\0"),
            committed_tcb=level(self.committed_tcb).encode(product),
            current_firmware=self.current_firmware,
            committed_firmware=self.committed_firmware,
            launch_tcb=level(self.launch_tcb).encode(product),
            launch_mitigations=self.launch_mitigations if vectors else None,
            current_mitigations=self.current_mitigations if vectors else None,
            signature=_UNSIGNED,
        )
