"""The simulated security processor: evidence over one inherited descriptor.

    child   SimulatedDevice(descriptor)        an EvidenceSource, like any hardware device
    parent  answer(endpoint, source=…, …)      holds the keys; answers that descriptor and nobody else

This is the child's end; :mod:`hermetic.sources.simulator.answering` is the platform's.
"""

from __future__ import annotations

import ctypes
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from hermetic.errors import Malformed, Misconfigured, Unavailable
from hermetic.evidence import DeviceSource, EvidenceBundle
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.sources.simulator.handover import MESSAGE_LIMIT, NONCE, REPORT_DATA, Handover
from hermetic.wire import b64encode, canonical, parse_object

__all__ = ["OPTION", "SimulatedDevice", "inherited_device"]

OPTION = "hermetic.simulator"
"""``python -X hermetic.simulator=N`` tells a child which descriptor it inherited, for its environment is empty."""

_PR_SET_PDEATHSIG = 1
_TIMEOUT = 10.0


class SimulatedDevice:
    """The child's end.  Safe to share between threads: one request at a time.

    Every method blocks, and raises Unavailable when the platform does not answer within ``timeout`` seconds or is gone.
    """

    def __init__(self, endpoint: socket.socket, *, timeout: float = _TIMEOUT) -> None:
        self._socket = endpoint
        self._socket.set_inheritable(False)  # whatever this process starts cannot ask for evidence
        self._timeout = timeout
        self._lock = threading.Lock()
        self._last_id = 0
        self._told: Handover | None = None

    @property
    def tee(self) -> str:
        """The kind of evidence that the platform gives, by its own word."""
        return self.handover().tee

    @property
    def devices(self) -> DeviceSource | None:
        """The platform's GPUs and switches; None where it has none."""
        count = self.handover().devices
        return _SimulatedDevices(device=self, count=count) if count else None

    def collect(self, report_data: bytes) -> EvidenceBundle:
        """Evidence over ``report_data`` (64 bytes), with the launch digest where the platform signs it."""
        if len(report_data) != REPORT_DATA:
            raise Malformed(f"report data: expected {REPORT_DATA} bytes, got {len(report_data)}")
        return EvidenceBundle.from_json(self._ask({"op": "evidence", "report_data": b64encode(report_data)}))

    def collect_device(self, nonce: bytes, number: int) -> DeviceBundle:
        """Evidence over ``nonce`` (32 bytes) of the device with this number, counted from 0."""
        if len(nonce) != NONCE:
            raise Malformed(f"nonce: expected {NONCE} bytes, got {len(nonce)}")
        answered = self._ask({"op": "device", "nonce": b64encode(nonce), "number": number})
        return DeviceBundle.from_json(answered)

    def handover(self) -> Handover:
        """What the platform launched: asked once, for it does not change."""
        if self._told is None:
            self._told = Handover.from_json(self._ask({"op": "launch"}))
        return self._told

    def close(self) -> None:
        self._socket.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self._last_id += 1
            deadline = time.monotonic() + self._timeout
            try:
                self._socket.settimeout(self._timeout)
                self._socket.send(canonical({"id": self._last_id, **request}))
                reply = self._receive(deadline)
            except OSError as error:  # TimeoutError included
                raise _gone(type(error).__name__) from None
        if "error" in reply:
            raise Unavailable(f"the simulated platform refused: {reply['error']}", code="device_refused")
        result = reply.get("result")
        if not isinstance(result, dict):
            raise Malformed("the simulated platform's answer holds neither a result nor an error")
        return result

    def _receive(self, deadline: float) -> dict[str, Any]:
        while True:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            packet = self._socket.recv(MESSAGE_LIMIT + 1)
            if not packet:
                raise _gone("it closed the descriptor")
            reply = parse_object(packet, what="the simulated platform's answer", limit=MESSAGE_LIMIT)
            # An answer to a request that timed out may still arrive; it must not pass for the answer to this one.
            if reply.get("id") == self._last_id:
                return reply


@dataclass(frozen=True, slots=True, kw_only=True)
class _SimulatedDevices:
    """One device a message: together they would not fit into one."""

    device: SimulatedDevice
    count: int

    def collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
        return tuple(self.device.collect_device(nonce, number) for number in range(self.count))


@cache
def inherited_device() -> SimulatedDevice | None:
    """The device of the simulated platform that launched this process, or None if none did.

    One for the whole process: two with one descriptor would take each other's answers.  From here on the process dies
    with its platform.  Raises Misconfigured where the interpreter was told of a descriptor that is no such device.
    """
    number = sys._xoptions.get(OPTION)
    if number is None:
        return None
    try:
        endpoint = socket.socket(fileno=int(str(number)))
    except (OSError, ValueError):
        raise Misconfigured(
            f"-X {OPTION} names no inherited socket", fix="start with: hermetic simulator run"
        ) from None
    if (endpoint.family, endpoint.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
        endpoint.detach()  # not ours to close
        raise Misconfigured(f"-X {OPTION} names a descriptor that is not a simulated device")
    # A platform that is dead already cannot send this signal, but it has closed its end: the first request will tell.
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise Misconfigured("this kernel cannot bind a workload's life to its platform's")
    return SimulatedDevice(endpoint)


def _gone(how: str) -> Unavailable:
    return Unavailable(
        f"the simulated platform does not answer ({how})",
        code="device_unavailable",
        fix="it ends with `hermetic simulator run`; launch the workload again",
    )
