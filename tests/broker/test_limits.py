"""A caller's allowance."""

from __future__ import annotations

import pytest

from hermetic.broker.limits import RateLimit
from hermetic.errors import Unavailable


def test_a_burst_then_the_rate() -> None:
    limit = RateLimit(rate=2.0, burst=3)
    for _ in range(3):
        limit.spend("a", monotonic=0.0)
    with pytest.raises(Unavailable) as refused:
        limit.spend("a", monotonic=0.0)
    assert refused.value.code == "rate_limited"
    limit.spend("a", monotonic=0.5)
    with pytest.raises(Unavailable):
        limit.spend("a", monotonic=0.5)


def test_one_peer_does_not_use_up_anothers() -> None:
    limit = RateLimit(rate=1.0, burst=1)
    limit.spend("a", monotonic=0.0)
    limit.spend("b", monotonic=0.0)


def test_being_refused_costs_nothing_more() -> None:
    limit = RateLimit(rate=1.0, burst=1)
    limit.spend("a", monotonic=0.0)
    for _ in range(10):
        with pytest.raises(Unavailable):
            limit.spend("a", monotonic=0.5)
    limit.spend("a", monotonic=1.0)


def test_the_table_of_peers_is_bounded() -> None:
    limit = RateLimit(rate=1.0, burst=1)
    for number in range(10_050):
        limit.spend(str(number), monotonic=0.0)
    assert len(limit) == 10_000
