"""Plaintext in memory only, where nothing can change it any more."""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from pathlib import Path

import pytest

from hermetic.seal import memfd_path, sealed_memfd
from hermetic.seal.age.parallel import for_each
from hermetic.seal.memory import Place

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sealed memory files need Linux")


def filled(data: bytes) -> int:
    def fill(place: Place) -> None:
        place(0, memoryview(data))

    return sealed_memfd(len(data), fill)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("size", [0, 1, 4096, 100_000])
def test_it_is_a_file_with_exactly_these_bytes(size: int) -> None:
    data = os.urandom(size)
    fd = filled(data)
    try:
        assert os.fstat(fd).st_size == size
        assert Path(memfd_path(fd)).read_bytes() == data
        assert os.read(fd, size + 1) == data, "it stands at its beginning"
    finally:
        os.close(fd)


def test_nobody_can_change_it() -> None:
    fd = filled(b"weights" * 1000)
    try:
        for change in (
            lambda: os.pwrite(fd, b"x", 0),
            lambda: os.ftruncate(fd, 10),
            lambda: os.ftruncate(fd, 10_000),
            lambda: mmap.mmap(fd, 7000, prot=mmap.PROT_READ | mmap.PROT_WRITE),
            lambda: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW),
        ):
            with pytest.raises(PermissionError):
                change()
        with open(memfd_path(fd), "rb") as other, mmap.mmap(other.fileno(), 0, prot=mmap.PROT_READ) as mapping:
            assert mapping[:7] == b"weights", "engines map it to read"
    finally:
        os.close(fd)


def test_it_is_not_inherited_by_programs_that_are_started() -> None:
    fd = filled(b"x")
    try:
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_nothing_remains_when_filling_fails(failure: type[BaseException]) -> None:
    def fill(place: Place) -> None:
        place(0, memoryview(b"secret"))
        raise failure

    before = open_descriptors()
    with pytest.raises(failure):
        sealed_memfd(100, fill)
    assert open_descriptors() == before


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_it_is_filled_from_several_threads(threads: int) -> None:
    piece = 4096 + 7
    data = os.urandom(100 * piece)

    def fill(place: Place) -> None:
        def put(number: int) -> None:
            place(number * piece, memoryview(data)[number * piece : (number + 1) * piece])

        for_each(100, lambda: put, threads=threads)

    fd = sealed_memfd(len(data), fill)
    try:
        assert os.read(fd, len(data)) == data
    finally:
        os.close(fd)


def test_what_was_not_filled_is_zero() -> None:
    fd = sealed_memfd(10, lambda place: place(4, memoryview(b"ab")))
    try:
        assert os.read(fd, 11) == bytes(4) + b"ab" + bytes(4)
    finally:
        os.close(fd)
