"""The attestation report of an NVIDIA GPU or NVSwitch: an SPDM 1.1 question and its signed answer (DMTF DSP0274).

    GET_MEASUREMENTS   version 0x11, code 0xE0, 0x01 (signed), 0xFF (all), nonce (32), slot
    MEASUREMENTS       version 0x11, code 0x60, 0, slot, blocks (u8), record length (u24), record,
                       responder nonce (32), opaque length (u16), opaque data, signature r‖s (2 × 48, big-endian)

The signature covers everything before itself, the question included.  Integers are little-endian.  The parser and its
inverse stand side by side; a report that parses has the shape of one and nothing more.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from hermetic.errors import Malformed
from hermetic.evidence._nvidia_opaque import OpaqueData

MAX_REPORT = 65536
NONCE_LENGTH = 32
SIGNATURE_LENGTH = 96

_REQUEST = struct.Struct("<4s32sB")
_REQUEST_HEAD = bytes((0x11, 0xE0, 0x01, 0xFF))
_RESPONSE = struct.Struct("<3sBB3s")
_RESPONSE_HEAD = bytes((0x11, 0x60, 0x00))
_BLOCK = struct.Struct("<BBHBH")
_DMTF = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measurement block.  ``index`` counts from 1; ``type`` is the DMTF's byte, ``value`` mostly 48 bytes."""

    index: int
    type: int
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NvidiaReport:
    """What a report says of itself.  ``nonce`` is the asker's, ``responder_nonce`` the device's own (32 bytes each).

    ``signature`` is r‖s, 96 bytes, whatever they are worth.  Raises Malformed where a part has the wrong size, where
    there is no measurement, or where an index comes twice.
    """

    nonce: bytes
    slot: int
    measurements: tuple[Measurement, ...]
    responder_nonce: bytes
    opaque: OpaqueData
    signature: bytes = field(repr=False)

    def __post_init__(self) -> None:
        sizes = {"nonce": NONCE_LENGTH, "responder_nonce": NONCE_LENGTH, "signature": SIGNATURE_LENGTH}
        for name, length in sizes.items():
            if len(getattr(self, name)) != length:
                raise Malformed(f"NVIDIA report: {name} is not {length} bytes long")
        indexes = [block.index for block in self.measurements]
        if not indexes:
            raise Malformed("NVIDIA report: there are no measurements")
        if len(set(indexes)) != len(indexes) or not all(1 <= index <= 254 for index in indexes):
            raise Malformed("NVIDIA report: measurement indexes are not unique numbers from 1 to 254")

    @classmethod
    def from_bytes(cls, data: bytes) -> NvidiaReport:
        """Raises Malformed on anything but one question and its whole answer, with nothing before, between or after."""
        if len(data) > MAX_REPORT:
            raise Malformed(f"NVIDIA report: at most {MAX_REPORT} bytes, got {len(data)}")
        reader = _Reader(data)
        head, nonce, slot = _REQUEST.unpack(reader.take(_REQUEST.size))
        if head != _REQUEST_HEAD:
            raise Malformed("NVIDIA report: it does not begin with a request for all measurements, signed")
        head, answered_slot, count, length = _RESPONSE.unpack(reader.take(_RESPONSE.size))
        if head != _RESPONSE_HEAD or answered_slot != slot:
            raise Malformed("NVIDIA report: the answer is not one to this request")
        record = _Reader(reader.take(int.from_bytes(length, "little")))
        measurements = tuple(_measurement(record) for _ in range(count))
        record.finish("the measurement record")
        responder_nonce = reader.take(NONCE_LENGTH)
        opaque = OpaqueData.from_bytes(reader.take(int.from_bytes(reader.take(2), "little")))
        signature = reader.take(SIGNATURE_LENGTH)
        # No signature covers what follows it: one genuine report would have any number of spellings.
        reader.finish("the report")
        return cls(
            nonce=nonce,
            slot=slot,
            measurements=measurements,
            responder_nonce=responder_nonce,
            opaque=opaque,
            signature=signature,
        )

    def signed_bytes(self) -> bytes:
        """What the device signs.  (A verifier takes the bytes that it received, never these.)"""
        record = b"".join(
            _BLOCK.pack(block.index, _DMTF, len(block.value) + 3, block.type, len(block.value)) + block.value
            for block in self.measurements
        )
        opaque = self.opaque.to_bytes()
        return b"".join(
            (
                _REQUEST.pack(_REQUEST_HEAD, self.nonce, self.slot),
                _RESPONSE.pack(_RESPONSE_HEAD, self.slot, len(self.measurements), len(record).to_bytes(3, "little")),
                record,
                self.responder_nonce,
                len(opaque).to_bytes(2, "little"),
                opaque,
            )
        )

    def to_bytes(self) -> bytes:
        """The whole report: the inverse of :meth:`from_bytes`."""
        return self.signed_bytes() + self.signature


class _Reader:
    """Takes bytes from the front and refuses to run short or to leave any."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, length: int) -> bytes:
        if self._at + length > len(self._data):
            raise Malformed("NVIDIA report: it ends too early")
        self._at += length
        return self._data[self._at - length : self._at]

    def finish(self, what: str) -> None:
        if self._at != len(self._data):
            raise Malformed(f"NVIDIA report: {len(self._data) - self._at} bytes follow the end of {what}")


def _measurement(record: _Reader) -> Measurement:
    index, specification, size, kind, length = _BLOCK.unpack(record.take(_BLOCK.size))
    if specification != _DMTF:
        raise Malformed(f"NVIDIA report: measurement {index} follows specification {specification}, not DMTF's")
    if size != length + 3:
        raise Malformed(f"NVIDIA report: measurement {index} states two sizes")
    return Measurement(index=index, type=kind, value=record.take(length))
