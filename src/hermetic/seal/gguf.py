"""The one thing a manifest says about a GGUF model's inside: the digest of its chat template.

Reads the metadata at the start of the file (GGUF versions 2 and 3) and nothing else.  Every length comes from a
stranger and is bounded before it is used; values are skipped, not built.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from hermetic.errors import Malformed
from hermetic.wire import Digest, sha256_digest

MAGIC = b"GGUF"
MAX_METADATA = 256 * 1024 * 1024
"""Bytes of metadata; a large tokenizer needs about 10 MiB."""

_VERSIONS = (2, 3)
_MAX_KEYS = 65_536
_MAX_KEY = 65_535
_MAX_TEMPLATE = 4 * 1024 * 1024
_MAX_DEPTH = 3
_MAX_ENTRIES = 2_000_000  # texts and lists within lists, read one by one; a large tokenizer has about 800,000
_TEMPLATE = b"tokenizer.chat_template"

_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING = 8
_ARRAY = 9


def chat_template_digest(stream: BinaryIO) -> Digest | None:
    """SHA-256 over the UTF-8 of ``tokenizer.chat_template``; None when there is none or the file is no GGUF at all.

    Raises Malformed when a file that begins as GGUF cannot be read as GGUF, or names the template twice.
    """
    if stream.read(len(MAGIC)) != MAGIC:
        return None
    reader = _Reader(stream)
    version = reader.number("<I")
    if version not in _VERSIONS:
        raise Malformed(f"GGUF: expected version 2 or 3, got {version}")
    reader.number("<Q")  # how many tensors follow the metadata
    count = reader.number("<Q")
    if count > _MAX_KEYS:
        raise Malformed(f"GGUF: {count} metadata keys; at most {_MAX_KEYS} are allowed")
    found: Digest | None = None
    for _ in range(count):
        key = reader.text(_MAX_KEY)
        kind = reader.number("<I")
        if key != _TEMPLATE:
            reader.skip_value(kind)
        elif kind != _STRING or found is not None:
            raise Malformed("GGUF: the chat template is not one text")
        else:
            found = sha256_digest(reader.text(_MAX_TEMPLATE))
    return found


class _Reader:
    """Reads forward, at most MAX_METADATA bytes and _MAX_ENTRIES list entries in all."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MAX_METADATA
        self._entries = _MAX_ENTRIES

    def take(self, count: int) -> bytes:
        if count > self._left:
            raise Malformed(f"GGUF: more than {MAX_METADATA} bytes of metadata")
        self._left -= count
        data = self._stream.read(count)
        if len(data) != count:
            raise Malformed("GGUF: the file ends inside its metadata")
        return data

    def number(self, layout: str) -> int:
        (value,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        return int(value)

    def text(self, limit: int) -> bytes:
        length = self.number("<Q")
        if length > limit:
            raise Malformed(f"GGUF: a text of {length} bytes; at most {limit} are allowed here")
        return self.take(length)

    def skip_value(self, kind: int, depth: int = 0) -> None:
        if kind == _STRING:
            self._skip(self.number("<Q"))
        elif kind == _ARRAY and depth < _MAX_DEPTH:
            self._skip_array(depth)
        elif kind in _SCALAR_BYTES:
            self._skip(_SCALAR_BYTES[kind])
        else:
            raise Malformed(f"GGUF: unknown type {kind}")

    def _skip_array(self, depth: int) -> None:
        kind, count = self.number("<I"), self.number("<Q")
        if kind in _SCALAR_BYTES:
            self._skip(_SCALAR_BYTES[kind] * count)
            return
        if count > self._entries:
            raise Malformed(f"GGUF: more than {_MAX_ENTRIES} entries in lists")
        self._entries -= count
        for _ in range(count):
            self.skip_value(kind, depth + 1)

    def _skip(self, count: int) -> None:
        """Reads past ``count`` bytes in pieces, so that a length alone never makes memory."""
        while count > 0:
            count -= len(self.take(min(count, 65_536)))
