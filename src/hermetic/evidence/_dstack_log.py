"""The event log of a dstack domain: JSON, as ``GetQuote`` of its guest agent answers (``event_log``).

    [{"imr": 0…3, "event_type": …, "digest": hex of 48 bytes, "event": name, "event_payload": hex}, …]

``imr`` counts RTMRs from 0.  Those of the firmware (RTMR0 to RTMR2) are copied from the CCEL.  Into RTMR3 dstack itself
measures named events, of type 0x08000001, and its digest covers name and payload:

    SHA-384( event_type, 4 bytes little-endian ‖ ":" ‖ event ‖ ":" ‖ payload )

A log that parses has the shape of one and nothing more: its digests have not been compared with anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from hermetic.errors import Malformed
from hermetic.wire import parse_json, unhex

MAX_LOG = 262144
RUNTIME_EVENT = 0x08000001
RUNTIME_REGISTER = 3

_MEMBERS = {"imr", "event_type", "digest", "event", "event_payload"}
_DIGEST_LENGTH = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class DstackEvent:
    """One event: of RTMR ``register``, with the ``digest`` (48 bytes) that the log states.

    ``name`` is empty for an event of the firmware.  Raises Malformed for an RTMR that is none of 0 to 3, a type beyond
    32 bits, a digest of another length, and a name with a colon: what follows it could be read as payload.
    """

    register: int
    type: int
    digest: bytes = field(repr=False)
    name: str
    payload: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.register <= RUNTIME_REGISTER:
            raise Malformed("dstack log: an RTMR is one of 0 to 3")
        if not 0 <= self.type <= 0xFFFFFFFF:
            raise Malformed("dstack log: an event type has 32 bits")
        if len(self.digest) != _DIGEST_LENGTH:
            raise Malformed(f"dstack log: a digest has {_DIGEST_LENGTH} bytes")
        if ":" in self.name:
            raise Malformed("dstack log: the name of an event holds a colon")

    @classmethod
    def runtime(cls, name: str, payload: bytes = b"") -> DstackEvent:
        """The event that dstack measures into RTMR3 under this name."""
        digest = runtime_digest(name, payload)
        return cls(register=RUNTIME_REGISTER, type=RUNTIME_EVENT, digest=digest, name=name, payload=payload)


def runtime_digest(name: str, payload: bytes) -> bytes:
    """What dstack extends RTMR3 with for an event of its own (48 bytes)."""
    kind = RUNTIME_EVENT.to_bytes(4, "little")
    return hashlib.sha384(b":".join((kind, name.encode(), payload))).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class DstackLog:
    """The events, in order."""

    events: tuple[DstackEvent, ...]

    @classmethod
    def from_bytes(cls, data: bytes) -> DstackLog:
        """Raises Malformed on anything but a list of events with exactly the five members."""
        value = parse_json(data, what="dstack log", limit=MAX_LOG)
        if not isinstance(value, list):
            raise Malformed("dstack log: expected a list of events")
        return cls(events=tuple(_event(each) for each in value))

    def to_bytes(self) -> bytes:
        """As dstack writes it; the inverse of :meth:`from_bytes`, up to white space and the order of members."""
        events = [
            {
                "imr": event.register,
                "event_type": event.type,
                "digest": event.digest.hex(),
                "event": event.name,
                "event_payload": event.payload.hex(),
            }
            for event in self.events
        ]
        return json.dumps(events, separators=(",", ":"), ensure_ascii=False).encode()

    def registers(self) -> Mapping[int, bytes]:
        """What RTMR0 to RTMR3 hold if the log is the truth: a value for each of which it has an event."""
        values: dict[int, bytes] = {}
        for event in self.events:
            before = values.get(event.register, bytes(_DIGEST_LENGTH))
            values[event.register] = hashlib.sha384(before + event.digest).digest()
        return values


def _event(value: object) -> DstackEvent:
    if not isinstance(value, dict) or value.keys() != _MEMBERS:
        raise Malformed(f"dstack log: an event has exactly the members {', '.join(sorted(_MEMBERS))}")
    register, kind, name = value["imr"], value["event_type"], value["event"]
    if type(register) is not int or type(kind) is not int or not isinstance(name, str):
        raise Malformed("dstack log: imr and event_type are integers, event is text")
    return DstackEvent(
        register=register,
        type=kind,
        digest=unhex(value["digest"], what="dstack log: a digest"),
        name=name,
        payload=unhex(value["event_payload"], what="dstack log: a payload"),
    )
