"""Drivers of ``/dev/sev-guest`` and ``/dev/tdx_guest``: structures at addresses, as the kernel's handlers treat them.

In a test's own process they read and write its memory, and stand in for ioctl(2).  As a program they are files in FUSE
(``python guest_kernel.py MOUNTPOINT``), asked with the real system call from another process, whose memory they reach
through ``/proc``.  ``/sev-guest`` and ``/tdx_guest`` behave well; the knobs are for tests in one process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).parents[1]))

from certificate_table_support import GUIDS, certificate_table
from hermetic.evidence import EvidenceBundle
from snp_support import issue

Memory = tuple[Callable[[int, int], bytes], Callable[[int, bytes], None]]
"""How to read (address, length) and to write (address, bytes) the memory of whoever asks."""


def _write_own(address: int, data: bytes) -> None:
    ctypes.memmove(address, data, len(data))


OWN_MEMORY: Memory = (lambda address, length: bytes(ctypes.string_at(address, length)), _write_own)

SNP_GET_REPORT, SNP_GET_DERIVED_KEY, SNP_GET_EXT_REPORT = (0xC0205300 + number for number in range(3))
TDX_CMD_GET_REPORT0 = 0xC4405401
PAGE, MAX_TABLE = 4096, 0x4000


class Refused(OSError):
    """What an ioctl handler returns, as an error."""


@dataclass
class SevGuest:
    """The sev-guest driver of Linux 6.12, its firmware and its host (drivers/virt/coco/sev-guest/sev-guest.c)."""

    issue: Callable[[bytes], EvidenceBundle] = lambda report_data: issue(report_data=report_data)
    current_vmpl: int = 0
    max_table: int = MAX_TABLE
    answers: list[tuple[int, int]] = field(default_factory=list)  # errno and host error of the next requests
    table: bytes | None = None
    table_pages: int | None = None  # what the host says it needs, if not the truth
    status: int = 0
    length: int | None = None
    key_is_gone: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)

    def ioctl(self, request: int, argument: int, memory: Memory) -> None:
        read, write = memory
        version, request_at, response_at, _ = struct.unpack("<B7xQQQ", read(argument, 32))

        def fail(number: int, *, firmware: int = 0xFF, host: int = 0) -> Refused:
            # The union is written back whether the request succeeds or not.
            write(argument + 24, struct.pack("<II", firmware, host))
            return Refused(number, os.strerror(number))

        if not version:
            raise Refused(errno.EINVAL, "message version 0")
        if request not in (SNP_GET_REPORT, SNP_GET_EXT_REPORT):
            raise fail(errno.ENOTTY)
        extended = request == SNP_GET_EXT_REPORT
        report_data, vmpl, reserved = struct.unpack("<64sI28s", read(request_at, 96))
        table_at, room = struct.unpack("<QI", read(request_at + 96, 12)) if extended else (0, 0)
        self.asked.append({"request": request, "report_data": report_data, "vmpl": vmpl, "room": room})
        if room and (room > self.max_table or room % PAGE):
            raise fail(errno.EINVAL)
        if self.key_is_gone:
            raise fail(errno.ENOTTY)
        if self.answers:
            number, host = self.answers.pop(0)
            if number:
                raise fail(number, firmware=0x1234 if number == errno.EIO else 0xFF, host=host)
        bundle = self.issue(report_data)
        table = _table(bundle) if self.table is None else self.table
        pages = -(-len(table) // PAGE) if self.table_pages is None else self.table_pages
        if extended and pages * PAGE > room:
            write(request_at + 104, struct.pack("<I", pages * PAGE))
            raise fail(errno.EIO, firmware=0, host=1)
        write(argument + 24, bytes(8))
        if room:
            write(table_at, table.ljust(room, b"\0"))
        status = self.status or (0x16 if vmpl < self.current_vmpl or any(reserved) else 0)
        report = b"" if status else bundle.evidence
        length = len(report) if self.length is None else self.length
        write(response_at, struct.pack("<II24x", status, length).ljust(32, b"\0") + report.ljust(4000 - 32, b"\0"))


def _table(bundle: EvidenceBundle) -> bytes:
    return certificate_table(*((GUIDS[name], data) for name, data in bundle.endorsements.items()))


@dataclass
class TdxGuest:
    """The tdx-guest driver (drivers/virt/coco/tdx-guest/tdx-guest.c): its report has its data in place, no MAC."""

    failure: int = 0

    def ioctl(self, request: int, argument: int, memory: Memory) -> None:
        read, write = memory
        if request != TDX_CMD_GET_REPORT0:
            raise Refused(errno.ENOTTY, os.strerror(errno.ENOTTY))
        if self.failure:
            raise Refused(self.failure, os.strerror(self.failure))
        write(argument + 64, td_report(read(argument, 64)))


def td_report(report_data: bytes) -> bytes:
    """A TDREPORT (TDX module ABI, TDREPORT_STRUCT): REPORTMACSTRUCT says whose it is; report data at 128."""
    return (b"\x81" + bytes(127) + report_data).ljust(1024, b"\0")


def in_process(driver: SevGuest | TdxGuest) -> Callable[[int, int, ctypes.Structure], None]:
    """``driver`` in place of ioctl(2)."""

    def ioctl(descriptor: int, request: int, argument: ctypes.Structure, /) -> None:
        os.fstat(descriptor)  # of an open file
        driver.ioctl(request, ctypes.addressof(argument), OWN_MEMORY)

    return ioctl


def _memory_of(process: int) -> Memory:
    def read(address: int, length: int) -> bytes:
        with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(length)

    def write(address: int, data: bytes) -> None:
        with Path(f"/proc/{process}/mem").open("r+b", buffering=0) as memory:
            memory.seek(address)
            memory.write(data)

    return read, write


if __name__ == "__main__":
    import mfusepy

    class Devices(mfusepy.Operations):  # type: ignore[misc]
        """Two files that answer ioctl(2) and nothing else."""

        use_ns = True
        drivers: ClassVar[dict[str, SevGuest | TdxGuest]] = {"/sev-guest": SevGuest(), "/tdx_guest": TdxGuest()}

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            if path == "/":
                return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
            if path not in self.drivers:
                raise mfusepy.FuseOSError(errno.ENOENT)
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1}

        def ioctl(self, path: str, cmd: int, arg: int, fh: int, flags: int, data: int) -> int:
            _, _, process = mfusepy.fuse_get_context()
            memory = _memory_of(process)
            try:
                self.drivers[path].ioctl(cmd & 0xFFFFFFFF, arg, memory)
            except OSError as refusal:
                raise mfusepy.FuseOSError(refusal.errno) from refusal
            # Where a request succeeds, FUSE itself copies the structure back from here.
            size = cmd >> 16 & 0x3FFF
            ctypes.memmove(data, memory[0](arg, size), size)
            return 0

    mfusepy.FUSE(Devices(), sys.argv[1], foreground=True, nothreads=True, direct_io=True)
    os._exit(0)
