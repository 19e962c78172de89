"""EAT Attestation Results (EAR): a verdict as a signed token that other systems read.

Two spellings of the same content are written and read, told apart by ``eat_profile``:

    Profile.VERAISON   tag:github.com,2023:veraison/ear    ``ear.status``, as deployed verifiers write it
    Profile.IETF       tag:ietf.org,2026:rats/ear#04       ``ear_status``, as draft-ietf-rats-ear-04 has it

One submodule a part, its status and AR4SI vector as :mod:`hermetic.results.trust` says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from hermetic.results.claim import Claim, Source
from hermetic.results.jws import SigningKey, b64url, sign_jws
from hermetic.results.trust import Tier, status, trust_vector
from hermetic.results.verdict import Part, Verdict
from hermetic.wire import canonical

__all__ = ["LIFETIME", "TYP", "Profile", "VerifierId", "ear_claims", "sign_ear"]

LIFETIME = timedelta(minutes=5)
"""How long a result stands unless its maker says otherwise: what it is about may be patched or revoked tomorrow."""
TYP = "eat+jwt"
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
    """The claims set.  ``issued`` (aware) is when it is written; the time that was judged is ``hermetic.judged-at``."""
    names = NAMES[profile]
    claims: dict[str, Any] = {
        "eat_profile": str(profile),
        "iat": int(issued.timestamp()),
        "exp": int((issued + lifetime).timestamp()),
        names.verifier: {"developer": verifier.developer, "build": verifier.build},
        "submods": {part.name: _appraisal(verdict, part, profile) for part in verdict.parts},
    }
    if verdict.nonce is not None:
        claims["eat_nonce"] = b64url(verdict.nonce)
    if profile is Profile.IETF:
        claims[names.status] = str(_overall(verdict))
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


def _overall(verdict: Verdict) -> Tier:
    """The worst of the parts: all are needed."""
    order = list(Tier)
    return max((status(verdict, part) for part in verdict.parts), key=order.index)


def _appraisal(verdict: Verdict, part: Part, profile: Profile) -> dict[str, Any]:
    names = NAMES[profile]
    appraisal: dict[str, Any] = {
        names.status: str(status(verdict, part)),
        names.vector: dict(trust_vector(verdict, part)),
    }
    if verdict.policy is not None:
        appraisal[names.policy] = verdict.policy if profile is Profile.VERAISON else [verdict.policy]
    if part.nonce is not None and profile is Profile.IETF:
        appraisal["eat_nonce"] = b64url(part.nonce)
    attested, concluded = _by_authority((*part.claims, *_workload(verdict, part)))
    concluded |= {
        "hermetic.verdict": str(verdict.overall),
        "hermetic.simulated": part.simulated,
        "hermetic.judged-at": int(verdict.at.timestamp()),
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
