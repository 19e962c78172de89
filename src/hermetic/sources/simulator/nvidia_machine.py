"""The GPUs and switches of one simulated machine, and how they are linked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hermetic.errors import Misconfigured
from hermetic.evidence.composite import MAX_DEVICES
from hermetic.evidence.nvidia import FeatureMode
from hermetic.sources.simulator.nvidia_device import (
    BIOS_VERSION,
    DRIVER_VERSION,
    VBIOS_VERSION,
    NvidiaDevice,
    NvidiaGpu,
    NvidiaSwitch,
)
from hermetic.verify.nvidia import Architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class NvidiaMachine:
    """So many GPUs and switches, all alike and healthy unless told otherwise.

    ``mode`` None is the one that fits: protected PCIe with switches, else single- or multi-GPU passthrough.
    ``changes`` are fields of single devices, by position, GPUs first.  Devices are numbered from ``first``: the same
    number is the same device, with the same keys.  Raises Misconfigured for a machine without GPUs, or with too many
    devices.
    """

    gpus: int = 1
    switches: int = 0
    architecture: Architecture = Architecture.HOPPER
    mode: FeatureMode | None = None
    driver_version: str = DRIVER_VERSION
    vbios_version: str = VBIOS_VERSION
    bios_version: str = BIOS_VERSION
    first: int = 0
    changes: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.gpus < 1 or self.switches < 0 or self.gpus + self.switches > MAX_DEVICES:
            raise Misconfigured(f"a machine has at least one GPU, and at most {MAX_DEVICES} devices")

    def devices(self) -> tuple[NvidiaDevice, ...]:
        """Its devices in order, GPUs first."""
        gpu = NvidiaGpu(
            architecture=self.architecture,
            mode=self.mode or self._fitting_mode(),
            protected_pcie=bool(self.switches) or None,
            driver_version=self.driver_version,
            vbios_version=self.vbios_version,
        )
        switch = NvidiaSwitch(bios_version=self.bios_version)
        usual = (gpu,) * self.gpus + (switch,) * self.switches
        return tuple(replace(device, **self.changes.get(at, {})) for at, device in enumerate(usual))

    def _fitting_mode(self) -> FeatureMode:
        if self.switches:
            return FeatureMode.PPCIE
        return FeatureMode.SPT if self.gpus == 1 else FeatureMode.MPT
