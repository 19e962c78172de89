"""One request in flight for each key: whoever wants the same thing meanwhile waits for its outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from hermetic.errors import HermeticError, Unavailable

__all__ = ["Flights"]

T = TypeVar("T")


class Flights(Generic[T]):
    """Work by key, done once for all who want it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, Future[T]] = {}

    def run(self, key: str, work: Callable[[], T], *, wait: float) -> T:
        """What ``work`` returns or raises, here or in the thread that came first, for ``wait`` seconds at most.

        Raises Unavailable where that thread takes longer, or was interrupted.
        """
        with self._lock:
            flight = self._flights.get(key)
            first = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        if not first:
            return _outcome(flight, wait)
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

    def _land(self, key: str) -> Future[T]:
        """From here on, whoever asks asks anew."""
        with self._lock:
            return self._flights.pop(key)


def _outcome(flight: Future[T], wait: float) -> T:
    try:
        return flight.result(wait)
    except TimeoutError:
        raise Unavailable("another thread is still fetching it", code="collateral_unavailable") from None
