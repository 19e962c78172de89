"""Reading somebody's EAR, strictly: whose it must be and what it must answer are the caller's to say.

    1. the pinned key signed it, with that key's algorithm; nothing in its header chooses
    2. it is an EAR of a profile that is known, with every member of the right form
    3. it stands now: issued, begun, not expired, not older than the caller allows
    4. it is for the caller, where it says for whom it is
    5. it answers the caller's nonce
    6. no status is better than its vector; and none affirms without numbers to show for it, of what it says is
       simulated, or for another time than that of issue

An opened result is authentic, and means what its ``tier`` says; only ``affirming`` is a yes.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from hermetic.errors import Malformed, Misconfigured, NotAuthentic
from hermetic.results.ear import JUDGED_AT, NAMES, SIMULATED, TYP, Names, Profile, VerifierId, judged_now
from hermetic.results.jws import PublicKey, b64url, open_jws
from hermetic.results.trust import CATEGORIES, Tier, tier_of, worst
from hermetic.wire import parse_object

__all__ = ["Appraisal", "Ear", "open_ear"]

_TYPS = frozenset({TYP, "JWT"})
_LEEWAY = timedelta(seconds=60)
_LIMIT = 512 * 1024
_LATEST = 253402300799  # 9999-12-31, the last second that datetime knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraisal:
    """What the verifier says of one part.  ``claims`` are the appraisal's other members, as they came.

    ``status`` is the verifier's own, or ``none`` where that is affirming and cannot be taken for a yes (6).
    ``judged_at`` is the time that was judged, where it says so.
    """

    status: Tier
    vector: Mapping[str, int]
    policies: tuple[str, ...]
    judged_at: datetime | None
    claims: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ear:
    """An authentic result.  ``begins`` and ``expires`` are None where its maker set no bounds, ``overall`` where it
    says nothing about the whole; ``audience`` is empty where it is for everybody.
    """

    profile: Profile
    issued: datetime
    begins: datetime | None
    expires: datetime | None
    verifier: VerifierId
    audience: tuple[str, ...]
    nonce: str | None
    overall: Tier | None
    submods: Mapping[str, Appraisal]

    @property
    def tier(self) -> Tier:
        """The worst of the parts, and no better than ``overall``: only where that is affirming is the whole."""
        parts = (appraisal.status for appraisal in self.submods.values())
        return worst(parts if self.overall is None else (*parts, self.overall))


def open_ear(
    token: str,
    key: PublicKey,
    *,
    now: datetime,
    nonce: bytes | None,
    max_age: timedelta,
    audience: str | None = None,
) -> Ear:
    """The result that ``key`` signed, as of ``now`` (aware).

    ``nonce`` is the relying party's own, or None where it did not ask for this result itself.  ``max_age`` bounds
    results without an end, and others too.  ``audience`` is the caller's name: who gives it takes only results for that
    name, and who does not only those for everybody.  Raises Malformed where it is no EAR, NotAuthentic (codes ``jws.…``
    and ``ear.…``) where it is not that key's, not for now, not for this caller, or not an answer to ``nonce``, and
    Misconfigured for a nonce that is empty.
    """
    if nonce is not None and not nonce:
        raise Misconfigured("an empty nonce asks nothing", fix="ask with at least 8 random bytes, or pass None")
    payload = open_jws(token, key, typs=_TYPS)  # 1
    claims = parse_object(payload, what="EAR", limit=_LIMIT)
    ear = _read(claims)  # 2, 6
    _require_current(ear, now, max_age)  # 3
    _require_audience(ear, audience)  # 4
    if nonce is not None and not hmac.compare_digest((ear.nonce or "").encode(), b64url(nonce).encode()):  # 5
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
    if nonce is not None and (not isinstance(nonce, str) or not nonce):
        raise Malformed("EAR: eat_nonce is not text, or empty")
    issued = _time(claims.get("iat"), "iat")
    return Ear(
        profile=profile,
        issued=issued,
        begins=_time(claims["nbf"], "nbf") if "nbf" in claims else None,
        expires=_time(claims["exp"], "exp") if "exp" in claims else None,
        verifier=VerifierId(developer=verifier["developer"], build=verifier["build"]),
        audience=_audience(claims["aud"]) if "aud" in claims else (),
        nonce=nonce,
        overall=_tier("the whole", claims[names.status]) if names.status in claims else None,
        submods=MappingProxyType({name: _appraisal(name, value, names, issued) for name, value in submods.items()}),
    )


def _appraisal(name: str, value: object, names: Names, issued: datetime) -> Appraisal:
    if not isinstance(value, dict):
        raise Malformed(f"EAR: {name} is not an appraisal")
    stated = _tier(name, value.get(names.status))
    vector = _vector(name, value.get(names.vector, {}))
    shown = [tier_of(number) for number in vector.values() if number]
    if shown and worst((stated, *shown)) is not stated:
        raise NotAuthentic(f"EAR: {name} is said to be {stated}, and its vector says {worst(shown)}", code="ear.status")
    judged = [_time(each, JUDGED_AT) for each in _said(value, JUDGED_AT)]
    simulated = any(each is not False for each in _said(value, SIMULATED))
    about_now = all(judged_now(at, issued) for at in judged)
    policies = value.get(names.policy, [])
    listed = [policies] if isinstance(policies, str) else policies
    if not isinstance(listed, list) or not all(isinstance(policy, str) for policy in listed):
        raise Malformed(f"EAR: {name} names its policies in no form that is known")
    known = {names.status, names.vector, names.policy}
    rest = {member: content for member, content in value.items() if member not in known}
    return Appraisal(
        status=stated if shown and about_now and not simulated else worst((stated, Tier.NONE)),
        vector=vector,
        policies=tuple(listed),
        judged_at=min(judged, default=None),
        claims=MappingProxyType(rest),
    )


def _tier(name: str, value: object) -> Tier:
    try:
        return Tier(str(value))
    except ValueError:
        raise Malformed(f"EAR: {name} has no status that is known") from None


def _said(appraisal: dict[str, Any], member: str) -> list[object]:
    """What an appraisal says under this name, among its own members or one level below, where verifiers put claims."""
    places = (appraisal, *(value for value in appraisal.values() if isinstance(value, dict)))
    return [place[member] for place in places if member in place]


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


def _audience(value: object) -> tuple[str, ...]:
    """For whom it is: a name or several (RFC 7519, 4.1.3)."""
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise Malformed("EAR: aud is not a name, nor a list of names")
    return tuple(names)


def _require_audience(ear: Ear, audience: str | None) -> None:
    if (audience is None and not ear.audience) or audience in ear.audience:
        return
    raise NotAuthentic(
        "EAR: it is for somebody else" if ear.audience else "EAR: it does not say that it is for this caller",
        code="ear.audience",
        fix="name yourself as the audience that the verifier was asked for",
    )


def _require_current(ear: Ear, now: datetime, max_age: timedelta) -> None:
    if ear.issued > now + _LEEWAY:
        raise NotAuthentic(
            f"EAR: issued at {ear.issued:%Y-%m-%d %H:%M:%S} UTC, which is later than now", code="ear.issued"
        )
    if ear.begins is not None and ear.begins > now + _LEEWAY:
        raise NotAuthentic(f"EAR: does not stand before {ear.begins:%Y-%m-%d %H:%M:%S} UTC", code="ear.not_before")
    if ear.expires is not None and now >= ear.expires:
        raise NotAuthentic(f"EAR: expired at {ear.expires:%Y-%m-%d %H:%M:%S} UTC", code="ear.expired", fix="ask again")
    if now - ear.issued > max_age:
        raise NotAuthentic(
            f"EAR: issued at {ear.issued:%Y-%m-%d %H:%M:%S} UTC, more than {max_age} ago",
            code="ear.age",
            fix="ask again",
        )
