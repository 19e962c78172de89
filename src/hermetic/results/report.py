"""The verdict over an attestation report: platform, devices, and the workload that they vouch for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from hermetic.errors import Malformed, NotAuthentic, Refused
from hermetic.identity import AttestationReport, Claims, Purpose, verify_report
from hermetic.policy import Policy, review
from hermetic.results._parts import device_parts, platform_part
from hermetic.results.claim import Claim, Source, Value
from hermetic.results.verdict import Part, Verdict
from hermetic.verify import Root
from hermetic.verify.nvidia import NVIDIA_ROOTS, NvidiaRoots

__all__ = ["examine_report", "refused_report", "report_verdict"]


def examine_report(
    report: AttestationReport,
    *,
    roots: tuple[Root, ...],
    device_roots: NvidiaRoots = NVIDIA_ROOTS,
    now: datetime,
    purpose: Purpose,
    nonce: bytes | None = None,
    policy: Policy | None = None,
) -> Verdict:
    """Verify the report and say all of it.  Parameters and what is raised as in :func:`hermetic.results.examine`."""
    try:
        claims = verify_report(
            report,
            roots=roots,
            device_roots=device_roots,
            now=now,
            purpose=purpose,
            nonce=nonce,
            crl_required=False,
        )
    except (Malformed, NotAuthentic) as error:
        return refused_report(error, report=report, at=now, nonce=nonce, policy=policy)
    return report_verdict(claims, policy=policy)


def report_verdict(claims: Claims, *, policy: Policy | None = None) -> Verdict:
    """The verdict over verified claims, for the time for which they were verified, with every check of ``policy``."""
    return Verdict(
        at=claims.at,
        parts=(platform_part(claims.platform), *device_parts(claims.devices)),
        checks=claims.checks if policy is None else review(claims, policy),
        policy=None if policy is None else policy.digest,
        nonce=claims.binding.nonce if claims.fresh else None,
        workload=tuple(_workload(claims)),
    )


def refused_report(
    error: Refused,
    *,
    report: AttestationReport | None,
    at: datetime,
    nonce: bytes | None = None,
    policy: Policy | None = None,
) -> Verdict:
    """The verdict where verification ended with ``error``: no part of the report is shown as genuine.

    ``report`` is None where it was not even one; then the kind of its platform is unknown.
    """
    kind = "unknown" if report is None else report.evidence.tee
    return Verdict(
        at=at,
        parts=(Part(name="cpu0", kind=kind, authentic=False),),
        checks=error.checks,
        policy=None if policy is None else policy.digest,
        refusal=error,
        nonce=nonce,
    )


def _workload(claims: Claims) -> Iterable[Claim]:
    binding, launch = claims.binding, claims.launch
    stated: dict[str, Value] = {
        "service": launch.service,
        "purpose": str(binding.purpose),
        "launch-digest": binding.launch_digest,
        "keyset-digest": binding.keyset_digest,
        "devices-digest": binding.devices_digest,
        "program-digest": launch.program_digest,
        "config-digest": launch.config_digest,
        "models": tuple(f"{model.name} {model.manifest_digest}" for model in launch.models),
        "keys-expire": f"{claims.keyset.expires():%Y-%m-%dT%H:%M:%SZ}",
        "nonce": binding.nonce.hex(),
    }
    for name, value in stated.items():
        yield Claim(name=f"hermetic.{name}", value=value, source=Source.EVIDENCE)
    if claims.device_link is not None:
        yield Claim(name="hermetic.device-link", value=str(claims.device_link), source=Source.EVIDENCE)
