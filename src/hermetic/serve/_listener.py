"""Takes away a listening socket that a native library opened in this process and offers no way to refuse."""

from __future__ import annotations

import contextlib
import os
import socket
import time

from hermetic.serve.engine import EngineFailed

__all__ = ["remove_listener"]


def remove_listener(path: str, *, grace: float = 10.0) -> None:
    """Shuts down every socket bound to the unix ``path`` and waits until its owner has closed it.

    Blocking, a few milliseconds.  Raises EngineFailed if it stays for ``grace`` seconds: no server starts then.
    """
    deadline = time.monotonic() + grace
    while True:
        listeners = [number for number in _descriptors() if _bound_to(number, path)]
        if not listeners:
            return
        if time.monotonic() > deadline:
            raise EngineFailed("the engine's own listener does not go away")
        for number in listeners:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as listener:
                listener.shutdown(socket.SHUT_RDWR)
        time.sleep(0.005)


def _descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


def _bound_to(number: int, path: str) -> bool:
    try:
        with socket.socket(fileno=os.dup(number)) as candidate:
            return candidate.family == socket.AF_UNIX and candidate.getsockname() == path
    except OSError:  # not a socket, or closed meanwhile
        return False
