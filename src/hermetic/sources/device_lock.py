"""One request to a device at a time, and none that is waited for without end."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from hermetic.errors import Unavailable

__all__ = ["DeviceLock"]

T = TypeVar("T")

_LOCKS: dict[str, threading.Lock] = {}
_REGISTER = threading.Lock()
_DENIED = frozenset({errno.EACCES, errno.EPERM})


class DeviceLock:
    """The right to ask the device ``name``, which objects of one name share within a process.

    ``timeout`` is in seconds and covers the wait for earlier requests.  A request that is given up on keeps the lock
    until the device lets go of it: nothing can interrupt a driver, and a second request must not meet the first.
    """

    def __init__(self, name: str, *, timeout: float) -> None:
        self._name = name
        self._timeout = timeout
        with _REGISTER:
            self._lock = _LOCKS.setdefault(name, threading.Lock())

    def ask(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, or raises.

        Raises Unavailable where the device does not answer in time, where an earlier request holds it for as long,
        where the process has no thread left to ask with, and in place of an OSError.
        """
        deadline = time.monotonic() + self._timeout
        if not self._lock.acquire(timeout=self._timeout):
            raise Unavailable(f"{self._name}: an earlier request has held it for {self._timeout} s", code="device_busy")
        answer: Future[T] = Future()
        # A daemon: a driver that hangs must not keep the process from ending.
        thread = threading.Thread(target=self._work, args=(work, answer), name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # nobody is asking, so nobody would give it back
            self._lock.release()
            raise Unavailable(f"{self._name}: no thread can be started to ask it", code="device_busy") from error
        wait((answer,), max(0.0, deadline - time.monotonic()))
        if not answer.done():
            raise Unavailable(f"{self._name} did not answer within {self._timeout} s", code="device_timeout")
        try:
            return answer.result()
        except OSError as error:
            raise self._failed(error) from error

    def _work(self, work: Callable[[], T], answer: Future[T]) -> None:
        try:
            result = work()
        except BaseException as error:
            self._lock.release()
            answer.set_exception(error)
        else:
            self._lock.release()
            answer.set_result(result)

    def _failed(self, error: OSError) -> Unavailable:
        fix = "it is for root, or for whom an administrator gave it to" if error.errno in _DENIED else ""
        return Unavailable(f"{self._name}: {error.strerror or type(error).__name__}", fix=fix)
