"""Evidence from the kernel: configfs-tsm (Documentation/ABI/testing/configfs-tsm-report, Linux 6.7 and later).

One entry is made for each request and removed after it, so two requests never share report data.  Which TEE answers is
what the entry's ``provider`` says: ``sev_guest`` gives a report, and the host's certificates in ``auxblob``;
``tdx_guest`` gives a quote.  A host gives no revocation list by habit, and nothing here fetches one.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import SEV_SNP, TDX, EvidenceBundle
from hermetic.sources.ccel import CCEL, read_ccel
from hermetic.sources.device_lock import DeviceLock
from hermetic.sources.quote import quote_bundle
from hermetic.sources.report import report_bundle

__all__ = ["TsmSource"]

_REPORTS = Path("/sys/kernel/config/tsm/report")
_TEES = {"sev_guest": SEV_SNP, "tdx_guest": TDX}
_REPORT_DATA = 64
_ATTEMPTS = 5
_BLOB_LIMIT = 64 * 1024
_BUSY = frozenset({errno.EAGAIN, errno.EBUSY, errno.EINTR})
_TIMEOUT = 30.0


class TsmSource:
    """The firmware behind configfs-tsm.  Safe to share between threads and objects: one request at a time.

    ``reports`` is the kernel's folder and ``ccel`` the event log that goes with TDX (None for none); ``timeout`` is in
    seconds and covers the wait for other requests.
    """

    def __init__(self, reports: Path = _REPORTS, *, timeout: float = _TIMEOUT, ccel: Path | None = CCEL) -> None:
        self._reports = reports
        self._ccel = ccel
        self._device = DeviceLock(f"configfs-tsm ({reports})", timeout=timeout)

    @property
    def tee(self) -> str:
        """The kind of evidence it collects, asked of the kernel each time.  Raises Unavailable."""
        return self._device.ask(self._ask_tee)

    def collect(self, report_data: bytes) -> EvidenceBundle:
        """Fresh evidence over ``report_data`` (64 bytes), with what the host and the firmware offer beside it.

        Raises Unavailable where the kernel, the firmware or the host does not answer in time, or answers for other
        report data or for a TEE that is not known here; Malformed where an answer cannot be read.
        """
        if len(report_data) != _REPORT_DATA:
            raise Malformed(f"report data: expected {_REPORT_DATA} bytes, got {len(report_data)}")
        return self._device.ask(lambda: self._collect(report_data))

    def _ask_tee(self) -> str:
        with self._entry() as entry:
            return _tee(entry)

    def _collect(self, report_data: bytes) -> EvidenceBundle:
        # 1. An entry of our own, whose provider says which TEE this is.
        with self._entry() as entry:
            tee = _tee(entry)
            # 2. Write, read, and believe what was read only if nobody else wrote in between.
            evidence, table = _ask(entry, report_data)
        if tee == TDX:
            return quote_bundle(TDX, evidence, report_data=report_data, event_logs=read_ccel(self._ccel))
        return report_bundle(evidence, table, report_data=report_data)

    @contextmanager
    def _entry(self) -> Iterator[Path]:
        entry = self._reports / f"hermetic-{os.getpid()}-{secrets.token_hex(8)}"
        entry.mkdir()
        try:
            yield entry
        finally:
            # Entries are kernel memory.
            with suppress(OSError):
                entry.rmdir()


def _tee(entry: Path) -> str:
    provider = _read(entry / "provider").decode("ascii", "replace").strip()
    tee = _TEES.get(provider)
    if tee is None:
        raise Unavailable(f"configfs-tsm answers for {provider!r}, and only {' and '.join(_TEES)} are supported yet")
    return tee


def _ask(entry: Path, report_data: bytes) -> tuple[bytes, bytes]:
    for attempt in range(_ATTEMPTS):
        if (found := _attempt(entry, report_data)) is not None:
            return found
        time.sleep(0.01 * 2**attempt)
    raise Unavailable(f"configfs-tsm: {_ATTEMPTS} attempts were disturbed or found the firmware busy")


def _attempt(entry: Path, report_data: bytes) -> tuple[bytes, bytes] | None:
    """The evidence and the certificate table, or None if it is worth trying again."""
    try:
        expected = _generation(entry) + 1
        _write_once(entry / "inblob", report_data)
        evidence, table = _read(entry / "outblob"), _read_optional(entry / "auxblob")
        return (evidence, table) if _generation(entry) == expected else None
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
