"""The few things a log asks of a disk, and the promise behind each.

:class:`Disk` is the whole interface, so that a test can be a disk that loses what was not synced; :class:`FolderDisk`
is a folder of files.  What was written is *visible* at once, and *durable* only after the sync that covers it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from hermetic.errors import Unavailable

__all__ = ["Disk", "FolderDisk"]


class Disk(Protocol):
    """Named files in one folder.  Any method may raise OSError; after one does, nothing is known about that file."""

    def lock(self) -> None:
        """Takes the folder for this process until :meth:`close`.  Raises Unavailable if another has it."""

    def close(self) -> None:
        """Gives the lock and the files back."""

    def size(self, name: str) -> int:
        """Its length in bytes; 0 if there is no such file."""

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; fewer where the file ends."""

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Writes ``data`` at ``offset``.  Visible, not durable."""

    def sync(self, name: str) -> None:
        """Makes the file's content durable."""

    def rename(self, old: str, new: str) -> None:
        """Puts ``old`` in the place of ``new`` in one step: a reader sees one or the other whole."""

    def remove(self, name: str) -> None:
        """Removes the file if it is there."""

    def sync_folder(self) -> None:
        """Makes the names durable: files made, renamed and removed before."""


class FolderDisk:
    """A folder on a POSIX file system.  Locking makes it; whoever may read the folder may read its files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, int] = {}
        self._lock: int | None = None

    def lock(self) -> None:
        import fcntl  # POSIX only, as is keeping a log; verifying one is not

        self._folder.mkdir(parents=True, exist_ok=True)
        file = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise Unavailable(
                f"another process keeps the log in {self._folder}", code="log_locked", fix="stop it, or use its API"
            ) from None
        self._lock = file

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def size(self, name: str) -> int:
        try:
            return os.stat(self._folder / name).st_size
        except FileNotFoundError:
            return 0

    def read(self, name: str, offset: int, length: int) -> bytes:
        try:
            file = self._open(name, os.O_RDWR if self._lock is not None else os.O_RDONLY)
        except FileNotFoundError:
            return b""
        return os.pread(file, length, offset)

    def write(self, name: str, offset: int, data: bytes) -> None:
        file = self._open(name, os.O_RDWR | os.O_CREAT)
        view = memoryview(data)
        while view:
            written = os.pwrite(file, view, offset)
            offset += written
            view = view[written:]

    def sync(self, name: str) -> None:
        os.fsync(self._open(name, os.O_RDWR))

    def rename(self, old: str, new: str) -> None:
        self._forget(old)
        self._forget(new)
        os.rename(self._folder / old, self._folder / new)

    def remove(self, name: str) -> None:
        self._forget(name)
        with suppress(FileNotFoundError):
            os.unlink(self._folder / name)

    def sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _open(self, name: str, flags: int) -> int:
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = os.open(self._folder / name, flags | os.O_CLOEXEC, 0o644)
        return file

    def _forget(self, name: str) -> None:
        file = self._files.pop(name, None)
        if file is not None:
            os.close(file)
