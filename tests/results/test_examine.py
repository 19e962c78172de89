"""One verdict over everything: each part for itself, the parts together, and a policy over the whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from attested_support import NONCE as REPORT_NONCE
from attested_support import NOT_AFTER, Machine, amd
from attested_support import NOW as REPORT_NOW
from attested_support import policy as report_policy
from attested_support import report as attestation_report
from examined_support import NONCE, NOW, NVIDIA, PPCIE, REPORT_DATA, devices, machine, platform, policy
from hermetic.errors import Misconfigured
from hermetic.evidence import Composite, EvidenceBundle
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.identity import Attester, Purpose
from hermetic.policy import PlatformPolicy
from hermetic.results import Overall, Verdict, examine, examine_report
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.verify import AMD_ROOTS, Outcome, simulated_root
from identity_support import keyset, launch
from nvidia_support import flipped

pytest.importorskip("dcap_qvl", reason="the second verifier is not installed (pip install dcap-qvl)")

ONE_GPU = NvidiaMachine()


def examined(evidence: Composite, wanted: PlatformPolicy | None, **changes: Any) -> Verdict:
    asked: dict[str, Any] = {"now": NOW, "report_data": REPORT_DATA, "nonce": NONCE, "policy": wanted}
    if wanted is not None:
        asked |= {
            "roots": wanted.roots(allow_simulated=True),
            "device_roots": wanted.device_roots(allow_simulated=True),
        }
    return examine(evidence, **(asked | changes))


def outcome(verdict: Verdict, name: str) -> Outcome:
    return next(check.outcome for check in verdict.checks if check.name == name)


def outcome_or_none(verdict: Verdict, name: str) -> Outcome | None:
    return next((check.outcome for check in verdict.checks if check.name == name), None)


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if check.outcome is Outcome.FAIL}


# Alone


@pytest.mark.parametrize("tee", ["sev-snp", "tdx", "sgx"])
def test_a_platform_that_a_policy_wants(tee: str) -> None:
    verdict = examined(machine(tee), policy(tee))
    assert failed(verdict) == set()
    assert verdict.overall is Overall.ACCEPTED
    (part,) = verdict.parts
    assert (part.name, part.kind, part.authentic, part.simulated) == ("cpu0", tee, True, True)
    assert verdict.policy == policy(tee).digest


@pytest.mark.parametrize("tee", ["sev-snp", "tdx", "sgx"])
def test_without_a_policy_it_is_not_appraised(tee: str) -> None:
    roots = policy(tee).roots(allow_simulated=True)
    verdict = examined(machine(tee), None, roots=roots)
    assert verdict.overall is Overall.NOT_APPRAISED
    assert not [check for check in verdict.checks if check.name.startswith("policy.")]


def test_a_policy_that_does_not_want_it() -> None:
    verdict = examined(machine(), policy(extra="vmpl = 1\n"))
    assert verdict.overall is Overall.REFUSED
    assert failed(verdict) == {"policy.snp.vmpl"}
    assert verdict.refusal is None
    assert verdict.parts[0].authentic


@pytest.mark.parametrize("tee", ["sev-snp", "tdx", "sgx"])
def test_report_data(tee: str) -> None:
    without = examined(machine(tee), policy(tee), report_data=None)
    assert without.overall is Overall.INCOMPLETE
    assert outcome(without, f"{'snp' if tee == 'sev-snp' else tee}.report-data") is Outcome.NOT_PERFORMED
    other = examined(machine(tee), policy(tee), report_data=bytes(64))
    assert other.overall is Overall.REFUSED
    assert other.refusal is not None
    assert not other.parts[0].authentic
    assert other.parts[0].claims == ()


def test_a_missing_list_is_not_performed_and_so_never_accepted() -> None:
    bundle = platform()
    bare = replace(bundle, endorsements={name: der for name, der in bundle.endorsements.items() if name != "crl"})
    verdict = examined(Composite(platform=bare), policy())
    assert outcome(verdict, "snp.revocation") is Outcome.NOT_PERFORMED
    assert verdict.overall is Overall.INCOMPLETE


def test_a_root_that_is_not_trusted() -> None:
    verdict = examined(machine(), None, roots=AMD_ROOTS)
    assert verdict.overall is Overall.REFUSED
    assert verdict.refusal is not None
    assert verdict.refusal.code == "snp.chain.root"
    assert not verdict.simulated  # nothing that verified says so


def test_the_policy_must_be_the_one_that_pins_the_simulator() -> None:
    roots = policy().roots(allow_simulated=True)
    assert "policy.simulation" not in failed(examined(machine(), policy(), roots=roots))
    assert "policy.simulation" in failed(examined(machine(), policy("tdx"), roots=roots))


# Devices


def test_devices_alone() -> None:
    verdict = examined(machine(None, PPCIE), policy(None, PPCIE))
    assert failed(verdict) == set()
    assert [part.name for part in verdict.parts] == ["gpu0", "gpu1", "switch0"]
    assert verdict.overall is Overall.ACCEPTED
    assert outcome(verdict, "gpu1.nvidia.signature") is Outcome.PASS
    assert outcome(verdict, "machine.links") is Outcome.PASS
    assert all(part.nonce == NONCE for part in verdict.parts)


def test_one_device_is_no_machine() -> None:
    verdict = examined(machine(None, ONE_GPU), policy(None, ONE_GPU))
    assert not [check for check in verdict.checks if check.name.startswith("machine.")]
    assert verdict.overall is Overall.ACCEPTED


def test_devices_that_are_not_one_machine() -> None:
    evidence = Composite(platform=None, devices=devices(ONE_GPU) * 2)
    verdict = examined(evidence, policy(None, PPCIE))
    assert verdict.overall is Overall.REFUSED
    assert failed(verdict) == {"machine.devices"}
    assert not [check for check in verdict.checks if check.name.startswith("policy.")]


def test_a_device_that_answers_another_question() -> None:
    verdict = examined(machine(None, PPCIE), policy(None, PPCIE), nonce=bytes(32))
    assert [part.name for part in verdict.parts] == ["device0", "device1", "device2"]
    assert failed(verdict) == {f"device{number}.nvidia.nonce" for number in range(3)}
    unasked = examined(machine(None, PPCIE), policy(None, PPCIE), nonce=None)
    assert unasked.overall is Overall.INCOMPLETE
    assert outcome(unasked, "gpu0.nvidia.nonce") is Outcome.NOT_PERFORMED
    assert outcome(unasked, "machine.nonce") is Outcome.NOT_PERFORMED


def broken(bundle: DeviceBundle) -> DeviceBundle:
    return replace(bundle, evidence=flipped(bundle.evidence, len(bundle.evidence) * 8 - 9))


def test_one_that_fails_does_not_hide_the_others() -> None:
    first, second, switch = devices(PPCIE)
    evidence = Composite(platform=platform(), devices=(first, broken(second), switch))
    verdict = examined(evidence, policy("sev-snp", PPCIE))
    assert [(part.name, part.authentic) for part in verdict.parts] == [
        ("cpu0", True),
        ("device1", False),
        ("gpu0", True),
        ("switch0", True),
    ]
    assert verdict.overall is Overall.REFUSED
    assert failed(verdict) == {"device1.nvidia.signature"}
    assert verdict.refusal is not None
    assert verdict.refusal.code == "nvidia.signature"


def test_the_first_refusal_is_the_verdicts() -> None:
    report = flipped(platform().evidence, 0x90 * 8)
    evidence = Composite(platform=replace(platform(), evidence=report), devices=(broken(devices(ONE_GPU)[0]),))
    verdict = examined(evidence, policy("sev-snp", ONE_GPU))
    assert verdict.refusal is not None
    assert verdict.refusal.code == "snp.signature"
    assert failed(verdict) == {"snp.signature", "device0.nvidia.signature"}


# Together


def test_nothing_binds_bare_files() -> None:
    verdict = examined(machine("sev-snp", PPCIE), policy("sev-snp", PPCIE))
    assert outcome(verdict, "binding.devices") is Outcome.NOT_PERFORMED
    assert failed(verdict) == set()
    assert verdict.overall is Overall.INCOMPLETE
    for alone in (machine("sev-snp"), machine(None, PPCIE)):
        assert "binding.devices" not in {check.name for check in examined(alone, None, roots=AMD_ROOTS).checks}


def test_a_policy_counts_devices() -> None:
    missing = examined(machine("sev-snp"), policy("sev-snp", PPCIE))
    assert missing.overall is Overall.REFUSED
    unwanted = examined(machine("sev-snp", ONE_GPU), policy("sev-snp"), device_roots=NVIDIA.roots)
    assert unwanted.overall is Overall.REFUSED
    fewer = examined(machine(None, ONE_GPU), policy(None, PPCIE))
    assert {"policy.nvidia.gpus", "policy.nvidia.switches"} <= failed(fewer)


def test_bare_evidence_does_not_say_what_runs() -> None:
    wanted = report_policy()
    verdict = examined(Composite(platform=attestation_report().evidence), None, roots=AMD_ROOTS, policy=wanted)
    assert outcome_or_none(verdict, "policy.workload") is None  # refused before: nobody allowed the simulator
    roots = wanted.platform.roots(allow_simulated=True)
    report = attestation_report()
    asked = {"roots": roots, "now": REPORT_NOW, "report_data": report.binding.report_data(), "policy": wanted}
    bare = examined(Composite(platform=report.evidence), None, **asked)
    assert failed(bare) == set()
    assert outcome(bare, "policy.workload") is Outcome.NOT_PERFORMED
    assert bare.overall is Overall.INCOMPLETE
    assert bare.policy == wanted.digest
    # The same file, read for its platform alone, has the same digest: it asks no less.
    alone = examined(Composite(platform=report.evidence), None, **(asked | {"policy": wanted.platform}))
    assert outcome(alone, "policy.workload") is Outcome.NOT_PERFORMED
    assert alone.overall is Overall.INCOMPLETE
    unasked = replace(wanted.platform, has_workload=False)
    without = examined(Composite(platform=report.evidence), None, **(asked | {"policy": unasked}))
    assert outcome_or_none(without, "policy.workload") is None
    assert without.overall is Overall.ACCEPTED


def test_only_a_nonce_that_was_compared_is_the_verdicts() -> None:
    assert examined(machine(), policy()).nonce is None  # the platform answered its report data, nobody the nonce
    assert examined(machine(None, PPCIE), policy(None, PPCIE)).nonce == NONCE
    assert examined(machine("sev-snp", ONE_GPU), policy("sev-snp", ONE_GPU)).nonce == NONCE
    refused = examined(machine(), policy(), report_data=bytes(64))
    assert (refused.overall, refused.nonce) == (Overall.REFUSED, NONCE)  # a no answers whoever asked


def test_what_cannot_be_meant_is_raised() -> None:
    with pytest.raises(Misconfigured):
        examined(machine(), None, roots=())
    with pytest.raises(Misconfigured):
        examined(machine(), policy(), report_data=b"short")
    with pytest.raises(Misconfigured):
        examined(machine(), policy(), now=NOW.replace(tzinfo=None))


# Attestation reports


def reported(**changes: Any) -> Verdict:
    asked: dict[str, Any] = {
        "roots": (simulated_root(amd().root_digest),),
        "now": REPORT_NOW,
        "purpose": Purpose.SESSION,
        "nonce": REPORT_NONCE,
        "policy": report_policy(),
    }
    return examine_report(changes.pop("report", None) or attestation_report(), **(asked | changes))


def test_an_attestation_report_that_a_policy_wants() -> None:
    verdict = reported()
    assert failed(verdict) == set()
    assert verdict.overall is Overall.ACCEPTED
    assert verdict.policy == report_policy().digest
    workload = {claim.name: claim.value for claim in verdict.workload}
    report = attestation_report()
    assert workload["hermetic.launch-digest"] == report.binding.launch_digest
    assert workload["hermetic.keyset-digest"] == report.binding.keyset_digest
    assert workload["hermetic.service"] == report.launch.service
    assert workload["hermetic.nonce"] == REPORT_NONCE.hex()
    assert "hermetic.device-link" not in workload


def test_an_attestation_report_that_nobody_appraises() -> None:
    verdict = reported(policy=None)
    assert verdict.overall is Overall.NOT_APPRAISED
    assert verdict.policy is None


def test_an_attestation_report_without_its_nonce() -> None:
    verdict = reported(nonce=None)
    assert verdict.overall is Overall.INCOMPLETE
    assert outcome(verdict, "binding.nonce") is Outcome.NOT_PERFORMED


def test_an_attestation_report_that_is_refused() -> None:
    for verdict in (reported(nonce=bytes(32)), reported(purpose=Purpose.RELEASE), reported(roots=AMD_ROOTS)):
        assert verdict.overall is Overall.REFUSED
        assert verdict.refusal is not None
        (part,) = verdict.parts
        assert (part.authentic, part.claims) == (False, ())
        assert verdict.workload == ()


def test_an_attestation_report_whose_list_is_missing() -> None:
    report = attestation_report()
    kept = {name: value for name, value in report.evidence.endorsements.items() if name != "crl"}
    bare: EvidenceBundle = replace(report.evidence, endorsements=kept)
    verdict = reported(report=replace(report, evidence=bare))
    assert outcome(verdict, "snp.revocation") is Outcome.NOT_PERFORMED
    assert verdict.overall is Overall.INCOMPLETE


class Devices:
    """Devices that answer whatever they are asked."""

    def collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
        return NVIDIA.issue(nonce, now=REPORT_NOW, machine=PPCIE)


def test_an_attestation_report_binds_its_devices() -> None:
    document = launch()
    bound = Attester(Machine(document=document), keyset=keyset(not_after=NOT_AFTER), launch=document, devices=Devices())
    report = bound.attest(purpose=Purpose.SESSION, nonce=REPORT_NONCE)
    verdict = reported(report=report, policy=None, device_roots=NVIDIA.roots)
    assert verdict.overall is Overall.NOT_APPRAISED
    assert [part.name for part in verdict.parts] == ["cpu0", "gpu0", "gpu1", "switch0"]
    assert all(part.simulated for part in verdict.parts)
    assert outcome(verdict, "binding.devices") is Outcome.PASS
    assert {claim.name: claim.value for claim in verdict.workload}["hermetic.device-link"] == "software"
    swapped = replace(report, devices=tuple(reversed(report.devices)))
    assert reported(report=swapped, device_roots=NVIDIA.roots).overall is Overall.REFUSED
