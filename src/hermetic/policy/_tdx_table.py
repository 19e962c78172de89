"""The ``[tdx]`` table of a policy: every knob, its type and its strict default."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from hermetic.policy._intel import Hex32, Hex48, IntelPolicy, StateMask

XFAM_REQUIRED = 0x3
"""x87 and SSE: no domain runs without them (Intel TDX Module, XFAM_FIXED1)."""
XFAM_KNOWN = 0x6DBE7
"""What any public version of the TDX module lets a domain use (XFAM_FIXED0)."""

Hex20 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{40}\Z")]
ModuleVersion = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,3}\.[0-9]{1,3}\Z")]
AttributeBit = Annotated[int, msgspec.Meta(ge=1, le=63)]
NO_SERVICE_TD = "00" * 48


class TdxPolicy(IntelPolicy, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wanted of a trust domain, beside :class:`IntelPolicy`.  A plural is a list of alternatives, in hex.

    ``module_min`` is "major.minor" of the TDX module, both of the one that launched the domain and of the one that
    runs it.  Attribute bits refuse unless ``allow_attribute_bits`` names them by number, save DEBUG, SEPT_VE_DISABLE
    and MIGRATABLE, which have knobs of their own.  ``xfam_mask`` is what the domain may use of the processor's extended
    state.  ``mr_service_tds`` of zeros means: no service domain.

    ``launch_place`` is where the pinned image looks for the launch digest, or puts it: MRCONFIGID, which it compares
    before it executes anything, or an event that it measures.  Only one of them means something to it, and evidence can
    be shown without its log, so nothing but the policy can say which.

    RTMR0 is where the firmware measures what the host hands it: memory and processors, ACPI tables, variables of secure
    boot.  ACPI tables hold code (AML) that a kernel executes, so a host that nobody holds to ``rtmr0s`` can change what
    the kernel does.  ``allow_any_rtmr0`` asks for nothing there, and is for images that execute no AML of the host's.
    MRCONFIGID, MROWNER and MROWNERCONFIG are what the host stated at launch, and nobody's word but its own.

    From ``compose_hashes`` on it is about event logs (:class:`hermetic.verify.MeasuredEvents`): the word of a firmware
    and a system that ``mr_tds``, ``rtmr1s`` and ``rtmr2s`` pin.  ``key_providers`` are JSON texts as dstack writes
    them.
    """

    # DCAP 16
    quote_version_min: Annotated[int, msgspec.Meta(ge=4, le=5)] = 4
    require_tdx_1_5: bool = False
    allow_debug: bool = False
    allow_migration: bool = False
    require_sept_ve_disable: bool = True
    allow_attribute_bits: tuple[AttributeBit, ...] = ()
    xfam_mask: StateMask = XFAM_KNOWN
    mr_service_tds: tuple[Hex48, ...] = (NO_SERVICE_TD,)
    # DCAP 17
    module_min: ModuleVersion | None = None
    mr_seams: tuple[Hex48, ...] | None = None
    # DCAP 18
    mr_tds: tuple[Hex48, ...] = ()
    rtmr0s: tuple[Hex48, ...] | None = None
    allow_any_rtmr0: bool = False
    rtmr1s: tuple[Hex48, ...] | None = None
    rtmr2s: tuple[Hex48, ...] | None = None
    rtmr3s: tuple[Hex48, ...] | None = None
    launch_place: Literal["mrconfigid", "event"] = "mrconfigid"
    mr_config_ids: tuple[Hex48, ...] | None = None
    mr_owners: tuple[Hex48, ...] | None = None
    mr_owner_configs: tuple[Hex48, ...] | None = None
    # DCAP 19
    require_event_log: bool = False
    require_secure_boot: bool = False
    compose_hashes: tuple[Hex32, ...] | None = None
    app_ids: tuple[Hex20, ...] | None = None
    instance_ids: tuple[Hex20, ...] | None = None
    os_image_hashes: tuple[Hex32, ...] | None = None
    key_providers: tuple[str, ...] | None = None
