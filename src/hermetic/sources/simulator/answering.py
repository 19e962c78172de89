"""The platform's end of a simulated device: it holds the keys, and answers one descriptor and nobody else."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any

from hermetic.errors import HermeticError, Malformed
from hermetic.evidence import DeviceSource, EvidenceSource
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.sources.simulator.handover import MESSAGE_LIMIT, NONCE, REPORT_DATA, Handover
from hermetic.wire import b64decode, canonical, parse_object


def answer(
    endpoint: socket.socket, *, source: EvidenceSource, handover: Handover, devices: DeviceSource | None = None
) -> None:
    """Answers requests one after another until the child closes its end.

    ``source`` holds the keys and puts the launch digest into what it signs.  A request that is not understood gets an
    error, never evidence.
    """
    desk = _Desk(source=source, handover=handover, devices=devices)
    while packet := _next_packet(endpoint):
        try:
            endpoint.send(canonical(desk.reply(packet)))
        except OSError:
            return  # the child went away without waiting for its answer


@dataclass(slots=True, kw_only=True)
class _Desk:
    """``answered`` is what the devices last answered, and to which nonce: it is told one device a message."""

    source: EvidenceSource
    handover: Handover
    devices: DeviceSource | None
    answered: tuple[bytes, tuple[DeviceBundle, ...]] = field(default=(b"", ()), repr=False)

    def reply(self, packet: bytes) -> dict[str, Any]:
        number: object = None
        try:
            request = parse_object(packet, what="request", limit=MESSAGE_LIMIT)
            number = request.pop("id", None)
            return {"id": number, "result": self._carry_out(request)}
        except HermeticError as error:
            return {"id": number, "error": error.message}

    def _carry_out(self, request: dict[str, Any]) -> dict[str, Any]:
        match request:
            case {"op": "launch", **rest} if not rest:
                return self.handover.to_json()
            case {"op": "evidence", "report_data": text, **rest} if not rest:
                return self.source.collect(b64decode(text, what="report_data", length=REPORT_DATA)).to_json()
            case {"op": "device", "nonce": text, "number": int(number), **rest} if not rest:
                return self._device(b64decode(text, what="nonce", length=NONCE), number)
        raise Malformed("request: not one that this device knows")

    def _device(self, nonce: bytes, number: int) -> dict[str, Any]:
        if self.devices is not None and self.answered[0] != nonce:
            self.answered = (nonce, self.devices.collect(nonce))
        bundles = self.answered[1]
        if not 0 <= number < len(bundles):
            raise Malformed(f"request: this platform has {len(bundles)} devices")
        return bundles[number].to_json()


def _next_packet(endpoint: socket.socket) -> bytes:
    try:
        return endpoint.recv(MESSAGE_LIMIT + 1)
    except OSError:
        return b""
