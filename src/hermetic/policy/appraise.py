"""Do we want it?  Claims × Policy → Accepted, or NotAcceptable with every failure at once.

Authenticity stopped at its first failure; policy reports them all, so that an owner mends a policy in one round.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import InitVar, dataclass
from datetime import timedelta

from hermetic.errors import HermeticError, NotAcceptable
from hermetic.evidence import TDX
from hermetic.identity import Binding, Claims, LaunchDocument
from hermetic.policy._checks import policy_check
from hermetic.policy.document import Policy, WorkloadPolicy
from hermetic.policy.hardware import appraise_platform, dispensed
from hermetic.verify import Check, Outcome
from hermetic.wire import Digest

__all__ = ["Accepted", "appraise", "review"]

_FROM_APPRAISE = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Claims that a policy wanted.  Only :func:`appraise` makes one; sessions and releases take nothing less.

    What vouches for that is not kept, so that a changed copy (``dataclasses.replace``) cannot be made from one either.
    """

    claims: Claims
    policy_digest: Digest
    checks: tuple[Check, ...]
    made_by: InitVar[object]

    def __post_init__(self, made_by: object) -> None:
        if made_by is not _FROM_APPRAISE:
            raise TypeError("only hermetic.policy.appraise makes an Accepted")

    @property
    def binding(self) -> Binding:
        return self.claims.binding

    @property
    def simulated(self) -> bool:
        return self.claims.simulated


def appraise(claims: Claims, policy: Policy) -> Accepted:
    """Accepts, or raises NotAcceptable whose ``checks`` attribute holds every check made.

    A check that was not performed refuses just as one that failed does, unless the policy says that it can do without.
    """
    checks = review(claims, policy)
    spared = dispensed(claims.platform, policy.platform)
    refused = [check for check in checks if not _holds(check, spared)]
    if refused:
        raise _refusal(refused, checks)
    return Accepted(claims=claims, policy_digest=policy.digest, checks=checks, made_by=_FROM_APPRAISE)


def review(claims: Claims, policy: Policy) -> tuple[Check, ...]:
    """Every check of authenticity and policy, with its outcome: for showing.  Decides nothing."""
    return (
        *claims.checks,
        _lifetime(claims, policy),
        *_workload(claims.launch, policy.workload),
        *_launch_place(claims, policy),
        *appraise_platform(claims.platform, claims.devices, policy.platform, at=claims.at),
    )


def _holds(check: Check, spared: frozenset[str]) -> bool:
    return check.outcome is Outcome.PASS or (check.outcome is Outcome.NOT_PERFORMED and check.name in spared)


def _refusal(refused: list[Check], checks: tuple[Check, ...]) -> HermeticError:
    first = refused[0]
    words = [f"{check.title}: {check.outcome} (expected {check.expected}, got {check.got})" for check in refused]
    error = NotAcceptable("; ".join(words), code=first.name, fix=first.fix)
    error.checks = checks
    return error


def _lifetime(claims: Claims, policy: Policy) -> Check:
    """A keyset that outlives the policy's patience would outlive its revocation too."""
    return policy_check(
        "policy.keyset-lifetime",
        "The keys are short-lived",
        claims.keyset.expires() - claims.at <= timedelta(hours=policy.max_keyset_hours),
        f"within {policy.max_keyset_hours} h of {claims.at:%Y-%m-%d %H:%M} UTC",
        f"{claims.keyset.expires():%Y-%m-%d %H:%M} UTC",
    )


def _workload(launch: LaunchDocument, policy: WorkloadPolicy) -> Iterable[Check]:
    """One check for each field of the launch document; none is left unjudged."""
    measure = "hermetic measure server.toml shows what a launch would be"
    yield _member("policy.service", "The service is one we want", launch.service, policy.services)
    yield _member("policy.program", "The program is one we pinned", launch.program_digest, policy.programs, measure)
    yield _member("policy.config", "The configuration is one we pinned", launch.config_digest, policy.configs, measure)
    yield policy_check(
        "policy.argv",
        "It was started as expected",
        launch.argv == policy.argv,
        _words(policy.argv),
        _words(launch.argv),
    )
    yield policy_check(
        "policy.environment",
        "Its environment is the one we allow",
        dict(launch.environment) == policy.environment,
        _names(policy.environment),
        _names(launch.environment),
    )
    served = [model.manifest_digest for model in launch.models]
    yield policy_check(
        "policy.models",
        "It serves only models we pinned",
        bool(served or not policy.models) and set(served) <= set(policy.models),
        _words(policy.models),
        _words(served),
        measure,
    )
    brokers = () if launch.broker_key is None else (launch.broker_key,)
    yield policy_check(
        "policy.broker",
        "It takes keys only from a broker we pinned",
        bool(brokers or not policy.broker_keys) and set(brokers) <= set(policy.broker_keys),
        _words(policy.broker_keys),
        _words(brokers),
    )
    yield policy_check(
        "policy.outbound",
        "It trusts nobody we did not name",
        launch.outbound.items() <= policy.outbound.items(),
        _names(policy.outbound),
        _names(launch.outbound),
    )


def _launch_place(claims: Claims, policy: Policy) -> Iterable[Check]:
    """TDX has two places for the launch digest, and an image obeys one: the host, or an omitted log, picks no other."""
    tdx = policy.platform.tdx
    if claims.platform.tee == TDX and tdx is not None:
        yield policy_check(
            "policy.tdx.launch-place",
            "The launch digest stands where the pinned image puts it",
            claims.launch_place == tdx.launch_place,
            tdx.launch_place,
            str(claims.launch_place),
            f'if that is how the image works: launch_place = "{claims.launch_place}" under [tdx]',
        )


def _member(name: str, title: str, got: str, wanted: tuple[str, ...], fix: str = "") -> Check:
    return policy_check(name, title, got in wanted, " or ".join(wanted) or "nothing pinned", got, fix)


def _words(values: Iterable[str]) -> str:
    return " ".join(values) or "none"


def _names(values: Iterable[str]) -> str:
    return ", ".join(sorted(values)) or "empty"
