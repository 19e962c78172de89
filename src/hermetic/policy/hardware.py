"""Are these the platform and devices that we want?  Each table judges its own kind; what has no table is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from hermetic.evidence import SGX, TDX
from hermetic.policy._checks import SECTION, policy_check
from hermetic.policy.lists import name_sources
from hermetic.policy.nvidia import appraise_nvidia
from hermetic.policy.platform import PlatformPolicy
from hermetic.policy.reference import ReferenceValues, current
from hermetic.policy.sgx import appraise_sgx
from hermetic.policy.snp import appraise_snp
from hermetic.policy.tdx import appraise_tdx
from hermetic.verify import Check, IntelClaims, Outcome, PlatformClaims, Root, SnpClaims
from hermetic.verify.nvidia import DeviceClaims

__all__ = ["appraise_platform", "dispensed"]


def appraise_platform(
    platform: PlatformClaims | None,
    devices: tuple[DeviceClaims, ...],
    policy: PlatformPolicy,
    *,
    at: datetime | None = None,
) -> tuple[Check, ...]:
    """Every check that ``policy`` asks for, passed and failed.  Decides nothing: the caller refuses unless all passed.

    ``at`` is the time that the claims were verified for (aware): what a release may be too old for.  Without it that is
    not performed, which is no pass.
    """
    checks = (
        *_simulation(platform, devices, policy),
        *_release(policy.release, at),
        *_platform(platform, devices, policy),
        *_devices(devices, policy),
    )
    return tuple(name_sources(checks, policy.files))


def dispensed(platform: PlatformClaims, policy: PlatformPolicy) -> frozenset[str]:
    """The checks of authenticity that this policy, by an explicit word of its own, can do without."""
    table = {TDX: policy.tdx, SGX: policy.sgx}.get(platform.tee)
    return frozenset() if table is None or table.require_second_opinion else frozenset({"dcap.second-opinion"})


def _simulation(
    platform: PlatformClaims | None, devices: tuple[DeviceClaims, ...], policy: PlatformPolicy
) -> Iterator[Check]:
    """The roots that verified decide what is simulated, and the policy must have pinned those very roots."""
    if platform is not None:
        yield _genuine("policy.simulation", "hardware", (platform.root,), policy.simulated_root, policy)
    if devices:
        table = policy.nvidia
        own = tuple(device.root for device in devices)
        pinned = None if table is None else table.simulated_device_root
        yield _genuine("policy.simulation.devices", "devices", own, pinned, policy)
        manifests = tuple(root for device in devices for root in device.manifest_roots)
        pinned = None if table is None else table.simulated_manifest_root
        yield _genuine("policy.simulation.manifests", "manifests", manifests, pinned, policy)


def _genuine(name: str, what: str, roots: tuple[Root, ...], pinned: str | None, policy: PlatformPolicy) -> Check:
    simulated = [root for root in roots if root.simulated]
    verb = "is" if what == "hardware" else "are"
    if not simulated:
        names = ", ".join(sorted({root.name for root in roots})) or "none"
        return policy_check(name, f"The {what} {verb} genuine", True, "a vendor's root", names)
    return policy_check(
        name,
        f"SIMULATED {what}, and this policy pins that simulator",
        policy.profile == "development" and all(root.sha256 == pinned for root in simulated),
        pinned or f"no simulated {what}",
        ", ".join(sorted({root.sha256 for root in simulated})),
    )


def _release(release: ReferenceValues | None, at: datetime | None) -> Iterator[Check]:
    if release is None:
        return
    name, title = "policy.release", "The release that the policy rests on has not expired"
    expected = (
        f"{release.name} {release.version}, from {release.issued:%Y-%m-%d %H:%M} to {release.not_after:%Y-%m-%d %H:%M}"
    )
    if at is None:
        yield Check(
            name=name,
            title=title,
            outcome=Outcome.NOT_PERFORMED,
            expected=expected,
            got="no time to judge it for",
            section=SECTION,
            fix="appraise for a time",
        )
        return
    yield policy_check(
        name, title, current(release, at), expected, f"{at:%Y-%m-%d %H:%M} UTC", "get a newer release from its signers"
    )


def _platform(
    platform: PlatformClaims | None, devices: tuple[DeviceClaims, ...], policy: PlatformPolicy
) -> Iterator[Check]:
    title, fix = "The platform is of a kind that we judge", "add a table for that TEE, if it is one that you want"
    expected = " or ".join(policy.tees) or "no platform, devices alone"
    if platform is None:
        yield policy_check(
            "policy.tee", title, bool(devices) and not policy.tees, expected, "no platform", "ask the platform"
        )
        return
    checks = _own_table(platform, policy)
    yield policy_check("policy.tee", title, checks is not None, expected, platform.tee, fix)
    yield from checks or ()


def _own_table(platform: PlatformClaims, policy: PlatformPolicy) -> tuple[Check, ...] | None:
    """What the table for these claims says; None where the policy has none."""
    if isinstance(platform, SnpClaims) and policy.snp is not None:
        return appraise_snp(platform, policy.snp)
    if isinstance(platform, IntelClaims) and platform.tee == TDX and policy.tdx is not None:
        return appraise_tdx(platform, policy.tdx)
    if isinstance(platform, IntelClaims) and platform.tee == SGX and policy.sgx is not None:
        return appraise_sgx(platform, policy.sgx)
    return None


def _devices(devices: tuple[DeviceClaims, ...], policy: PlatformPolicy) -> tuple[Check, ...]:
    if policy.nvidia is not None:
        return appraise_nvidia(devices, policy.nvidia)  # without devices, their number is wrong
    title, fix = "There are no devices that we do not judge", "add [nvidia] and say how many there must be"
    got = ", ".join(sorted({device.model.name for device in devices})) or "no devices"
    return (policy_check("policy.devices", title, not devices, "no devices", got, fix),)
