"""Connections on which nothing lasts longer than its request may, however slowly and in whatever pieces it comes.

A time-out for silence starts anew with every byte: a server that trickles its headers, interim answers, the sizes of
chunks or trailers would be listened to for ever.  Here no single wait lasts beyond the deadline of the request that it
belongs to.  Only the resolution of names is the system's, and takes as long as that lets it.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore2

__all__ = ["Deadline", "TimedNetwork"]


class Deadline:
    """A moment by which everything has to be done, ``seconds`` from now."""

    def __init__(self, seconds: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._end = monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds; 0 when it has passed."""
        return max(0.0, self._end - self._monotonic())


class TimedNetwork(httpcore2.NetworkBackend):
    """The system's network.  Within :meth:`until`, this thread waits for it no longer than there is time."""

    def __init__(self) -> None:
        self._network = httpcore2.SyncBackend()
        self._thread = threading.local()

    @contextmanager
    def until(self, deadline: Deadline) -> Iterator[None]:
        self._thread.deadline = deadline
        try:
            yield
        finally:
            del self._thread.deadline

    def bounded(self, silence: float | None, late: type[httpcore2.TimeoutException]) -> float:
        """How long to wait, in seconds: for ``silence`` at most, and not beyond the deadline.  Raises ``late``."""
        left: float = self._thread.deadline.left
        if not left:
            raise late("the time is over")
        return left if silence is None else min(silence, left)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        wait = self.bounded(timeout, httpcore2.ConnectTimeout)
        stream = self._network.connect_tcp(host, port, wait, local_address, socket_options)
        return _TimedStream(stream, self)


class _TimedStream(httpcore2.NetworkStream):
    """A connection, which serves one request at a time, and each in the thread that makes it."""

    def __init__(self, stream: httpcore2.NetworkStream, network: TimedNetwork) -> None:
        self._stream = stream
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._network.bounded(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._network.bounded(timeout, httpcore2.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        wait = self._network.bounded(timeout, httpcore2.ConnectTimeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, wait), self._network)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
