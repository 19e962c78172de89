"""What is wrong with a ``[tdx]`` table before anybody relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from hermetic.policy._finding import Finding, empty_list, too_lax
from hermetic.policy._intel import lint_intel
from hermetic.policy._tdx_table import XFAM_REQUIRED, TdxPolicy

_TUD = range(8)
"""Attribute bits of which any one makes the domain untrusted, whatever it means."""

_EVENTS = ("compose_hashes", "app_ids", "instance_ids", "os_image_hashes", "key_providers")
_OPTIONAL = (
    "rtmr0s",
    "rtmr1s",
    "rtmr2s",
    "rtmr3s",
    "mr_seams",
    "mr_config_ids",
    "mr_owners",
    "mr_owner_configs",
    "mr_service_tds",
    *_EVENTS,
)


def lint_tdx(policy: TdxPolicy, profile: Literal["production", "development"]) -> Iterator[Finding]:
    """What is wrong with the table by itself, then what a production profile may not say."""
    yield from lint_intel(policy, "tdx", profile)
    if not policy.mr_tds:
        yield Finding(code="pins_no_mr_tds", message="tdx.mr_tds is empty, so nothing would be accepted")
    for field in _OPTIONAL:
        if getattr(policy, field) == ():
            yield empty_list("tdx", field)
    if policy.xfam_mask & XFAM_REQUIRED != XFAM_REQUIRED:
        yield Finding(
            code="xfam_impossible",
            message=f"tdx.xfam_mask = 0x{policy.xfam_mask:x} forbids what every domain uses",
            fix=f"let it include 0x{XFAM_REQUIRED:x}",
        )
    if policy.allow_any_rtmr0 and policy.rtmr0s is not None:
        yield Finding(
            code="rtmr0_contradiction",
            message="tdx pins rtmr0s and allows any",
            fix="remove allow_any_rtmr0",
        )
    if policy.require_secure_boot and policy.rtmr0s is None:
        yield Finding(
            code="secure_boot_unpinned",
            message="tdx.require_secure_boot without rtmr0s: the host chooses whose signatures secure boot takes",
            fix="pin rtmr0s, which the keys are measured into, or leave it out",
        )
    named = {28: "require_sept_ve_disable = false", 29: "allow_migration = true"}
    for bit in policy.allow_attribute_bits:
        if bit in named:
            yield Finding(
                code="bit_has_a_knob",
                message=f"tdx.allow_attribute_bits names bit {bit}, which has a knob of its own",
                fix=f"say {named[bit]}",
            )
    if profile == "production":
        yield from _lint_production(policy)


def _lint_production(policy: TdxPolicy) -> Iterator[Finding]:
    if policy.rtmr0s is None and not policy.allow_any_rtmr0:
        yield Finding(
            code="pins_no_rtmr0s",
            message="tdx.rtmr0s is not stated: the host may hand the kernel ACPI tables with code of its own",
            fix="pin rtmr0s for each size of machine, or say allow_any_rtmr0 = true if the image executes no such code",
        )
    for field, what in (("rtmr1s", "the kernel"), ("rtmr2s", "its command line and initial file system")):
        if getattr(policy, field) is None:
            yield Finding(
                code=f"pins_no_{field}",
                message=f"tdx.{field} is not stated: MRTD names the firmware, and nothing names {what}",
                fix=f"pin {field}: what your image boots, computed beforehand or read from a machine you trust",
            )
    forbidden = {
        "allow_debug": policy.allow_debug,
        "allow_migration": policy.allow_migration,
        "require_sept_ve_disable = false": not policy.require_sept_ve_disable,
        "allow_attribute_bits below 8": any(bit in _TUD for bit in policy.allow_attribute_bits),
    }
    for words, said in forbidden.items():
        if said:
            yield too_lax("tdx", words)
