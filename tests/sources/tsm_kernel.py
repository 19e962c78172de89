"""A kernel's configfs-tsm, mounted with FUSE: ``python tsm_kernel.py MOUNTPOINT [provider=NAME] [busy=N] …``.

Entries appear with their attributes when a folder is made and vanish with it, as in configfs.  ``busy`` fails that many
reports with EBUSY; ``intruder`` writes that many times to an entry behind its owner's back; ``hang`` makes each report
take that many seconds; ``table=none`` hides the certificate table.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import mfusepy

from certificate_table_support import GUIDS, certificate_table
from hermetic.evidence import EvidenceBundle
from snp_support import issue


@dataclass
class _Entry:
    generation: int = 0
    inblob: bytes = b""
    bundle: EvidenceBundle | None = None


class TsmKernel(mfusepy.Operations):  # type: ignore[misc]
    """The folder ``/sys/kernel/config/tsm/report``."""

    use_ns = True

    def __init__(
        self, provider: str = "sev_guest", busy: str = "0", intruder: str = "0", hang: str = "0", table: str = "whole"
    ) -> None:
        self._provider = provider
        self._busy, self._intruder, self._hang = int(busy), int(intruder), float(hang)
        self._table = table
        self._entries: dict[str, _Entry] = {}

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        entry, _, attribute = path[1:].partition("/")
        if not entry or (entry in self._entries and not attribute):
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if entry not in self._entries or attribute not in self._attributes():
            raise mfusepy.FuseOSError(errno.ENOENT)
        mode = 0o200 if attribute == "inblob" else 0o400
        return {"st_mode": stat.S_IFREG | mode, "st_nlink": 1, "st_size": 4096}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *(self._attributes() if path != "/" else self._entries)]

    def mkdir(self, path: str, mode: int) -> int:
        self._entries[path[1:]] = _Entry()
        return 0

    def rmdir(self, path: str) -> int:
        del self._entries[path[1:]]
        return 0

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        return 0

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        entry = self._of(path)
        if not 0 < len(data) <= 64 or offset:
            raise mfusepy.FuseOSError(errno.EINVAL)
        entry.generation, entry.inblob = entry.generation + 1, data
        return len(data)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        entry = self._of(path)
        match path.rpartition("/")[2]:
            case "provider":
                content = f"{self._provider}\n".encode()
            case "generation":
                content = b"%d\n" % entry.generation
            case "outblob":
                content = self._report(entry, fresh=offset == 0)
            case _:
                content = self._certificates(entry)
        return content[offset : offset + size]

    def _attributes(self) -> list[str]:
        names = ["provider", "generation", "inblob", "outblob", "auxblob"]
        return names if self._table != "none" else names[:-1]

    def _of(self, path: str) -> _Entry:
        return self._entries[path[1:].partition("/")[0]]

    def _report(self, entry: _Entry, *, fresh: bool) -> bytes:
        if fresh:
            time.sleep(self._hang)
            if self._busy:
                self._busy -= 1
                raise mfusepy.FuseOSError(errno.EBUSY)
            entry.bundle = issue(report_data=entry.inblob)
            if self._intruder:
                self._intruder -= 1
                entry.generation += 1
        if entry.bundle is None:
            raise mfusepy.FuseOSError(errno.EINVAL)
        return entry.bundle.evidence

    def _certificates(self, entry: _Entry) -> bytes:
        if entry.bundle is None:
            raise mfusepy.FuseOSError(errno.EINVAL)
        return certificate_table(*((GUIDS[name], data) for name, data in entry.bundle.endorsements.items()))


if __name__ == "__main__":
    mountpoint, *knobs = sys.argv[1:]
    kernel = TsmKernel(**dict(knob.split("=", 1) for knob in knobs))
    mfusepy.FUSE(kernel, mountpoint, foreground=True, nothreads=True, direct_io=True, attr_timeout=0, entry_timeout=0)
    os._exit(0)
