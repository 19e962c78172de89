"""Getting the model's keys: an attestation report to the broker, file keys back (protocols.md §4).

    challenge → report for exactly this exchange → grant → file keys

The broker decides whether we are what the owner wants.  We check that it is the broker we were measured with, that it
answered this very exchange, and that what it decided is in its log: a release that nobody can see did not happen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from hermetic.channel import XWingPrivateKey
from hermetic.errors import NotAuthentic, NotReleased
from hermetic.identity import AttestationReport, Attester, Purpose
from hermetic.ledger import Inclusion, verify_logged
from hermetic.release import (
    Challenge,
    Decision,
    Grant,
    ReleaseRequest,
    Terms,
    Want,
    Wanted,
    context_digest,
    convert,
    open_box,
    open_signed,
)
from hermetic.seal import FileKey, parse_header
from hermetic.serve.broker_log import BrokerLog
from hermetic.wire import Digest, b64decode, canonical, sha256_digest, unhex

__all__ = ["Post", "Unlocked", "unlock"]

Post: TypeAlias = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""Sends a document to a path of the broker's and returns what came back.  Blocking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocked:
    """The file keys, in the order of the want's headers, and the policy under which the owner released them."""

    file_keys: tuple[FileKey, ...] = field(repr=False)
    policy_digest: Digest | None
    decision_id: str


def unlock(
    *,
    post: Post,
    broker_key: str,
    log: BrokerLog,
    attester: Attester,
    release_key: XWingPrivateKey,
    want: Want,
    manifest_digest: Digest,
) -> Unlocked:
    """The file keys of ``want``.  Blocking; ``release_key`` is the one in the attester's keyset.

    Raises NotReleased when the broker keeps them, NotAuthentic when its answer is not about this exchange or not in its
    log, ChannelBroken when the box does not open, Unavailable, Malformed.
    """
    wants = (want,)
    # 1. A challenge, signed by the broker we were measured with.
    challenge = open_signed(post("/v1/challenge", {}), Challenge, broker_key=broker_key)
    if challenge.broker_key != broker_key:
        raise NotAuthentic("the challenge names another broker than the one that signed it", code="broker_answer")
    # 2. Evidence for this release: this challenge, this broker, exactly these wants.
    report = attester.attest(
        purpose=Purpose.RELEASE,
        nonce=unhex(challenge.nonce, what="nonce", length=32),
        context_digest=context_digest(broker_key, wants),
    )
    # 3. The broker decides.
    request = ReleaseRequest(
        challenge_id=challenge.challenge_id, log_size=log.size, report=report.to_json(), wants=wants
    )
    grant = convert(post("/v1/release", msgspec.to_builtins(request)), Grant, what="grant")
    # 4. Its decision is about this exchange, and covers this box.
    decision = open_signed(grant.receipt, Decision, broker_key=broker_key)
    box = b64decode(grant.box, what="box")
    policy = _check_decision(decision, challenge, report, want, manifest_digest=manifest_digest, box=box)
    # 5. It is in the log, and the log continues what we saw of it.
    note = grant.checkpoint.encode()
    inclusion = Inclusion(
        index=grant.index, proof=tuple(unhex(step, what="inclusion", length=32) for step in grant.inclusion), note=note
    )
    verify_logged(canonical(grant.receipt), salt=unhex(grant.salt), inclusion=inclusion, log_key=log.key)
    log.follow(note, grant.consistency)
    # 6. Only our key opens the box, and only in this exchange.
    terms = Terms(
        broker_key=broker_key,
        challenge_id=challenge.challenge_id,
        decision_id=decision.decision_id,
        keyset_digest=report.keyset.digest,
        launch_digest=report.launch.digest,
        wants=wants,
    )
    (file_keys,) = open_box(box, release_key, terms=terms)
    return Unlocked(file_keys=file_keys, policy_digest=policy, decision_id=decision.decision_id)


def _check_decision(
    decision: Decision,
    challenge: Challenge,
    report: AttestationReport,
    want: Want,
    *,
    manifest_digest: Digest,
    box: bytes,
) -> Digest | None:
    """The policy that was applied.  Raises NotReleased unless it was granted, NotAuthentic unless it is ours."""
    if decision.outcome != "granted":
        raise NotReleased(f"the key was not released (decision {decision.decision_id})", code="not_released")
    policy = decision.wants[0].policy_digest if decision.wants else None
    expected = {
        "challenge_id": challenge.challenge_id,
        "broker_key": challenge.broker_key,
        "report_digest": report.digest,
        "keyset_digest": report.keyset.digest,
        "launch_digest": report.launch.digest,
        "box_digest": sha256_digest(box),
        "wants": (
            Wanted(
                resource=want.resource,
                version=want.version,
                headers=tuple(parse_header(header).digest for header in want.header_bytes()),
                manifest_digest=manifest_digest,
                policy_digest=policy,
            ),
        ),
    }
    for name, value in expected.items():
        if getattr(decision, name) != value:
            raise NotAuthentic(f"the broker's decision is about another {name}", code="broker_answer")
    return None if policy is None else Digest(policy)
