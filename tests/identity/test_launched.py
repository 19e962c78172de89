"""The launch digest has one place in each TEE's evidence, and nothing but the digest may stand there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

import intel_forge
from hermetic.errors import NotAuthentic
from hermetic.evidence import SGX, TDX, DstackEvent, DstackLog, EvidenceBundle, TdxQuote
from hermetic.identity import Attester, Claims, LaunchPlace, Purpose, verify_report
from hermetic.verify import Outcome
from identity_support import keyset, launch

NONCE = bytes(range(32))
LAUNCH_EVENT = "hermetic-launch-digest"
DIGEST = bytes.fromhex(launch().digest.removeprefix("sha256:"))


@dataclass
class Platform:
    """A trust domain or an enclave of the forged Intel, told ``configured`` at its start."""

    tee: str
    configured: bytes
    log: DstackLog | None = None

    def collect(self, report_data: bytes) -> EvidenceBundle:
        if self.tee == TDX:
            body = replace(intel_forge.TD_REPORT, mr_config_id=self.configured, report_data=report_data)
            if self.log is None:
                return intel_forge.Intel(body=body).issue()
            extended = replace(body, rtmrs=(*body.rtmrs[:3], self.log.registers()[3]))
            bundle = intel_forge.Intel(body=extended).issue()
            return replace(bundle, event_logs={"dstack": self.log.to_bytes()})
        enclave = replace(intel_forge.ENCLAVE, config_id=self.configured, report_data=report_data)
        return intel_forge.Intel(tee=SGX, enclave=enclave).issue()


def verified(platform: Platform) -> Claims:
    report = Attester(platform, keyset=keyset(), launch=launch()).attest(purpose=Purpose.SESSION, nonce=NONCE)
    asked: dict[str, Any] = {"purpose": Purpose.SESSION, "nonce": NONCE}
    return verify_report(report, roots=intel_forge.Intel().roots, now=intel_forge.NOW, **asked)


@pytest.mark.parametrize(
    ("tee", "length", "place"), [(TDX, 48, LaunchPlace.MRCONFIGID), (SGX, 64, LaunchPlace.CONFIGID)], ids=["tdx", "sgx"]
)
def test_the_digest_and_zeros(tee: str, length: int, place: LaunchPlace) -> None:
    good = DIGEST.ljust(length, b"\0")
    claims = verified(Platform(tee, good))
    assert claims.launch_place is place
    assert [check.outcome for check in claims.checks if check.name == f"launch.{place}"] == [Outcome.PASS]
    others = (bytes(length), bytes([good[0] ^ 1]) + good[1:], good[:-1] + b"\1", good[: length - 32] + DIGEST)
    for other in others:
        with pytest.raises(NotAuthentic) as refusal:
            verified(Platform(tee, other))
        assert refusal.value.code == f"launch.{place}"


def log(*names: str, digest: bytes = DIGEST) -> DstackLog:
    """An image's events in RTMR3, our own among them."""
    return DstackLog(events=tuple(DstackEvent.runtime(name, digest if name == LAUNCH_EVENT else b"") for name in names))


def test_what_the_image_measured_comes_before_what_the_host_said() -> None:
    before = log(LAUNCH_EVENT, "system-ready")
    for configured in (bytes(48), DIGEST.ljust(48, b"\0"), bytes([1] * 48)):
        claims = verified(Platform(TDX, configured, before))
        assert claims.launch_place is LaunchPlace.EVENT
    with pytest.raises(NotAuthentic) as refusal:
        verified(Platform(TDX, DIGEST.ljust(48, b"\0"), log(LAUNCH_EVENT, "system-ready", digest=bytes(32))))
    assert refusal.value.code == "launch.event"


def test_an_event_after_the_boundary_says_nothing_about_the_launch() -> None:
    """Whatever runs in the domain can extend RTMR3 by then."""
    with pytest.raises(NotAuthentic) as refusal:
        verified(Platform(TDX, bytes(48), log("system-ready", LAUNCH_EVENT)))
    assert refusal.value.code == "launch.mrconfigid"


def test_a_quote_is_what_it_was_made_from() -> None:
    evidence = Platform(TDX, DIGEST.ljust(48, b"\0")).collect(bytes(64)).evidence
    assert TdxQuote.from_bytes(evidence).body.mr_config_id[:32] == DIGEST
