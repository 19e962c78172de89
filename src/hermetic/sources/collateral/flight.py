"""One request in flight for each key: whoever wants the same thing meanwhile waits for what it brings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from hermetic.errors import HermeticError, Unavailable
from hermetic.sources.collateral.timed import Deadline

__all__ = ["Flights"]

T = TypeVar("T")

_NO_SUCH_DOCUMENT = "collateral_unknown"


class Flights(Generic[T]):
    """Work by key, done once for all who want it at the same time.

    What it brings is shared, and so is a vendor's word that there is nothing.  That one thread ran out of time or gave
    up is its own failure: whoever waited for it, and has time left, tries again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[Hashable, Future[T]] = {}

    def run(self, key: Hashable, work: Callable[[], T], deadline: Deadline) -> T:
        """What ``work`` returns or raises, here or in a thread that came first.

        Raises Unavailable where other threads take longer than the deadline.
        """
        while True:
            with self._lock:
                flight = self._flights.get(key)
                first = flight is None
                if flight is None:
                    flight = self._flights[key] = Future()
            if first:
                return self._fly(key, work)
            try:
                return _outcome(flight, deadline.left)
            except Unavailable as error:
                if error.code == _NO_SUCH_DOCUMENT or not deadline.left:
                    raise

    def _fly(self, key: Hashable, work: Callable[[], T]) -> T:
        try:
            result = work()
        except HermeticError as error:
            self._land(key).set_exception(error)
            raise
        except BaseException:  # an interrupt is for this thread only
            self._land(key).set_exception(Unavailable("fetching it was interrupted", code="collateral_unavailable"))
            raise
        self._land(key).set_result(result)
        return result

    def _land(self, key: Hashable) -> Future[T]:
        """From here on, whoever asks asks anew."""
        with self._lock:
            return self._flights.pop(key)


def _outcome(flight: Future[T], wait: float) -> T:
    try:
        return flight.result(wait)
    except TimeoutError:
        raise Unavailable("another thread is still fetching it", code="collateral_unavailable") from None
