"""Kernels with configfs-tsm, mounted with FUSE: ``python tsm_kernel.py MOUNTPOINT``.

Each folder beneath MOUNTPOINT is the ``/sys/kernel/config/tsm/report`` of a machine of its own, and its name says how
that behaves: ``provider=tdx_guest,busy=2``.  It need not be made.  Entries appear with their attributes when a folder
is made and vanish with it, as in configfs.

    provider     whose evidence it gives: ``sev_guest`` or ``tdx_guest``; for any other name what SEV-SNP would give
    busy         fails that many reports with EBUSY
    intruder     writes that many times to an entry behind its owner's back
    deaf         1: writes change no generation
    generation   what stands in the file instead of the number
    hang         each report takes that many seconds
    table        none: there is no certificate table
    partial      takes only that many bytes of a report data
    stranger     1: its evidence is over other report data
    padding      adds that many zeros to the evidence, as some hosts do to quotes
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
from quote_support import tdx_bundle
from snp_support import issue


@dataclass
class _Entry:
    generation: int = 0
    inblob: bytes = b""
    bundle: EvidenceBundle | None = None


class _Machine:
    """One folder of reports."""

    def __init__(self, name: str) -> None:
        knobs = dict(part.split("=", 1) for part in name.split(",") if "=" in part)
        self._provider = knobs.get("provider", "sev_guest")
        self._busy, self._intruder = int(knobs.get("busy", 0)), int(knobs.get("intruder", 0))
        self._hang = float(knobs.get("hang", 0))
        self._partial, self._padding = int(knobs.get("partial", 64)), int(knobs.get("padding", 0))
        self._stranger = "stranger" in knobs
        self._deaf, self._generation = "deaf" in knobs, knobs.get("generation")
        self.entries: dict[str, _Entry] = {}
        self.attributes = ["provider", "generation", "inblob", "outblob"]
        if self._provider != "tdx_guest" and knobs.get("table") != "none":
            self.attributes.append("auxblob")

    def write(self, entry: _Entry, data: bytes) -> int:
        entry.generation, entry.inblob = entry.generation + (not self._deaf), data
        return min(len(data), self._partial)

    def read(self, entry: _Entry, attribute: str, *, fresh: bool) -> bytes:
        match attribute:
            case "provider":
                return f"{self._provider}\n".encode()
            case "generation":
                return f"{entry.generation if self._generation is None else self._generation}\n".encode()
            case "outblob":
                return self._report(entry, fresh=fresh)
        return self._certificates(entry)

    def _report(self, entry: _Entry, *, fresh: bool) -> bytes:
        if fresh:
            time.sleep(self._hang)
            if self._busy:
                self._busy -= 1
                raise mfusepy.FuseOSError(errno.EBUSY)
            make = tdx_bundle if self._provider == "tdx_guest" else _snp_bundle
            entry.bundle = make(bytes(64) if self._stranger else entry.inblob)
            if self._intruder:
                self._intruder -= 1
                entry.generation += 1
        if entry.bundle is None:
            raise mfusepy.FuseOSError(errno.EINVAL)
        return entry.bundle.evidence + bytes(self._padding)

    def _certificates(self, entry: _Entry) -> bytes:
        if entry.bundle is None:
            raise mfusepy.FuseOSError(errno.EINVAL)
        return certificate_table(*((GUIDS[name], data) for name, data in entry.bundle.endorsements.items()))


def _snp_bundle(report_data: bytes) -> EvidenceBundle:
    return issue(report_data=report_data)


class TsmKernel(mfusepy.Operations):  # type: ignore[misc]
    """The folder of all machines."""

    use_ns = True

    def __init__(self) -> None:
        self._machines: dict[str, _Machine] = {}

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        machine, entry, attribute = self._parts(path)
        if not entry or (entry in machine.entries and not attribute):
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if entry not in machine.entries or attribute not in machine.attributes:
            raise mfusepy.FuseOSError(errno.ENOENT)
        mode = 0o200 if attribute == "inblob" else 0o400
        return {"st_mode": stat.S_IFREG | mode, "st_nlink": 1, "st_size": 4096}

    def readdir(self, path: str, fh: int) -> list[str]:
        machine, entry, _ = self._parts(path)
        return [".", "..", *(machine.attributes if entry else machine.entries)]

    def mkdir(self, path: str, mode: int) -> int:
        machine, entry, _ = self._parts(path)
        machine.entries[entry] = _Entry()
        return 0

    def rmdir(self, path: str) -> int:
        machine, entry, _ = self._parts(path)
        del machine.entries[entry]
        return 0

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        return 0

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        machine, entry, _ = self._parts(path)
        if not 0 < len(data) <= 64 or offset:
            raise mfusepy.FuseOSError(errno.EINVAL)
        return machine.write(machine.entries[entry], data)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        machine, entry, attribute = self._parts(path)
        content = machine.read(machine.entries[entry], attribute, fresh=offset == 0)
        return content[offset : offset + size]

    def _parts(self, path: str) -> tuple[_Machine, str, str]:
        name, _, rest = path[1:].partition("/")
        entry, _, attribute = rest.partition("/")
        return self._machines.setdefault(name, _Machine(name)), entry, attribute


if __name__ == "__main__":
    options = {"foreground": True, "nothreads": True, "direct_io": True, "attr_timeout": 0, "entry_timeout": 0}
    mfusepy.FUSE(TsmKernel(), sys.argv[1], **options)
    os._exit(0)
