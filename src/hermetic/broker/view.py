"""The owner's view: who asked for my key, when, on what machine, under which policy, and what was said.

Read from the database beside a running broker.  Unlike the workload, the owner is told every reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from hermetic.broker.config import BrokerConfig
from hermetic.broker.findings import Finding, parse_findings
from hermetic.broker.premises import DATABASE
from hermetic.broker.store import DecisionRow, Store
from hermetic.errors import Misconfigured
from hermetic.release import Decision, convert
from hermetic.wire import parse_object

__all__ = ["Seen", "recipient", "releases"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One decision, as its owner sees it.  ``log_index`` is its entry in the log."""

    log_index: int
    decision: Decision
    findings: tuple[Finding, ...]

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.decision.at, UTC)

    def to_json(self) -> dict[str, Any]:
        return {
            "log_index": self.log_index,
            **self.decision.to_json(),
            "findings": msgspec.to_builtins(self.findings),
        }


def releases(config: BrokerConfig, *, resource: str | None = None, limit: int = 20) -> tuple[Seen, ...]:
    """The newest decisions, newest first; of one resource where it is named.

    Raises Misconfigured where there is no broker.
    """
    store = Store(config.data / DATABASE)
    try:
        return tuple(_seen(row) for row in store.decisions(resource=resource, limit=limit))
    finally:
        store.close()


def recipient(config: BrokerConfig, resource: str) -> str:
    """What to seal to for a resource.  Raises Misconfigured if it is not configured or was never made."""
    config.resource(resource)
    store = Store(config.data / DATABASE)
    try:
        row = store.resource(resource)
    finally:
        store.close()
    if row is None:
        raise Misconfigured(
            f"{resource} has not been made", code="resource_not_made", fix="hermetic broker init --config broker.toml"
        )
    return row.recipient


def _seen(row: DecisionRow) -> Seen:
    signed = parse_object(row.entry.document or b"", what="decision")
    fields = {name: value for name, value in signed["document"].items() if name != "type"}
    return Seen(
        log_index=row.entry.log_index,
        decision=convert(fields, Decision, what="decision"),
        findings=parse_findings(row.findings),
    )
