"""Enough of CBOR (RFC 8949) to see what a file is: definite lengths, bounded depth, nothing interpreted.

For recognising alone: whatever is verified from CBOR needs a reader that also refuses what is not canonical.
"""

from __future__ import annotations

from dataclasses import dataclass

from hermetic.errors import Malformed

_DEPTH, _ITEMS = 8, 4096
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG = range(7)


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value with a tag in front."""

    tag: int
    value: object


@dataclass(frozen=True, slots=True)
class Pairs:
    """A map in its order, repetitions included."""

    entries: tuple[tuple[object, object], ...]

    def get(self, key: object) -> object:
        """The first value of ``key``; None where there is none."""
        return next((value for name, value in self.entries if type(name) is type(key) and name == key), None)


def decode(data: bytes) -> object:
    """One item and nothing after it: int, bytes, str, tuple, :class:`Pairs`, :class:`Tagged`; None for the rest.

    Raises Malformed.
    """
    reader = _Reader(data)
    value = reader.item(0)
    if reader.at != len(data):
        raise Malformed(f"CBOR: {len(data) - reader.at} bytes follow the end")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self.at, self._items = data, 0, 0

    def item(self, depth: int) -> object:
        self._items += 1
        if depth > _DEPTH or self._items > _ITEMS:
            raise Malformed("CBOR: nested too deeply, or too many items")
        kind, argument = self._head()
        if kind in (_BYTES, _TEXT):
            return self._take(argument) if kind == _BYTES else self._text(argument)
        if kind in (_ARRAY, _MAP, _TAG):
            return self._holder(kind, argument, depth + 1)
        if kind in (_UNSIGNED, _NEGATIVE):
            return argument if kind == _UNSIGNED else -1 - argument
        return None  # simple values and floats: their argument is all there is of them

    def _holder(self, kind: int, argument: int, depth: int) -> object:
        if kind == _TAG:
            return Tagged(argument, self.item(depth))
        if kind == _ARRAY:
            return tuple(self.item(depth) for _ in range(argument))
        return Pairs(tuple((self.item(depth), self.item(depth)) for _ in range(argument)))

    def _head(self) -> tuple[int, int]:
        first = self._take(1)[0]
        kind, short = first >> 5, first & 0x1F
        if short < 24:
            return kind, short
        if short > 27:
            raise Malformed("CBOR: an indefinite or reserved length")
        return kind, int.from_bytes(self._take(1 << short - 24), "big")

    def _take(self, length: int) -> bytes:
        taken = self._data[self.at : self.at + length]
        if len(taken) != length:
            raise Malformed("CBOR: cut short")
        self.at += length
        return taken

    def _text(self, length: int) -> str:
        try:
            return self._take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed("CBOR: text that is not UTF-8") from None
