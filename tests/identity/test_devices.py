"""One verdict over a platform and its devices: nothing of either can be swapped, left out or relayed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import pytest

import nvidia_forge
import snp_support
from hermetic.errors import Malformed, NotAuthentic, Unavailable
from hermetic.evidence import NO_DEVICES, SEV_SNP, EvidenceBundle, devices_digest
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.identity import AttestationReport, Attester, Claims, DeviceLink, Purpose, name_devices, verify_report
from hermetic.verify import Outcome
from hermetic.verify.nvidia import NVIDIA_ROOTS, NvidiaRoots
from hermetic.wire import sha256_digest
from identity_support import keyset, launch

NOW = snp_support.NOW
NONCE = bytes(range(32))
OTHER = sha256_digest(b"other")


@cache
def chain(serial: int) -> tuple[nvidia_forge.Entry, ...]:
    """A device of its own for each serial number, all of one boot ROM's family."""
    leaf, brom = nvidia_forge.device_templates()[0], nvidia_forge.device_chain()[1]
    return (nvidia_forge.certify(leaf, brom, serial=serial), *nvidia_forge.device_chain()[1:])


def gpu(nonce: bytes, serial: int) -> DeviceBundle:
    return nvidia_forge.bundle(replace(nvidia_forge.report(), nonce=nonce), chain(serial))


@dataclass
class Gpus:
    """Devices that answer any nonce, or the one that ``relayed`` says."""

    serials: Iterable[int] = (1, 2)
    relayed: bytes | None = None

    def collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
        return tuple(gpu(self.relayed or nonce, serial) for serial in self.serials)


@dataclass
class Cpu:
    tee: str = SEV_SNP
    asked: list[bytes] = field(default_factory=list)

    def collect(self, report_data: bytes) -> EvidenceBundle:
        self.asked.append(report_data)
        host_data = bytes.fromhex(launch().digest.removeprefix("sha256:"))
        return snp_support.issue(report_data=report_data, host_data=host_data)


def attester(devices: Any, cpu: Cpu | None = None) -> Attester:
    return Attester(cpu or Cpu(), keyset=keyset(), launch=launch(), devices=devices)


def report(devices: Any = None, **asked: Any) -> AttestationReport:
    return attester(devices or Gpus()).attest(**({"purpose": Purpose.SESSION, "nonce": NONCE} | asked))


def verified(document: AttestationReport, **changes: Any) -> Claims:
    asked: dict[str, Any] = {
        "roots": snp_support.roots(snp_support.simulated()),
        "device_roots": nvidia_forge.roots(),
        "now": NOW,
        "purpose": Purpose.SESSION,
        "nonce": NONCE,
    }
    return verify_report(document, **(asked | changes))


def refusal(document: AttestationReport, **changes: Any) -> NotAuthentic:
    with pytest.raises(NotAuthentic) as caught:
        verified(document, **changes)
    return caught.value


def signed_over(document: AttestationReport, devices: tuple[DeviceBundle, ...]) -> AttestationReport:
    """What a workload that lies makes: the platform's true signature over the digest of ``devices``."""
    binding = replace(document.binding, devices_digest=devices_digest(devices))
    return replace(document, binding=binding, evidence=Cpu().collect(binding.report_data()), devices=devices)


def test_cpu_and_gpus_are_one_verdict() -> None:
    claims = verified(AttestationReport.from_bytes(report().to_bytes()))
    assert [device.ueid for device in claims.devices] == ["1", "2"]
    assert claims.simulated
    assert claims.device_link is DeviceLink.SOFTWARE
    assert {check.outcome for check in claims.checks} == {Outcome.PASS}
    names = [check.name for check in claims.checks]
    assert len(names) == len(set(names))
    assert {"binding.devices", "gpu0.nvidia.signature", "gpu1.nvidia.nonce", "machine.nonce"} <= set(names)


def test_a_workload_without_devices_says_so() -> None:
    document = Attester(Cpu(), keyset=keyset(), launch=launch()).attest(purpose=Purpose.SESSION, nonce=NONCE)
    assert document.binding.devices_digest == NO_DEVICES
    claims = verified(document)
    assert claims.devices == ()
    assert claims.device_link is None


def test_devices_are_asked_before_the_platform_and_it_signs_what_they_answered() -> None:
    cpu = Cpu()
    document = attester(Gpus(), cpu).attest(purpose=Purpose.SESSION, nonce=NONCE)
    assert document.binding.devices_digest == devices_digest(document.devices)
    assert cpu.asked == [document.binding.report_data()]


def test_a_device_that_does_not_answer_leaves_no_report() -> None:
    class Silent:
        def collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
            raise Unavailable("the GPU does not answer")

    cpu = Cpu()
    with pytest.raises(Unavailable):
        attester(Silent(), cpu).attest(purpose=Purpose.SESSION, nonce=NONCE)
    assert cpu.asked == []


@pytest.mark.parametrize(
    "swap",
    [
        lambda devices: devices[:1],
        lambda devices: devices[::-1],
        lambda devices: (*devices, devices[0]),
        lambda devices: (devices[0], devices[0]),
        lambda devices: (devices[0], gpu(report().binding.device_nonce(), 3)),
        lambda _: (),
    ],
    ids=["left out", "reordered", "added", "twice", "another's", "none"],
)
def test_devices_that_the_platform_did_not_sign_refuse(swap: Any) -> None:
    document = report()
    assert refusal(replace(document, devices=swap(document.devices))).code == "binding.devices"


def test_devices_that_the_report_says_were_signed_and_were_not_refuse() -> None:
    document = report()
    devices = document.devices[:1]
    claimed = replace(document.binding, devices_digest=devices_digest(devices))
    assert refusal(replace(document, binding=claimed, devices=devices)).code == "snp.report-data"


@pytest.mark.parametrize(
    "question",
    [{"nonce": bytes(32)}, {"context_digest": OTHER}, {"keyset_digest": OTHER}],
    ids=["nonce", "context", "keyset"],
)
def test_a_device_that_answered_another_question_is_a_relayed_one(question: dict[str, Any]) -> None:
    """A GPU elsewhere, attested by its own workload: that workload's keyset, or its exchange, made its nonce."""
    elsewhere = replace(report().binding, **question).device_nonce()
    devices = (*Gpus((1,)).collect(report().binding.device_nonce()), gpu(elsewhere, 2))
    caught = refusal(signed_over(report(), devices))
    assert caught.code == "nvidia.nonce"
    assert "device 1" in caught.message


def test_one_device_cannot_stand_for_two() -> None:
    document = report()
    assert refusal(signed_over(document, (document.devices[0], document.devices[0]))).code == "machine.devices"


def test_a_device_that_is_not_authentic_refuses_the_whole() -> None:
    document = report()
    broken = bytearray(document.devices[1].evidence)
    broken[-1] ^= 1
    devices = (document.devices[0], replace(document.devices[1], evidence=bytes(broken)))
    caught = refusal(signed_over(document, devices))
    assert caught.code == "nvidia.signature"
    assert "device 1" in caught.message
    assert caught.checks[-1].name == "nvidia.signature"


def test_a_device_that_cannot_be_read_refuses_the_whole() -> None:
    document = report()
    devices = (replace(document.devices[0], evidence=b"no report"), document.devices[1])
    with pytest.raises(Malformed, match="device 0"):
        verified(signed_over(document, devices))


def test_simulated_devices_are_nothing_under_the_vendors_root() -> None:
    assert refusal(report(), device_roots=NVIDIA_ROOTS).code == "nvidia.chain.root"


def test_one_simulated_part_makes_the_whole_simulated() -> None:
    """Whichever it is: what is behind a root that the caller calls genuine does not outweigh the other."""
    platform_root = replace(snp_support.roots(snp_support.simulated())[0], simulated=False)
    pinned = nvidia_forge.roots()
    genuine = NvidiaRoots(
        device=tuple(replace(root, simulated=False) for root in pinned.device),
        manifest=tuple(replace(root, simulated=False) for root in pinned.manifest),
    )
    assert verified(report(), device_roots=genuine).simulated
    assert verified(report(), roots=(platform_root,)).simulated
    assert not verified(report(), roots=(platform_root,), device_roots=genuine).simulated


def test_devices_endorsements_are_dated_too() -> None:
    claims = verified(report())
    assert set(claims.dates) == {*claims.platform.dates, *claims.devices[0].dates, *claims.devices[1].dates}
    assert set(claims.devices[0].dates) - set(claims.platform.dates)


def test_without_the_vendors_word_on_revocation_it_was_not_performed() -> None:
    whole = report()
    document = replace(whole, devices=tuple(replace(device, ocsp=()) for device in whole.devices))
    assert refusal(document).code.startswith("nvidia.revocation")
    lax = verified(document, crl_required=False)
    missing = {check.name for check in lax.checks if check.outcome is Outcome.NOT_PERFORMED}
    assert any(name.startswith("gpu1.nvidia.revocation") for name in missing)


def test_fresher_endorsements_can_be_stapled_to_a_signed_report() -> None:
    document = report()
    bare = replace(document, devices=tuple(replace(device, ocsp=(), rims={}) for device in document.devices))
    assert bare.binding == document.binding
    whole = replace(bare, devices=document.devices)
    assert verified(whole).devices == verified(document).devices


def test_devices_are_named_by_kind_and_place() -> None:
    assert name_devices(verified(report(Gpus((7, 8, 9)))).devices) == ("gpu0", "gpu1", "gpu2")
