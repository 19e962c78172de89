"""A bound on how long one input may take, the same for mutants and for noise."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["TooSlow", "bounded"]


class TooSlow(BaseException):
    """It took too long.  No Exception, so that nothing under test can mistake it for one of its own."""


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raises TooSlow in the block after ``seconds``, even where it waits in a library that Python can interrupt."""

    def late(signum: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
