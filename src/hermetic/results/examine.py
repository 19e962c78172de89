"""Verify everything there is and say all of it: one verdict over a platform, its devices and a policy.

    1. each part for itself: the platform, then every device; one that fails does not hide another
    2. devices together: one machine's
    3. platform and devices: what binds them (the platform signs their digest, in an attestation report or together with
       the caller's nonce; in files from anywhere, nothing)
    4. a policy's checks, once everything is authentic

For looking and for auditing.  What is missing (a revocation list, a manifest) is "not performed", so it is never
accepted; whoever talks or releases goes through :func:`hermetic.policy.appraise`, which takes nothing less than all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from hermetic.errors import Malformed, NotAuthentic, Refused
from hermetic.evidence import Composite, SnpReport, machine_report_data, parse_evidence
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.policy import PlatformPolicy, Policy, appraise_platform
from hermetic.results._parts import device_parts, platform_part
from hermetic.results.verdict import Part, Verdict
from hermetic.verify import Check, Outcome, PlatformClaims, Root, verify
from hermetic.verify.nvidia import NVIDIA_ROOTS, DeviceClaims, NvidiaRoots, check_machine, verify_device

__all__ = ["examine"]

_NO_WORKLOAD = Check(
    name="policy.workload",
    title="What runs there is what the policy wants",
    outcome=Outcome.NOT_PERFORMED,
    expected="an attestation report, which names the launch document",
    got="bare evidence, which does not say what runs",
    section="policy",
    fix="verify the attestation report of the workload, or use a policy without [workload]",
)
_NOT_BOUND = Check(
    name="binding.devices",
    title="The platform vouches for these devices",
    outcome=Outcome.NOT_PERFORMED,
    expected="devices' evidence that the platform signed",
    got="bare evidence, in which nothing names the other",
    section="protocol: what evidence binds",
    fix="an attestation report of the workload binds its devices: hermetic verify URL --save report.json",
)

_BOUND = replace(
    _NOT_BOUND, outcome=Outcome.PASS, got="report data that name the nonce and exactly these devices", fix=""
)


@dataclass(slots=True)
class _Found:
    """What verification made so far.  The first refusal is the verdict's; the others are among the checks."""

    parts: list[Part] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    refusal: Refused | None = None

    def refuse(self, error: Refused, *, prefix: str = "") -> None:
        self.checks += _named(error.checks, prefix)
        self.refusal = self.refusal or error


def examine(
    evidence: Composite,
    *,
    roots: tuple[Root, ...],
    device_roots: NvidiaRoots = NVIDIA_ROOTS,
    now: datetime,
    report_data: bytes | None = None,
    nonce: bytes | None = None,
    policy: PlatformPolicy | Policy | None = None,
) -> Verdict:
    """The verdict over bare evidence.  ``report_data`` (64 bytes) is the platform's question, ``nonce`` (32) devices'.

    Either None records the comparison as not performed; so is what a policy's file asks of a workload.  A platform that
    answers the nonce together with its devices (:func:`~hermetic.evidence.machine_report_data`) needs no question of
    its own; one without devices that does not answer the nonce leaves it out of the verdict.
    A refusal is in the verdict, not raised; Misconfigured is raised for roots, times or questions that cannot be meant.
    """
    found = _Found()
    together = _together(evidence, nonce)
    asked = together if report_data is None else report_data
    platform = _platform(found, evidence, roots, now, asked)  # 1
    devices = _devices(found, evidence.devices, device_roots, now, nonce)  # 1
    if found.refusal is None and len(devices) > 1:
        _machine(found, devices, nonce)  # 2
    vouched = platform is not None and together is not None  # verified to carry it: no other question passes
    answered = vouched or bool(devices) or found.refusal is not None  # a no answers whoever asked
    if evidence.platform is not None and evidence.devices:
        found.checks.append(_BOUND if vouched else _NOT_BOUND)  # 3
    judge = policy.platform if isinstance(policy, Policy) else policy
    if judge is not None and found.refusal is None:
        found.checks += appraise_platform(platform, devices, judge, at=now)  # 4
        found.checks += [_NO_WORKLOAD] if judge.has_workload else []
    return Verdict(
        at=now,
        parts=tuple(found.parts),
        checks=tuple(found.checks),
        policy=None if judge is None else judge.digest,
        refusal=found.refusal,
        nonce=nonce if answered else None,
    )


def _together(evidence: Composite, nonce: bytes | None) -> bytes | None:
    """What a platform signs to answer ``nonce`` together with these devices, if this one claims that it did."""
    if evidence.platform is None or nonce is None:
        return None
    try:
        wanted, parsed = machine_report_data(nonce, evidence.devices), parse_evidence(evidence.platform)
    except Malformed:
        return None  # verification says so
    claimed = parsed.report_data if isinstance(parsed, SnpReport) else parsed.body.report_data
    return wanted if claimed == wanted else None


def _platform(
    found: _Found, evidence: Composite, roots: tuple[Root, ...], now: datetime, report_data: bytes | None
) -> PlatformClaims | None:
    if (bundle := evidence.platform) is None:
        return None
    try:
        claims = verify(bundle, roots=roots, now=now, report_data=report_data, crl_required=False)
    except (Malformed, NotAuthentic) as error:
        found.refuse(error)
        found.parts.append(Part(name="cpu0", kind=bundle.tee, authentic=False))
        return None
    found.checks += claims.checks
    found.parts.append(platform_part(claims))
    return claims


def _devices(
    found: _Found, bundles: tuple[DeviceBundle, ...], roots: NvidiaRoots, now: datetime, nonce: bytes | None
) -> tuple[DeviceClaims, ...]:
    """The claims of those that are authentic; what is not is a part without claims, named by its place."""
    verified: list[DeviceClaims] = []
    for number, bundle in enumerate(bundles):
        try:
            verified.append(
                verify_device(bundle, roots=roots, now=now, nonce=nonce, revocation_required=False, rims_required=False)
            )
        except (Malformed, NotAuthentic) as error:
            name = f"device{number}"
            found.refuse(error, prefix=f"{name}.")
            found.parts.append(Part(name=name, kind=bundle.device, authentic=False))
    devices = tuple(verified)
    for part, device in zip(device_parts(devices), devices, strict=True):
        found.parts.append(part)
        found.checks += _named(device.checks, f"{part.name}.")
    return devices


def _machine(found: _Found, devices: tuple[DeviceClaims, ...], nonce: bytes | None) -> None:
    try:
        found.checks += check_machine(devices, nonce=nonce)
    except NotAuthentic as error:
        found.refuse(error)


def _named(checks: Iterable[Check], prefix: str) -> Iterable[Check]:
    return (replace(check, name=f"{prefix}{check.name}") for check in checks)
