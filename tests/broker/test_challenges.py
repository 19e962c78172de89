"""Challenges are good once, for a while, and there are only so many."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from hermetic.broker.challenges import Challenges, IssuedChallenge
from hermetic.errors import NotReleased, Unavailable


def _issue(challenges: Challenges, *, peer: str = "a", epoch: int = 1, monotonic: float = 0.0) -> IssuedChallenge:
    return challenges.issue(peer=peer, policy_epoch=epoch, monotonic=monotonic)


def test_a_challenge_can_be_taken_once_until_its_deadline() -> None:
    challenges = Challenges(capacity=8, seconds=60)
    issued = _issue(challenges)
    assert challenges.take(issued.challenge_id, policy_epoch=1, monotonic=59.9) == issued
    with pytest.raises(NotReleased) as refused:
        challenges.take(issued.challenge_id, policy_epoch=1, monotonic=59.9)
    assert refused.value.code == "challenge"


def test_at_its_deadline_it_has_expired() -> None:
    challenges = Challenges(capacity=8, seconds=60)
    issued = _issue(challenges)
    with pytest.raises(NotReleased):
        challenges.take(issued.challenge_id, policy_epoch=1, monotonic=60.0)


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(NotReleased):
        Challenges(capacity=8, seconds=60).take(os.urandom(16).hex(), policy_epoch=1, monotonic=0.0)


def test_one_from_before_a_policy_change_is_refused_and_spent() -> None:
    challenges = Challenges(capacity=8, seconds=60)
    issued = _issue(challenges, epoch=1)
    for _ in range(2):
        with pytest.raises(NotReleased):
            challenges.take(issued.challenge_id, policy_epoch=2, monotonic=1.0)
    assert len(challenges) == 0


def test_of_many_threads_exactly_one_takes_it() -> None:
    challenges = Challenges(capacity=8, seconds=60)

    def attempt(challenge_id: str) -> bool:
        try:
            challenges.take(challenge_id, policy_epoch=1, monotonic=1.0)
        except NotReleased:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        for _ in range(50):
            issued = _issue(challenges)
            assert sum(pool.map(attempt, [issued.challenge_id] * 16)) == 1


def test_nonces_and_ids_never_repeat() -> None:
    challenges = Challenges(capacity=4000, seconds=60)
    issued = [_issue(challenges) for _ in range(1000)]
    assert len({each.nonce for each in issued}) == len({each.challenge_id for each in issued}) == 1000


def test_one_peer_holds_at_most_a_quarter() -> None:
    challenges = Challenges(capacity=8, seconds=60)
    first, _ = _issue(challenges), _issue(challenges)
    with pytest.raises(Unavailable) as busy:
        _issue(challenges)
    assert busy.value.code == "busy"
    _issue(challenges, peer="b")
    challenges.take(first.challenge_id, policy_epoch=1, monotonic=1.0)
    _issue(challenges)


def test_all_together_hold_at_most_the_capacity() -> None:
    challenges = Challenges(capacity=8, seconds=60)
    for number in range(8):
        _issue(challenges, peer=str(number))
    with pytest.raises(Unavailable):
        _issue(challenges, peer="late")


def test_expired_ones_make_room() -> None:
    challenges = Challenges(capacity=4, seconds=60)
    for number in range(4):
        _issue(challenges, peer=str(number))
    _issue(challenges, peer="late", monotonic=60.0)
    assert len(challenges) == 1
    _issue(challenges, peer="0", monotonic=60.0)


def test_the_nonce_is_not_shown() -> None:
    issued = _issue(Challenges(capacity=8, seconds=60))
    assert issued.nonce.hex() not in repr(issued)
