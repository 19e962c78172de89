"""What becomes of somebody else's EAR: whose, for when, for whom, and how far it is a yes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from ear_support import DAY, HOUR, NONCE, SECOND, altered, cpu, opened, profiles, signed
from hermetic.errors import Malformed, Misconfigured, NotAuthentic
from hermetic.results import (
    CATEGORIES,
    Profile,
    Tier,
    VerifierId,
    ear_claims,
    open_ear,
    sign_ear,
)
from hermetic.results.ear import JUDGED_WITHIN
from hermetic.results.jws import b64url, sign_jws
from hermetic.wire import canonical
from results_support import AT, EAR_VECTORS, ED25519, P256, VERIFIER, recorded_key, verdict
from vectors import needs_vectors


def said(claims: dict[str, Any]) -> dict[str, Any]:
    concluded: dict[str, Any] = cpu(claims)["ear.veraison.policy-claims"]
    return concluded


def judged(apart: timedelta) -> dict[str, int]:
    return {"hermetic.judged-at": int((AT + apart).timestamp())}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: c.update(eat_profile="tag:example.com,2026:other"), id="another profile"),
        pytest.param(lambda c: c.pop("eat_profile"), id="no profile"),
        pytest.param(lambda c: c.update(eat_profile=["tag:github.com,2023:veraison/ear"]), id="a list of profiles"),
        pytest.param(lambda c: c.pop("submods"), id="about nothing"),
        pytest.param(lambda c: c.update(submods={}), id="no submodule"),
        pytest.param(lambda c: c.update(submods=["cpu0"]), id="a list of submodules"),
        pytest.param(lambda c: c.update(submods={"cpu0": 7}), id="a submodule that is a number"),
        pytest.param(lambda c: c.pop("ear.verifier-id"), id="no verifier"),
        pytest.param(lambda c: c.update({"ear.verifier-id": {"developer": "x"}}), id="half a verifier"),
        pytest.param(lambda c: c.update({"ear.verifier-id": {"developer": "x", "build": 7}}), id="a build number"),
        pytest.param(lambda c: c.pop("iat"), id="no time"),
        pytest.param(lambda c: c.update(iat=float(c["iat"])), id="a time in floating point"),
        pytest.param(lambda c: c.update(iat=True), id="a time that is true"),
        pytest.param(lambda c: c.update(iat=-1), id="a time before 1970"),
        pytest.param(lambda c: c.update(iat=2**52), id="a time beyond all years"),
        pytest.param(lambda c: c.update(exp=str(c["exp"])), id="an end as text"),
        pytest.param(lambda c: c.update(exp=None), id="an end that is nothing"),
        pytest.param(lambda c: c.update(eat_nonce=[c["eat_nonce"]]), id="a list of nonces"),
        pytest.param(lambda c: c.update(eat_nonce=""), id="an empty nonce"),
        pytest.param(lambda c: c.update(nbf=str(c["iat"])), id="a beginning as text"),
        pytest.param(lambda c: c.update(aud=7), id="for a number"),
        pytest.param(lambda c: c.update(aud=[]), id="for a list of nobody"),
        pytest.param(lambda c: c.update(aud=["me", 7]), id="for a list with a number"),
        pytest.param(lambda c: c.update(aud=""), id="for nobody"),
        pytest.param(lambda c: c.update({"ear.status": "fine"}), id="another status of the whole"),
        pytest.param(lambda c: c.update({"ear.status": None}), id="a status of the whole that is nothing"),
        pytest.param(lambda c: said(c).update({"hermetic.judged-at": "now"}), id="judged at a time as text"),
        pytest.param(lambda c: cpu(c).pop("ear.status"), id="no status"),
        pytest.param(lambda c: cpu(c).update({"ear.status": 2}), id="a status as number"),
        pytest.param(lambda c: cpu(c).update({"ear.status": "fine"}), id="another status"),
        pytest.param(lambda c: cpu(c).update({"ear.trustworthiness-vector": []}), id="a vector that is a list"),
        pytest.param(lambda c: cpu(c)["ear.trustworthiness-vector"].update(luck=2), id="another category"),
        pytest.param(lambda c: cpu(c)["ear.trustworthiness-vector"].update(hardware=128), id="too large a number"),
        pytest.param(lambda c: cpu(c)["ear.trustworthiness-vector"].update(hardware=-129), id="too small a number"),
        pytest.param(lambda c: cpu(c)["ear.trustworthiness-vector"].update(hardware="2"), id="a number as text"),
        pytest.param(lambda c: cpu(c)["ear.trustworthiness-vector"].update(hardware=True), id="a number that is true"),
        pytest.param(lambda c: cpu(c).update({"ear.appraisal-policy-id": 7}), id="a policy by number"),
        pytest.param(lambda c: cpu(c).update({"ear.appraisal-policy-id": [7]}), id="a list of numbers"),
    ],
)
def test_claims_of_the_wrong_form(change: Callable[[dict[str, Any]], object]) -> None:
    assert opened(altered(lambda _: None)).tier is Tier.AFFIRMING
    with pytest.raises(Malformed):
        opened(altered(change))


@pytest.mark.parametrize(
    ("category", "number"), [("hardware", 32), ("hardware", 97), ("executables", 33), ("file-system", -97)]
)
def test_no_status_is_better_than_its_vector(category: str, number: int) -> None:
    def worsen(claims: dict[str, Any]) -> None:
        cpu(claims)["ear.trustworthiness-vector"][category] = number

    with pytest.raises(NotAuthentic) as refusal:
        opened(altered(worsen))
    assert refusal.value.code == "ear.status"

    def admit(claims: dict[str, Any]) -> None:
        worsen(claims)
        cpu(claims)["ear.status"] = "contraindicated"

    assert opened(altered(admit)).tier is Tier.CONTRAINDICATED


@pytest.mark.parametrize(
    ("now", "code"),
    [
        pytest.param(AT - timedelta(seconds=61), "ear.issued", id="before it was issued"),
        pytest.param(AT + timedelta(minutes=5), "ear.expired", id="at its end"),
        pytest.param(AT + DAY, "ear.expired", id="long after"),
    ],
)
def test_times_at_which_it_does_not_stand(now: datetime, code: str) -> None:
    for fine in (AT - timedelta(seconds=60), AT, AT + timedelta(minutes=5) - timedelta(seconds=1)):
        assert opened(signed(), now=fine)
    with pytest.raises(NotAuthentic) as refusal:
        opened(signed(), now=now)
    assert refusal.value.code == code


def test_the_caller_bounds_its_age() -> None:
    endless = altered(lambda claims: claims.pop("exp"))
    assert opened(endless, now=AT + HOUR).expires is None
    with pytest.raises(NotAuthentic) as refusal:
        opened(endless, now=AT + HOUR + timedelta(seconds=1))
    assert refusal.value.code == "ear.age"
    with pytest.raises(NotAuthentic, match="more than"):
        opened(signed(), now=AT + timedelta(minutes=2), max_age=timedelta(minutes=1))


@profiles
def test_it_answers_the_nonce_that_was_asked(profile: Profile) -> None:
    assert opened(signed(profile=profile), nonce=None).nonce == b64url(NONCE)
    without = sign_ear(verdict(), ED25519, issued=AT, verifier=VERIFIER, profile=profile)
    assert opened(without, nonce=None).nonce is None
    for token, nonce in ((signed(profile=profile), bytes(32)), (without, NONCE)):
        with pytest.raises(NotAuthentic) as refusal:
            opened(token, nonce=nonce)
        assert refusal.value.code == "ear.nonce"


def test_an_empty_nonce_asks_nothing() -> None:
    for token in (signed(), sign_ear(verdict(), ED25519, issued=AT, verifier=VERIFIER)):
        with pytest.raises(Misconfigured, match="empty nonce"):
            opened(token, nonce=b"")


def test_a_result_that_does_not_stand_yet() -> None:
    def begins(after: timedelta) -> str:
        return altered(lambda claims: claims.update(nbf=int((AT + after).timestamp())))

    assert opened(begins(timedelta(seconds=60))).begins == AT + timedelta(seconds=60)
    assert opened(signed()).begins is None
    with pytest.raises(NotAuthentic) as refusal:
        opened(begins(timedelta(seconds=61)))
    assert refusal.value.code == "ear.not_before"


@pytest.mark.parametrize("stated", ["me", ["you", "me"]], ids=["one", "several"])
def test_a_result_for_somebody(stated: object) -> None:
    token = altered(lambda claims: claims.update(aud=stated))
    assert "me" in opened(token, audience="me").audience
    for audience in (None, "us", "m", ""):
        with pytest.raises(NotAuthentic) as refusal:
            opened(token, audience=audience)
        assert refusal.value.code == "ear.audience"


def test_a_result_for_everybody_is_not_for_who_names_himself() -> None:
    assert opened(signed()).audience == ()
    with pytest.raises(NotAuthentic) as refusal:
        opened(signed(), audience="me")
    assert refusal.value.code == "ear.audience"


@profiles
def test_the_word_about_the_whole_bounds_the_parts(profile: Profile) -> None:
    name = "ear.status" if profile is Profile.VERAISON else "ear_status"
    for tier in Tier:
        ear = opened(altered(lambda claims, tier=tier: claims.update({name: str(tier)}), profile))  # type: ignore[misc]
        assert (ear.overall, ear.tier) == (tier, tier)
        assert ear.submods["cpu0"].status is Tier.AFFIRMING
    silent = opened(altered(lambda claims: claims.pop(name, None), profile))
    assert (silent.overall, silent.tier) == (None, Tier.AFFIRMING)

    def contradict(claims: dict[str, Any]) -> None:
        claims[name] = "affirming"
        cpu(claims)[name] = "contraindicated"

    assert opened(altered(contradict, profile)).tier is Tier.CONTRAINDICATED


VECTOR = "ear.trustworthiness-vector"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: cpu(c).pop(VECTOR), id="no vector"),
        pytest.param(lambda c: cpu(c).update({VECTOR: {}}), id="an empty vector"),
        pytest.param(lambda c: cpu(c).update({VECTOR: dict.fromkeys(CATEGORIES, 0)}), id="no claim at all"),
        pytest.param(lambda c: said(c).update({"hermetic.simulated": True}), id="simulated"),
        pytest.param(lambda c: said(c).update({"hermetic.simulated": 1}), id="simulated, in another spelling"),
        pytest.param(lambda c: cpu(c).update({"hermetic.simulated": True}), id="simulated, said beside the claims"),
        pytest.param(lambda c: said(c).update(judged(-JUDGED_WITHIN - SECOND)), id="judged for the past"),
        pytest.param(lambda c: said(c).update(judged(JUDGED_WITHIN + SECOND)), id="judged for the future"),
        pytest.param(lambda c: cpu(c).update(judged(-DAY)), id="judged for the past, said beside the claims"),
    ],
)
def test_what_cannot_be_taken_for_a_yes(change: Callable[[dict[str, Any]], object]) -> None:
    ear = opened(altered(change))
    assert ear.submods["cpu0"].status is ear.tier is Tier.NONE

    def warned(claims: dict[str, Any]) -> None:
        change(claims)
        cpu(claims)["ear.status"] = "warning"

    assert opened(altered(warned)).tier is Tier.WARNING  # a no stays what it is


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: cpu(c).update({VECTOR: {"hardware": 2}}), id="one number"),
        pytest.param(lambda c: said(c).pop("hermetic.simulated"), id="nothing about simulation"),
        pytest.param(lambda c: said(c).pop("hermetic.judged-at"), id="nothing about time"),
        pytest.param(lambda c: said(c).update(judged(-JUDGED_WITHIN)), id="judged a moment before"),
        pytest.param(lambda c: said(c).update(judged(JUDGED_WITHIN)), id="judged a moment after"),
    ],
)
def test_what_can(change: Callable[[dict[str, Any]], object]) -> None:
    assert opened(altered(change)).tier is Tier.AFFIRMING


@profiles
def test_the_time_that_was_judged_is_read(profile: Profile) -> None:
    assert opened(signed(profile=profile)).submods["cpu0"].judged_at == AT
    later = sign_ear(verdict(), ED25519, issued=AT + DAY, verifier=VERIFIER, profile=profile)
    ear = opened(later, now=AT + DAY, nonce=None)
    assert (ear.tier, ear.submods["cpu0"].judged_at) == (Tier.NONE, AT)
    assert opened(altered(lambda c: said(c).pop("hermetic.judged-at"))).submods["cpu0"].judged_at is None


def test_other_kinds_of_token_and_other_signers() -> None:
    claims = canonical(ear_claims(verdict(nonce=NONCE), issued=AT, verifier=VERIFIER))
    assert opened(sign_jws(claims, ED25519, typ="JWT"))  # as deployed verifiers write it
    with pytest.raises(NotAuthentic) as refusal:
        opened(sign_jws(claims, ED25519, typ="at+jwt"))
    assert refusal.value.code == "jws.type"
    with pytest.raises(NotAuthentic):
        opened(signed(P256))


def test_what_else_an_appraisal_says_is_kept() -> None:
    ear = opened(altered(lambda claims: cpu(claims).update(other=[1])))
    assert ear.submods["cpu0"].claims["other"] == [1]
    assert "ear.status" not in ear.submods["cpu0"].claims
    with pytest.raises(TypeError):
        ear.submods["cpu0"].vector["hardware"] = 2  # type: ignore[index]


# Recorded claims sets of the Veraison project, with its key


RECORDED = {
    "ear-claims.json": (Tier.NONE, {}),  # said to be affirming, without a vector to show for it
    "ear-claims-tv-ok.json": (Tier.AFFIRMING, {"executables": 3, "hardware": 2}),
    "ear-claims-extension-ok.json": (Tier.NONE, {}),
    "ear-claims-key-attestation-ok.json": (Tier.AFFIRMING, {"executables": 2, "hardware": 2}),
    "ear-claims-key-attestation-ko.json": (Tier.CONTRAINDICATED, {"executables": 96, "hardware": 2}),
}


@needs_vectors
@pytest.mark.parametrize("file", RECORDED)
def test_recorded_claims(file: str) -> None:
    claims = json.loads((EAR_VECTORS / file).read_text())
    token = jwt.encode(claims, recorded_key(), algorithm="ES256")
    now = datetime.fromtimestamp(claims["iat"], UTC) + HOUR
    ear = open_ear(token, recorded_key().public_key(), now=now, nonce=None, max_age=HOUR)
    tier, numbers = RECORDED[file]
    assert ear.tier is tier
    (appraisal,) = ear.submods.values()
    assert numbers.items() <= dict(appraisal.vector).items()
    (stated,) = claims["submods"].values()
    assert appraisal.policies == (stated["ear.appraisal-policy-id"],)
    assert ear.verifier == VerifierId(**claims["ear.verifier-id"])
