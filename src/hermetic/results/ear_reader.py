"""Reading somebody's EAR, strictly: whose it must be and what it must answer are the caller's to say.

    1. the pinned key signed it, with that key's algorithm; nothing in its header chooses
    2. it is an EAR of a profile that is known, with every member of the right form
    3. it stands now: issued, not expired, not older than the caller allows
    4. it answers the caller's nonce
    5. no status is better than its vector

An opened result is authentic, and means what its ``tier`` says; only ``affirming`` is a yes.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from hermetic.errors import Malformed, NotAuthentic
from hermetic.results.ear import NAMES, TYP, Names, Profile, VerifierId
from hermetic.results.jws import PublicKey, b64url, open_jws
from hermetic.results.trust import CATEGORIES, Tier, tier_of
from hermetic.wire import parse_object

__all__ = ["Appraisal", "Ear", "open_ear"]

_TYPS = frozenset({TYP, "JWT"})
_LEEWAY = timedelta(seconds=60)
_LIMIT = 512 * 1024
_LATEST = 253402300799  # 9999-12-31, the last second that datetime knows
_ORDER = list(Tier)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraisal:
    """What the verifier says of one part.  ``claims`` are the appraisal's other members, as they came."""

    status: Tier
    vector: Mapping[str, int]
    policies: tuple[str, ...]
    claims: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ear:
    """An authentic result.  ``expires`` is None where its maker set no end."""

    profile: Profile
    issued: datetime
    expires: datetime | None
    verifier: VerifierId
    nonce: str | None
    submods: Mapping[str, Appraisal]

    @property
    def tier(self) -> Tier:
        """The worst of the parts: only where that is affirming is the whole."""
        return max((appraisal.status for appraisal in self.submods.values()), key=_ORDER.index)


def open_ear(token: str, key: PublicKey, *, now: datetime, nonce: bytes | None, max_age: timedelta) -> Ear:
    """The result that ``key`` signed, as of ``now`` (aware).

    ``nonce`` is the relying party's own, or None where it did not ask for this result itself.  ``max_age`` bounds
    results without an end, and others too.  Raises Malformed where it is no EAR, and NotAuthentic (codes ``jws.…`` and
    ``ear.…``) where it is not that key's, not for now, or not an answer to ``nonce``.
    """
    payload = open_jws(token, key, typs=_TYPS)  # 1
    claims = parse_object(payload, what="EAR", limit=_LIMIT)
    ear = _read(claims)  # 2, 5
    _require_current(ear, now, max_age)  # 3
    if nonce is not None and not hmac.compare_digest((ear.nonce or "").encode(), b64url(nonce).encode()):  # 4
        raise NotAuthentic(
            "EAR: it answers another question", code="ear.nonce", fix="ask for a result over a new nonce"
        )
    return ear


def _read(claims: dict[str, Any]) -> Ear:
    try:
        profile = Profile(str(claims.get("eat_profile")))
    except ValueError:
        raise Malformed(f"EAR: expected the profile {' or '.join(Profile)}", code="ear.profile") from None
    names = NAMES[profile]
    submods = claims.get("submods")
    if not isinstance(submods, dict) or not submods:
        raise Malformed("EAR: it is about nothing")
    verifier = claims.get(names.verifier)
    if not isinstance(verifier, dict) or not all(
        isinstance(verifier.get(name), str) for name in ("developer", "build")
    ):
        raise Malformed("EAR: it does not say who appraised")
    nonce = claims.get("eat_nonce")
    if nonce is not None and not isinstance(nonce, str):
        raise Malformed("EAR: eat_nonce is not text")
    issued = _time(claims.get("iat"), "iat")
    return Ear(
        profile=profile,
        issued=issued,
        expires=_time(claims["exp"], "exp") if "exp" in claims else None,
        verifier=VerifierId(developer=verifier["developer"], build=verifier["build"]),
        nonce=nonce,
        submods=MappingProxyType({name: _appraisal(name, value, names) for name, value in submods.items()}),
    )


def _appraisal(name: str, value: object, names: Names) -> Appraisal:
    if not isinstance(value, dict):
        raise Malformed(f"EAR: {name} is not an appraisal")
    try:
        stated = Tier(str(value.get(names.status)))
    except ValueError:
        raise Malformed(f"EAR: {name} has no status that is known") from None
    vector = _vector(name, value.get(names.vector, {}))
    worst = max((tier_of(number) for number in vector.values() if number), key=_ORDER.index, default=Tier.AFFIRMING)
    if _ORDER.index(stated) < _ORDER.index(worst):
        raise NotAuthentic(f"EAR: {name} is said to be {stated}, and its vector says {worst}", code="ear.status")
    policies = value.get(names.policy, [])
    listed = [policies] if isinstance(policies, str) else policies
    if not isinstance(listed, list) or not all(isinstance(policy, str) for policy in listed):
        raise Malformed(f"EAR: {name} names its policies in no form that is known")
    known = {names.status, names.vector, names.policy}
    rest = {member: content for member, content in value.items() if member not in known}
    return Appraisal(status=stated, vector=vector, policies=tuple(listed), claims=MappingProxyType(rest))


def _vector(name: str, value: object) -> Mapping[str, int]:
    if not isinstance(value, dict) or not value.keys() <= set(CATEGORIES):
        raise Malformed(f"EAR: {name} has a vector with categories that are not AR4SI's")
    if not all(type(number) is int and -128 <= number <= 127 for number in value.values()):
        raise Malformed(f"EAR: {name} has a vector with something that is no number from -128 to 127")
    return MappingProxyType(dict(value))


def _time(value: object, what: str) -> datetime:
    # Whole seconds and nothing else: EAT rules out floating point (RFC 9711, 4.3.1), and true is no number.
    if type(value) is not int or not 0 <= value <= _LATEST:
        raise Malformed(f"EAR: {what} is not a time in whole seconds")
    return datetime.fromtimestamp(value, UTC)


def _require_current(ear: Ear, now: datetime, max_age: timedelta) -> None:
    if ear.issued > now + _LEEWAY:
        raise NotAuthentic(
            f"EAR: issued at {ear.issued:%Y-%m-%d %H:%M:%S} UTC, which is later than now", code="ear.issued"
        )
    if ear.expires is not None and now >= ear.expires:
        raise NotAuthentic(f"EAR: expired at {ear.expires:%Y-%m-%d %H:%M:%S} UTC", code="ear.expired", fix="ask again")
    if now - ear.issued > max_age:
        raise NotAuthentic(
            f"EAR: issued at {ear.issued:%Y-%m-%d %H:%M:%S} UTC, more than {max_age} ago",
            code="ear.age",
            fix="ask again",
        )
