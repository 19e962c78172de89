"""The session that is in use, renewed before its keys expire and when the server has changed them.

One caller at a time asks the server what it is; the others wait for the answer.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import anyio

from hermetic.channel import Session
from hermetic.errors import ChannelBroken

__all__ = ["AsyncSessions", "Sessions", "utc_now"]

_MARGIN = timedelta(minutes=1)


def utc_now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


class Sessions:
    """``attest`` verifies the server and appraises it: nothing is sent to anybody whom it did not accept."""

    def __init__(self, attest: Callable[[], Session], *, clock: Callable[[], datetime]) -> None:
        self._attest = attest
        self._clock = clock
        self._lock = threading.Lock()
        self._session: Session | None = None

    def current(self) -> Session:
        """A session whose keys do not expire within a minute.  Raises what ``attest`` raises."""
        with self._lock:
            if self._session is None or _expires(self._session, self._clock()):
                self._session = self._attest()
            return self._session

    def renew(self, refused: Session) -> Session:
        """The session in place of one whose key the server says it does not have.

        Raises ChannelBroken if the server, attested again, still has that key.
        """
        with self._lock:
            if self._session is refused:
                self._session = _changed(refused, self._attest())
            return self._session or self._attest()


class AsyncSessions:
    """:class:`Sessions`, for asyncio and trio."""

    def __init__(self, attest: Callable[[], Awaitable[Session]], *, clock: Callable[[], datetime]) -> None:
        self._attest = attest
        self._clock = clock
        self._lock = anyio.Lock()
        self._session: Session | None = None

    async def current(self) -> Session:
        """As :meth:`Sessions.current`."""
        async with self._lock:
            if self._session is None or _expires(self._session, self._clock()):
                self._session = await self._attest()
            return self._session

    async def renew(self, refused: Session) -> Session:
        """As :meth:`Sessions.renew`."""
        async with self._lock:
            if self._session is refused:
                self._session = _changed(refused, await self._attest())
            return self._session or await self._attest()


def _expires(session: Session, now: datetime) -> bool:
    return now >= session.not_after - _MARGIN


def _changed(refused: Session, fresh: Session) -> Session:
    """``fresh``, if its keys are others.

    That the key is unknown was said in clear, by nobody in particular.  If the attested server still has it, the
    request may well have arrived, and sending it again would let anybody on the way have it carried out twice.
    """
    if fresh.keyset_digest == refused.keyset_digest:
        raise ChannelBroken(
            "somebody answered that the server does not have its attested key, and it still does",
            code="key_refused",
            fix="the request may have been carried out; send it again if it may be",
        )
    return fresh
