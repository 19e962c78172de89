"""SEV-SNP evidence from ``/dev/sev-guest``, for kernels without configfs-tsm (Linux 5.19 and later; linux/sev-guest.h).

    snp_report_req            report data 64 · VMPL u32 · reserved 28
    snp_ext_report_req        snp_report_req · address and length of the certificate table
    snp_guest_request_ioctl   version u8 · address of the request · address of the response 4000 · errors u64

The response is the firmware's MSG_REPORT_RSP (SEV-SNP ABI 56860, table 25): status u32, length u32, 24 reserved bytes,
the report.  Of the errors, the low half is the firmware's and the high half the host's.
"""

from __future__ import annotations

import ctypes
import errno
import time
from pathlib import Path

from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import SEV_SNP, EvidenceBundle
from hermetic.evidence.snp import REPORT_LENGTH
from hermetic.sources.device_lock import DeviceLock
from hermetic.sources.ioctl import Ioctl, kernel_ioctl, opened, read_write
from hermetic.sources.report import report_bundle

__all__ = ["SevGuestSource"]


class _ReportRequest(ctypes.Structure):
    _fields_ = [("report_data", ctypes.c_uint8 * 64), ("vmpl", ctypes.c_uint32), ("reserved", ctypes.c_uint8 * 28)]


class _ExtendedRequest(ctypes.Structure):
    _fields_ = [("report", _ReportRequest), ("table", ctypes.c_uint64), ("table_length", ctypes.c_uint32)]


class _Exchange(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_uint8),
        ("request", ctypes.c_uint64),
        ("response", ctypes.c_uint64),
        ("firmware_error", ctypes.c_uint32),
        ("host_error", ctypes.c_uint32),
    ]


class _Response(ctypes.Structure):
    _fields_ = [
        ("status", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
        ("reserved", ctypes.c_uint8 * 24),
        ("report", ctypes.c_uint8 * (4000 - 32)),
    ]


_GET_REPORT = read_write("S", 0, _Exchange)
_GET_EXTENDED_REPORT = read_write("S", 2, _Exchange)
_MESSAGE_VERSION = 1

_REPORT_DATA = 64
_MAX_VMPL = 3
_PAGE = 4096
_FIRST_TABLE, _LAST_TABLE = 4 * _PAGE, 64 * _PAGE  # the driver takes 16 KiB at most today
_TABLE_TOO_SHORT, _HOST_BUSY = 1, 2
_BUSY = frozenset({errno.EAGAIN, errno.EBUSY, errno.EINTR})
_ATTEMPTS = 6
_TIMEOUT = 90.0  # the driver itself waits up to 60 s for a host that throttles

_STATUS = {0x16: "invalid parameters: this VMPL may not be asked for", 0x27: "the key selection is invalid"}


class SevGuestSource:
    """The SEV-SNP firmware behind ``/dev/sev-guest``.  Safe to share between threads and objects.

    ``vmpl`` (0 to 3) goes into the report; the firmware refuses one that is more privileged than the kernel's own.
    ``certificates`` asks the host for its table too.  ``timeout`` is in seconds and covers the wait for other requests.
    """

    tee = SEV_SNP

    def __init__(
        self,
        device: Path = Path("/dev/sev-guest"),
        *,
        vmpl: int = 0,
        certificates: bool = True,
        ioctl: Ioctl = kernel_ioctl,
        timeout: float = _TIMEOUT,
    ) -> None:
        if not 0 <= vmpl <= _MAX_VMPL:
            raise Malformed(f"VMPL: expected 0 to {_MAX_VMPL}, got {vmpl}")
        self._path = device
        self._vmpl = vmpl
        self._certificates = certificates
        self._ioctl = ioctl
        self._device = DeviceLock(str(device), timeout=timeout)

    def collect(self, report_data: bytes) -> EvidenceBundle:
        """A fresh report over ``report_data`` (64 bytes) and the certificates that the host offers.

        Raises Unavailable where kernel, firmware or host do not answer in time, answer with an error, or answer for
        other report data; Malformed where the report or the certificate table cannot be read.
        """
        if len(report_data) != _REPORT_DATA:
            raise Malformed(f"report data: expected {_REPORT_DATA} bytes, got {len(report_data)}")
        report, table = self._device.ask(lambda: self._collect(report_data))
        return report_bundle(report, table, report_data=report_data)

    def _collect(self, report_data: bytes) -> tuple[bytes, bytes]:
        with opened(self._path) as device:
            request = _ReportRequest((ctypes.c_uint8 * 64)(*report_data), self._vmpl)
            if self._certificates:
                return self._with_certificates(device, request)
            return self._alone(device, request), b""

    def _alone(self, device: int, report: _ReportRequest) -> bytes:
        try:
            return self._exchange(device, _GET_REPORT, report)
        except _TableTooShort:
            raise Unavailable("the host asks for room for certificates, which nobody asked it for") from None

    def _with_certificates(self, device: int, report: _ReportRequest) -> tuple[bytes, bytes]:
        length = _FIRST_TABLE
        while True:
            table = ctypes.create_string_buffer(length)
            request = _ExtendedRequest(report, ctypes.addressof(table), length)
            try:
                return self._exchange(device, _GET_EXTENDED_REPORT, request), table.raw
            except _TableTooShort:
                wanted = -(-request.table_length // _PAGE) * _PAGE
            # A host that wants no more than it was given would be asked for ever; one may not have all our memory.
            if not length < wanted <= _LAST_TABLE:
                break
            length = wanted
        raise Unavailable(
            f"the host asks for {request.table_length} bytes for its certificates, having been given {length}"
        )

    def _exchange(self, device: int, number: int, request: ctypes.Structure) -> bytes:
        for attempt in range(_ATTEMPTS):
            response = _Response()
            exchange = _Exchange(_MESSAGE_VERSION, ctypes.addressof(request), ctypes.addressof(response))
            try:
                self._ioctl(device, number, exchange)
            except OSError as error:
                _judge(error, exchange)
                time.sleep(0.01 * 2**attempt)
            else:
                return _report(response)
        raise Unavailable(f"/dev/sev-guest: the host throttled {_ATTEMPTS} requests", code="device_busy")


class _TableTooShort(Exception):
    """The host has more certificates than there was room for."""


def _judge(error: OSError, exchange: _Exchange) -> None:
    """Returns where it is worth asking again."""
    if error.errno in _BUSY or exchange.host_error == _HOST_BUSY:
        return
    if exchange.host_error == _TABLE_TOO_SHORT:
        raise _TableTooShort
    if error.errno == errno.ENOTTY:
        raise Unavailable(
            "/dev/sev-guest: the kernel has no message key any more, or this is no such device",
            fix="a failed exchange wipes the key, and only a new boot of this guest brings it back",
        )
    if error.errno == errno.EIO:
        errors = f"firmware error {exchange.firmware_error:#x}, host error {exchange.host_error:#x}"
        raise Unavailable(f"/dev/sev-guest: {errors}") from error
    raise error


def _report(response: _Response) -> bytes:
    if response.status != 0:
        reason = _STATUS.get(response.status, "no report")
        raise Unavailable(f"the SEV-SNP firmware answers with status {response.status:#x}: {reason}")
    if response.length != REPORT_LENGTH:
        raise Unavailable(f"the SEV-SNP firmware's report has {response.length} bytes instead of {REPORT_LENGTH}")
    return bytes(response.report[: response.length])
