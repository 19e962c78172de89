"""Evidence of NVSwitches, through NVIDIA's NSCQ library (``libnvidia-nscq``; header nscq_attestation.h, API 2.0).

No published Python package wraps the library alone, so the five functions that are needed are called as they are.  The
library answers through a callback for each switch: ``(address of the UUID, result, value, …)``, the value itself being
a structure.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hermetic.errors import Malformed, Unavailable
from hermetic.evidence.nvidia import DeviceBundle, NvidiaReport
from hermetic.evidence.pem import certificates_from_pem
from hermetic.sources.device_lock import DeviceLock

__all__ = ["NscqSwitches"]

_NONCE = 32
_TIMEOUT = 60.0
_LIBRARY = "libnvidia-nscq.so.2"
_MOUNT_DEVICES = 1
_REPORT_PATH = b"/{nvswitch}/config/attestation_report"
_CERTIFICATE_PATH = b"/{nvswitch}/config/certificate"


class _Report(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint32), ("data", ctypes.c_uint8 * 0x2000)]


class _Chain(ctypes.Structure):
    _fields_ = [("data", ctypes.c_uint8 * 0x1400), ("length", ctypes.c_uint32)]


class _Session(ctypes.Structure):
    _fields_ = [("result", ctypes.c_int8), ("session", ctypes.c_void_p)]


class NscqSwitches:
    """The NVSwitches of this machine, in the order of their UUIDs.  Safe to share between threads and objects.

    ``library`` is what the dynamic linker is asked for; ``timeout`` is in seconds.
    """

    def __init__(self, library: str = _LIBRARY, *, timeout: float = _TIMEOUT) -> None:
        self._library = library
        self._device = DeviceLock("NSCQ", timeout=timeout)

    def collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
        """Fresh evidence of every switch over ``nonce`` (32 bytes), with its certificates and nothing else.

        Raises Unavailable where the library or a switch does not answer, and where there is no switch.
        """
        if len(nonce) != _NONCE:
            raise Malformed(f"a device's nonce: expected {_NONCE} bytes, got {len(nonce)}")
        return self._device.ask(lambda: self._collect(nonce))

    def _collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
        with _session(_load(self._library)) as (library, session):
            asked = ctypes.create_string_buffer(nonce, len(nonce))
            _succeed("the nonce", library.nscq_session_set_input(session, 0, asked, len(nonce)))
            reports = _observe(library, session, _REPORT_PATH, _Report)
            chains = _observe(library, session, _CERTIFICATE_PATH, _Chain)
        if not reports or reports.keys() != chains.keys():
            raise Unavailable(f"NSCQ: {len(reports)} switches report and {len(chains)} have certificates")
        return tuple(_switch(reports[uuid], chains[uuid], nonce) for uuid in sorted(reports))


def _load(name: str) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(name)
    except OSError:
        raise Unavailable(
            f"NVSwitches are asked through {name}, which is not installed",
            fix="install NVIDIA's package libnvidia-nscq, of the driver's version",
        ) from None
    library.nscq_session_create.restype = _Session
    library.nscq_session_create.argtypes = [ctypes.c_uint32]
    library.nscq_session_destroy.restype = None
    library.nscq_session_destroy.argtypes = [ctypes.c_void_p]
    library.nscq_session_set_input.restype = ctypes.c_int8
    library.nscq_session_set_input.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32]
    library.nscq_session_path_observe.restype = ctypes.c_int8
    return library


@contextmanager
def _session(library: ctypes.CDLL) -> Iterator[tuple[ctypes.CDLL, int]]:
    made: _Session = library.nscq_session_create(_MOUNT_DEVICES)
    _succeed("a session", made.result)
    try:
        yield library, made.session
    finally:
        library.nscq_session_destroy(made.session)


def _observe(library: ctypes.CDLL, session: int, path: bytes, kind: type[_Report] | type[_Chain]) -> dict[bytes, bytes]:
    """The answers at ``path`` by UUID."""
    found: dict[bytes, bytes] = {}
    results: list[int] = []

    def answered(uuid: int | None, result: int, value: _Report | _Chain, _: object) -> None:
        results.append(result)  # an error cannot be raised through the library, so answers are counted
        if uuid is not None:
            found[ctypes.string_at(uuid, 16)] = bytes(value.data[: value.length])

    # Kept in a name until the call is over: the library holds no reference to it.
    callback: Callable[..., None] = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int8, kind, ctypes.c_void_p)(
        answered
    )
    _succeed("an answer", library.nscq_session_path_observe(ctypes.c_void_p(session), path, callback, None, 0))
    for result in results:
        _succeed("a switch's answer", result)
    if len(found) != len(results):
        raise Unavailable(f"NSCQ: {len(results)} answers, and only {len(found)} by the name of a switch of their own")
    return found


def _succeed(what: str, result: int) -> None:
    """Negative is an error; positive is a warning, after which the answer stands."""
    if result < 0:
        raise Unavailable(f"NSCQ: {what} failed with {result}")


def _switch(report: bytes, chain: bytes, nonce: bytes) -> DeviceBundle:
    if NvidiaReport.from_bytes(report).nonce != nonce:
        raise Unavailable("an NVSwitch answers another nonce", code="device_disturbed")
    return DeviceBundle(evidence=report, certificates=certificates_from_pem(chain.rstrip(b"\0")))
