"""EAT Attestation Results (EAR): a verdict as a signed token that other systems read.

Two spellings of the same content are written and read, told apart by ``eat_profile``:

    Profile.VERAISON   tag:github.com,2023:veraison/ear    ``ear.status``, as deployed verifiers write it
    Profile.IETF       tag:ietf.org,2026:rats/ear#04       ``ear_status``, as draft-ietf-rats-ear-04 has it

One submodule a part, its status and AR4SI vector as :mod:`hermetic.results.trust` says; neither affirms anything where
what was judged is another time than that of issue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from hermetic.results.claim import Claim, Source
from hermetic.results.jws import SigningKey, b64url, sign_jws
from hermetic.results.trust import Tier, status, trust_vector, unaffirmed, worst
from hermetic.results.verdict import Part, Verdict
from hermetic.wire import canonical

__all__ = ["JUDGED_WITHIN", "LIFETIME", "TYP", "Profile", "VerifierId", "ear_claims", "judged_now", "sign_ear"]

LIFETIME = timedelta(minutes=5)
"""How long a result stands unless its maker says otherwise: what it is about may be patched or revoked tomorrow."""
JUDGED_WITHIN = timedelta(minutes=5)
"""How far the time that was judged may be from that of issue, either way, for a result to be about now."""
TYP = "eat+jwt"
SIMULATED, JUDGED_AT = "hermetic.simulated", "hermetic.judged-at"
"""Claims of ours that the reader of a result heeds."""
_BULKY = frozenset({"nvidia.measurements"})
"""Left out of tokens, which travel in headers: 64 digests a device, of which ``measres`` says what they were worth."""


class Profile(StrEnum):
    """Which spelling; the value is the ``eat_profile``."""

    VERAISON = "tag:github.com,2023:veraison/ear"
    IETF = "tag:ietf.org,2026:rats/ear#04"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """How one profile names its members."""

    status: str
    vector: str
    policy: str
    verifier: str
    raw: str


NAMES = {
    Profile.VERAISON: Names(
        status="ear.status",
        vector="ear.trustworthiness-vector",
        policy="ear.appraisal-policy-id",
        verifier="ear.verifier-id",
        raw="ear.raw-evidence",
    ),
    Profile.IETF: Names(
        status="ear_status",
        vector="ear_trustworthiness_vector",
        policy="ear_appraisal_policy_ids",
        verifier="ear_verifier_id",
        raw="ear_raw_evidence",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierId:
    """Who appraised: the maker of the verifier, and which build it is."""

    developer: str
    build: str


def ear_claims(
    verdict: Verdict,
    *,
    issued: datetime,
    verifier: VerifierId,
    lifetime: timedelta = LIFETIME,
    profile: Profile = Profile.VERAISON,
) -> dict[str, Any]:
    """The claims set.  ``issued`` (aware) is when it is written; the time that was judged is ``hermetic.judged-at``.

    Where they differ by more than JUDGED_WITHIN, the result is about a date, for an auditor: ``hermetic.verdict`` says
    what was found for it, and no status and no number of a vector is affirming.
    """
    names = NAMES[profile]
    claims: dict[str, Any] = {
        "eat_profile": str(profile),
        "iat": int(issued.timestamp()),
        "exp": int((issued + lifetime).timestamp()),
        names.verifier: {"developer": verifier.developer, "build": verifier.build},
        "submods": {part.name: _appraisal(verdict, part, profile, issued) for part in verdict.parts},
    }
    if verdict.nonce is not None:
        claims["eat_nonce"] = b64url(verdict.nonce)
    if profile is Profile.IETF:
        claims[names.status] = str(worst(_trust(verdict, part, issued)[0] for part in verdict.parts))  # all are needed
    return claims


def sign_ear(
    verdict: Verdict,
    key: SigningKey,
    *,
    issued: datetime,
    verifier: VerifierId,
    lifetime: timedelta = LIFETIME,
    profile: Profile = Profile.VERAISON,
) -> str:
    """The signed token, compact.  ``key`` is Ed25519 or of P-256; its thumbprint is the token's ``kid``."""
    claims = ear_claims(verdict, issued=issued, verifier=verifier, lifetime=lifetime, profile=profile)
    return sign_jws(canonical(claims), key, typ=TYP)


def judged_now(at: datetime, issued: datetime) -> bool:
    """Whether what was judged for ``at`` is about the time of issue: a yes for last year is none for today."""
    return abs(issued - at) <= JUDGED_WITHIN


def _trust(verdict: Verdict, part: Part, issued: datetime) -> tuple[Tier, Mapping[str, int]]:
    tier, vector = status(verdict, part), trust_vector(verdict, part)
    if judged_now(verdict.at, issued):
        return tier, vector
    return worst((tier, Tier.NONE)), unaffirmed(vector)


def _appraisal(verdict: Verdict, part: Part, profile: Profile, issued: datetime) -> dict[str, Any]:
    names = NAMES[profile]
    tier, vector = _trust(verdict, part, issued)
    appraisal: dict[str, Any] = {names.status: str(tier), names.vector: dict(vector)}
    if verdict.policy is not None:
        appraisal[names.policy] = verdict.policy if profile is Profile.VERAISON else [verdict.policy]
    if part.nonce is not None and profile is Profile.IETF:
        appraisal["eat_nonce"] = b64url(part.nonce)
    attested, concluded = _by_authority((*part.claims, *_workload(verdict, part)))
    concluded |= {
        "hermetic.verdict": str(verdict.overall),
        SIMULATED: part.simulated,
        JUDGED_AT: int(verdict.at.timestamp()),
    }
    if profile is Profile.IETF:
        return appraisal | {"ear_attester_claims": attested, "ear_verifier_claims": concluded}
    return appraisal | {"ear.veraison.annotated-evidence": attested, "ear.veraison.policy-claims": concluded}


def _workload(verdict: Verdict, part: Part) -> tuple[Claim, ...]:
    """What runs is the platform's to say."""
    return verdict.workload if part.name == "cpu0" and part.authentic else ()


def _by_authority(claims: Iterable[Claim]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the attester says, and what the verifier adds from elsewhere."""
    attested: dict[str, Any] = {}
    concluded: dict[str, Any] = {}
    for claim in claims:
        if claim.name in _BULKY:
            continue
        value = list(claim.value) if isinstance(claim.value, tuple) else claim.value
        own = claim.source in (Source.EVIDENCE, Source.EVENT_LOG)
        (attested if own else concluded)[claim.name] = value
    return attested, concluded
