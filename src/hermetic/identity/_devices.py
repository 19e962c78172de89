"""The devices of a report: each authentic, asked by this very workload, and named by what the platform signed.

    devices 1   the platform signed exactly these devices' evidence      (with its report data: one digest, in order)
    devices 2   each is authentic and answers the nonce that keyset, question and context make
    devices 3   they are one machine

A device that stands elsewhere answers another workload's nonce, and one that is swapped in later is not in the digest.
What no signature says: that these are the devices that the CPU talks to (:class:`DeviceLink`).
"""

from __future__ import annotations

import enum
from dataclasses import replace
from datetime import datetime

from hermetic.errors import Malformed, NotAuthentic
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.verify import Check
from hermetic.verify.nvidia import DeviceClaims, NvidiaRoots, check_machine, verify_device

__all__ = ["DeviceLink", "name_devices", "verify_devices"]


class DeviceLink(enum.StrEnum):
    """What ties the devices to the CPU.

    ``SOFTWARE``: the measured workload asked them over its own driver session, and nothing in hardware says that the
    answers came from this machine's bus.  Only TDISP (TEE-IO) will: no evidence of it is verified yet.
    """

    SOFTWARE = "software"


def verify_devices(
    devices: tuple[DeviceBundle, ...], *, roots: NvidiaRoots, now: datetime, nonce: bytes, endorsements_required: bool
) -> tuple[tuple[DeviceClaims, ...], tuple[Check, ...]]:
    """The claims of every device, and all checks: each device's under its own name ("gpu0.nvidia.signature").

    ``nonce`` is :meth:`Binding.device_nonce`.  ``endorsements_required`` False is for recorded evidence that was kept
    without answers about revocation: what is missing is "not performed".  Raises NotAuthentic or Malformed at the
    first check that fails, naming the device.
    """
    claims: list[DeviceClaims] = []
    checks: list[Check] = []
    # 2. Each for itself.
    for number, bundle in enumerate(devices):
        try:
            device = verify_device(bundle, roots=roots, now=now, nonce=nonce, revocation_required=endorsements_required)
        except (Malformed, NotAuthentic) as refusal:
            refused = type(refusal)(f"device {number}: {refusal.message}", code=refusal.code, fix=refusal.fix)
            refused.checks = (*checks, *refusal.checks)
            raise refused from refusal
        claims.append(device)
    # 3. All together.
    for name, device in zip(name_devices(tuple(claims)), claims, strict=True):
        checks += (replace(check, name=f"{name}.{check.name}") for check in device.checks)
    return tuple(claims), (*checks, *check_machine(tuple(claims), nonce=nonce))


def name_devices(devices: tuple[DeviceClaims, ...]) -> tuple[str, ...]:
    """A name for each, in order: gpu0, gpu1, …, switch0, …"""
    counts = {"gpu": 0, "switch": 0}
    names = []
    for device in devices:
        kind = "switch" if device.model.is_switch else "gpu"
        names.append(f"{kind}{counts[kind]}")
        counts[kind] += 1
    return tuple(names)
