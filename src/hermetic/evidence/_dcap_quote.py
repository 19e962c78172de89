"""What every DCAP quote has around its body, whichever TEE made it (DCAP, Quote Format, A.3 to A.5).

    version 3, 4   header 48 · body · signature data
    version 5      header 48 · body type 2, body length 4 · body · signature data

The signature data is preceded by its length, 4 bytes.  A quote that parses has the shape of one and nothing more:
nobody has looked at its signatures.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, Self, TypeVar

from hermetic.errors import Malformed
from hermetic.evidence._dcap_header import HEADER_LENGTH, QuoteHeader
from hermetic.evidence._dcap_signature import QuoteSignature, Reader

_PREFIX = struct.Struct("<HI")  # version 5: body type, length
_UNREAD = {4: "a TDX 1.5 report with the domain's identity and what it was before a migration"}


class Body(Protocol):
    """What a quote is about."""

    def to_bytes(self) -> bytes:
        """As it was received."""


B = TypeVar("B", bound=Body)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteFormat(Generic[B]):
    """How the quotes of one TEE are framed.

    ``bodies`` are the lengths that a body may have, by the type that version 5 states; the first is that of earlier
    versions, which state none.
    """

    what: str
    tee_type: int
    versions: tuple[int, ...]
    bodies: Mapping[int, int]
    parse: Callable[[bytes], B]

    @property
    def unstated(self) -> int:
        return next(iter(self.bodies.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class DcapQuote(Generic[B]):
    """A header, what the quote is about, and the signature over both, with its certificates."""

    FORMAT: ClassVar[QuoteFormat]  # type: ignore[type-arg]  # a class variable cannot name the class's parameter

    header: QuoteHeader
    body: B
    signature: QuoteSignature

    def __post_init__(self) -> None:
        if self.header.version < 5 and len(self.body.to_bytes()) != self.FORMAT.unstated:
            raise Malformed(f"{self.FORMAT.what}: a body of this length needs version 5")

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises Malformed on another version or body, a length that is not exact, or a reserved byte not zero."""
        form = cls.FORMAT
        header = QuoteHeader.from_bytes(data, tee_type=form.tee_type, versions=form.versions)
        reader = Reader(data[HEADER_LENGTH:], form.what)
        length = form.unstated
        if header.version == 5:
            length = _stated_length(reader, form)
        body = form.parse(reader.take(length))
        signature = reader.take(reader.number(4))
        reader.end()
        return cls(header=header, body=body, signature=QuoteSignature.from_bytes(signature, version=header.version))

    def signed_bytes(self) -> bytes:
        """What the attestation key signs: all before the signature's length.  Parsing loses nothing of it."""
        body = self.body.to_bytes()
        prefix = b""
        if self.header.version == 5:
            kind = next(kind for kind, length in self.FORMAT.bodies.items() if length == len(body))
            prefix = _PREFIX.pack(kind, len(body))
        return self.header.to_bytes() + prefix + body

    def to_bytes(self) -> bytes:
        """The whole quote: the inverse of :meth:`from_bytes`."""
        signature = self.signature.to_bytes(version=self.header.version)
        return self.signed_bytes() + len(signature).to_bytes(4, "little") + signature


def _stated_length(reader: Reader, form: QuoteFormat[B]) -> int:
    kind, length = _PREFIX.unpack(reader.take(_PREFIX.size))
    if form.bodies.get(kind) != length:
        name = f" ({_UNREAD[kind]}, which this version does not read)" if kind in _UNREAD else ""
        known = " or ".join(f"type {kind} of {length} bytes" for kind, length in form.bodies.items())
        raise Malformed(f"{form.what}: a body of type {kind}{name} and {length} bytes; expected {known}")
    return int(length)
