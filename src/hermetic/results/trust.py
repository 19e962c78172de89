"""AR4SI: a verdict as a trustworthiness vector (draft-ietf-rats-ar4si, 2.3 and 3).

Each category gets a number whose tier says how far it may be trusted.  Values are those that Confidential Containers'
Trustee gives (executables 3 or 33, hardware 2 or 97, configuration 2 or 36), so that a relying party which reads its
results reads ours.  What no check of a policy looked at stays 0, "no claim".

    not authentic       99 throughout: cryptographic validation failed
    not appraised        0 throughout: nobody said that it is wanted
    simulated           hardware 97 and runtime-opaque 96, whatever a policy said: never affirming
    beside simulated    nothing affirming: a policy that takes simulation says nothing of a real machine
    appraised           by the policy's checks, category by category
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from hermetic.errors import Malformed
from hermetic.results.verdict import Overall, Part, Verdict
from hermetic.verify import Check, Outcome

__all__ = ["CATEGORIES", "Tier", "status", "tier_of", "trust_vector", "unaffirmed", "worst"]


class Tier(StrEnum):
    """How far a part may be trusted, from best to worst; ``NONE`` says nothing."""

    AFFIRMING = "affirming"
    NONE = "none"
    WARNING = "warning"
    CONTRAINDICATED = "contraindicated"


CATEGORIES = (
    "instance-identity",
    "configuration",
    "executables",
    "file-system",
    "hardware",
    "runtime-opaque",
    "storage-opaque",
    "sourced-data",
)

_NO_CLAIM, _UNPARSED, _CRYPTO_FAILED = 0, 1, 99
_APPROVED = MappingProxyType({"executables": 3, "hardware": 2, "configuration": 2, "instance-identity": 2})
_FAILED = MappingProxyType({"executables": 33, "hardware": 97, "configuration": 36, "instance-identity": 97})
_OLD_FIRMWARE, _SIMULATED_HARDWARE = 32, 97
_OPAQUE, _VISIBLE = 2, 96
_CURRENT = "UpToDate"

# Which category a policy's check is about, by the last parts of its name; the first that fits.  What fits nothing is
# about the configuration, so that no check goes unheard.
_ABOUT = (
    ("instance-identity", r"chip-id|ppid|platform-instance|platform-id|ueid|vlek-provider|serial"),
    ("hardware", r"product|tcb|firmware|mitigation|advisor|evaluation|seam|module|driver|vbios|architecture|version"),
    (
        "executables",
        r"measurement|mr-?td|mr-?enclave|mr-?signer|pinned|rtmr|isv|compose|app-id|os-image|id-key|author-key|family-id"
        r"|image-id|guest-svn|program|config$|argv|environment|models|launch|event",
    ),
)
_TABLE_OF = MappingProxyType({"sev-snp": "snp"})
_OF_ONE_TABLE = re.compile(r"policy\.(snp|tdx|sgx|nvidia)\.(?:(gpu[0-9]+|switch[0-9]+)\.)?")


def trust_vector(verdict: Verdict, part: Part) -> Mapping[str, int]:
    """One number for each of CATEGORIES."""
    if not part.authentic:
        unparsed = isinstance(verdict.refusal, Malformed)
        return dict.fromkeys(CATEGORIES, _UNPARSED if unparsed else _CRYPTO_FAILED)
    vector = dict.fromkeys(CATEGORIES, _NO_CLAIM)
    if verdict.policy is None or verdict.refusal is not None:
        return vector
    appraised = [check for check in verdict.checks if check.name.startswith("policy.") and _concerns(check, part)]
    for category in _APPROVED:
        vector[category] = _judged(category, [check for check in appraised if _category(check) == category])
    if vector["executables"] == _NO_CLAIM and _value(part, "measres") == "comparison-success":
        vector["executables"] = _APPROVED["executables"]  # the vendor's reference values were what was measured
    if part.kind != "nvidia" and vector["configuration"] == _APPROVED["configuration"]:
        vector["runtime-opaque"] = _OPAQUE
    if _value(part, "dbgstat") == "enabled":
        vector["runtime-opaque"] = _VISIBLE
    if vector["hardware"] == _APPROVED["hardware"] and _value(part, "intel.tcb.status") not in (None, _CURRENT):
        vector["hardware"] = _OLD_FIRMWARE
    if part.simulated:
        vector |= {"hardware": _SIMULATED_HARDWARE, "runtime-opaque": _VISIBLE}
    elif verdict.simulated:
        return unaffirmed(vector)
    return vector


def status(verdict: Verdict, part: Part) -> Tier:
    """The part's tier: never better than the worst of its vector, and affirming only in an accepted verdict."""
    overall = verdict.overall
    if overall is Overall.REFUSED:
        # A refusal refuses every part: nobody should use the rest of a machine whose GPU failed.
        return Tier.CONTRAINDICATED
    if overall is Overall.NOT_APPRAISED:
        return Tier.NONE
    vector = trust_vector(verdict, part)
    tier = worst(tier_of(value) for value in vector.values() if value != _NO_CLAIM)
    if _NO_CLAIM in (vector["hardware"], vector["executables"]):
        tier = worst((tier, Tier.NONE))  # neither is affirmed where nobody looked at it
    return tier if overall is Overall.ACCEPTED else worst((tier, Tier.WARNING))


def unaffirmed(vector: Mapping[str, int]) -> dict[str, int]:
    """The vector with no claim where it affirms: what it warns of still stands."""
    return {name: _NO_CLAIM if tier_of(value) is Tier.AFFIRMING else value for name, value in vector.items()}


def tier_of(value: int) -> Tier:
    """The tier of one number (AR4SI, 2.3.2)."""
    for tier, numbers in _TIERS:
        if value in numbers:
            return tier
    return Tier.CONTRAINDICATED


_TIERS = (
    (Tier.NONE, range(-1, 2)),
    (Tier.AFFIRMING, (*range(-32, -1), *range(2, 32))),
    (Tier.WARNING, (*range(-96, -32), *range(32, 96))),
)


def worst(tiers: Iterable[Tier]) -> Tier:
    """NONE where there is none."""
    order = list(Tier)
    return max(tiers, key=order.index, default=Tier.NONE)


def _judged(category: str, checks: list[Check]) -> int:
    """Any check may fail a category; only one of a table about this very kind of part approves it."""
    outcomes = {check.outcome for check in checks}
    if Outcome.FAIL in outcomes:
        return _FAILED[category]
    looked = any(_OF_ONE_TABLE.match(check.name) for check in checks)
    return _APPROVED[category] if looked and outcomes == {Outcome.PASS} else _NO_CLAIM


def _concerns(check: Check, part: Part) -> bool:
    """A check of one table concerns the parts of that kind; one that names a device, that device; any other, all."""
    match = _OF_ONE_TABLE.match(check.name)
    if match is None:
        return True
    return match[1] == _TABLE_OF.get(part.kind, part.kind) and match[2] in (None, part.name)


def _category(check: Check) -> str:
    return next((category for category, words in _ABOUT if re.search(words, check.name)), "configuration")


def _value(part: Part, name: str) -> object:
    return next((claim.value for claim in part.claims if claim.name == name), None)
