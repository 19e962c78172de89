"""Once only: what a server remembers so that a recorded request is never served again.

In memory, as long as the private key lives.  Nothing that could still be accepted is forgotten: a full memory refuses
new requests instead.  Not for use from several threads.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hermetic.channel.refusals import OutsideWindow, Replayed, ReplayMemoryFull

DEFAULT_CAPACITY = 1 << 20
"""About 100 bytes an entry."""

DEFAULT_TOLERANCE = timedelta(minutes=5)


class ReplayCache:
    """Tokens that were seen, for ever: for protocols whose requests carry no time (EHBP's encapsulated keys)."""

    def __init__(self, *, capacity: int = DEFAULT_CAPACITY) -> None:
        self._capacity = capacity
        self._seen: set[bytes] = set()

    def reserve(self, token: bytes) -> None:
        """Remembers ``token``.  Raises Replayed if it was seen, ReplayMemoryFull if there is no room."""
        _refuse_seen(token, self._seen)
        _refuse_full(len(self._seen), self._capacity)
        self._seen.add(token)


class NonceWindow:
    """Nonces that carry a time: remembered until their time alone refuses them (strict profile, §6).

    The floor, the latest time that the server's own clock has shown, never goes back.  A nonce is dropped once its time
    is more than ``tolerance`` before the floor, and from then on that time is refused: turning the clock back does not
    bring a dropped nonce back into the window.
    """

    def __init__(self, *, tolerance: timedelta = DEFAULT_TOLERANCE, capacity: int = DEFAULT_CAPACITY) -> None:
        self._tolerance = tolerance // _MILLISECOND
        self._capacity = capacity
        self._floor = 0
        self._by_minute: dict[int, set[bytes]] = {}
        self._count = 0

    def reserve(self, nonce: bytes, *, issued_at: int, now: datetime) -> None:
        """Remembers ``nonce``.  ``issued_at`` is the client's time in milliseconds since 1970, ``now`` the server's.

        Raises OutsideWindow, Replayed or ReplayMemoryFull, in the specification's order.
        """
        self._floor = max(self._floor, milliseconds(now))
        # 1. The time is inside the window around the floor.
        if abs(issued_at - self._floor) > self._tolerance:
            raise OutsideWindow(
                f"the request was made at {issued_at} ms and the server's clock shows {self._floor} ms",
                fix="set the clock",
            )
        # 2. It was not here before.
        minute = issued_at // _MINUTE
        self._forget_refused_minutes()
        _refuse_seen(nonce, self._by_minute.get(minute, ()))
        # 3. There is room.
        _refuse_full(self._count, self._capacity)
        # 4. It will not be accepted again.
        self._by_minute.setdefault(minute, set()).add(nonce)
        self._count += 1

    def _forget_refused_minutes(self) -> None:
        """Drops the minutes of which even the last millisecond is outside the window by now."""
        oldest = (self._floor - self._tolerance) // _MINUTE
        for minute in [minute for minute in self._by_minute if minute < oldest]:
            self._count -= len(self._by_minute.pop(minute))


_MILLISECOND = timedelta(milliseconds=1)
_MINUTE = 60_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970.  ``moment`` is aware."""
    return (moment - _EPOCH) // _MILLISECOND


def _refuse_seen(token: bytes, seen: set[bytes] | tuple[()]) -> None:
    if token in seen:
        raise Replayed("this request has been served before; it must be sealed anew")


def _refuse_full(count: int, capacity: int) -> None:
    if count >= capacity:
        raise ReplayMemoryFull(
            f"{count} requests are remembered and there is no room for more", fix="try later, or rotate the channel key"
        )
