"""Heads of the strict profile (docs/spec/strict.md §5): what frame 0 carries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from hermetic.channel.strict._frames import MAX_CONTENT
from hermetic.errors import ChannelBroken, Malformed

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields in order: lower-case names and values, as bytes."""

NONCE_LENGTH = 16
SHAPES = frozenset({0, *range(9, 17)})

_NAME = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]{1,256}")
_VALUE = re.compile(rb"(?:[^\x00\r\n \t](?:[^\x00\r\n]*[^\x00\r\n \t])?)?")
_OUTER_PREFIXES = (b"hermetic-", b"ehbp-")
_OUTER_NAMES = frozenset(
    b"connection content-length expect host keep-alive proxy-authenticate proxy-authorization proxy-connection te"
    b" trailer transfer-encoding upgrade".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """``issued_at`` is milliseconds since 1970; ``shape`` is 0 or the power of two of the response's frames."""

    issued_at: int
    nonce: bytes
    shape: int
    fields: Fields = field(repr=False)  # they hold the API key

    def encode(self) -> bytes:
        """Raises Malformed where the head breaks the profile's rules or does not fit into a frame."""
        if len(self.nonce) != NONCE_LENGTH or self.shape not in SHAPES or not 0 <= self.issued_at < 2**64:
            raise Malformed("a request head needs a time, a nonce of 16 bytes and a shape of 0 or 9 to 16")
        fixed = self.issued_at.to_bytes(8, "big") + self.nonce + bytes([self.shape])
        return _fitting(fixed + _encode_fields(self.fields))

    @classmethod
    def decode(cls, data: bytes) -> RequestHead:
        """Raises ChannelBroken: whoever sealed this does not speak the profile."""
        reader = _Reader(data)
        issued_at, nonce, shape = reader.number(8), reader.take(NONCE_LENGTH), reader.number(1)
        if shape not in SHAPES:
            raise ChannelBroken("a request head asks for an unknown shape")
        return cls(issued_at=issued_at, nonce=nonce, shape=shape, fields=reader.fields())


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHead:
    """The authenticated status and header fields."""

    status: int
    fields: Fields = field(repr=False)

    def encode(self) -> bytes:
        """Raises Malformed where the head breaks the profile's rules or does not fit into a frame."""
        if not 200 <= self.status <= 599:
            raise Malformed(f"a response's status is 200 to 599, not {self.status}")
        return _fitting(self.status.to_bytes(2, "big") + _encode_fields(self.fields))

    @classmethod
    def decode(cls, data: bytes) -> ResponseHead:
        """Raises ChannelBroken: whoever sealed this does not speak the profile."""
        reader = _Reader(data)
        status = reader.number(2)
        if not 200 <= status <= 599:
            raise ChannelBroken("a response head's status is out of range")
        return cls(status=status, fields=reader.fields())


def sealable(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """``fields`` with names in lower case and without those that belong to the connection."""
    lowered = ((name.lower(), value) for name, value in fields)
    return tuple((name, value.strip(b" \t")) for name, value in lowered if not _is_outer(name))


def _encode_fields(fields: Fields) -> bytes:
    parts = [len(fields).to_bytes(2, "big")]
    for name, value in fields:
        if not _is_field(name, value):
            raise Malformed("a header field cannot be sealed: its name, its value or its kind is not allowed inside")
        parts += (len(name).to_bytes(2, "big"), name, len(value).to_bytes(2, "big"), value)
    return b"".join(parts)


def _fitting(head: bytes) -> bytes:
    if len(head) > MAX_CONTENT:
        raise Malformed(f"the header fields take {len(head)} bytes; at most {MAX_CONTENT} fit into a frame")
    return head


def _is_field(name: bytes, value: bytes) -> bool:
    well_formed = _NAME.fullmatch(name) is not None and _VALUE.fullmatch(value) is not None
    return well_formed and len(value) <= MAX_CONTENT and not _is_outer(name)


def _is_outer(name: bytes) -> bool:
    return name in _OUTER_NAMES or name.startswith(_OUTER_PREFIXES)


class _Reader:
    """Takes a head apart.  Everything short, long or misspelt is a ChannelBroken."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise ChannelBroken("a head ends too early")
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def fields(self) -> Fields:
        """The fields, which end exactly where the head does."""
        fields = tuple(self._field() for _ in range(self.number(2)))
        if self._at != len(self._data):
            raise ChannelBroken("bytes follow a head's fields")
        return fields

    def _field(self) -> tuple[bytes, bytes]:
        name, value = self.take(self.number(2)), self.take(self.number(2))
        if not _is_field(name, value):
            raise ChannelBroken("a head holds a field that is malformed or does not belong inside")
        return name, value
