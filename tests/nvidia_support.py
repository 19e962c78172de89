"""NVIDIA evidence for tests: what real devices once signed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from hermetic.evidence.nvidia import DeviceBundle, nvat_evidence
from hermetic.evidence.pem import certificates_from_pem
from hermetic.verify.nvidia import NVIDIA_ROOTS, DeviceClaims, verify_device
from vectors import ROOT

RECORDED = ROOT / "attestation"
HOPPER, SWITCH = "hopper-545.00-full", "nvswitch-ls10-full"
HOPPER_RIMS = {
    "NV_GPU_DRIVER_GH100_545.00": f"nvidia/{HOPPER}/driver_rim.swidtag",
    "NV_GPU_VBIOS_1010_0200_882_96005E0001": f"nvidia/{HOPPER}/vbios_rim.swidtag",
}
SWITCH_RIMS = {"NV_SWITCH_BIOS_5612_0002_890_9610550001": f"nvidia/{SWITCH}/bios_rim.xml"}
IN_2024 = datetime(2024, 6, 1, tzinfo=UTC)
IN_2026 = datetime(2026, 6, 1, tzinfo=UTC)


@cache
def read(file: str | Path) -> bytes:
    return (RECORDED / file).read_bytes()


def recorded(folder: str, rims: dict[str, str] | None = None, chain: str = "chain.pem") -> DeviceBundle:
    """One recorded device with those manifests: names of NVIDIA's, and files."""
    place = Path("nvidia") / folder
    return DeviceBundle(
        evidence=bytes.fromhex(read(place / "report.hex").decode().strip()),
        certificates=certificates_from_pem(read(place / chain)),
        rims={name: read(file) for name, file in (rims or {}).items()},
    )


def stated(file: str) -> tuple[DeviceBundle, bytes]:
    """The one entry of one of NVIDIA's own evidence files, and the nonce that it states."""
    (entry,) = nvat_evidence(json.loads(read(file)))
    return entry.bundle, entry.nonce


def verified(bundle: DeviceBundle, at: datetime, **changes: Any) -> DeviceClaims:
    """What the verifier makes of it, without answers about revocation: none was recorded."""
    asked: dict[str, Any] = {
        "roots": NVIDIA_ROOTS,
        "now": at,
        "nonce": None,
        "revocation_required": False,
        "rims_required": False,
    }
    return verify_device(bundle, **(asked | changes))


def flipped(data: bytes, bit: int) -> bytes:
    mutant = bytearray(data)
    mutant[bit // 8] ^= 1 << bit % 8
    return bytes(mutant)


def with_evidence(bundle: DeviceBundle, evidence: bytes) -> DeviceBundle:
    return replace(bundle, evidence=evidence)
