"""SEV-SNP evidence from the kernel: configfs-tsm (Documentation/ABI/testing/configfs-tsm-report, Linux 6.7 and later).

One entry is made for each request and removed after it, so two requests never share report data.  The certificates come
from the host's table (``auxblob``); a host gives no revocation list by habit, and nothing here fetches one.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import SEV_SNP, EvidenceBundle
from hermetic.sources.certificate_table import read_certificate_table

__all__ = ["TsmSource"]

_REPORTS = Path("/sys/kernel/config/tsm/report")
_PROVIDER = "sev_guest"
_REPORT_DATA = 64
_ATTEMPTS = 5
_BLOB_LIMIT = 64 * 1024
_BUSY = frozenset({errno.EAGAIN, errno.EBUSY, errno.EINTR})
_TIMEOUT = 30.0


class TsmSource:
    """The SEV-SNP firmware behind configfs-tsm.  Safe to share between threads: one request at a time.

    ``reports`` is the kernel's folder; ``timeout`` is in seconds and covers the wait for other requests.
    """

    tee = SEV_SNP

    def __init__(self, reports: Path = _REPORTS, *, timeout: float = _TIMEOUT) -> None:
        self._reports = reports
        self._timeout = timeout
        # One thread is the lock of the device, and what can be given up on when the firmware hangs.
        self._device = ThreadPoolExecutor(1, thread_name_prefix="configfs-tsm")

    def collect(self, report_data: bytes) -> EvidenceBundle:
        """A fresh report over ``report_data`` (64 bytes) and the certificates that the host offers.

        Raises Unavailable where the kernel, the firmware or the host does not answer in time, or answers for another
        kind of TEE; Malformed where the certificate table cannot be read.
        """
        if len(report_data) != _REPORT_DATA:
            raise Malformed(f"report data: expected {_REPORT_DATA} bytes, got {len(report_data)}")
        work = self._device.submit(self._collect, report_data)
        try:
            report, table = work.result(self._timeout)
        except TimeoutError:
            work.cancel()
            raise Unavailable(f"the SEV-SNP firmware did not answer within {self._timeout} s") from None
        except OSError as error:
            raise Unavailable(f"configfs-tsm: {error.strerror} ({self._reports})") from error
        return EvidenceBundle(tee=SEV_SNP, evidence=report, endorsements=read_certificate_table(table))

    def _collect(self, report_data: bytes) -> tuple[bytes, bytes]:
        # 1. An entry of our own.
        entry = self._reports / f"hermetic-{os.getpid()}-{secrets.token_hex(8)}"
        entry.mkdir()
        try:
            # 2. Of the right kind: the same files give TDX quotes elsewhere.
            provider = _read(entry / "provider").decode("ascii", "replace").strip()
            if provider != _PROVIDER:
                raise Unavailable(f"configfs-tsm answers for {provider!r}, and only {_PROVIDER!r} is supported yet")
            # 3. Write, read, and believe what was read only if nobody else wrote in between.
            for attempt in range(_ATTEMPTS):
                if (found := _attempt(entry, report_data)) is not None:
                    return found
                time.sleep(0.01 * 2**attempt)
            raise Unavailable(f"configfs-tsm: {_ATTEMPTS} attempts were disturbed or found the firmware busy")
        finally:
            # 4. Entries are kernel memory.
            with suppress(OSError):
                entry.rmdir()


def _attempt(entry: Path, report_data: bytes) -> tuple[bytes, bytes] | None:
    """The report and the certificate table, or None if it is worth trying again."""
    try:
        expected = _generation(entry) + 1
        _write_once(entry / "inblob", report_data)
        report, table = _read(entry / "outblob"), _read_optional(entry / "auxblob")
        return (report, table) if _generation(entry) == expected else None
    except OSError as error:
        if error.errno in _BUSY:
            return None
        raise


def _generation(entry: Path) -> int:
    """How often the entry was written to."""
    text = _read(entry / "generation").strip()
    if not text.isdigit():
        raise Unavailable("configfs-tsm: the generation of an entry is no number")
    return int(text)


def _write_once(path: Path, data: bytes) -> None:
    """In a single write: the kernel takes each write for a whole report data."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        if os.write(descriptor, data) != len(data):
            raise Unavailable("configfs-tsm took only a part of the report data")
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    with path.open("rb", buffering=0) as stream:
        parts = []
        while part := stream.read(_BLOB_LIMIT):
            parts.append(part)
            if sum(map(len, parts)) > _BLOB_LIMIT:
                raise Unavailable(f"configfs-tsm: {path.name} is larger than {_BLOB_LIMIT} bytes")
    return b"".join(parts)


def _read_optional(path: Path) -> bytes:
    """Empty where the provider shows no such file."""
    try:
        return _read(path)
    except FileNotFoundError:
        return b""
