"""Length-prefixed frames: ``u32be(len) || bytes``, as EHBP and the strict profile put them on the wire."""

from __future__ import annotations

from collections.abc import Iterator

from hermetic.errors import ChannelBroken, Malformed

DEFAULT_MAX_FRAME = 64 * 1024 * 1024


def frame(data: bytes) -> bytes:
    """One frame."""
    if len(data) > 0xFFFF_FFFF:
        raise Malformed("a frame holds at most 2**32 - 1 bytes")
    return len(data).to_bytes(4, "big") + data


class FrameReader:
    """Sans-I/O: ``push`` bytes as they come and iterate over whole frames; ``finish`` when the input ended.

    A frame longer than ``max_frame`` bytes is refused from its prefix, before anything is allocated for it.
    """

    def __init__(self, *, max_frame: int = DEFAULT_MAX_FRAME) -> None:
        self._buffer = bytearray()
        self._max_frame = max_frame

    def push(self, data: bytes) -> Iterator[bytes]:
        """Yields each frame that ``data`` completes.  Raises ChannelBroken on an over-long one."""
        self._buffer += data
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if length > self._max_frame:
                raise ChannelBroken(f"a frame announces {length} bytes; at most {self._max_frame} are allowed")
            if len(self._buffer) < 4 + length:
                return
            whole = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            yield whole

    def finish(self) -> None:
        """The input ended.  Raises ChannelBroken if it ended inside a frame."""
        if self._buffer:
            raise ChannelBroken("the stream ended inside a frame")
