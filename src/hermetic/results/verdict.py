"""One verdict over everything that was verified: named parts with their claims, and every check with its outcome.

    accepted                   a policy appraised it, and every check was performed and passed
    incomplete                 a policy appraised it, nothing failed, and something was not performed
    authentic, NOT APPRAISED   no policy looked: genuine, and nobody said that it is wanted
    refused                    a check failed

There is no boolean for it: what may be done with an accepted workload takes :class:`hermetic.policy.Accepted`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from hermetic.errors import Misconfigured, Refused
from hermetic.results.claim import Claim
from hermetic.verify import Check, Outcome
from hermetic.wire import Digest

__all__ = ["Overall", "Part", "Verdict"]


class Overall(StrEnum):
    """The verdict in words."""

    ACCEPTED = "accepted"
    INCOMPLETE = "incomplete"
    NOT_APPRAISED = "authentic, NOT APPRAISED"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One attester: ``cpu0``, ``gpu0`` …, ``switch0`` ….

    ``kind`` is ``sev-snp``, ``tdx``, ``sgx`` or ``nvidia``.  ``claims`` is empty where the part is not authentic, and
    ``simulated`` then False: nothing of what it says is known.  ``nonce`` is the device's, where it is one.
    """

    name: str
    kind: str
    authentic: bool
    simulated: bool = False
    claims: tuple[Claim, ...] = field(repr=False, default=())
    nonce: bytes | None = None

    def __post_init__(self) -> None:
        if not self.authentic and (self.claims or self.simulated):
            raise Misconfigured(f"{self.name} is not authentic, so it claims nothing")

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "authentic": self.authentic,
            "simulated": self.simulated,
            "claims": [
                {"name": claim.name, "value": _plain(claim.value), "source": str(claim.source)} for claim in self.claims
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Everything there is to say.  ``checks`` are in the order made; a device's are under its name ("gpu0.nvidia…").

    ``policy`` is the digest of the policy whose checks are among them, None where none appraised.  ``refusal`` is what
    ended a verification that failed.  ``nonce`` is the relying party's own, where one was compared or all was refused.
    ``workload`` are claims about what runs there, from an attestation report.
    """

    at: datetime
    parts: tuple[Part, ...]
    checks: tuple[Check, ...]
    policy: Digest | None = None
    refusal: Refused | None = None
    nonce: bytes | None = None
    workload: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        if not self.parts:
            raise Misconfigured("a verdict is about something")
        if len({part.name for part in self.parts}) != len(self.parts):
            raise Misconfigured("two parts of one name")

    @property
    def simulated(self) -> bool:
        """One simulated part is enough.  Derived from the roots that verified."""
        return any(part.simulated for part in self.parts)

    @property
    def overall(self) -> Overall:
        """Refused before anything else; accepted only by a policy, with every check performed and passed."""
        outcomes = {check.outcome for check in self.checks}
        unproven = not all(part.authentic for part in self.parts)
        if self.refusal is not None or unproven or Outcome.FAIL in outcomes:
            return Overall.REFUSED
        if self.policy is None:
            return Overall.NOT_APPRAISED
        return Overall.ACCEPTED if outcomes == {Outcome.PASS} else Overall.INCOMPLETE

    def to_json(self) -> dict[str, Any]:
        """Complete, for programs."""
        document: dict[str, Any] = {
            "verdict": str(self.overall),
            "at": f"{self.at:%Y-%m-%dT%H:%M:%SZ}",
            "simulated": self.simulated,
            "policy_digest": self.policy,
            "parts": {part.name: part.to_json() for part in self.parts},
            "checks": [check.to_json() for check in self.checks],
        }
        if self.workload:
            document["workload"] = {claim.name: _plain(claim.value) for claim in self.workload}
        if self.refusal is not None:
            refusal = self.refusal
            document["error"] = {"code": refusal.code, "message": refusal.message, "fix": refusal.fix}
        return document


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
