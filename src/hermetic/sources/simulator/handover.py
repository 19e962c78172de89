"""What a simulated platform gives the workload that it launched, and how the two talk.

A pair of connected sockets joins them.  It has no name, so only who inherited its end can ask.  Messages are canonical
JSON, one to a packet (SOCK_SEQPACKET keeps their boundaries): ``{"id", "op": "launch"}``, ``{"id", "op": "evidence",
"report_data"}``, ``{"id", "op": "device", "nonce", "number"}``; answers ``{"id", "result"}`` or ``{"id", "error"}``.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hermetic.errors import Malformed
from hermetic.evidence.bundle import FORMATS, SEV_SNP
from hermetic.evidence.composite import MAX_DEVICES
from hermetic.identity import LaunchDocument
from hermetic.wire import b64decode, b64encode, canonical

MESSAGE_LIMIT = 128 * 1024
"""Bytes of one message.  A packet must fit into the kernel's socket buffer (208 KiB by default)."""

REPORT_DATA, NONCE = 64, 32

_MEMBERS = {"launch", "config", "folder", "tee", "devices"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """The launch document, and what that speaks of.

    ``config`` is the exact bytes that were hashed; ``folder`` is where the paths in it start.  ``tee`` is the kind of
    evidence that the platform gives, ``devices`` how many GPUs and switches it has.  Not yet trusted by anyone: a
    relying party believes the launch digest in the evidence, nothing else.
    """

    launch: LaunchDocument
    config: bytes = field(repr=False)
    folder: Path
    tee: str = SEV_SNP
    devices: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "launch": self.launch.to_json(),
            "config": b64encode(self.config),
            "folder": os.fspath(self.folder),
            "tee": self.tee,
            "devices": self.devices,
        }

    @classmethod
    def from_json(cls, obj: dict[str, Any]) -> Handover:
        """Raises Malformed."""
        if obj.keys() != _MEMBERS or not str(obj["folder"]).startswith("/"):
            raise Malformed(
                "handover: expected exactly a launch document, a config, an absolute folder, a TEE, devices"
            )
        tee, devices = obj["tee"], obj["devices"]
        if tee not in FORMATS or type(devices) is not int or not 0 <= devices <= MAX_DEVICES:
            raise Malformed(f"handover: expected a known TEE and at most {MAX_DEVICES} devices")
        return cls(
            launch=LaunchDocument.from_json(obj["launch"]),
            config=b64decode(obj["config"], what="config"),
            folder=Path(obj["folder"]),
            tee=tee,
            devices=devices,
        )


def fits(handover: Handover) -> bool:
    """Whether a handover can be told in one message."""
    return len(canonical({"id": 2**53 - 1, "result": handover.to_json()})) <= MESSAGE_LIMIT


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """The platform's end and the child's.  Neither is inheritable until somebody says so."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
