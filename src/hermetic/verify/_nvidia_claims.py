"""What a device proved about itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from hermetic.evidence.nvidia import FeatureMode, NvidiaReport
from hermetic.verify._checks import Check, Outcome
from hermetic.verify._nvidia_model import Model, RimNames
from hermetic.verify.roots import Root


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceClaims:
    """Authentic evidence of one GPU or NVSwitch: NVIDIA's root stands behind every field.

    Only :func:`hermetic.verify.nvidia.verify_device` makes one.  ``ueid`` is the serial number of the key that signed,
    in decimal, as NVIDIA's attestation service writes it.  ``manifest_roots`` are those behind the manifests that were
    compared.  ``dates`` are those of authentic endorsements: no honest clock is earlier.

    What no report says: that this device is the one that the CPU talks to.  Nothing ties the two in hardware before
    TDISP, so a device elsewhere can answer through a relay unless the nonce and the workload rule it out.
    """

    device: str
    root: Root
    manifest_roots: tuple[Root, ...]
    model: Model
    ueid: str
    report: NvidiaReport = field(repr=False)
    rim_names: RimNames
    dates: tuple[datetime, ...]
    checks: tuple[Check, ...] = field(repr=False)

    @property
    def simulated(self) -> bool:
        """Derives solely from the roots that verified, never from what the evidence says of itself."""
        return self.root.simulated or any(root.simulated for root in self.manifest_roots)

    @property
    def complete(self) -> bool:
        """Whether every check was performed.  What was not performed is never a pass."""
        return all(check.outcome is Outcome.PASS for check in self.checks)

    @property
    def nonce(self) -> bytes:
        return self.report.nonce

    @property
    def driver_version(self) -> str | None:
        return self.report.opaque.driver_version

    @property
    def firmware_version(self) -> str:
        return self.report.opaque.firmware_version

    @property
    def mode(self) -> FeatureMode | None:
        """How the GPU is shared and linked; None for a switch, and where the driver is too old to say."""
        return self.report.opaque.mode
