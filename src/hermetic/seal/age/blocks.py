"""Bytes that can be read or written at any offset, from several threads at once."""

from __future__ import annotations

import os
import threading
from typing import Protocol

from hermetic.errors import Unavailable


class Source(Protocol):
    """``size`` bytes, readable in any order from any thread."""

    @property
    def size(self) -> int: ...

    def view(self, offset: int, length: int, scratch: memoryview) -> memoryview:
        """Exactly ``length`` bytes from ``offset``: in ``scratch`` (at least that long) or, without a copy, elsewhere.

        Nobody else may be able to change what is returned: an AEAD reads its input twice.
        """


class MemorySource:
    """A source in this process's own memory."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data)

    @property
    def size(self) -> int:
        return len(self._data)

    def view(self, offset: int, length: int, scratch: memoryview) -> memoryview:
        return self._data[offset : offset + length]


class BlockFile:
    """An open regular file as a source and a sink.  Borrows ``fd`` and never closes it; ``size`` is fixed at the start.

    Reads are copies, never a mapping: whoever can write the file could change mapped bytes between the check of a tag
    and the decryption, or truncate it and end the process with a signal.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = os.fstat(fd).st_size
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        return self._size

    def view(self, offset: int, length: int, scratch: memoryview) -> memoryview:
        """Raises Unavailable when the file has become shorter."""
        target = scratch[:length]
        done = 0
        while done < length:
            count = self._read(target[done:], offset + done)
            if count == 0:
                raise Unavailable("a file became shorter while it was read")
            done += count
        return target

    def write(self, offset: int, data: memoryview) -> None:
        """Writes all of ``data`` at ``offset``."""
        while len(data) > 0:
            count = self._write(data, offset)
            data, offset = data[count:], offset + count

    def _read(self, target: memoryview, offset: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._fd, [target], offset)
        with self._lock:  # where reads have no offset of their own (Windows)
            os.lseek(self._fd, offset, os.SEEK_SET)
            data = os.read(self._fd, len(target))
        target[: len(data)] = data
        return len(data)

    def _write(self, data: memoryview, offset: int) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._fd, data, offset)
        with self._lock:
            os.lseek(self._fd, offset, os.SEEK_SET)
            return os.write(self._fd, data)
