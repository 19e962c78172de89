"""A bare machine that answers one nonce: the platform vouches for exactly the devices that answered it too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from examined_support import NONCE, NOW, NVIDIA, REPORT_DATA, devices, policy
from hermetic.errors import Malformed
from hermetic.evidence import Composite, devices_digest, machine_report_data
from hermetic.results import Overall, Verdict, examine
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.verify import Outcome
from nvidia_support import flipped
from snp_support import issue

MACHINE = NvidiaMachine(gpus=2)
WANTED = policy("sev-snp", MACHINE)


def evidence(nonce: bytes = NONCE) -> Composite:
    """A platform that answers ``nonce`` together with two GPUs, which answered NONCE."""
    gpus = devices(MACHINE)
    return Composite(platform=issue(report_data=machine_report_data(nonce, gpus)), devices=gpus)


def judged(machine: Composite, *, nonce: bytes | None = NONCE, report_data: bytes | None = None) -> Verdict:
    return examine(
        machine,
        roots=WANTED.roots(allow_simulated=True),
        device_roots=WANTED.device_roots(allow_simulated=True),
        now=NOW,
        nonce=nonce,
        report_data=report_data,
        policy=WANTED,
    )


def outcomes(verdict: Verdict) -> dict[str, Outcome]:
    return {check.name: check.outcome for check in verdict.checks}


def test_one_nonce_is_the_whole_question() -> None:
    verdict = judged(evidence())
    assert outcomes(verdict)["binding.devices"] is Outcome.PASS
    assert verdict.overall is Overall.ACCEPTED


def test_the_same_bytes_may_be_asked_for_by_themselves() -> None:
    machine = evidence()
    verdict = judged(machine, report_data=machine_report_data(NONCE, machine.devices))
    assert verdict.overall is Overall.ACCEPTED


def test_a_platform_without_devices_may_answer_a_nonce() -> None:
    alone = Composite(platform=issue(report_data=machine_report_data(NONCE, ())))
    for report_data in (None, machine_report_data(NONCE, ())):
        assert judged(alone, report_data=report_data).nonce == NONCE
    assert judged(alone, nonce=bytes(32)).nonce is None
    other = Composite(platform=issue(report_data=REPORT_DATA))
    assert judged(other, report_data=REPORT_DATA).nonce is None


@pytest.mark.parametrize("change", ["swapped", "one less"])
def test_other_devices_than_the_platform_signed_are_not_vouched_for(change: str) -> None:
    machine = evidence()
    left = {"swapped": machine.devices[::-1], "one less": machine.devices[:1]}[change]
    verdict = judged(replace(machine, devices=left))
    assert outcomes(verdict)["binding.devices"] is Outcome.NOT_PERFORMED
    assert verdict.overall is not Overall.ACCEPTED


def test_another_nonce_is_not_answered() -> None:
    verdict = judged(evidence(nonce=bytes(32)))
    assert outcomes(verdict)["binding.devices"] is Outcome.NOT_PERFORMED
    assert verdict.overall is not Overall.ACCEPTED


def test_without_a_nonce_nothing_is_vouched_for() -> None:
    verdict = judged(evidence(), nonce=None)
    assert outcomes(verdict)["binding.devices"] is Outcome.NOT_PERFORMED
    assert verdict.overall is not Overall.ACCEPTED


def test_report_data_of_the_askers_own_come_before_the_nonce() -> None:
    assert judged(evidence(), report_data=REPORT_DATA).overall is Overall.REFUSED


def test_a_platform_that_is_not_authentic_vouches_for_nothing() -> None:
    machine = evidence()
    assert machine.platform is not None
    forged = replace(machine.platform, evidence=flipped(machine.platform.evidence, 0x90 * 8))  # its measurement
    verdict = judged(replace(machine, platform=forged))
    assert verdict.refusal is not None
    assert verdict.refusal.code == "snp.signature"
    assert outcomes(verdict)["binding.devices"] is Outcome.NOT_PERFORMED


def test_a_platform_that_cannot_be_read_is_refused_in_the_verdict() -> None:
    machine = evidence()
    assert machine.platform is not None
    broken = replace(machine.platform, evidence=machine.platform.evidence[:-1])
    verdict = judged(replace(machine, platform=broken))
    assert verdict.overall is Overall.REFUSED
    assert isinstance(verdict.refusal, Malformed)


def test_the_question_is_the_nonce_and_the_digest_of_the_devices() -> None:
    gpus = NVIDIA.issue(NONCE, now=NOW, machine=MACHINE)
    assert machine_report_data(NONCE, gpus) == NONCE + bytes.fromhex(devices_digest(gpus).removeprefix("sha256:"))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_nonce_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(Malformed, match="nonce: expected 32 bytes"):
        machine_report_data(bytes(length), ())
