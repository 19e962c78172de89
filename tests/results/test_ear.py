"""EAR: what a verdict becomes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import jwt
import pytest

from ear_support import DAY, NONCE, cpu, keys, opened, profiles, signed
from hermetic.errors import Malformed, NotAuthentic
from hermetic.results import (
    CATEGORIES,
    Claim,
    Profile,
    Source,
    Tier,
    ear_claims,
)
from hermetic.results.ear import JUDGED_WITHIN
from hermetic.results.jws import SigningKey, b64url
from results_support import AT, ED25519, POLICY, VERIFIER, part, verdict


@keys
@profiles
def test_a_verdict_comes_back(key: SigningKey, profile: Profile) -> None:
    ear = opened(signed(key, profile), key)
    assert (ear.profile, ear.issued, ear.expires) == (profile, AT, AT + timedelta(minutes=5))
    assert ear.verifier == VERIFIER
    assert ear.tier is Tier.AFFIRMING
    cpu = ear.submods["cpu0"]
    assert cpu.status is Tier.AFFIRMING
    assert dict(cpu.vector) == dict(zip(CATEGORIES, (2, 2, 3, 0, 2, 2, 0, 0), strict=True))
    assert cpu.policies == (POLICY,)


def test_the_spelling_of_deployed_verifiers() -> None:
    claims = ear_claims(verdict(nonce=NONCE), issued=AT, verifier=VERIFIER)
    assert claims.keys() == {"eat_profile", "iat", "exp", "ear.verifier-id", "submods", "eat_nonce"}
    assert claims["eat_profile"] == "tag:github.com,2023:veraison/ear"
    assert claims["ear.verifier-id"] == {"developer": "Hermetic", "build": "hermetic test"}
    assert claims["eat_nonce"] == b64url(NONCE)
    cpu = claims["submods"]["cpu0"]
    assert cpu["ear.status"] == "affirming"
    assert cpu["ear.appraisal-policy-id"] == POLICY
    assert cpu["ear.trustworthiness-vector"].keys() == set(CATEGORIES)
    assert cpu["ear.veraison.policy-claims"]["hermetic.verdict"] == "accepted"


def test_the_spelling_of_the_draft() -> None:
    device = part("gpu0", kind="nvidia", nonce=bytes(32), stated={"measres": "comparison-success"})
    claims = ear_claims(verdict(parts=(part(), device)), issued=AT, verifier=VERIFIER, profile=Profile.IETF)
    assert claims.keys() == {"eat_profile", "iat", "exp", "ear_verifier_id", "submods", "ear_status"}
    assert claims["eat_profile"] == "tag:ietf.org,2026:rats/ear#04"
    cpu, gpu = claims["submods"]["cpu0"], claims["submods"]["gpu0"]
    assert cpu["ear_appraisal_policy_ids"] == [POLICY]
    assert gpu["eat_nonce"] == b64url(bytes(32))
    assert "eat_nonce" not in cpu
    assert claims["ear_status"] == "none"  # no check of the policy looked at the device's hardware


def test_a_token_is_small_enough_to_travel() -> None:
    stated = {"nvidia.measurements": tuple(f"{index}:{'00' * 48}" for index in range(64)), "measres": "x"}
    gpus = tuple(part(f"gpu{number}", kind="nvidia", stated=stated) for number in range(8))
    token = signed(parts=gpus)
    assert len(token) < 8192
    assert opened(token).submods["gpu0"].claims["ear.veraison.annotated-evidence"] == {"measres": "x"}


def test_claims_are_told_apart_by_authority() -> None:
    claims = (
        Claim(name="snp.policy", value=("SMT",), source=Source.EVIDENCE),
        Claim(name="events.app-id", value="00", source=Source.EVENT_LOG),
        Claim(name="hwmodel", value="Genoa", source=Source.CERTIFICATE),
        Claim(name="intel.tcb.status", value="UpToDate", source=Source.COLLATERAL),
    )
    workload = (Claim(name="hermetic.service", value="clinic-chat", source=Source.EVIDENCE),)
    parts = (part(claims=claims), part("gpu0", kind="nvidia"))
    made = verdict(parts=parts, workload=workload)
    submods = ear_claims(made, issued=AT, verifier=VERIFIER, profile=Profile.IETF)["submods"]
    assert submods["cpu0"]["ear_attester_claims"] == {
        "snp.policy": ["SMT"],
        "events.app-id": "00",
        "hermetic.service": "clinic-chat",
    }
    assert submods["cpu0"]["ear_verifier_claims"] == {
        "hwmodel": "Genoa",
        "intel.tcb.status": "UpToDate",
        "hermetic.verdict": "accepted",
        "hermetic.simulated": False,
        "hermetic.judged-at": int(AT.timestamp()),
    }
    assert submods["gpu0"]["ear_attester_claims"] == {}


@pytest.mark.parametrize(
    ("changes", "tier"),
    [
        pytest.param({"policy": None}, Tier.NONE, id="not appraised"),
        pytest.param({"parts": (part(simulated=True),)}, Tier.CONTRAINDICATED, id="simulated"),
        pytest.param({"refusal": NotAuthentic("no")}, Tier.CONTRAINDICATED, id="refused"),
        pytest.param({"parts": (part(), part("gpu0", kind="nvidia"))}, Tier.NONE, id="a device that nobody judged"),
    ],
)
@profiles
def test_what_is_not_affirming(profile: Profile, changes: dict[str, Any], tier: Tier) -> None:
    ear = opened(signed(profile=profile, **changes))
    assert ear.tier is tier
    if changes.get("policy", POLICY) is None:
        assert ear.submods["cpu0"].policies == ()


@pytest.mark.parametrize("way", [1, -1], ids=["for the past", "for the future"])
@profiles
def test_what_was_judged_for_another_time_is_no_yes_for_now(profile: Profile, way: int) -> None:
    def result(apart: timedelta) -> dict[str, Any]:
        return ear_claims(verdict(), issued=AT + way * apart, verifier=VERIFIER, profile=profile)

    name, overall = ("ear.status", None) if profile is Profile.VERAISON else ("ear_status", "affirming")
    near = result(JUDGED_WITHIN)
    assert (cpu(near)[name], near.get("ear_status")) == ("affirming", overall)
    far = result(JUDGED_WITHIN + timedelta(seconds=1))
    assert (cpu(far)[name], far.get("ear_status")) == ("none", overall and "none")
    vector = cpu(far)[name.replace("status", "trustworthiness-vector" if "." in name else "trustworthiness_vector")]
    assert set(vector.values()) == {0}
    # What was found for that time is there for an auditor.
    concluded = cpu(far)["ear.veraison.policy-claims" if profile is Profile.VERAISON else "ear_verifier_claims"]
    assert concluded["hermetic.verdict"] == "accepted"
    assert concluded["hermetic.judged-at"] == int(AT.timestamp())


def test_a_no_for_the_past_is_still_a_no() -> None:
    refused = verdict("policy.snp.measurement", "policy.snp.tcb!", parts=(part(),))
    claims = ear_claims(refused, issued=AT + DAY, verifier=VERIFIER)
    assert cpu(claims)["ear.status"] == "contraindicated"
    assert cpu(claims)["ear.trustworthiness-vector"]["hardware"] == 97


@keys
@profiles
def test_an_independent_library_reads_it(key: SigningKey, profile: Profile) -> None:
    algorithm = "EdDSA" if key is ED25519 else "ES256"
    token = signed(key, profile)
    claims = jwt.decode(
        token, key.public_key(), algorithms=[algorithm], options={"verify_exp": False, "verify_iat": False}
    )
    assert claims == ear_claims(verdict(nonce=NONCE), issued=AT, verifier=VERIFIER, profile=profile)
    assert jwt.get_unverified_header(token)["typ"] == "eat+jwt"


@keys
def test_one_flipped_bit(key: SigningKey) -> None:
    token = signed(key).encode()
    for at in range(0, len(token), 3):
        for bit in range(8):
            mutant = bytearray(token)
            mutant[at] ^= 1 << bit
            with pytest.raises((Malformed, NotAuthentic)):
                opened(mutant.decode("latin-1"), key)
