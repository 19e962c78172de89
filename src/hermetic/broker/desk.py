"""The desk: one request and one spent challenge in, a verdict out.  Nothing is written or answered here.

    ReleaseRequest ─parse→ AttestationReport ─verify→ Claims ─appraise→ Accepted ─unlock→ file keys ─release→ box

Every want must come all the way; one that does not denies them all.  Nothing is unwrapped for a want before its
resource's own policy has accepted the workload.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hermetic.broker.challenges import IssuedChallenge
from hermetic.broker.findings import Finding, findings_of
from hermetic.broker.resources import Resource
from hermetic.broker.store import GrantRow
from hermetic.errors import NotAcceptable, NotReleased, Refused
from hermetic.identity import AttestationReport, Claims, LaunchDocument, Purpose, verify_report
from hermetic.policy import Accepted, appraise
from hermetic.release import Decision, Machine, ReleaseRequest, Terms, Want, Wanted, context_digest, release
from hermetic.seal import FileKey, Header, ResourceVersion, parse_header
from hermetic.verify import Check, Outcome
from hermetic.wire import Digest, sha256_digest

__all__ = ["Desk", "Verdict"]

_SECTION = "key release"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was decided.  ``box`` and ``grant`` are there only when granted, ``findings`` only when denied.

    Nothing of it may leave before ``decision`` is durable.  ``log_size`` is what the workload has seen of the log;
    ``dates`` are those that real hardware's vendor signed.
    """

    decision: Decision
    log_size: int
    findings: tuple[Finding, ...]
    box: bytes | None = field(repr=False)
    grant: GrantRow | None
    dates: tuple[datetime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What decisions rest on.  Replaced as a whole when the broker reloads, so that no request sees half a change."""

    broker_key: str
    policy_epoch: int
    resources: Mapping[str, Resource]

    def decide(self, request: ReleaseRequest, challenge: IssuedChallenge, *, now: datetime) -> Verdict:
        """Granted, or denied for reasons.  Raises Malformed where report or headers cannot even be read."""
        report = AttestationReport.from_json(request.report)
        cases = [_Case(want=want, headers=tuple(map(parse_header, want.header_bytes()))) for want in request.wants]
        context = context_digest(self.broker_key, request.wants)
        for case in cases:
            try:
                self._judge(case, report, nonce=challenge.nonce, context=context, now=now)
            except Refused as error:
                case.findings = findings_of(case.want.resource, error)
        terms = Terms(
            broker_key=self.broker_key,
            challenge_id=challenge.challenge_id,
            decision_id=os.urandom(16).hex(),
            keyset_digest=report.binding.keyset_digest,
            launch_digest=report.binding.launch_digest,
            wants=request.wants,
        )
        box, findings = _release(cases, terms)
        decision = _decision(terms, cases, report, box=box, findings=findings, epoch=self.policy_epoch, now=now)
        return Verdict(
            decision=decision,
            log_size=request.log_size,
            findings=findings,
            box=box,
            grant=None if box is None else _grant(report),
            dates=tuple(_vendor_dates(cases)),
        )

    def _judge(self, case: _Case, report: AttestationReport, *, nonce: bytes, context: Digest, now: datetime) -> None:
        """Takes one want as far as it comes.  Raises the refusal that stops it."""
        want = case.want
        # 1. We keep that resource, in that version.
        resource = case.resource = self._resource(want.resource)
        version = case.version = resource.version(want.version)
        # 2. The evidence is authentic under the roots of this resource's class, made for a release, answers our
        #    challenge, and is about exactly these wants from this broker.
        case.claims = verify_report(
            report,
            roots=resource.roots,
            device_roots=resource.device_roots,
            now=now,
            purpose=Purpose.RELEASE,
            nonce=nonce,
            context_digest=context,
        )
        # 3. It was launched to take this model's key from us, and the owner's policy wants it.
        case.accepted = _appraise(case.claims, resource, self._launched(report.launch, version))
        # 4. The headers are the owner's, and open.
        case.file_keys = resource.unlock(version, case.headers, to=case.accepted)

    def _resource(self, name: str) -> Resource:
        resource = self.resources.get(name)
        if resource is None:
            raise NotReleased(f"this broker keeps no {name}", code="resource.unknown")
        return resource

    def _launched(self, launch: LaunchDocument, version: ResourceVersion) -> tuple[Check, ...]:
        served = [model.manifest_digest for model in launch.models]
        return (
            Check.judged(
                "launch.broker",
                "It was launched to take keys from this broker only",
                launch.broker_key == self.broker_key,
                expected=self.broker_key,
                got=launch.broker_key or "none",
                section=_SECTION,
                fix="set the broker's key in the workload's configuration, and pin the new launch document",
            ),
            Check.judged(
                "launch.model",
                "It was launched for this very model",
                version.manifest_digest in served,
                expected=version.manifest_digest,
                got=" ".join(served) or "none",
                section=_SECTION,
                fix="the workload's configuration must name the manifest digest of the version it asks for",
            ),
        )


@dataclass(slots=True, kw_only=True)
class _Case:
    """How far one want came."""

    want: Want
    headers: tuple[Header, ...]
    resource: Resource | None = None
    version: ResourceVersion | None = None
    claims: Claims | None = None
    accepted: Accepted | None = None
    file_keys: tuple[FileKey, ...] = ()
    findings: tuple[Finding, ...] = ()

    def wanted(self) -> Wanted:
        """For the decision: what was asked for, and under which policy, as far as that was found."""
        return Wanted(
            resource=self.want.resource,
            version=self.want.version,
            headers=tuple(header.digest for header in self.headers),
            manifest_digest=None if self.version is None else self.version.manifest_digest,
            policy_digest=None if self.resource is None else self.resource.policy.digest,
        )


def _appraise(claims: Claims, resource: Resource, launched: tuple[Check, ...]) -> Accepted:
    """The policy's verdict and our own two checks, all failures in one refusal."""
    failed = [check for check in launched if check.outcome is not Outcome.PASS]
    try:
        accepted = appraise(claims, resource.policy)
    except NotAcceptable as error:
        error.checks = (*failed, *error.checks)
        raise
    if failed:
        refusal = NotReleased(failed[0].title, code=failed[0].name)
        refusal.checks = tuple(failed)
        raise refusal
    return accepted


def _release(cases: list[_Case], terms: Terms) -> tuple[bytes | None, tuple[Finding, ...]]:
    """The box, if every want came all the way; else every reason why not."""
    findings = tuple(finding for case in cases for finding in case.findings)
    accepted = [case.accepted for case in cases if case.accepted is not None]
    if findings:
        return None, findings
    try:
        return release(tuple(case.file_keys for case in cases), to=accepted, terms=terms), ()
    except Refused as error:
        return None, tuple(finding for case in cases for finding in findings_of(case.want.resource, error))


def _decision(
    terms: Terms,
    cases: list[_Case],
    report: AttestationReport,
    *,
    box: bytes | None,
    findings: tuple[Finding, ...],
    epoch: int,
    now: datetime,
) -> Decision:
    claims = next((case.claims for case in cases if case.claims is not None), None)
    return Decision(
        decision_id=terms.decision_id,
        at=int(now.timestamp()),
        broker_key=terms.broker_key,
        policy_epoch=epoch,
        challenge_id=terms.challenge_id,
        outcome="denied" if box is None else "granted",
        code=findings[0].check if findings else "",
        wants=tuple(case.wanted() for case in cases),
        service=report.launch.service,
        report_digest=report.digest,
        keyset_digest=terms.keyset_digest,
        launch_digest=terms.launch_digest,
        machine=None if claims is None else _machine(claims),
        box_digest=None if box is None else sha256_digest(box),
    )


def _machine(claims: Claims) -> Machine:
    platform = claims.platform
    return Machine(
        tee=platform.tee,
        product=str(platform.product),
        chip_id=platform.chip_id.hex(),
        root=platform.root.sha256,
        simulated=claims.simulated,
    )


def _grant(report: AttestationReport) -> GrantRow:
    keyset = report.keyset
    return GrantRow(
        keyset_digest=report.binding.keyset_digest,
        not_after=keyset.not_after,
        receipt_keys={key.key_id: key.public_key for key in keyset.receipt_signing_keys},
    )


def _vendor_dates(cases: list[_Case]) -> Iterator[datetime]:
    for case in cases:
        # A simulator signs any date it likes; letting it move our clock would let it deny everybody else.
        if case.claims is not None and not case.claims.simulated:
            yield from case.claims.dates
