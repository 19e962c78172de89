"""Once only: what is remembered, what may be forgotten, and that the clock cannot be turned against it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.channel.refusals import BodyTooLarge, OutsideWindow, Replayed, ReplayMemoryFull, RequestRefused
from hermetic.channel.replay import NonceWindow, ReplayCache, milliseconds

NOW = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)
AT = milliseconds(NOW)
MINUTES = 60_000


def after(**delta: float) -> datetime:
    return NOW + timedelta(**delta)


def test_milliseconds_are_exact() -> None:
    assert milliseconds(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert milliseconds(datetime(2026, 11, 24, 12, 0, 0, 1999, tzinfo=UTC)) % 1000 == 1


def test_a_token_is_served_once() -> None:
    cache = ReplayCache()
    cache.reserve(b"one")
    cache.reserve(b"two")
    with pytest.raises(Replayed):
        cache.reserve(b"one")


def test_a_full_cache_refuses_and_forgets_nothing() -> None:
    cache = ReplayCache(capacity=2)
    cache.reserve(b"one")
    cache.reserve(b"two")
    with pytest.raises(ReplayMemoryFull):
        cache.reserve(b"three")
    for token in (b"one", b"two"):
        with pytest.raises(Replayed):
            cache.reserve(token)


def test_a_nonce_is_served_once_within_the_window() -> None:
    window = NonceWindow()
    window.reserve(b"n", issued_at=AT, now=NOW)
    window.reserve(b"m", issued_at=AT, now=NOW)
    for minutes in (0, 1, 4.9):
        with pytest.raises(Replayed):
            window.reserve(b"n", issued_at=AT, now=after(minutes=minutes))


@pytest.mark.parametrize("offset", [-5 * MINUTES - 1, 5 * MINUTES + 1, -AT, 2**63])
def test_a_time_outside_the_window_is_refused(offset: int) -> None:
    with pytest.raises(OutsideWindow):
        NonceWindow().reserve(b"n", issued_at=AT + offset, now=NOW)


@pytest.mark.parametrize("offset", [-5 * MINUTES, 0, 5 * MINUTES])
def test_the_windows_edges_are_inside(offset: int) -> None:
    NonceWindow().reserve(b"n", issued_at=AT + offset, now=NOW)


def test_a_clock_turned_back_brings_nothing_back() -> None:
    window = NonceWindow()
    window.reserve(b"n", issued_at=AT, now=NOW)
    window.reserve(b"m", issued_at=AT + 10 * MINUTES, now=after(minutes=10))  # n's minute is forgotten by now
    with pytest.raises(OutsideWindow):
        window.reserve(b"n", issued_at=AT, now=NOW)


def test_forgetting_makes_room() -> None:
    window = NonceWindow(capacity=2)
    window.reserve(b"a", issued_at=AT, now=NOW)
    window.reserve(b"b", issued_at=AT, now=NOW)
    with pytest.raises(ReplayMemoryFull):
        window.reserve(b"c", issued_at=AT + 5 * MINUTES, now=after(minutes=5))
    window.reserve(b"c", issued_at=AT + 7 * MINUTES, now=after(minutes=7))


@given(
    st.lists(
        st.tuples(
            st.integers(min_value=0, max_value=5),  # which nonce
            st.integers(min_value=-8, max_value=8),  # the request's minute
            st.integers(min_value=-20, max_value=20),  # the server's clock, which the host moves at will
        ),
        max_size=60,
    )
)
def test_no_clock_lets_a_request_in_twice(steps: list[tuple[int, int, int]]) -> None:
    window, served = NonceWindow(capacity=10), set()
    for nonce, minute, clock in steps:
        request = (bytes([nonce]), AT + minute * MINUTES)
        try:
            window.reserve(request[0], issued_at=request[1], now=after(minutes=clock))
        except RequestRefused:
            continue
        assert request not in served
        served.add(request)


def test_each_refusal_has_a_code_and_a_status() -> None:
    refusals = (Replayed, OutsideWindow, ReplayMemoryFull, BodyTooLarge)
    assert [(refusal.code, refusal.status) for refusal in refusals] == [
        ("replayed", 409),
        ("clock", 400),
        ("replay_cache_full", 503),
        ("body_too_large", 413),
    ]
