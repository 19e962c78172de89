"""What a server refuses once it has opened a request.  The client shares a context by then: it is told inside."""

from __future__ import annotations

from typing import ClassVar

from hermetic.errors import Refused


class RequestRefused(Refused):
    """The request opened, and the server does not serve it.  Answered inside the channel with ``status``."""

    code = "request_refused"
    status: ClassVar[int] = 400


class Replayed(RequestRefused):
    """This very request has been here before."""

    code = "replayed"
    status = 409


class OutsideWindow(RequestRefused):
    """The client's clock and the server's differ by more than the tolerance."""

    code = "clock"
    status = 400


class ReplayMemoryFull(RequestRefused):
    """There is no room to remember another request."""

    code = "replay_cache_full"
    status = 503


class BodyTooLarge(RequestRefused):
    """The body exceeds the server's limit."""

    code = "body_too_large"
    status = 413


class BodyMeter:
    """Counts a request's body against the server's limit, in content and as sealed.

    Both profiles allow frames without content, so the sealed bytes need a limit of their own: twice the content and
    128 KiB, which no sender that fills its frames comes near.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._content_left = limit
        self._sealed_left = 2 * limit + 128 * 1024

    def count(self, *, sealed: int, content: int) -> None:
        """So many bytes arrived, and so much body was in them.  Raises BodyTooLarge."""
        self._sealed_left -= sealed
        self._content_left -= content
        if self._content_left < 0 or self._sealed_left < 0:
            raise BodyTooLarge(f"the body is larger than the {self._limit} bytes that this server accepts")
