"""The ``[snp]`` table of a policy: every knob, its type and its strict default."""

from __future__ import annotations

from typing import Annotated

import msgspec

from hermetic.evidence import Product, Tcb

PRODUCTION_PRODUCTS = (Product.GENOA, Product.TURIN)
"""Milan is not one: software alone extracts its chips' root seed (arXiv 2605.12990), so a Milan report can be forged at
any TCB and no floor helps."""

FileName = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Svn = Annotated[int, msgspec.Meta(ge=0, le=255)]
Hex16 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
Hex48 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{96}$")]
ChipId = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{16}|[0-9a-f]{128})$")]
Version = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}$")]
AbiVersion = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,3}\.[0-9]{1,3}$")]
PolicyBit = Annotated[int, msgspec.Meta(ge=26, le=63)]
PlatformBit = Annotated[int, msgspec.Meta(ge=6, le=63)]


class TcbFloor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The oldest versions that are still wanted, component by component.  ``fmc`` is Turin's and only Turin's."""

    boot_loader: Svn
    tee: Svn
    snp: Svn
    microcode: Svn
    fmc: Svn | None = None

    def tcb(self) -> Tcb:
        return Tcb(fmc=self.fmc, boot_loader=self.boot_loader, tee=self.tee, snp=self.snp, microcode=self.microcode)


class SnpPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wanted of a platform.  Defaults are the strict ones; what is None is not asked.

    ``allow_…`` admits something that is refused otherwise, ``require_…`` refuses what lacks it.  Unknown bits are
    refused unless ``allow_policy_bits`` or ``allow_platform_bits`` names them by number.  ``launch_tcb`` None asks for
    ``tcb`` there too.  ``require_mitigations`` is a mask over the vectors of report version 5, at launch and now.  What
    ``chip_ids_file`` lists joins ``chip_ids`` when the policy is loaded.

    ``guest_svn_min``, ``family_ids`` and ``image_ids`` are about the ID block, which whoever starts the guest writes
    and signs: they mean something beside ``id_key_digests`` or ``author_key_digests`` only.
    """

    # SNP 12
    products: tuple[Product, ...] = PRODUCTION_PRODUCTS
    chip_ids: tuple[ChipId, ...] | None = None
    chip_ids_file: FileName | None = None
    vlek_providers: tuple[str, ...] = ()
    # SNP 11
    measurements: tuple[Hex48, ...] = ()
    id_key_digests: tuple[Hex48, ...] | None = None
    author_key_digests: tuple[Hex48, ...] | None = None
    family_ids: tuple[Hex16, ...] | None = None
    image_ids: tuple[Hex16, ...] | None = None
    # SNP 10
    report_version_min: Annotated[int, msgspec.Meta(ge=2, le=5)] = 3
    vmpl: Annotated[int, msgspec.Meta(ge=0, le=3)] = 0
    guest_svn_min: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] = 0
    tcb: dict[Product, TcbFloor] = {}
    launch_tcb: dict[Product, TcbFloor] | None = None
    firmware_min: dict[Product, Version] = {}
    allow_provisional_firmware: bool = False
    require_mitigations: Annotated[int, msgspec.Meta(ge=0)] = 0
    # SNP 9
    require_alias_check: bool = True
    require_ecc: bool = False
    require_tsme: bool = False
    require_platform_rapl_disabled: bool = False
    require_platform_ciphertext_hiding: bool = False
    allow_tio: bool = False
    allow_platform_bits: tuple[PlatformBit, ...] = ()
    # SNP 8
    abi_min: AbiVersion | None = None
    allow_debug: bool = False
    allow_migration: bool = False
    allow_smt: bool = True
    allow_cxl: bool = False
    require_single_socket: bool = False
    require_aes_256_xts: bool = False
    require_rapl_disabled: bool = False
    require_ciphertext_hiding: bool = False
    require_page_swap_disabled: bool = False
    allow_policy_bits: tuple[PolicyBit, ...] = ()
