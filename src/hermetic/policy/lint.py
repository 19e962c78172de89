"""What is wrong with a policy, before anybody relies on it.

A finding that ``refuses`` stops the policy from loading; the others are advice that ``hermetic policy lint`` prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from hermetic.errors import Misconfigured
from hermetic.policy._finding import Finding
from hermetic.policy.document import Policy
from hermetic.policy.nvidia import lint_nvidia
from hermetic.policy.platform import PlatformPolicy
from hermetic.policy.sgx import lint_sgx
from hermetic.policy.snp import lint_snp
from hermetic.policy.tdx import lint_tdx
from hermetic.verify import simulated_root

__all__ = ["Finding", "lint", "require_sound"]

_P = TypeVar("_P", bound=Policy | PlatformPolicy)


def lint(policy: Policy | PlatformPolicy) -> tuple[Finding, ...]:
    """All findings, those that refuse first."""
    if isinstance(policy, PlatformPolicy):
        findings = [*_profile(policy), *_tables(policy)]
        if not policy.tees and policy.nvidia is None:
            findings.append(_no_table("no platform and no device has a table", "[snp], [tdx], [sgx] or [nvidia]"))
    else:
        findings = [*_workload(policy), *_profile(policy.platform), *_tables(policy.platform)]
        if not policy.platform.tees:
            findings.append(_no_table("a workload runs on a platform, and none has a table", "[snp], [tdx] or [sgx]"))
    return tuple(sorted(findings, key=lambda finding: not finding.refuses))


def require_sound(policy: _P, name: str) -> _P:
    """The policy, if nothing about it refuses.  Raises Misconfigured with all that does."""
    errors = [finding for finding in lint(policy) if finding.refuses]
    if errors:
        raise Misconfigured(
            f"{name}: " + "; ".join(finding.message for finding in errors), code=errors[0].code, fix=errors[0].fix
        )
    return policy


def _no_table(message: str, tables: str) -> Finding:
    return Finding(code="pins_no_platform", message=message, fix=f"add {tables}")


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


def _profile(policy: PlatformPolicy) -> Iterator[Finding]:
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


def _tables(policy: PlatformPolicy) -> Iterator[Finding]:
    if policy.snp is not None:
        yield from lint_snp(policy.snp, policy.profile)
    if policy.tdx is not None:
        yield from lint_tdx(policy.tdx, policy.profile)
    if policy.sgx is not None:
        yield from lint_sgx(policy.sgx, policy.profile)
    if policy.nvidia is not None:
        yield from lint_nvidia(policy.nvidia, policy.profile)
    yield from _simulated_roots(policy)


def _simulated_roots(policy: PlatformPolicy) -> Iterator[Finding]:
    """What would make real hardware pass for a simulator, or one simulator for two vendors."""
    table = policy.nvidia
    devices = () if table is None else (table.simulated_device_root, table.simulated_manifest_root)
    pinned = [root for root in (policy.simulated_root, *devices) if root is not None]
    for root in pinned:
        try:
            simulated_root(root)
        except Misconfigured as error:
            yield Finding(code="simulated_root_real", message=error.message, fix="remove it")
    if len(set(pinned)) != len(pinned):
        yield Finding(
            code="simulated_root_twice",
            message="one simulated root is pinned for two purposes",
            fix="pin each as its simulator prints it",
        )
