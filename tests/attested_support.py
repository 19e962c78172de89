"""A simulated machine, attesters on it, and policies that want them: for tests of everything above the evidence."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from hermetic.evidence import EvidenceBundle
from hermetic.identity import AttestationReport, Attester, Keyset, LaunchDocument, Purpose
from hermetic.policy import Policy, draft_policy
from hermetic.sources.simulator.amd import SIMULATED_MEASUREMENT, SimulatedAmd
from identity_support import keyset, launch

NONCE = bytes(range(32))
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOT_AFTER = int(NOW.timestamp()) + 3600


@cache
def amd(name: str = "one") -> SimulatedAmd:
    """One simulated vendor for the whole test process (two seconds to make); another name is another vendor."""
    folder = Path(tempfile.mkdtemp(prefix=f"hermetic-test-amd-{name}-"))
    return SimulatedAmd.load_or_create(folder, now=NOW)


@dataclass
class Machine:
    """An evidence source started with ``document``; ``issue`` passes anything on to the simulator."""

    document: LaunchDocument
    vendor: SimulatedAmd = field(default_factory=amd)
    issue: dict[str, Any] = field(default_factory=dict)
    tee: str = "sev-snp"

    def collect(self, report_data: bytes) -> EvidenceBundle:
        host_data = bytes.fromhex(self.document.digest.removeprefix("sha256:"))
        asked: dict[str, Any] = {"host_data": host_data, "now": NOW}
        return self.vendor.issue(report_data, **(asked | self.issue))


def attester(
    document: LaunchDocument | None = None,
    keys: Keyset | None = None,
    started: LaunchDocument | None = None,
    **issue: Any,
) -> Attester:
    """An attester whose platform was started with ``started`` (its own launch document, unless another is given)."""
    document = document or launch()
    machine = Machine(document=started or document, issue=issue)
    return Attester(machine, keyset=keys or keyset(not_after=NOT_AFTER), launch=document)


def report(**changes: Any) -> AttestationReport:
    """A session report for NONCE."""
    return attester(**changes).attest(purpose=Purpose.SESSION, nonce=NONCE)


def policy_text(document: LaunchDocument | None = None, **changes: Any) -> str:
    fields: dict[str, Any] = {
        "profile": "development",
        "tables": {"snp": {"products": [str(amd().product)], "measurements": [SIMULATED_MEASUREMENT.hex()]}},
        "simulated_root": amd().root_digest,
    }
    return draft_policy(document or launch(), **(fields | changes))


def policy(document: LaunchDocument | None = None, **changes: Any) -> Policy:
    return Policy.parse(policy_text(document, **changes).encode())
