"""What an owner is told about a refusal: the check that failed, what it wanted, what came, and what to change.

The workload is told none of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hermetic.errors import Refused
from hermetic.verify import Outcome

__all__ = ["Finding", "findings_of", "parse_findings", "write_findings"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check that failed, or was not performed, for one wanted resource."""

    resource: str
    check: str
    title: str
    expected: str = ""
    got: str = ""
    fix: str = ""


def findings_of(resource: str, error: Refused) -> tuple[Finding, ...]:
    """Every failed check behind a refusal; the refusal itself where no list was kept."""
    failed = [check for check in error.checks if check.outcome is not Outcome.PASS]
    if not failed:
        return (Finding(resource=resource, check=error.code, title=error.message, fix=error.fix),)
    return tuple(
        Finding(
            resource=resource,
            check=check.name,
            title=check.title,
            expected=check.expected,
            got=check.got,
            fix=check.fix,
        )
        for check in failed
    )


def write_findings(findings: Sequence[Finding]) -> str:
    """As JSON text, for the repository."""
    return msgspec.json.encode(list(findings)).decode()


def parse_findings(text: str) -> tuple[Finding, ...]:
    """From the repository."""
    return msgspec.json.decode(text, type=tuple[Finding, ...])
