"""Plaintext in memory only: a sealed memfd, which is a file to an engine and never on a disk.

Once made, nobody can change it, neither its bytes nor its size, this process included.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock

from hermetic.errors import Unavailable

_NOEXEC_SEAL = 0x0008
"""MFD_NOEXEC_SEAL (Linux 6.3): never executable."""

Place = Callable[[int, memoryview], None]
"""Puts bytes at an offset.  May be called from several threads at once, for places that do not overlap."""


def sealed_memfd(size: int, fill: Callable[[Place], None], *, name: str = "hermetic") -> int:
    """A descriptor of ``size`` bytes that ``fill`` has put there, sealed against every change; the caller closes it.

    When ``fill`` raises, nothing remains.  Raises Unavailable where there are no sealed memory files (not Linux).
    """
    fd = _memfd(name)
    try:
        os.ftruncate(fd, size)
        if size:
            with _placing(fd, size) as place:
                fill(place)
        _seal(fd)
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def memfd_path(fd: int) -> str:
    """A path under which this process can open ``fd`` as long as it is open."""
    return f"/proc/self/fd/{fd}"


def _memfd(name: str) -> int:
    if not hasattr(os, "memfd_create"):
        raise Unavailable("this system has no sealed memory files", fix="opening into memory needs Linux")
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _NOEXEC_SEAL)
    except OSError:  # a kernel before 6.3 does not know the flag
        return os.memfd_create(name, flags)


@contextmanager
def _placing(fd: int, size: int) -> Iterator[Place]:
    """Fresh memory is slower than the cipher.  Writing is the cheap way to it, for a page is then neither zeroed nor
    faulted in, but the kernel admits one writer a file: whoever finds it busy copies into a mapping instead."""
    writing = Lock()
    with mmap.mmap(fd, size) as mapping, memoryview(mapping) as memory:
        with suppress(OSError):  # large pages for the mapping, where the system offers them
            mapping.madvise(mmap.MADV_HUGEPAGE)

        def place(offset: int, data: memoryview) -> None:
            if not writing.acquire(blocking=False):
                memory[offset : offset + len(data)] = data
                return
            try:
                written = os.pwrite(fd, data, offset)
            finally:
                writing.release()
            memory[offset + written : offset + len(data)] = data[written:]

        yield place


def _seal(fd: int) -> None:
    import fcntl

    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
