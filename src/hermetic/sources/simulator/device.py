"""The simulated security processor: evidence over one inherited descriptor, and both of its ends.

    child   SimulatedDevice(descriptor)        an EvidenceSource, like any hardware device
    parent  answer(endpoint, source=…, …)      holds the keys; answers that descriptor and nobody else

A pair of connected sockets joins them.  It has no name, so only who inherited its end can ask.  Messages are canonical
JSON, one to a packet (SOCK_SEQPACKET keeps their boundaries): ``{"id", "op": "launch"}``, ``{"id", "op": "evidence",
"report_data"}``; answers ``{"id", "result"}`` or ``{"id", "error"}``.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hermetic.errors import HermeticError, Malformed, Misconfigured, Unavailable
from hermetic.evidence import SEV_SNP, EvidenceBundle, EvidenceSource
from hermetic.identity import LaunchDocument
from hermetic.wire import b64decode, b64encode, canonical, parse_object

__all__ = [
    "MESSAGE_LIMIT",
    "OPTION",
    "Handover",
    "SimulatedDevice",
    "answer",
    "fits",
    "inherited_device",
    "socket_pair",
]

OPTION = "hermetic.simulator"
"""``python -X hermetic.simulator=N`` tells a child which descriptor it inherited, for its environment is empty."""

MESSAGE_LIMIT = 128 * 1024
"""Bytes of one message.  A packet must fit into the kernel's socket buffer (208 KiB by default)."""

REPORT_DATA = 64
_PR_SET_PDEATHSIG = 1
_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What a platform gives the workload that it launched: the launch document, and what that speaks of.

    ``config`` is the exact bytes that were hashed; ``folder`` is where the paths in it start.  Not yet trusted by
    anyone: a relying party believes the launch digest in the evidence, nothing else.
    """

    launch: LaunchDocument
    config: bytes = field(repr=False)
    folder: Path

    def to_json(self) -> dict[str, Any]:
        return {"launch": self.launch.to_json(), "config": b64encode(self.config), "folder": os.fspath(self.folder)}

    @classmethod
    def from_json(cls, obj: dict[str, Any]) -> Handover:
        """Raises Malformed."""
        if obj.keys() != {"launch", "config", "folder"} or not str(obj["folder"]).startswith("/"):
            raise Malformed("handover: expected exactly a launch document, a config and an absolute folder")
        return cls(
            launch=LaunchDocument.from_json(obj["launch"]),
            config=b64decode(obj["config"], what="config"),
            folder=Path(obj["folder"]),
        )


class SimulatedDevice:
    """The child's end.  Safe to share between threads: one request at a time.

    Every method blocks, and raises Unavailable when the platform does not answer within ``timeout`` seconds or is gone.
    """

    tee = SEV_SNP

    def __init__(self, endpoint: socket.socket, *, timeout: float = _TIMEOUT) -> None:
        self._socket = endpoint
        self._socket.set_inheritable(False)  # whatever this process starts cannot ask for evidence
        self._timeout = timeout
        self._lock = threading.Lock()
        self._last_id = 0

    def collect(self, report_data: bytes) -> EvidenceBundle:
        """Evidence over ``report_data`` (64 bytes), with the launch digest in HOST_DATA."""
        if len(report_data) != REPORT_DATA:
            raise Malformed(f"report data: expected {REPORT_DATA} bytes, got {len(report_data)}")
        return EvidenceBundle.from_json(self._ask({"op": "evidence", "report_data": b64encode(report_data)}))

    def handover(self) -> Handover:
        """What the platform launched."""
        return Handover.from_json(self._ask({"op": "launch"}))

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


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """The platform's end and the child's.  Neither is inheritable until somebody says so."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def answer(endpoint: socket.socket, *, source: EvidenceSource, handover: Handover) -> None:
    """The platform's end: answers requests one after another until the child closes its end.

    ``source`` holds the keys and puts the launch digest into what it signs.  A request that is not understood gets an
    error, never evidence.
    """
    while packet := _next_packet(endpoint):
        try:
            endpoint.send(canonical(_reply(packet, source, handover)))
        except OSError:
            return  # the child went away without waiting for its answer


def fits(handover: Handover) -> bool:
    """Whether a handover can be told in one message."""
    return len(canonical({"id": 2**53 - 1, "result": handover.to_json()})) <= MESSAGE_LIMIT


def _next_packet(endpoint: socket.socket) -> bytes:
    try:
        return endpoint.recv(MESSAGE_LIMIT + 1)
    except OSError:
        return b""


def _reply(packet: bytes, source: EvidenceSource, handover: Handover) -> dict[str, Any]:
    number: object = None
    try:
        request = parse_object(packet, what="request", limit=MESSAGE_LIMIT)
        number = request.pop("id", None)
        return {"id": number, "result": _carry_out(request, source, handover)}
    except HermeticError as error:
        return {"id": number, "error": error.message}


def _carry_out(request: dict[str, Any], source: EvidenceSource, handover: Handover) -> dict[str, Any]:
    match request:
        case {"op": "launch", **rest} if not rest:
            return handover.to_json()
        case {"op": "evidence", "report_data": text, **rest} if not rest:
            return source.collect(b64decode(text, what="report_data", length=REPORT_DATA)).to_json()
    raise Malformed("request: not one that this device knows")


def _gone(how: str) -> Unavailable:
    return Unavailable(
        f"the simulated platform does not answer ({how})",
        code="device_unavailable",
        fix="it ends with `hermetic simulator run`; launch the workload again",
    )
