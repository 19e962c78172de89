"""Requests to a character device: how the kernel numbers them, and who carries them out."""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

__all__ = ["Ioctl", "kernel_ioctl", "opened", "read_write"]


class Ioctl(Protocol):
    """ioctl(2) with a structure, which it may change.  Raises OSError; what it wrote before that stays written."""

    def __call__(self, descriptor: int, request: int, argument: ctypes.Structure, /) -> None: ...


def kernel_ioctl(descriptor: int, request: int, argument: ctypes.Structure) -> None:
    """The kernel's own.  Python gives the structure itself or copies it back, whether the kernel refuses or not."""
    fcntl.ioctl(descriptor, request, argument, True)


def read_write(kind: str, number: int, argument: type[ctypes.Structure]) -> int:
    """The number of a request that reads and writes ``argument`` (Linux, asm-generic/ioctl.h, _IOWR)."""
    return 3 << 30 | ctypes.sizeof(argument) << 16 | ord(kind) << 8 | number


@contextmanager
def opened(device: Path) -> Iterator[int]:
    """A descriptor of the device, which no child inherits.  Raises OSError."""
    descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
