"""As much DER (X.690) as certificates need: one-byte tags, lengths below 64 KiB, each value in its one spelling.

Reading believes nothing.  Whatever is not the shortest, whole and only spelling of a value raises Malformed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from hermetic.errors import Malformed

BOOLEAN, INTEGER, BITS, OCTETS, OID, ENUMERATED = 0x01, 0x02, 0x03, 0x04, 0x06, 0x0A
UTF8, PRINTABLE, IA5, UTC_TIME, TIME, SEQUENCE, SET = 0x0C, 0x13, 0x16, 0x17, 0x18, 0x30, 0x31
_TEXT = {UTF8: "utf-8", PRINTABLE: "ascii", IA5: "ascii"}
# Identifiers in use take about a dozen bytes; what it costs to write one out grows with the square of its length.
_LONGEST_OID = 63
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,./:=?-]*")


def context(number: int) -> int:
    """The tag of a constructed value that a type marks with ``[number]``."""
    return 0xA0 | number


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One value: its tag, its content, and its whole encoding as it was received."""

    tag: int
    content: bytes
    encoded: bytes

    def require(self, tag: int) -> bytes:
        """The content of a value of type ``tag``."""
        if self.tag != tag:
            raise Malformed("DER: a value of another type was expected")
        return self.content

    def children(self, tag: int = SEQUENCE) -> tuple[Node, ...]:
        """What a value of type ``tag`` contains."""
        content = self.require(tag)
        nodes, at = [], 0
        while at < len(content):
            node = _take(content, at)
            nodes.append(node)
            at += len(node.encoded)
        return tuple(nodes)

    def oid(self) -> str:
        """An OBJECT IDENTIFIER, dotted."""
        content = self.require(OID)
        if not content or content[-1] & 0x80:
            raise Malformed("DER: an identifier is cut short")
        if len(content) > _LONGEST_OID:
            raise Malformed(f"DER: an identifier of more than {_LONGEST_OID} bytes")
        arcs, arc = [], None
        for byte in content:
            if arc is None and byte == 0x80:
                raise Malformed("DER: an identifier is not in its shortest form")
            arc = (arc or 0) << 7 | byte & 0x7F
            if not byte & 0x80:
                arcs.append(arc)
                arc = None
        first = min(arcs[0] // 40, 2)
        return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))

    def number(self, tag: int = INTEGER) -> int:
        """A signed INTEGER (or ENUMERATED) of any length."""
        content = self.require(tag)
        number = int.from_bytes(content, "big", signed=True)
        if not content or (len(content) > 1 and -0x80 <= number >> 8 * (len(content) - 2) < 0x80):
            raise Malformed("DER: a number is missing, or not in its shortest form")
        return number

    def boolean(self) -> bool:
        content = self.require(BOOLEAN)
        if content not in (b"\x00", b"\xff"):
            raise Malformed("DER: expected true or false")
        return content == b"\xff"

    def whole_bits(self) -> bytes:
        """A BIT STRING of whole bytes: what its first byte says is to be ignored, no signature covers."""
        content = self.require(BITS)
        if content[:1] != b"\0":
            raise Malformed("DER: expected bits that fill their bytes")
        return content[1:]

    def flags(self) -> frozenset[int]:
        """The numbers of the bits that a BIT STRING sets, counted from the left."""
        content = self.require(BITS)
        if not content or content[0] > 7 or (len(content) == 1 and content[0]):
            raise Malformed("DER: not a row of bits")
        size = 8 * (len(content) - 1)
        value = int.from_bytes(content[1:], "big")
        if value & (1 << content[0]) - 1:
            raise Malformed("DER: bits that are to be ignored are set")
        return frozenset(bit for bit in range(size) if value >> (size - 1 - bit) & 1)

    def time(self) -> datetime:
        """UTCTime or GeneralizedTime, in the one form of RFC 5280, 4.1.2.5: to the second, in UTC."""
        text = self.content.decode("ascii", "replace")
        if self.tag == UTC_TIME:
            text = ("19" if text >= "50" else "20") + text
        elif self.tag != TIME:
            raise Malformed("DER: a time was expected")
        if len(text) != 15 or not text[:14].isdigit() or text[14] != "Z":
            raise Malformed("DER: a time is not to the second and in UTC")
        month, day, hour, minute, second = (int(text[start : start + 2]) for start in range(4, 14, 2))
        try:
            return datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=UTC)
        except ValueError as error:
            raise Malformed("DER: a time that does not exist") from error

    def text(self) -> str:
        """UTF8String, PrintableString or IA5String."""
        if self.tag not in _TEXT:
            raise Malformed("DER: text was expected")
        try:
            text = self.content.decode(_TEXT[self.tag])
        except UnicodeDecodeError as error:
            raise Malformed("DER: text that cannot be read") from error
        if self.tag == PRINTABLE and not _PRINTABLE.fullmatch(text):
            raise Malformed("DER: text with a character that its type does not have")
        return text


def read_der(data: bytes) -> Node:
    """Exactly one value.  Raises Malformed."""
    node = _take(data, 0)
    if len(node.encoded) != len(data):
        raise Malformed("DER: more than one value")
    return node


def _take(data: bytes, at: int) -> Node:
    """The value that begins at ``at``."""
    head = data[at : at + 4]
    if len(head) < 2:
        raise Malformed("DER: cut short")
    tag, length, start = head[0], head[1], at + 2
    if tag & 0x1F == 0x1F:
        raise Malformed("DER: a tag of more than one byte")
    if length >= 0x80:
        count = length - 0x80
        length = int.from_bytes(head[2 : 2 + count], "big")
        # The shortest form only: a longer one would be a second spelling.  (Count zero, "until a mark", is not DER.)
        if count not in (1, 2) or length < (0x80, 0x100)[count - 1]:
            raise Malformed("DER: a length that is not in its shortest form")
        start += count
    end = start + length
    if end > len(data):
        raise Malformed("DER: cut short")
    return Node(tag=tag, content=data[start:end], encoded=data[at:end])
