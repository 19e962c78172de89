"""Event logs of the TCG: what firmware and boot loaders say that they measured (TCG, PC Client Platform Firmware
Profile, 10; for TDX: UEFI 2.10, 38, where index 0 is MRTD and 1 to 4 are RTMR0 to RTMR3).

    first event   TCG_PCR_EVENT: register 4 · type 4 · SHA-1 20 · length 4 · data; of a log in one format its data is
                  the Spec ID: signature 16 · platform 4 · version 3 · word 1 · count 4 · (algorithm 2 · size 2)… ·
                  vendor length 1 · vendor
    the others    TCG_PCR_EVENT2: register 4 · type 4 · count 4 · (algorithm 2 · digest)… · length 4 · data
    SHA-1 logs    every event as the first one, and no Spec ID

Integers are little-endian.  A log that parses has the shape of one and nothing more: a register may hold anything else,
and a digest need not be of the data beside it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from hermetic.errors import Malformed
from hermetic.evidence._dcap_signature import Reader

MAX_LOG = 1048576
EV_NO_ACTION, EV_SEPARATOR, EV_EVENT_TAG, EV_IPL = 0x03, 0x04, 0x06, 0x0D
EV_EFI_VARIABLE_DRIVER_CONFIG = 0x80000001

_SIGNATURE = b"Spec ID Event03\0"
_FIRST = struct.Struct("<II20s")
_EVENT = struct.Struct("<III")
_SPEC = struct.Struct("<16sIBBBBI")
_ALGORITHM = struct.Struct("<HH")
# Registers 17 to 22 begin at another value than zero and belong to a launch that no log here is of.
_LAST_PCR, _LAST_CC = 16, 4
_LOCALITY = b"StartupLocality\0"


class TcgAlgorithm(IntEnum):
    """A hash as the TCG numbers it.  Only these are read; a log with any other is refused."""

    SHA1 = 0x04
    SHA256 = 0x0B
    SHA384 = 0x0C
    SHA512 = 0x0D

    @property
    def length(self) -> int:
        """The digest's, in bytes."""
        return hashlib.new(self.name).digest_size

    def digest(self, *parts: bytes) -> bytes:
        """The hash of the concatenation of ``parts``."""
        return hashlib.new(self.name, b"".join(parts), usedforsecurity=False).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecId:
    """What a log says of its own form.  ``version`` is minor, major, errata; ``register`` is what the event states."""

    algorithms: tuple[TcgAlgorithm, ...]
    register: int = 0
    platform: int = 0
    version: tuple[int, int, int] = (0, 2, 0)
    word: int = 2
    vendor: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcgEvent:
    """One event.  ``digests`` are in the order of the log's algorithms; only they are measured.

    ``type`` and ``data`` are the word of whoever hands the log over, unless a digest is shown to cover them.
    """

    register: int
    type: int
    digests: tuple[bytes, ...] = field(repr=False)
    data: bytes = field(repr=False)

    @classmethod
    def measured(cls, register: int, kind: int, data: bytes, algorithms: tuple[TcgAlgorithm, ...]) -> TcgEvent:
        """An event whose digests are of its whole data."""
        return cls(register=register, type=kind, digests=tuple(each.digest(data) for each in algorithms), data=data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """A log: its Spec ID (None for a log of SHA-1 alone) and its events, in order.

    Raises Malformed for an algorithm twice or none, a register beyond 16, and digests that are not one of each
    algorithm at its length.
    """

    spec: SpecId | None
    events: tuple[TcgEvent, ...]

    def __post_init__(self) -> None:
        if len(set(self.algorithms)) != len(self.algorithms) or not self.algorithms:
            raise Malformed("event log: its algorithms are none, or not distinct")
        lengths = [algorithm.length for algorithm in self.algorithms]
        for number, event in enumerate(self.events):
            if [len(digest) for digest in event.digests] != lengths:
                raise Malformed(f"event log: event {number} has not one digest of each algorithm")
            if event.register > _LAST_PCR:
                raise Malformed(f"event log: event {number} is of register {event.register}")

    @property
    def algorithms(self) -> tuple[TcgAlgorithm, ...]:
        return (TcgAlgorithm.SHA1,) if self.spec is None else self.spec.algorithms

    @classmethod
    def from_bytes(cls, data: bytes) -> EventLog:
        """A log that fills ``data`` exactly.  Raises Malformed."""
        return _parse(data, padded=False)

    @classmethod
    def from_ccel(cls, data: bytes) -> EventLog:
        """The log of a TDX domain, as ``/sys/firmware/acpi/tables/data/CCEL`` gives it.

        That file is the whole area which the firmware set aside: after the last event it may hold one value, 0x00 or
        0xFF, up to its end, and nothing else.  Raises Malformed for that, for a log without SHA-384, for an index
        beyond 4, and for a measurement into index 0: MRTD is final before there are events.
        """
        log = _parse(data, padded=True)
        if TcgAlgorithm.SHA384 not in log.algorithms:
            raise Malformed("CCEL: it has no digests of SHA384")
        for number, event in enumerate(log.events):
            if event.register > _LAST_CC or (event.register == 0 and event.type != EV_NO_ACTION):
                raise Malformed(f"CCEL: event {number} is of register {event.register}; RTMR0 to RTMR3 are 1 to 4")
        return log

    def to_bytes(self) -> bytes:
        """The inverse of :meth:`from_bytes`; of a CCEL area, the log without its padding."""
        if self.spec is None:
            return b"".join(_first(event) for event in self.events)
        header = TcgEvent(register=self.spec.register, type=EV_NO_ACTION, digests=(bytes(20),), data=_spec(self.spec))
        return _first(header) + b"".join(self._event(event) for event in self.events)

    def registers(self, algorithm: TcgAlgorithm) -> Mapping[int, bytes]:
        """What the log's registers hold if it is the truth: a value for each that an event extends, nothing else.

        A register starts at zeros (PCR 0: with the start-up locality, where an event states it in front) and takes
        ``H(register ‖ digest)`` for each event but those of type EV_NO_ACTION (PFP 10.2.2 and 10.4.5.3).
        Raises Malformed for an algorithm that the log has not.
        """
        if algorithm not in self.algorithms:
            raise Malformed(f"event log: it has no digests of {algorithm.name}")
        place = self.algorithms.index(algorithm)
        values: dict[int, bytes] = {}
        start = self._start(algorithm)
        for event in self.events:
            if event.type != EV_NO_ACTION:
                before = values.get(event.register, start if event.register == 0 else bytes(algorithm.length))
                values[event.register] = algorithm.digest(before, event.digests[place])
        return values

    def _start(self, algorithm: TcgAlgorithm) -> bytes:
        """What PCR 0 starts from."""
        stated = [event.data for event in self.events if event.register == 0 and event.type == EV_NO_ACTION]
        localities = [data[-1:] for data in stated if data.startswith(_LOCALITY) and len(data) == len(_LOCALITY) + 1]
        return localities[0].rjust(algorithm.length, b"\0") if localities else bytes(algorithm.length)

    def _event(self, event: TcgEvent) -> bytes:
        pairs = zip(self.algorithms, event.digests, strict=True)
        digests = b"".join(algorithm.to_bytes(2, "little") + digest for algorithm, digest in pairs)
        head = _EVENT.pack(event.register, event.type, len(event.digests))
        return head + digests + len(event.data).to_bytes(4, "little") + event.data


def _parse(data: bytes, *, padded: bool) -> EventLog:
    if len(data) > MAX_LOG:
        raise Malformed(f"event log: at most {MAX_LOG} bytes, got {len(data)}")
    reader = Reader(data, "event log")
    first = _read_first(reader)
    spec = _read_spec(first) if first.type == EV_NO_ACTION and first.data.startswith(_SIGNATURE) else None
    events = [first] if spec is None else []
    while head := reader.peek(_EVENT.size):
        if padded and head in (bytes(len(head)), b"\xff" * len(head)):
            _skip_padding(reader)
        else:
            events.append(_read_first(reader) if spec is None else _read_event(reader, spec))
    return EventLog(spec=spec, events=tuple(events))


def _skip_padding(reader: Reader) -> None:
    # No event begins as padding does: with zeros it would have no digest, with 0xFF a register beyond all.
    rest = reader.take(len(reader.peek(MAX_LOG)))
    if rest.count(rest[0]) != len(rest):
        raise Malformed("CCEL: something follows the padding after the last event")


def _first(event: TcgEvent) -> bytes:
    head = _FIRST.pack(event.register, event.type, event.digests[0])
    return head + len(event.data).to_bytes(4, "little") + event.data


def _read_first(reader: Reader) -> TcgEvent:
    register, kind, digest = _FIRST.unpack(reader.take(_FIRST.size))
    return TcgEvent(register=register, type=kind, digests=(digest,), data=reader.take(reader.number(4)))


def _read_event(reader: Reader, spec: SpecId) -> TcgEvent:
    register, kind, count = _EVENT.unpack(reader.take(_EVENT.size))
    if count != len(spec.algorithms):
        raise Malformed(f"event log: an event has {count} digests, the log {len(spec.algorithms)} algorithms")
    digests = []
    for algorithm in spec.algorithms:
        if reader.number(2) != algorithm:
            raise Malformed("event log: an event's algorithms are not those of the log, in their order")
        digests.append(reader.take(algorithm.length))
    return TcgEvent(register=register, type=kind, digests=tuple(digests), data=reader.take(reader.number(4)))


def _spec(spec: SpecId) -> bytes:
    head = _SPEC.pack(_SIGNATURE, spec.platform, *spec.version, spec.word, len(spec.algorithms))
    algorithms = b"".join(_ALGORITHM.pack(algorithm, algorithm.length) for algorithm in spec.algorithms)
    return head + algorithms + bytes((len(spec.vendor),)) + spec.vendor


def _read_spec(event: TcgEvent) -> SpecId:
    if any(event.digests[0]):
        raise Malformed("event log: the digest of its Spec ID is not zero")
    reader = Reader(event.data, "Spec ID")
    _, platform, minor, major, errata, word, count = _SPEC.unpack(reader.take(_SPEC.size))
    algorithms = []
    for _ in range(count):
        number, size = _ALGORITHM.unpack(reader.take(_ALGORITHM.size))
        if number not in set(TcgAlgorithm) or TcgAlgorithm(number).length != size:
            raise Malformed(f"event log: algorithm 0x{number:x} of {size} bytes is not one that we know")
        algorithms.append(TcgAlgorithm(number))
    vendor = reader.take(reader.number(1))
    reader.end()
    return SpecId(
        algorithms=tuple(algorithms),
        register=event.register,
        platform=platform,
        version=(minor, major, errata),
        word=word,
        vendor=vendor,
    )
