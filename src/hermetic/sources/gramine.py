"""SGX evidence inside Gramine (documentation, "Low-level /dev/attestation interface").

Files of a pretended file system stand for the enclave's own operations: what is written to ``user_report_data`` goes
into the next quote that is read.  They belong to the enclave's process, and Gramine does not order their use: a lock of
ours does, and the quote is compared with what was asked for.
"""

from __future__ import annotations

import os
from pathlib import Path

from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import SGX, EvidenceBundle
from hermetic.sources.device_lock import DeviceLock
from hermetic.sources.quote import quote_bundle

__all__ = ["GramineSource"]

_FOLDER = Path("/dev/attestation")
_REPORT_DATA = 64
_KIND = "dcap"
_QUOTE_LIMIT = 16 * 1024
_TIMEOUT = 60.0


class GramineSource:
    """The quoting of this very enclave.  Safe to share between threads and objects: one request at a time.

    ``timeout`` is in seconds and covers the wait for other requests.
    """

    tee = SGX

    def __init__(self, folder: Path = _FOLDER, *, timeout: float = _TIMEOUT) -> None:
        self._folder = folder
        self._device = DeviceLock(str(folder), timeout=timeout)

    def collect(self, report_data: bytes) -> EvidenceBundle:
        """A fresh quote over ``report_data`` (64 bytes).

        Raises Unavailable where Gramine is not configured for DCAP, does not answer in time, or gives a quote over
        other report data; Malformed where what it gives is no quote.
        """
        if len(report_data) != _REPORT_DATA:
            raise Malformed(f"report data: expected {_REPORT_DATA} bytes, got {len(report_data)}")
        return self._device.ask(lambda: self._collect(report_data))

    def _collect(self, report_data: bytes) -> EvidenceBundle:
        # 1. Without DCAP there is no quote, or one of a service that Intel has ended (EPID).
        kind = _read(self._folder / "attestation_type").decode("ascii", "replace").strip()
        if kind != _KIND:
            raise Unavailable(
                f"Gramine attests by {kind!r}, and only {_KIND!r} is supported",
                fix='its manifest needs sgx.remote_attestation = "dcap"',
            )
        # 2. In one write: shorter ones are padded with zeros, each by itself.
        _write_once(self._folder / "user_report_data", report_data)
        # 3. Opening the file makes the quote.
        return quote_bundle(SGX, _read(self._folder / "quote"), report_data=report_data)


def _write_once(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.write(descriptor, data) != len(data):
            raise Unavailable("Gramine took only a part of the report data")
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_QUOTE_LIMIT + 1)
    if len(data) > _QUOTE_LIMIT:
        raise Unavailable(f"Gramine's {path.name} is larger than {_QUOTE_LIMIT} bytes")
    return data
