"""A whole session's claims against a whole policy, on each simulated machine: processor, devices and workload."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

import snp_support
from hermetic.errors import NotAcceptable
from hermetic.evidence import SEV_SNP, SGX, TDX, EvidenceBundle
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.identity import Attester, Claims, LaunchPlace, Purpose, verify_report
from hermetic.policy import Policy, appraise, draft_policy, seen_tables
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.sources.simulator.sgx_platform import SgxPlatform
from hermetic.sources.simulator.tdx_platform import TdxPlatform
from hermetic.verify import Outcome, simulated_root
from identity_support import keyset, launch
from policy_support import NONCE, intel, nvidia
from snp_support import NOW

EXPIRES = int(NOW.timestamp()) + 3600
TWO_GPUS = NvidiaMachine(gpus=2)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Asked as hardware is: for evidence over report data, and for devices over a nonce."""

    tee: str
    platform: Any = None

    def collect(self, report_data: bytes) -> EvidenceBundle:
        digest = bytes.fromhex(launch().digest.removeprefix("sha256:"))
        if self.tee == SEV_SNP:
            return snp_support.issue(report_data=report_data, host_data=digest)
        return intel().issue(report_data, tee=self.tee, launch_digest=digest, now=NOW, platform=self.platform)


@dataclass(frozen=True, kw_only=True)
class Devices:
    machine: NvidiaMachine = field(default=TWO_GPUS)

    def collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
        return nvidia().issue(nonce, now=NOW, machine=self.machine)


def root(tee: str) -> str:
    return snp_support.simulated().root_digest if tee == SEV_SNP else intel().root_digest


def claims(tee: str, platform: Any = None, devices: Devices | None = None) -> Claims:
    attester = Attester(
        Machine(tee=tee, platform=platform), keyset=keyset(not_after=EXPIRES), launch=launch(), devices=devices
    )
    report = attester.attest(purpose=Purpose.SESSION, nonce=NONCE)
    return verify_report(
        report,
        roots=(simulated_root(root(tee)),),
        device_roots=nvidia().roots,
        now=NOW,
        purpose=Purpose.SESSION,
        nonce=NONCE,
    )


def policy(seen: Claims, **changes: dict[str, Any]) -> Policy:
    """The policy that ``hermetic policy new`` would write, with ``changes`` to its tables."""
    tables = {name: dict(table) for name, table in seen_tables(seen.platform, seen.devices).items()}
    for name, change in changes.items():
        tables[name] = {**tables.get(name, {}), **change}
    text = draft_policy(seen.launch, profile="development", tables=tables, simulated_root=seen.platform.root.sha256)
    return Policy.parse(text.encode())


def refused(seen: Claims, wanted: Policy) -> list[str]:
    with pytest.raises(NotAcceptable) as refusal:
        appraise(seen, wanted)
    return [check.name for check in refusal.value.checks if check.outcome is not Outcome.PASS]


MACHINES = [
    (SEV_SNP, None),
    (TDX, TdxPlatform()),
    (TDX, TdxPlatform(version=4, tdx_1_5=False)),
    (TDX, TdxPlatform(launch_event=True, events=())),
    (SGX, SgxPlatform()),
]
IDS = ["snp", "tdx 1.5", "tdx 1.0", "tdx with a log", "sgx"]


@pytest.mark.parametrize(("tee", "platform"), MACHINES, ids=IDS)
@pytest.mark.parametrize("devices", [None, Devices()], ids=["alone", "with GPUs"])
def test_what_a_policy_was_drafted_from_it_accepts(tee: str, platform: Any, devices: Devices | None) -> None:
    seen = claims(tee, platform, devices)
    accepted = appraise(seen, policy(seen))
    assert accepted.simulated
    assert {check.outcome for check in accepted.checks} == {Outcome.PASS}


def test_the_image_obeys_one_place_for_the_launch_digest() -> None:
    """An image that measures its launch compares nothing with MRCONFIGID, which the host then chooses freely."""
    host, image = claims(TDX, TdxPlatform()), claims(TDX, TdxPlatform(launch_event=True, events=()))
    assert (host.launch_place, image.launch_place) == (LaunchPlace.MRCONFIGID, LaunchPlace.EVENT)
    appraise(host, policy(host, tdx={"launch_place": "mrconfigid"}))
    appraise(image, policy(image, tdx={"launch_place": "event"}))
    assert refused(host, policy(host, tdx={"launch_place": "event"})) == ["policy.tdx.launch-place"]
    assert refused(image, policy(image, tdx={"launch_place": "mrconfigid"})) == ["policy.tdx.launch-place"]


def test_a_machine_of_another_kind_refuses() -> None:
    enclave, domain = claims(SGX, SgxPlatform()), claims(TDX, TdxPlatform())
    assert "policy.tee" in refused(enclave, policy(domain))
    assert "policy.tee" in refused(domain, policy(enclave))


def test_as_many_devices_as_the_policy_says() -> None:
    two, none = claims(SEV_SNP, devices=Devices()), claims(SEV_SNP)
    one = claims(SEV_SNP, devices=Devices(machine=NvidiaMachine(gpus=1)))
    for seen, wanted in ((one, two), (two, one), (none, two)):
        assert "policy.nvidia.gpus" in refused(seen, policy(wanted))
    assert "policy.devices" in refused(two, policy(none))
