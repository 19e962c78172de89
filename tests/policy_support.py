"""What policies judge, verified: simulated TDX and SGX machines and NVIDIA devices, with each knob of theirs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import msgspec

from hermetic.evidence import SGX, TDX, EvidenceBundle
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.identity import Attester, Claims, LaunchDocument, Purpose, verify_report
from hermetic.policy import Finding, PlatformPolicy
from hermetic.sources.simulator.intel import SimulatedIntel
from hermetic.sources.simulator.nvidia import SimulatedNvidia
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.sources.simulator.sgx_platform import SgxPlatform
from hermetic.sources.simulator.tdx_platform import TdxPlatform
from hermetic.verify import Check, IntelClaims, Outcome, simulated_root, verify
from hermetic.verify.nvidia import DeviceClaims, verify_device
from identity_support import keyset
from snp_support import CREATED, NOW, REPORT_DATA, SEED

NONCE = bytes(range(32))
LAUNCH = bytes(range(100, 132))
HEALTHY_GPU = NvidiaMachine()

Table = TypeVar("Table", bound=msgspec.Struct)


@cache
def intel() -> SimulatedIntel:
    return SimulatedIntel.create(created=CREATED, seed=SEED)


@cache
def nvidia() -> SimulatedNvidia:
    return SimulatedNvidia.create(created=CREATED, seed=SEED)


def intel_claims(platform: TdxPlatform | SgxPlatform) -> IntelClaims:
    """What the verifier makes of a quote from ``platform``."""
    tee = TDX if isinstance(platform, TdxPlatform) else SGX
    bundle = intel().issue(REPORT_DATA, tee=tee, launch_digest=LAUNCH, now=NOW, platform=platform)
    claims = verify(bundle, roots=(simulated_root(intel().root_digest),), now=NOW, report_data=REPORT_DATA)
    assert isinstance(claims, IntelClaims)
    return claims


def devices(machine: NvidiaMachine = HEALTHY_GPU) -> tuple[DeviceClaims, ...]:
    """What the verifier makes of each device alone."""
    bundles = nvidia().issue(NONCE, now=NOW, machine=machine)
    return tuple(verify_device(bundle, roots=nvidia().roots, now=NOW, nonce=NONCE) for bundle in bundles)


def table(kind: type[Table], **knobs: Any) -> Table:
    """From TOML's types, so that every knob is read as a file would have it read."""
    return msgspec.convert(msgspec.to_builtins(knobs), kind)


def failed(checks: Iterable[Check], prefix: str) -> list[str]:
    """The names of the checks that refuse, without ``prefix``.  Each says what was expected, what came and where."""
    made = tuple(checks)
    assert len({check.name for check in made}) == len(made)
    assert all(check.expected and check.got and check.section for check in made)
    assert all(bool(check.fix) <= (check.outcome is not Outcome.PASS) for check in made)
    return [check.name.removeprefix(prefix) for check in made if check.outcome is not Outcome.PASS]


def codes(findings: Iterable[Finding]) -> list[str]:
    return [finding.code for finding in findings if finding.refuses]


def parse(text: str, **given: Any) -> PlatformPolicy:
    """A development policy for platforms with these tables."""
    return PlatformPolicy.parse(f'version = 1\nprofile = "development"\n{text}'.encode(), **given)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A simulated Intel machine, perhaps with GPUs, that was started with ``document``; it answers at NOW."""

    platform: TdxPlatform | SgxPlatform
    gpus: NvidiaMachine | None = None
    document: LaunchDocument

    @property
    def tee(self) -> str:
        return TDX if isinstance(self.platform, TdxPlatform) else SGX

    def collect(self, asked: bytes) -> EvidenceBundle:
        digest = bytes.fromhex(self.document.digest.removeprefix("sha256:"))
        return intel().issue(asked, tee=self.tee, launch_digest=digest, now=NOW, platform=self.platform)

    def claims(self, purpose: Purpose = Purpose.SESSION) -> Claims:
        """What a verifier makes of its report over NONCE."""
        attester = Attester(
            self,
            keyset=keyset(not_after=int(NOW.timestamp()) + 3600),
            launch=self.document,
            devices=None if self.gpus is None else _Gpus(machine=self.gpus),
        )
        return verify_report(
            attester.attest(purpose=purpose, nonce=NONCE),
            roots=(simulated_root(intel().root_digest),),
            device_roots=nvidia().roots,
            now=NOW,
            purpose=purpose,
            nonce=NONCE,
        )


@dataclass(frozen=True, kw_only=True)
class _Gpus:
    machine: NvidiaMachine

    def collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
        return nvidia().issue(nonce, now=NOW, machine=self.machine)
