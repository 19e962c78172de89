"""What is wrong with a policy, before anybody relies on it.

A finding that ``refuses`` stops the policy from loading; the others are advice that ``hermetic policy lint`` prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hermetic.policy.document import Policy
from hermetic.policy.snp import lint_snp

__all__ = ["Finding", "lint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about a policy.  ``code`` is stable; ``fix`` says what to write."""

    code: str
    message: str
    fix: str = ""
    refuses: bool = True


def lint(policy: Policy) -> tuple[Finding, ...]:
    """All findings, those that refuse first."""
    findings = [*_workload(policy), *_profile(policy), *_platform(policy)]
    return tuple(sorted(findings, key=lambda finding: not finding.refuses))


def _workload(policy: Policy) -> Iterator[Finding]:
    pins = {
        "services": policy.workload.services,
        "programs": policy.workload.programs,
        "configs": policy.workload.configs,
        "argv": policy.workload.argv,
    }
    for field, values in pins.items():
        if not values:
            yield Finding(
                code=f"pins_no_{field}",
                message=f"workload.{field} is empty, so nothing would ever be accepted or anything would",
                fix="hermetic measure server.toml prints the values to pin",
            )
    if not policy.workload.models:
        yield Finding(
            code="pins_no_models",
            message="workload.models is empty: only a workload without a model fits",
            refuses=False,
        )
    if not 1 <= policy.max_keyset_hours <= 24 * 31:
        yield Finding(code="keyset_lifetime", message="max_keyset_hours must be from 1 to 744")


def _profile(policy: Policy) -> Iterator[Finding]:
    if policy.profile == "production" and policy.simulated_root is not None:
        yield Finding(
            code="simulation_in_production",
            message="a production policy never trusts a simulator",
            fix='remove simulated_root, or say profile = "development"',
        )
    if policy.profile == "development":
        yield Finding(
            code="development_profile",
            message="the development profile is for trying things: it may trust a simulator and old hardware",
            refuses=False,
        )


def _platform(policy: Policy) -> Iterator[Finding]:
    for code, message, fix, refuses in lint_snp(policy.snp, policy.profile):
        yield Finding(code=code, message=message, fix=fix, refuses=refuses)
