"""Which trusted execution environment this machine has, and what collects its evidence.

:func:`detect` looks only: nothing is opened, written or asked, so a finding says what is there, not that it works.
:func:`collector` makes the source that asks.
"""

from __future__ import annotations

import enum
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from hermetic.errors import Unavailable
from hermetic.evidence import EvidenceSource
from hermetic.sources.simulator.device import OPTION, inherited_device

__all__ = ["Askers", "Finding", "Platform", "collector", "detect"]


class Askers(enum.StrEnum):
    """Who, on this side of the hardware, can have evidence made over report data of their choice.

    Evidence cannot say more than that one of them asked: where it is anybody, another program of the same machine can
    pass for the workload, and what runs there has to be pinned.
    """

    LAUNCHED = "the launched process alone"
    ENCLAVE = "this enclave's process alone"
    ADMITTED = "root, and whom the file's permissions admit"
    ANYBODY = "any process that reaches the socket"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One interface that was looked for.

    ``tee`` is what its evidence would be of; ``collector`` is the module that collects it, or None where this version
    has none.  ``device`` is whether it speaks of a device beside the platform.
    """

    name: str
    tee: str
    place: str
    present: bool
    collector: str | None
    askers: Askers = Askers.UNKNOWN
    device: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """All that was looked for, in the order of preference."""

    findings: tuple[Finding, ...]

    @property
    def used(self) -> Finding | None:
        """The interface that evidence is collected from: the platform's first that is present and has a collector."""
        return next((found for found in self._usable if not found.device), None)

    @property
    def devices(self) -> tuple[Finding, ...]:
        """The interfaces of devices that are present and have a collector; in which mode they run is not known yet."""
        return tuple(found for found in self._usable if found.device)

    @property
    def simulated(self) -> bool:
        """Whether evidence would come from a simulator.  A hint for this machine's user; verifiers go by the root."""
        return self.used is not None and self.used.place.endswith(OPTION)

    @property
    def summary(self) -> str:
        """One sentence for a person."""
        if self.used is not None:
            return f"{self.used.tee}, through {self.used.name}"
        present = [found.name for found in self.findings if found.present and not found.collector]
        if present:
            return f"found {', '.join(present)}, which this version cannot collect evidence from yet"
        return "no trusted execution environment was found"

    @property
    def _usable(self) -> tuple[Finding, ...]:
        return tuple(found for found in self.findings if found.present and found.collector)


_SOURCES = "hermetic.sources."


def collector(found: Finding, root: Path = Path("/")) -> EvidenceSource:
    """The source behind a platform's finding, beneath the ``root`` that was searched.  Nothing is asked yet.

    Raises Unavailable where this version has none, and Misconfigured where a simulator's descriptor is no such thing.
    """
    # A collector is imported when it is used: what runs on one platform has no need of the others.
    place, ccel = root / found.place.lstrip("/"), root / "sys/firmware/acpi/tables/data/CCEL"
    match (found.collector or "").removeprefix(_SOURCES):
        case "simulator.device":
            return _simulated_device()
        case "tsm":
            from hermetic.sources.tsm import TsmSource

            return TsmSource(place, ccel=ccel)
        case "sev_guest":
            from hermetic.sources.sev_guest import SevGuestSource

            return SevGuestSource(place)
        case "tdx_guest":
            from hermetic.sources.tdx_guest import TdxGuestSource

            return TdxGuestSource(place, ccel=ccel)
        case "dstack":
            from hermetic.sources.dstack import DstackSource

            return DstackSource(place)
        case "gramine":
            from hermetic.sources.gramine import GramineSource

            return GramineSource(place.parent)
    raise Unavailable(f"this version collects no evidence of a platform through {found.name}")


def _simulated_device() -> EvidenceSource:
    device = inherited_device()
    if device is None:
        raise Unavailable("this process was not launched by a simulated platform")
    return device


_AZURE_ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"


def detect(root: Path = Path("/")) -> Platform:
    """Looks beneath ``root`` for every interface that is known, and whether a simulated platform launched us.

    dstack comes before the kernel's own interface: its agent has the event log that names the application.  A vTPM is
    a hint only: ordinary machines of the same cloud have one too.  So is a GPU, in whatever mode it runs.
    """

    def at(
        tee: str,
        name: str,
        place: str,
        collector: str | None = None,
        *,
        and_also: str = "",
        askers: Askers = Askers.ADMITTED,
        device: bool = False,
    ) -> Finding:
        return Finding(
            name=name,
            tee=tee,
            place=f"/{place}",
            present=(root / place).exists() and (not and_also or (root / and_also).exists()),
            collector=collector and _SOURCES + collector,
            askers=askers,
            device=device,
        )

    tsm, cca = "sys/kernel/config/tsm/report", "sys/bus/platform/drivers/arm-cca-guest"
    return Platform(
        findings=(
            Finding(
                name="hermetic simulator",
                tee="a SIMULATED TEE",
                place=f"python -X {OPTION}",
                present=OPTION in sys._xoptions,
                collector=_SOURCES + "simulator.device",
                askers=Askers.LAUNCHED,
            ),
            at("Intel SGX", "Gramine", "dev/attestation/quote", "gramine", askers=Askers.ENCLAVE),
            at("Intel TDX", "dstack", _dstack_socket(root), "dstack", askers=Askers.ANYBODY),
            at("AMD SEV-SNP", "configfs-tsm, sev_guest", tsm, "tsm", and_also="dev/sev-guest"),
            at("AMD SEV-SNP", "/dev/sev-guest", "dev/sev-guest", "sev_guest"),
            at("Intel TDX", "configfs-tsm, tdx_guest", tsm, "tsm", and_also="dev/tdx_guest"),
            at("Intel TDX", "/dev/tdx_guest", "dev/tdx_guest", "tdx_guest"),
            at("Arm CCA", "configfs-tsm, arm_cca_guest", tsm, and_also=cca),
            at("AWS Nitro Enclaves", "Nitro Secure Module", "dev/nsm"),
            _cloud_vtpm(root, "SEV-SNP or TDX", "Azure vTPM", "chassis_asset_tag", _AZURE_ASSET_TAG),
            _cloud_vtpm(root, "SEV-SNP or TDX", "Google Cloud vTPM", "product_name", "Google Compute Engine"),
            at("NVIDIA GPU", "NVML", "proc/driver/nvidia/version", "nvml", device=True),
        )
    )


def _dstack_socket(root: Path) -> str:
    """Where the agent listens, relative to ``root``; the usual place where it does not."""
    from hermetic.sources.dstack import SOCKETS, find_socket

    found = find_socket(root)
    return SOCKETS[0] if found is None else os.fspath(found.relative_to(root))


def _cloud_vtpm(root: Path, tee: str, name: str, attribute: str, expected: str) -> Finding:
    hint = root / "sys/class/dmi/id" / attribute
    present = (root / "dev/tpmrm0").exists() and _text(hint) == expected
    return Finding(name=name, tee=tee, place="/dev/tpmrm0", present=present, collector=None)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
