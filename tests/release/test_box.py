"""The box: made only for an accepted workload, opened only in the exchange it was made for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import broker_support
import identity_support
from hermetic.channel.kem import XWingPrivateKey
from hermetic.errors import ChannelBroken, HermeticError, Malformed, NotReleased
from hermetic.identity import Purpose, verify_report
from hermetic.policy import Accepted, Policy, appraise, draft_policy
from hermetic.release import Terms, Want, context_digest, open_box, release
from hermetic.seal import FileKey
from hermetic.sources.simulator.amd import SIMULATED_MEASUREMENT
from hermetic.verify import simulated_root
from hermetic.wire import sha256_digest

BROKER = "ed25519:" + "A" * 43 + "="
WANT = Want.of(resource="broker/clinic/triage", version="1", headers=(b"header one", b"header two"))
KEYS = ((FileKey.generate(), FileKey.generate()),)


@pytest.fixture(scope="module")
def workload() -> broker_support.Workload:
    return broker_support.Workload.launched(identity_support.launch())


def _accept(workload: broker_support.Workload, *, purpose: Purpose = Purpose.RELEASE, fresh: bool = True) -> Accepted:
    root = broker_support.amd().root_digest
    policy = draft_policy(
        workload.launch,
        profile="development",
        tables={"snp": {"products": ["Genoa"], "measurements": [SIMULATED_MEASUREMENT.hex()]}},
        simulated_root=root,
    )
    report = workload.attester.attest(purpose=purpose, nonce=bytes(32))
    claims = verify_report(
        report, roots=(simulated_root(root),), now=datetime.now(UTC), purpose=purpose, nonce=bytes(32)
    )
    return appraise(claims if fresh else replace(claims, fresh=False), Policy.parse(policy.encode()))


def _terms(workload: broker_support.Workload, **changes: Any) -> Terms:
    fields: dict[str, Any] = {
        "broker_key": BROKER,
        "challenge_id": "00" * 16,
        "decision_id": "11" * 16,
        "keyset_digest": workload.keyset.digest,
        "launch_digest": workload.launch.digest,
        "wants": (WANT,),
    }
    return Terms(**(fields | changes))


def test_the_accepted_workload_opens_it(workload: broker_support.Workload) -> None:
    terms = _terms(workload)
    box = release(KEYS, to=[_accept(workload)], terms=terms)
    opened = open_box(box, workload.release_key, terms=terms)
    assert [key.secret for key in opened[0]] == [key.secret for key in KEYS[0]]
    assert all(key.secret not in box for key in KEYS[0])


def test_nothing_less_than_accepted_will_do(workload: broker_support.Workload) -> None:
    """An Accepted cannot be written by hand, and its claims alone are not one."""
    accepted = _accept(workload)
    with pytest.raises(TypeError):
        Accepted(claims=accepted.claims, policy_digest=accepted.policy_digest, checks=(), made_by=None)
    with pytest.raises((AttributeError, TypeError)):
        release(KEYS, to=[accepted.claims.platform], terms=_terms(workload))  # type: ignore[list-item]


def test_every_want_needs_its_own_acceptance_and_keys(workload: broker_support.Workload) -> None:
    accepted, terms = _accept(workload), _terms(workload)
    for keys, to in (((), [accepted]), (KEYS, []), (KEYS * 2, [accepted]), (KEYS, [accepted, accepted]), ((), [])):
        with pytest.raises(NotReleased):
            release(keys, to=to, terms=terms)
    with pytest.raises(NotReleased):
        release((), to=[], terms=_terms(workload, wants=()))


def test_an_acceptance_of_another_workload_will_not_do(workload: broker_support.Workload) -> None:
    accepted = _accept(workload)
    for terms in (
        _terms(workload, keyset_digest=sha256_digest(b"other")),
        _terms(workload, launch_digest=sha256_digest(b"other")),
    ):
        with pytest.raises(NotReleased, match="another workload"):
            release(KEYS, to=[accepted], terms=terms)
    other = broker_support.Workload.launched(workload.launch)
    two = (WANT, Want.of(resource="broker/clinic/other", version="1", headers=(b"h",)))
    with pytest.raises(NotReleased, match="another workload"):
        release((*KEYS, (FileKey.generate(),)), to=[accepted, _accept(other)], terms=_terms(workload, wants=two))


def test_an_acceptance_for_another_purpose_will_not_do(workload: broker_support.Workload) -> None:
    with pytest.raises(NotReleased, match="not about a release"):
        release(KEYS, to=[_accept(workload, purpose=Purpose.SESSION)], terms=_terms(workload))


def test_an_acceptance_of_kept_evidence_will_not_do(workload: broker_support.Workload) -> None:
    with pytest.raises(NotReleased, match="asked for just now"):
        release(KEYS, to=[_accept(workload, fresh=False)], terms=_terms(workload))


def test_a_box_opens_under_no_other_terms(workload: broker_support.Workload) -> None:
    box = release(KEYS, to=[_accept(workload)], terms=_terms(workload))
    other_want = Want.of(resource="broker/clinic/triage", version="1", headers=(b"header one", b"header 2"))
    for changes in (
        {"broker_key": "ed25519:" + "B" * 43 + "="},
        {"challenge_id": "22" * 16},
        {"decision_id": "22" * 16},
        {"keyset_digest": sha256_digest(b"other")},
        {"launch_digest": sha256_digest(b"other")},
        {"wants": (other_want,)},
        {"wants": (WANT, other_want)},
    ):
        with pytest.raises(ChannelBroken):
            open_box(box, workload.release_key, terms=_terms(workload, **changes))
    with pytest.raises(ChannelBroken):
        open_box(box, XWingPrivateKey.generate(), terms=_terms(workload))


def test_no_bit_of_a_box_can_be_flipped_and_no_byte_cut_or_added(workload: broker_support.Workload) -> None:
    terms = _terms(workload)
    box = release(KEYS, to=[_accept(workload)], terms=terms)
    for position in [*range(0, len(box), 7), *range(len(box) - 40, len(box))]:
        flipped = bytearray(box)
        flipped[position] ^= 1 << position % 8
        with pytest.raises(HermeticError):
            open_box(bytes(flipped), workload.release_key, terms=terms)
    for cut in (box[:-1], box[:1120], b"", box + b"\0"):
        with pytest.raises((ChannelBroken, Malformed)):
            open_box(cut, workload.release_key, terms=terms)


@settings(max_examples=50)
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4))
def test_a_want_keeps_its_headers_exactly(headers: list[bytes]) -> None:
    want = Want.of(resource="broker/clinic/triage", version="1", headers=tuple(headers))
    assert want.header_bytes() == tuple(headers)


def test_the_context_names_broker_resource_version_and_every_header_in_order() -> None:
    changed = [
        Want.of(resource="broker/clinic/other", version="1", headers=(b"header one", b"header two")),
        Want.of(resource="broker/clinic/triage", version="2", headers=(b"header one", b"header two")),
        Want.of(resource="broker/clinic/triage", version="1", headers=(b"header two", b"header one")),
        Want.of(resource="broker/clinic/triage", version="1", headers=(b"header one",)),
    ]
    contexts = {context_digest(BROKER, (WANT,)), context_digest("ed25519:" + "B" * 43 + "=", (WANT,))}
    contexts |= {context_digest(BROKER, (want,)) for want in changed}
    contexts |= {context_digest(BROKER, (WANT, changed[0])), context_digest(BROKER, (changed[0], WANT))}
    assert len(contexts) == 8
