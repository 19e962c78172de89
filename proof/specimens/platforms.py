"""Attestation reports: evidence together with the keys and the launch document that it binds, as one JSON document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial

from hermetic.evidence import NO_DEVICES, TDX, EvidenceBundle, devices_digest
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.identity import AttestationReport, Binding, Purpose, verify_report
from hermetic.sources.simulator.intel import SimulatedIntel
from hermetic.sources.simulator.nvidia import SimulatedNvidia
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.verify import Root, simulated_root
from hermetic.verify.nvidia import NVIDIA_ROOTS, NvidiaRoots
from identity_support import keyset, launch
from proof.specimens._specimen import ASKED, AT, Parts, Specimen, timed
from snp_support import CREATED, NOW, SEED, issue, roots
from snp_support import simulated as simulated_amd

DOCUMENT = "attestation report"
_LAUNCHED = bytes.fromhex(launch().digest.removeprefix("sha256:"))


def simulated() -> Iterator[Specimen]:
    """A workload on a simulated Genoa, and one on a simulated trust domain with two GPUs and a switch."""
    amd, binding = simulated_amd(), _binding()
    evidence = issue(amd, report_data=binding.report_data(), host_data=_LAUNCHED)
    yield _specimen("simulated/report-over-sev-snp", binding, evidence, (), roots(amd), NVIDIA_ROOTS)

    intel = SimulatedIntel.create(created=CREATED, seed=SEED)
    nvidia = SimulatedNvidia.create(created=CREATED, seed=SEED)
    devices = nvidia.issue(_binding().device_nonce(), now=NOW, machine=NvidiaMachine(gpus=2, switches=1))
    binding = _binding(devices)
    evidence = intel.issue(binding.report_data(), tee=TDX, launch_digest=_LAUNCHED, now=NOW)
    pinned = (simulated_root(intel.root_digest),)
    yield _specimen("simulated/report-over-tdx-and-gpus", binding, evidence, devices, pinned, nvidia.roots)


def _binding(devices: tuple[DeviceBundle, ...] = ()) -> Binding:
    return Binding(
        purpose=Purpose.SESSION,
        nonce=b"n" * 32,
        keyset_digest=keyset().digest,
        launch_digest=launch().digest,
        devices_digest=devices_digest(devices) if devices else NO_DEVICES,
    )


def _specimen(
    name: str,
    binding: Binding,
    evidence: EvidenceBundle,
    devices: tuple[DeviceBundle, ...],
    pinned: tuple[Root, ...],
    device_roots: NvidiaRoots,
) -> Specimen:
    report = AttestationReport(binding=binding, keyset=keyset(), launch=launch(), evidence=evidence, devices=devices)
    return Specimen(
        name=name,
        tee=DOCUMENT,
        recorded=False,
        evidence="document",
        parts={"document": report.to_bytes(), ASKED: binding.nonce, AT: timed(NOW)},
        judge=partial(_judge, pinned, device_roots),
    )


def _judge(pinned: tuple[Root, ...], device_roots: NvidiaRoots, parts: Parts) -> object:
    report = AttestationReport.from_bytes(parts["document"])
    claims = verify_report(
        report,
        roots=pinned,
        device_roots=device_roots,
        now=datetime.fromisoformat(parts[AT].decode()),
        purpose=Purpose.SESSION,
        nonce=parts.get(ASKED),
    )
    checks = [(check.name, check.outcome) for check in claims.checks]
    said = [device.report for device in claims.devices]
    return (claims.keyset, claims.launch, claims.binding, [replace(each, signature=bytes(96)) for each in said], checks)
