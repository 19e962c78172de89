"""Challenges: a nonce that is good once, for at most a minute.

They live in memory on purpose.  Taking one is a single step under a lock, so two requests with the same challenge
cannot both have it; and a broker that restarts has forgotten all of them, which refuses and never accepts twice.
(Several replicas will need a shared table with the same one-step take.)
"""

from __future__ import annotations

import os
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from hermetic.errors import NotReleased, Unavailable

__all__ = ["Challenges", "IssuedChallenge", "stale_challenge"]

NONCE_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedChallenge:
    """``deadline`` is in seconds of the caller's monotonic clock; ``peer`` is the address that asked."""

    challenge_id: str
    nonce: bytes = field(repr=False)
    deadline: float
    policy_epoch: int
    peer: str


def stale_challenge() -> NotReleased:
    """One refusal, whatever the reason why a challenge is good for nothing."""
    return NotReleased("this challenge is unknown, used or expired", code="challenge", fix="ask for a new challenge")


class Challenges:
    """The outstanding challenges: at most ``capacity``, of which one peer holds at most a quarter.  Thread-safe."""

    def __init__(self, *, capacity: int, seconds: int) -> None:
        self._capacity = capacity
        self._per_peer = max(1, capacity // 4)
        self._seconds = seconds
        self._lock = threading.Lock()
        self._issued: OrderedDict[str, IssuedChallenge] = OrderedDict()  # oldest first: all live equally long
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._issued)

    def issue(self, *, peer: str, policy_epoch: int, monotonic: float) -> IssuedChallenge:
        """A fresh challenge.  Raises Unavailable when too many are outstanding: nobody said no, ask again."""
        challenge = IssuedChallenge(
            challenge_id=os.urandom(16).hex(),
            nonce=os.urandom(NONCE_BYTES),
            deadline=monotonic + self._seconds,
            policy_epoch=policy_epoch,
            peer=peer,
        )
        with self._lock:
            self._forget_expired(monotonic)
            if len(self._issued) >= self._capacity or self._held[peer] >= self._per_peer:
                raise Unavailable("too many challenges are outstanding", code="busy")
            self._issued[challenge.challenge_id] = challenge
            self._held[peer] += 1
        return challenge

    def take(self, challenge_id: str, *, policy_epoch: int, monotonic: float) -> IssuedChallenge:
        """Consumes a challenge, whatever comes of it.  Raises NotReleased, with one code, if it is unknown, was used,
        has expired, or was issued before a policy changed."""
        with self._lock:
            challenge = self._issued.pop(challenge_id, None)
            if challenge is not None:
                self._release_peer(challenge.peer)
        if challenge is None or monotonic >= challenge.deadline or challenge.policy_epoch != policy_epoch:
            raise stale_challenge()
        return challenge

    def _forget_expired(self, monotonic: float) -> None:
        while self._issued:
            oldest = next(iter(self._issued.values()))
            if monotonic < oldest.deadline:
                return
            del self._issued[oldest.challenge_id]
            self._release_peer(oldest.peer)

    def _release_peer(self, peer: str) -> None:
        self._held[peer] -= 1
        if not self._held[peer]:
            del self._held[peer]  # so that the table is as small as the challenges are few
