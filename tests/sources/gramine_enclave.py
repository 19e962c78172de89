"""Gramine's ``/dev/attestation``, mounted with FUSE: ``python gramine_enclave.py MOUNTPOINT``.

Each folder beneath MOUNTPOINT is that of an enclave of its own, and its name says how it behaves
(``type=epid,intruder=1``).  As in Gramine, a write is padded with zeros, opening ``quote`` makes a quote over what was
written last, and nothing orders the requests of threads.

    type       the content of ``attestation_type``: dcap where it is not named
    intruder   another thread writes that many times between a write and the quote
    partial    takes only that many bytes of a report data
    padding    adds that many bytes to a quote
    fails      1: no quote can be made
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import mfusepy

from quote_support import sgx_bundle


class _Enclave:
    def __init__(self, name: str) -> None:
        knobs = dict(part.split("=", 1) for part in name.split(",") if "=" in part)
        self.type = knobs.get("type", "dcap")
        self._intruder, self._partial = int(knobs.get("intruder", 0)), int(knobs.get("partial", 64))
        self._padding, self._fails = int(knobs.get("padding", 0)), "fails" in knobs
        self._report_data = bytes(64)

    def write(self, data: bytes) -> int:
        self._report_data = data[:64].ljust(64, b"\0")
        return min(len(data), self._partial)

    def quote(self) -> bytes:
        if self._fails:
            raise mfusepy.FuseOSError(errno.EACCES)
        if self._intruder:
            self._intruder -= 1
            self._report_data = b"\1" * 64
        return sgx_bundle(self._report_data).evidence + bytes(self._padding)


class Attestation(mfusepy.Operations):  # type: ignore[misc]
    """The folders of all enclaves."""

    use_ns = True

    def __init__(self) -> None:
        self._enclaves: dict[str, _Enclave] = {}
        self._open: dict[int, bytes] = {}

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        enclave, file = self._parts(path)
        if not file:
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if file not in ("attestation_type", "user_report_data", "quote") or (
            file == "quote" and enclave.type == "none"
        ):
            raise mfusepy.FuseOSError(errno.ENOENT)
        return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1}

    def open(self, path: str, flags: int) -> int:
        enclave, file = self._parts(path)
        handle = len(self._open) + 1
        self._open[handle] = enclave.quote() if file == "quote" else enclave.type.encode()
        return handle

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        return 0

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return self._parts(path)[0].write(data)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return self._open[fh][offset : offset + size]

    def _parts(self, path: str) -> tuple[_Enclave, str]:
        name, _, file = path[1:].partition("/")
        return self._enclaves.setdefault(name, _Enclave(name)), file


if __name__ == "__main__":
    options = {"foreground": True, "nothreads": True, "direct_io": True, "attr_timeout": 0, "entry_timeout": 0}
    mfusepy.FUSE(Attestation(), sys.argv[1], **options)
    os._exit(0)
