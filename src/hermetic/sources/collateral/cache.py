"""What was fetched before, under names that derive from the request.

An entry is one file: a line of JSON about where and when, then the answer's bytes.  It is read like anything that a
stranger could have written: an entry that is not whole and exact is as good as none, and what it holds is judged again.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from hermetic.errors import Malformed, Misconfigured, Unavailable
from hermetic.seal.place import new_file
from hermetic.sources.collateral.question import Answer, Period, Request
from hermetic.sources.collateral.timed import Deadline
from hermetic.sources.own_folder import own_folder
from hermetic.wire import canonical, parse_object, sha256_digest

try:
    import fcntl
except ImportError:
    _FLOCK, _EXCLUSIVE_AT_ONCE = None, 0
else:
    _FLOCK, _EXCLUSIVE_AT_ONCE = fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB

__all__ = ["Cache", "Entry", "FolderCache", "MemoryCache", "default_cache"]

_HEAD = 65536
_REMEMBERED = 256
_POLL = 0.02
# No link is followed and no pipe waited for.  Each system has some of these.
_AS_IT_IS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))

Flock = Callable[[int, int], None]
"""flock(2): takes the lock or raises OSError, BlockingIOError where somebody else has it."""


def default_cache() -> Path:
    """``hermetic/collateral`` in the user's cache folder (XDG base directories)."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(configured) if configured.startswith("/") else Path.home() / ".cache") / "hermetic" / "collateral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An answer, and when (by the asker's clock) it was fetched."""

    answer: Answer
    fetched_at: datetime


class Cache(Protocol):
    """Answers by the key of their request."""

    def load(self, request: Request) -> Entry | None:
        """What was kept, or None; never raises for what it finds."""

    def store(self, request: Request, entry: Entry, period: Period) -> None:
        """Keeps ``entry`` if it can: failing to is no failure of whoever asks."""

    def lock(self, request: Request, deadline: Deadline) -> AbstractContextManager[None]:
        """Held by one process at a time.  Raises Unavailable where the deadline passes first."""


class MemoryCache:
    """The last few hundred answers, for as long as the process lives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def load(self, request: Request) -> Entry | None:
        with self._lock:
            return self._entries.get(request.key)

    def store(self, request: Request, entry: Entry, period: Period) -> None:
        with self._lock:
            self._entries[request.key] = entry
            self._entries.move_to_end(request.key)
            while len(self._entries) > _REMEMBERED:
                self._entries.popitem(last=False)

    @contextmanager
    def lock(self, request: Request, deadline: Deadline) -> Iterator[None]:
        yield


class FolderCache:
    """A folder, open to its owner only: what it holds tells which chips somebody asked about."""

    def __init__(self, folder: Path, *, flock: Flock | None = _FLOCK) -> None:
        """Makes ``folder`` (0700) if need be.  ``flock`` is None on a system without it (Windows).

        Raises Misconfigured where that fails, or where it is not this user's alone to write to.
        """
        self._folder = own_folder(folder, what="the collateral cache")
        self._flock = flock

    def load(self, request: Request) -> Entry | None:
        try:
            data = _read_file(self._path(request), _HEAD + request.largest + 1)
            head, separator, content = data.partition(b"\n")
            about = parse_object(head, what="cache entry", limit=_HEAD)
            headers, fetched_at = about["headers"], datetime.fromisoformat(about["fetched_at"])
        except (OSError, Malformed, KeyError, TypeError, ValueError):
            return None
        whole = separator and about.get("sha256") == sha256_digest(content) and about.get("url") == request.url
        if not whole or len(content) > request.largest or fetched_at.tzinfo is None or not _are_texts(headers):
            return None
        return Entry(answer=Answer(content=content, headers=headers), fetched_at=fetched_at)

    def store(self, request: Request, entry: Entry, period: Period) -> None:
        head = canonical(
            {
                "url": request.url,
                "fetched_at": entry.fetched_at.isoformat(),
                "holds_from": period.first.isoformat(),  # these two are for people: the content itself decides
                "holds_until": period.last.isoformat(),
                "headers": dict(entry.answer.headers),
                "sha256": sha256_digest(entry.answer.content),
            }
        )
        with (
            suppress(OSError, Misconfigured),  # a full disk, say, or a folder that was deleted meanwhile
            new_file(self._path(request), replace=True) as descriptor,
            os.fdopen(descriptor, "wb", closefd=False) as file,
        ):
            file.write(head + b"\n" + entry.answer.content)

    @contextmanager
    def lock(self, request: Request, deadline: Deadline) -> Iterator[None]:
        """A file of its own for each request, which stays; the system gives the lock back when its holder dies.

        Where files cannot be locked, processes may ask twice, and nothing worse.
        """
        if self._flock is None:
            yield
            return
        try:
            descriptor = os.open(self._path(request, ".lock"), os.O_RDWR | os.O_CREAT | _AS_IT_IS, 0o600)
        except OSError:  # a folder that can only be read: nobody else will write to it either
            yield
            return
        try:
            while not _taken(self._flock, descriptor):
                if not deadline.left:
                    raise Unavailable(f"another process is still fetching {request.url}", code="collateral_unavailable")
                time.sleep(_POLL)
            yield
        finally:
            os.close(descriptor)

    def _path(self, request: Request, suffix: str = ".collateral") -> Path:
        return self._folder / f"{request.key}{suffix}"


def _read_file(path: Path, most: int) -> bytes:
    """At most so many bytes of a plain file.  Raises OSError on anything else, and never waits for a writer."""
    descriptor = os.open(path, os.O_RDONLY | _AS_IT_IS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a plain file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)


def _taken(flock: Flock, descriptor: int) -> bool:
    """Whether there is nobody to wait for."""
    try:
        flock(descriptor, _EXCLUSIVE_AT_ONCE)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _are_texts(headers: object) -> bool:
    return isinstance(headers, dict) and all(isinstance(value, str) for value in headers.values())
