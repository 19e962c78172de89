"""Evidence of simulated machines with fixed seeds, and the policies that want it: for verdicts and commands."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from hermetic.evidence import SGX, TDX, Composite, EvidenceBundle
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.policy import PlatformPolicy
from hermetic.sources.simulator.amd import SIMULATED_MEASUREMENT
from hermetic.sources.simulator.nvidia import SimulatedNvidia
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.sources.simulator.sgx_platform import SIMULATED_ENCLAVE
from hermetic.sources.simulator.tdx_platform import SIMULATED_TD_MEASUREMENT
from intel_forge import INTEL, LAUNCH_DIGEST
from snp_support import issue, simulated

NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
REPORT_DATA = bytes(range(64))
NONCE = bytes(range(32))
NVIDIA = SimulatedNvidia.create(
    created=datetime(2026, 1, 4, 12, tzinfo=UTC), seed=b"a seed that is fixed in tests...."[:32]
)
PPCIE = NvidiaMachine(gpus=2, switches=1)


@cache
def platform(tee: str = "sev-snp") -> EvidenceBundle:
    """Authentic evidence over REPORT_DATA, the same for the whole test process."""
    if tee in (TDX, SGX):
        return INTEL.issue(REPORT_DATA, tee=tee, launch_digest=LAUNCH_DIGEST, now=NOW)
    return issue()


def devices(machine: NvidiaMachine) -> tuple[DeviceBundle, ...]:
    """A healthy machine with as many GPUs and switches, all asked NONCE; the same for the whole test process."""
    return _devices(machine.gpus, machine.switches)


@cache
def _devices(gpus: int, switches: int) -> tuple[DeviceBundle, ...]:
    return NVIDIA.issue(NONCE, now=NOW, machine=NvidiaMachine(gpus=gpus, switches=switches))


def machine(tee: str | None = "sev-snp", nvidia: NvidiaMachine | None = None) -> Composite:
    """A platform (None: none) with the devices of ``nvidia`` (None: none)."""
    return Composite(platform=None if tee is None else platform(tee), devices=() if nvidia is None else devices(nvidia))


_TABLES = {
    "sev-snp": f'[snp]\nproducts = ["Genoa"]\nmeasurements = ["{SIMULATED_MEASUREMENT.hex()}"]\n',
    "tdx": f'[tdx]\nmr_tds = ["{SIMULATED_TD_MEASUREMENT.hex()}"]\n',
    "sgx": f'[sgx]\nmr_enclaves = ["{SIMULATED_ENCLAVE.hex()}"]\n',
}


def policy_text(tee: str | None = "sev-snp", nvidia: NvidiaMachine | None = None, extra: str = "") -> str:
    """A development policy that wants exactly that machine; ``extra`` goes into its last table."""
    root = INTEL.root_digest if tee in (TDX, SGX) else simulated().root_digest
    text = 'version = 1\nprofile = "development"\n'
    if tee is not None:
        text += f'simulated_root = "{root}"\n{_TABLES[tee]}'
    if nvidia is not None:
        text += (
            f"[nvidia]\ngpus = {nvidia.gpus}\nswitches = {nvidia.switches}\n"
            f'simulated_device_root = "{NVIDIA.device_root_digest}"\n'
            f'simulated_manifest_root = "{NVIDIA.manifest_root_digest}"\n'
        )
    return text + extra


def policy(tee: str | None = "sev-snp", nvidia: NvidiaMachine | None = None, extra: str = "") -> PlatformPolicy:
    return PlatformPolicy.parse(policy_text(tee, nvidia, extra).encode())
