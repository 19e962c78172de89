"""Frames of the strict profile (docs/spec/strict.md §4): padded, numbered, and with an end that proves itself."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple, Protocol

from hermetic.errors import ChannelBroken
from hermetic.wire import FrameReader, frame

SMALLEST_BUCKET = 1 << 9
LARGEST_BUCKET = 1 << 16
LENGTH_FIELD = 4
MAX_CONTENT = LARGEST_BUCKET - LENGTH_FIELD

_TAG_LENGTH = 16
_OVERHEAD = 1 + _TAG_LENGTH  # the flag and the AEAD's tag
_BUCKETS = frozenset(1 << power for power in range(9, 17))
_MORE, _LAST = b"\x00", b"\x01"
_SEQUENCES = 2**64


class Direction(Enum):
    """Who is speaking.  Part of every frame's AAD, so that no frame can be reflected."""

    REQUEST = b"\x01"
    RESPONSE = b"\x02"


class Seals(Protocol):
    """The sealing end of an AEAD stream: an HPKE sender or a response cipher."""

    def seal(self, plaintext: bytes, aad: bytes) -> bytes: ...


class Opens(Protocol):
    """The opening end."""

    def open(self, ciphertext: bytes, aad: bytes) -> bytes: ...


class Frame(NamedTuple):
    """An opened frame.  ``bucket`` is the length of its padded plaintext."""

    sequence: int
    content: bytes
    bucket: int
    last: bool


class FrameSealer:
    """Seals the contents of one direction, in order, up to the last."""

    def __init__(self, cipher: Seals, direction: Direction) -> None:
        self._cipher = cipher
        self._direction = direction
        self._sequence = 0
        self._ended = False

    def frame(self, content: bytes, *, last: bool = False, bucket: int | None = None) -> bytes:
        """The next frame.  ``bucket`` is the smallest that fits unless it is given.

        Nothing follows the last one: raises ChannelBroken instead of sealing more.
        """
        if self._ended:
            raise ChannelBroken("nothing can be sealed after the last frame")
        flag = _LAST if last else _MORE
        size = bucket or smallest_bucket(len(content))
        plaintext = (len(content).to_bytes(LENGTH_FIELD, "big") + content).ljust(size, b"\x00")
        if len(plaintext) not in _BUCKETS or len(plaintext) != size:
            raise ChannelBroken(f"{len(content)} bytes do not fit into a frame of {size}")
        ciphertext = self._cipher.seal(plaintext, _aad(self._direction, self._sequence, flag))
        self._sequence += 1
        self._ended = last
        return frame(flag + ciphertext)


class FrameOpener:
    """Opens the frames of one direction: ``push`` what arrives, ``finish`` when the input ended.

    Every fault is a ChannelBroken, and after one this object is of no further use.
    """

    def __init__(self, cipher: Opens, direction: Direction) -> None:
        self._cipher = cipher
        self._direction = direction
        self._reader = FrameReader(max_frame=LARGEST_BUCKET + _OVERHEAD)
        self._sequence = 0
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the last frame has opened."""
        return self._ended

    def push(self, data: bytes) -> Iterator[Frame]:
        """The frames that ``data`` completes, each opened when its turn comes."""
        for whole in self._reader.push(data):
            yield self._open(whole)

    def finish(self) -> None:
        """The input ended.  Raises ChannelBroken if that was before the last frame, or after it with something more."""
        self._reader.finish()
        if not self._ended:
            raise ChannelBroken("the stream was cut: its last frame is missing", code="truncated")

    def _open(self, whole: bytes) -> Frame:
        # 1. Nothing follows the last frame.
        if self._ended:
            raise ChannelBroken("a frame follows the last one")
        # 2. It looks like a frame: a flag we know and a length that is a bucket.
        flag, bucket = whole[:1], len(whole) - _OVERHEAD
        if flag not in (_MORE, _LAST) or bucket not in _BUCKETS:
            raise ChannelBroken("a frame's flag or length is not one of the profile's")
        # 3. It is this direction's next frame, and its flag is the one that was sealed.
        plaintext = self._cipher.open(whole[1:], _aad(self._direction, self._sequence, flag))
        # 4. Its content is inside, and nothing hides in the padding.
        length = int.from_bytes(plaintext[:LENGTH_FIELD], "big")
        content, padding = plaintext[LENGTH_FIELD : LENGTH_FIELD + length], plaintext[LENGTH_FIELD + length :]
        if len(content) != length or padding.count(0) != len(padding):
            raise ChannelBroken("a frame's padding is malformed")
        opened = Frame(sequence=self._sequence, content=content, bucket=bucket, last=flag == _LAST)
        self._sequence += 1
        self._ended = opened.last
        return opened


class Pending:
    """Bytes that wait for their frame.  Taking from the front costs what is taken, not what is left."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def __len__(self) -> int:
        return len(self._buffer)

    def add(self, data: bytes) -> None:
        self._buffer += data

    def take(self, length: int) -> bytes:
        """The first ``length`` bytes, or all if there are fewer."""
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken


def smallest_bucket(content_length: int) -> int:
    """The smallest power of two, from 512, that holds ``content_length`` bytes and their length field."""
    return max(SMALLEST_BUCKET, 1 << (content_length + LENGTH_FIELD - 1).bit_length())


def _aad(direction: Direction, sequence: int, flag: bytes) -> bytes:
    if sequence >= _SEQUENCES:
        raise ChannelBroken("a stream has reached its frame limit", code="message_limit")
    return direction.value + sequence.to_bytes(8, "big") + flag
