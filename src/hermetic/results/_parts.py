"""Verified claims become the parts of a verdict."""

from __future__ import annotations

from hermetic.identity import name_devices
from hermetic.results._device_claims import device_claims
from hermetic.results._platform_claims import platform_claims
from hermetic.results.verdict import Part
from hermetic.verify import PlatformClaims
from hermetic.verify.nvidia import DeviceClaims


def platform_part(claims: PlatformClaims) -> Part:
    return Part(
        name="cpu0", kind=claims.tee, authentic=True, simulated=claims.simulated, claims=platform_claims(claims)
    )


def device_parts(devices: tuple[DeviceClaims, ...]) -> tuple[Part, ...]:
    return tuple(
        Part(
            name=name,
            kind=device.device,
            authentic=True,
            simulated=device.simulated,
            claims=device_claims(device),
            nonce=device.nonce,
        )
        for name, device in zip(name_devices(devices), devices, strict=True)
    )
