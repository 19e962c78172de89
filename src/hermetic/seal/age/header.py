"""The age v1 header: who can open a file.  Parsing believes nothing; :func:`hermetic.seal.age.unwrap` checks the MAC.

Strict: every header has exactly one spelling, so ``raw`` and the values parsed from it say the same (C2SP age,
"Header").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from hermetic.errors import Malformed
from hermetic.seal.age import _base64
from hermetic.wire import Digest, sha256_digest

MAX_HEADER = 1024 * 1024
"""Bytes.  About 640 post-quantum recipients; a longer header is refused before it is parsed."""

MAC_BYTES = 32
_VERSION_LINE = b"age-encryption.org/v1\n"
_COLUMNS = 64
_ARGUMENT = re.compile(rb"[!-~]+")
_ARMOR = b"-----BEGIN AGE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    """The file key, wrapped for one recipient.  ``kind`` and ``arguments`` are printable ASCII without spaces."""

    kind: str
    arguments: tuple[str, ...]
    body: bytes

    def encode(self) -> bytes:
        """The stanza's lines.  The body ends with a line shorter than 64 columns, which may be empty."""
        words = " ".join(("->", self.kind, *self.arguments)).encode("ascii")
        text = _base64.encode(self.body)
        lines = [text[at : at + _COLUMNS] for at in range(0, len(text) + 1, _COLUMNS)]
        return b"".join(line + b"\n" for line in (words, *lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A parsed header.  Not yet trusted: anybody can write one; only its MAC under the file key says it is whole."""

    stanzas: tuple[Stanza, ...]
    mac: bytes
    raw: bytes

    @property
    def digest(self) -> Digest:
        """SHA-256 over the exact bytes: how a resource version names this file."""
        return sha256_digest(self.raw)

    @property
    def authenticated(self) -> bytes:
        """The bytes that the MAC covers: up to and including ``---``."""
        return self.raw[: self.raw.rindex(b"---") + 3]


def unsigned_header(stanzas: Sequence[Stanza]) -> bytes:
    """The bytes of a header up to and including ``---``: what its MAC covers."""
    return _VERSION_LINE + b"".join(stanza.encode() for stanza in stanzas) + b"---"


def read_header(stream: BinaryIO, *, limit: int = MAX_HEADER) -> tuple[Header, int]:
    """The header at the start of ``stream`` and its length, at which the payload begins.

    Reads nothing beyond the header.  Raises Malformed when it is not an age v1 header of at most ``limit`` bytes.
    """
    line = stream.readline(len(_VERSION_LINE))
    _check_version(line)
    lines = [line]
    size = len(line)
    while not line.startswith(b"---"):
        line = stream.readline(limit - size + 1)
        size += len(line)
        if not line or size > limit:
            raise Malformed("the header does not end" if not line else f"the header is longer than {limit} bytes")
        lines.append(line)
    return parse_header(b"".join(lines), limit=limit), size


def parse_header(raw: bytes, *, limit: int = MAX_HEADER) -> Header:
    """The header that ``raw`` is, to its last byte.  Raises Malformed on anything else."""
    if len(raw) > limit:
        raise Malformed(f"the header is longer than {limit} bytes")
    _check_version(raw[: len(_VERSION_LINE)])
    *lines, rest = raw[len(_VERSION_LINE) :].split(b"\n")
    if rest or not lines:
        raise Malformed("the header does not end with a line feed")
    mac_line = lines.pop()
    if not mac_line.startswith(b"--- "):
        raise Malformed("the header does not end with its MAC")
    mac = _base64.decode(mac_line[4:], what="header MAC", length=MAC_BYTES)
    stanzas = tuple(_stanzas(iter(lines)))
    if not stanzas:
        raise Malformed("the header names no recipient")
    # A passphrase authenticates the sender, which other stanzas beside it would undo (C2SP age, "scrypt").
    if len(stanzas) > 1 and any(stanza.kind == "scrypt" for stanza in stanzas):
        raise Malformed("a passphrase stanza stands beside others")
    return Header(stanzas=stanzas, mac=mac, raw=raw)


def _check_version(line: bytes) -> None:
    if line == _VERSION_LINE:
        return
    if line.startswith(_ARMOR):
        raise Malformed("the file is ASCII-armored", fix="remove the armor first: age -d … | age -r … -o FILE")
    if line.startswith(b"age-encryption.org/"):
        raise Malformed("the file is not age version 1")
    raise Malformed("not an age file", fix="it must begin with age-encryption.org/v1")


def _stanzas(lines: Iterator[bytes]) -> Iterator[Stanza]:
    for line in lines:
        mark, *words = line.split(b" ")
        if mark != b"->" or not words or not all(_ARGUMENT.fullmatch(word) for word in words):
            raise Malformed("a recipient stanza does not begin as it should")
        kind, *arguments = (word.decode("ascii") for word in words)
        yield Stanza(kind=kind, arguments=tuple(arguments), body=_body(lines))


def _body(lines: Iterator[bytes]) -> bytes:
    """A body runs to its first line shorter than 64 columns."""
    wrapped = []
    for line in lines:
        if len(line) > _COLUMNS:
            raise Malformed("a recipient stanza has a line longer than 64 columns")
        wrapped.append(line)
        if len(line) < _COLUMNS:
            return _base64.decode(b"".join(wrapped), what="recipient stanza")
    raise Malformed("a recipient stanza does not end with a short line")
