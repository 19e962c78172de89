"""A whole simulated machine: a processor of one vendor, and perhaps GPUs and switches."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from hermetic.errors import Misconfigured
from hermetic.evidence import SEV_SNP, SGX, TDX, DeviceSource, EvidenceBundle, EvidenceSource
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.sources.simulator.amd import SimulatedAmd
from hermetic.sources.simulator.intel import SimulatedIntel
from hermetic.sources.simulator.nvidia import SimulatedNvidia
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.sources.simulator.sgx_platform import SgxPlatform
from hermetic.sources.simulator.snp_platform import SnpPlatform
from hermetic.sources.simulator.tdx_platform import TdxPlatform
from hermetic.wire import Digest

Platform = SnpPlatform | TdxPlatform | SgxPlatform

_NAMES = {SEV_SNP: "AMD SEV-SNP", TDX: "Intel TDX", SGX: "Intel SGX"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedMachine:
    """What it is made of.  ``platform`` None is a healthy one; ``nvidia`` and ``devices`` come together.

    Raises Misconfigured for a processor that has no such TEE.
    """

    tee: str = SEV_SNP
    cpu: SimulatedAmd | SimulatedIntel = field(repr=False)
    platform: Platform | None = None
    nvidia: SimulatedNvidia | None = field(default=None, repr=False)
    devices: NvidiaMachine | None = None

    def __post_init__(self) -> None:
        if isinstance(self.cpu, SimulatedAmd) != (self.tee == SEV_SNP) or self.tee not in _NAMES:
            raise Misconfigured(f"no simulated processor of this vendor has {self.tee}")
        if (self.nvidia is None) != (self.devices is None):
            raise Misconfigured("a machine with devices needs their vendor, and no other does")

    @property
    def summary(self) -> str:
        """For people: "AMD SEV-SNP (Genoa)", "Intel TDX, 8 GPUs, 4 switches"."""
        parts = [_NAMES[self.tee] + (f" ({self.cpu.product})" if isinstance(self.cpu, SimulatedAmd) else "")]
        if self.devices is not None:
            gpus, switches = self.devices.gpus, self.devices.switches
            parts += [f"{gpus} GPU{'' if gpus == 1 else 's'}"]
            parts += [f"{switches} switch{'' if switches == 1 else 'es'}"] if switches else []
        return ", ".join(parts)

    @property
    def root_digest(self) -> Digest:
        """What a relying party pins as ``simulated_root``: the processor's."""
        return self.cpu.root_digest

    @property
    def device_count(self) -> int:
        return 0 if self.devices is None else self.devices.gpus + self.devices.switches

    def source(self, launch_digest: bytes) -> EvidenceSource:
        """Evidence for one launch (32 bytes): nobody but the machine says what was launched."""
        return _Launched(machine=self, launch_digest=launch_digest)

    def device_source(self) -> DeviceSource | None:
        """Evidence of the devices; None where there are none."""
        if self.nvidia is None or self.devices is None:
            return None
        return _Devices(nvidia=self.nvidia, devices=self.devices)

    def issue(self, report_data: bytes, *, launch_digest: bytes, now: datetime) -> EvidenceBundle:
        """The processor's evidence over ``report_data`` (64 bytes), with what is needed to verify it at ``now``."""
        if isinstance(self.cpu, SimulatedAmd):
            platform = self.platform if isinstance(self.platform, SnpPlatform) else None
            return self.cpu.issue(report_data, host_data=launch_digest, now=now, platform=platform)
        intel = None if isinstance(self.platform, SnpPlatform) else self.platform
        return self.cpu.issue(report_data, tee=self.tee, launch_digest=launch_digest, now=now, platform=intel)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Launched:
    machine: SimulatedMachine
    launch_digest: bytes

    @property
    def tee(self) -> str:
        return self.machine.tee

    def collect(self, report_data: bytes) -> EvidenceBundle:
        return self.machine.issue(report_data, launch_digest=self.launch_digest, now=datetime.now(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Devices:
    nvidia: SimulatedNvidia
    devices: NvidiaMachine

    def collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
        return self.nvidia.issue(nonce, now=datetime.now(UTC), machine=self.devices)
