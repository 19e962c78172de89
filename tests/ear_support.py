"""EAR tokens for tests: signed over the accepted verdict, altered under the right key, and opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from hermetic.results import (
    Ear,
    Profile,
    ear_claims,
    open_ear,
    sign_ear,
)
from hermetic.results.jws import SigningKey, sign_jws
from results_support import AT, ED25519, P256, VERIFIER, verdict

NONCE = bytes(range(32))
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
profiles = pytest.mark.parametrize("profile", list(Profile), ids=lambda profile: profile.name)
keys = pytest.mark.parametrize("key", [ED25519, P256], ids=["EdDSA", "ES256"])


def signed(key: SigningKey = ED25519, profile: Profile = Profile.VERAISON, **changes: Any) -> str:
    made = verdict(nonce=NONCE, **changes)
    return sign_ear(made, key, issued=AT, verifier=VERIFIER, profile=profile)


def opened(token: str, key: SigningKey = ED25519, **changes: Any) -> Ear:
    asked: dict[str, Any] = {"now": AT, "nonce": NONCE, "max_age": HOUR}
    return open_ear(token, key.public_key(), **(asked | changes))


def altered(change: Callable[[dict[str, Any]], object], profile: Profile = Profile.VERAISON) -> str:
    """The right key's signature over claims that somebody changed."""
    claims = ear_claims(verdict(nonce=NONCE), issued=AT, verifier=VERIFIER, profile=profile)
    change(claims)
    return sign_jws(json.dumps(claims).encode(), ED25519, typ="eat+jwt")


def cpu(claims: dict[str, Any]) -> dict[str, Any]:
    appraisal: dict[str, Any] = claims["submods"]["cpu0"]
    return appraisal
