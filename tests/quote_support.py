"""A simulated Intel with fixed keys, the same in every process: it stands behind the collectors of quotes in tests."""

from __future__ import annotations

from dataclasses import replace

from hermetic.evidence import SGX, TDX, EvidenceBundle
from hermetic.sources.simulator.intel import SimulatedIntel
from hermetic.verify import PlatformClaims, simulated_root, verify
from intel_forge import INTEL
from snp_support import NOW

__all__ = ["LAUNCH", "intel", "sgx_bundle", "stapled", "tdx_bundle", "verified"]

LAUNCH = bytes(range(32))


def intel() -> SimulatedIntel:
    """One simulated Intel, the same in every process."""
    return INTEL


def tdx_bundle(report_data: bytes) -> EvidenceBundle:
    return intel().issue(report_data, tee=TDX, launch_digest=LAUNCH, now=NOW)


def sgx_bundle(report_data: bytes) -> EvidenceBundle:
    return intel().issue(report_data, tee=SGX, launch_digest=LAUNCH, now=NOW)


def stapled(bundle: EvidenceBundle) -> EvidenceBundle:
    """``bundle`` with the simulated Intel's collateral, which no collector brings."""
    made = intel().issue(bytes(64), tee=bundle.tee, launch_digest=LAUNCH, now=NOW)
    return replace(bundle, endorsements=made.endorsements)


def verified(bundle: EvidenceBundle, report_data: bytes) -> PlatformClaims:
    """What the verifier makes of a quote of the simulated Intel's."""
    roots = (simulated_root(intel().root_digest),)
    return verify(stapled(bundle), roots=roots, now=NOW, report_data=report_data)
