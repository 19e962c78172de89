"""TDX evidence from ``/dev/tdx_guest``, for kernels without configfs-tsm (Linux 6.2 and later; linux/tdx-guest.h).

    TDX_CMD_GET_REPORT0   report data 64 · TDREPORT 1024, in and out in one structure

A TDREPORT is for this machine's processor only.  The quote that convinces others is made of it by the host's quote
generation service (:mod:`hermetic.sources.qgs`).
"""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path

from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import TDX, EvidenceBundle
from hermetic.sources.ccel import CCEL, read_ccel
from hermetic.sources.device_lock import DeviceLock
from hermetic.sources.ioctl import Ioctl, kernel_ioctl, opened, read_write
from hermetic.sources.qgs import QuoteService, vsock
from hermetic.sources.quote import quote_bundle

__all__ = ["TdxGuestSource"]

_REPORT_DATA = 64
_TD_REPORT = 1024
_TIMEOUT = 60.0


class _ReportRequest(ctypes.Structure):
    _fields_ = [("report_data", ctypes.c_uint8 * _REPORT_DATA), ("report", ctypes.c_uint8 * _TD_REPORT)]


_GET_REPORT = read_write("T", 1, _ReportRequest)


class TdxGuestSource:
    """The TDX module behind ``/dev/tdx_guest`` and the host's quote service.  Safe to share between threads.

    ``ccel`` is the event log that goes with the quote (None for none); ``timeout`` is in seconds and covers the wait
    for other requests.
    """

    tee = TDX

    def __init__(
        self,
        device: Path = Path("/dev/tdx_guest"),
        *,
        service: QuoteService | None = None,
        ccel: Path | None = CCEL,
        ioctl: Ioctl = kernel_ioctl,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._path = device
        self._service = service or QuoteService(vsock())
        self._ccel = ccel
        self._ioctl = ioctl
        self._device = DeviceLock(str(device), timeout=timeout)

    def collect(self, report_data: bytes) -> EvidenceBundle:
        """A fresh quote over ``report_data`` (64 bytes) and the firmware's event log.

        Raises Unavailable where kernel, module or service do not answer in time or answer with an error; Malformed
        where what comes back is no quote.
        """
        if len(report_data) != _REPORT_DATA:
            raise Malformed(f"report data: expected {_REPORT_DATA} bytes, got {len(report_data)}")
        return self._device.ask(lambda: self._collect(report_data))

    def _collect(self, report_data: bytes) -> EvidenceBundle:
        # 1. The TDX module's report, for this processor only.
        report = self._report(report_data)
        # 2. The quote over it.
        try:
            quote = self._service.quote(report)
        except OSError as error:
            raise Unavailable(
                f"the quote generation service cannot be reached: {error.strerror or type(error).__name__}",
                fix="the host must run it and give this machine a vsock device; newer kernels ask by themselves",
            ) from error
        # 3. That it is of this request, and what the firmware measured before.
        return quote_bundle(TDX, quote, report_data=report_data, event_logs=read_ccel(self._ccel))

    def _report(self, report_data: bytes) -> bytes:
        request = _ReportRequest((ctypes.c_uint8 * _REPORT_DATA)(*report_data))
        with opened(self._path) as device:
            try:
                self._ioctl(device, _GET_REPORT, request)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                raise Unavailable("the TDX module refused to make a report") from error
        return bytes(request.report)
