"""What was fetched before, under names that derive from the request.

An entry is one file: a line of JSON about where and when, then the answer's bytes.  It is read like anything that a
stranger could have written: an entry that is not whole and exact is as good as none, and what it holds is judged again.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from hermetic.errors import Malformed, Misconfigured, Unavailable
from hermetic.seal.place import new_file
from hermetic.sources.collateral.question import Answer, Period, Request
from hermetic.sources.collateral.timed import Deadline
from hermetic.wire import canonical, parse_object, sha256_digest

__all__ = ["Cache", "Entry", "FolderCache", "MemoryCache", "default_cache"]

_HEAD = 65536
_REMEMBERED = 256
_POLL = 0.02


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

    def __init__(self, folder: Path) -> None:
        """Makes ``folder`` (0700) if need be.  Raises Misconfigured where that fails or others may write to it."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = folder.stat().st_mode
        except OSError as error:
            raise Misconfigured(f"the collateral cache {folder} cannot be used: {error.strerror}") from error
        if mode & 0o022:
            raise Misconfigured(f"others may write to the collateral cache {folder}", fix=f"chmod 700 {folder}")
        self._folder = folder

    def load(self, request: Request) -> Entry | None:
        try:
            with self._path(request).open("rb") as file:
                data = file.read(_HEAD + request.largest + 1)
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
            suppress(OSError),  # a full disk, say
            new_file(self._path(request), replace=True) as descriptor,
            os.fdopen(descriptor, "wb", closefd=False) as file,
        ):
            file.write(head + b"\n" + entry.answer.content)

    @contextmanager
    def lock(self, request: Request, deadline: Deadline) -> Iterator[None]:
        """A file of its own for each request; the system gives it back when its holder dies."""
        try:
            import fcntl
        except ImportError:  # a system without it (Windows): processes may ask twice, and nothing worse
            yield
            return
        try:
            descriptor = os.open(self._path(request, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:  # a folder that can only be read: nobody else will write to it either
            yield
            return
        try:
            while not _taken(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
                if not deadline.left:
                    raise Unavailable(f"another process is still fetching {request.url}", code="collateral_unavailable")
                time.sleep(_POLL)
            yield
        finally:
            os.close(descriptor)

    def _path(self, request: Request, suffix: str = ".collateral") -> Path:
        return self._folder / f"{request.key}{suffix}"


def _taken(descriptor: int, how: int) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    return True


def _are_texts(headers: object) -> bool:
    return isinstance(headers, dict) and all(isinstance(value, str) for value in headers.values())
