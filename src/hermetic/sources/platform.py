"""Which trusted execution environment this machine has, and how evidence would be collected.

Looks only: nothing is opened, written or asked, so a finding says what is there, not that it works.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from hermetic.sources.simulator.device import OPTION

__all__ = ["Finding", "Platform", "detect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One interface that was looked for.

    ``tee`` is what its evidence would be of; ``collector`` is how this version collects it, or None where it cannot
    yet.
    """

    name: str
    tee: str
    place: str
    present: bool
    collector: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """All that was looked for, in the order of preference."""

    findings: tuple[Finding, ...]

    @property
    def used(self) -> Finding | None:
        """The interface that evidence would be collected from: the first that is present and has a collector."""
        return next((found for found in self.findings if found.present and found.collector), None)

    @property
    def simulated(self) -> bool:
        """Whether evidence would come from a simulator.  A hint for this machine's user; verifiers go by the root."""
        return self.used is not None and self.used.place.endswith(OPTION)

    @property
    def summary(self) -> str:
        """One sentence for a person."""
        if self.used is not None:
            return f"{self.used.tee}, through {self.used.name}"
        present = [found.name for found in self.findings if found.present]
        if present:
            return f"found {', '.join(present)}, which this version cannot collect evidence from yet"
        return "no trusted execution environment was found"


_AZURE_ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"


def detect(root: Path = Path("/")) -> Platform:
    """Looks beneath ``root`` for every interface that is known, and whether a simulated platform launched us.

    A vTPM is a hint only: ordinary machines of the same cloud have one too.  So is a GPU, in whatever mode it runs.
    """

    def at(tee: str, name: str, place: str, collector: str | None = None, *, and_also: str = "") -> Finding:
        present = (root / place).exists() and (not and_also or (root / and_also).exists())
        return Finding(name=name, tee=tee, place=f"/{place}", present=present, collector=collector)

    tsm = "sys/kernel/config/tsm/report"
    return Platform(
        findings=(
            Finding(
                name="hermetic simulator",
                tee="SIMULATED AMD SEV-SNP",
                place=f"python -X {OPTION}",
                present=OPTION in sys._xoptions,
                collector="hermetic.sources.simulator.device",
            ),
            at("AMD SEV-SNP", "configfs-tsm, sev_guest", tsm, "hermetic.sources.tsm", and_also="dev/sev-guest"),
            at("AMD SEV-SNP", "/dev/sev-guest", "dev/sev-guest"),
            at("Intel TDX", "configfs-tsm, tdx_guest", tsm, and_also="dev/tdx_guest"),
            at("Intel TDX", "/dev/tdx_guest", "dev/tdx_guest"),
            at("Intel TDX", "dstack", "var/run/dstack.sock"),
            at("Intel SGX", "Gramine", "dev/attestation/quote"),
            at("Arm CCA", "configfs-tsm, arm_cca_guest", tsm, and_also="sys/bus/platform/drivers/arm-cca-guest"),
            at("AWS Nitro Enclaves", "Nitro Secure Module", "dev/nsm"),
            _cloud_vtpm(root, "SEV-SNP or TDX", "Azure vTPM", "chassis_asset_tag", _AZURE_ASSET_TAG),
            _cloud_vtpm(root, "SEV-SNP or TDX", "Google Cloud vTPM", "product_name", "Google Compute Engine"),
            at("NVIDIA GPU", "NVML", "proc/driver/nvidia/version"),
        )
    )


def _cloud_vtpm(root: Path, tee: str, name: str, attribute: str, expected: str) -> Finding:
    hint = root / "sys/class/dmi/id" / attribute
    present = (root / "dev/tpmrm0").exists() and _text(hint) == expected
    return Finding(name=name, tee=tee, place="/dev/tpmrm0", present=present, collector=None)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
