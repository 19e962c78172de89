"""As much DER as Intel's extension needs: one-byte tags, lengths below 64 KiB, nothing left over."""

from __future__ import annotations

from dataclasses import dataclass

from hermetic.errors import Malformed


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One value: its tag and its content, unread."""

    tag: int
    content: bytes

    def children(self, tag: int) -> list[Node]:
        """What a value of type ``tag`` contains.  Raises Malformed where it is of another, or cut short."""
        if self.tag != tag:
            raise Malformed("DER: a value of another type was expected")
        nodes, rest = [], self.content
        while rest:
            node, rest = _take(rest)
            nodes.append(node)
        return nodes


def read_der(data: bytes) -> Node:
    """Exactly one value.  Raises Malformed."""
    node, rest = _take(data)
    if rest:
        raise Malformed("DER: more than one value")
    return node


def _take(data: bytes) -> tuple[Node, bytes]:
    """One value, and what follows it."""
    if len(data) < 2:
        raise Malformed("DER: cut short")
    tag, length, start = data[0], data[1], 2
    if length > 0x80:
        start += length - 0x80
        length = int.from_bytes(data[2:start], "big")
        # The shortest form only: a longer one would be a second spelling.
        if start > 4 or len(data) < start or length < 0x80 or (start == 4 and length < 0x100):
            raise Malformed("DER: a length that is not in its shortest form")
    elif length == 0x80:
        raise Malformed("DER: a length is missing")
    if len(data) < start + length:
        raise Malformed("DER: cut short")
    return Node(tag=tag, content=data[start : start + length]), data[start + length :]


def oid_body(dotted: str) -> bytes:
    """The content of an OBJECT IDENTIFIER."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    return b"".join(_base128(number) for number in (40 * first + second, *rest))


def _base128(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(reversed(digits))
