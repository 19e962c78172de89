"""The network as an attacker has it: a relay on loopback that keeps every byte, and can change what passes.

It understands just enough HTTP/1.1 to cut or flip inside a body and leave the rest well formed, as an attacker would.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Wiretap", "drop_last_chunk", "flip_last_byte"]

Change = Callable[[bytes], bytes]
"""Takes one whole HTTP message, head and body, and gives what is passed on instead."""

_BLOCK = 64 * 1024


@dataclass
class Wiretap:
    """Listens on a free port and passes everything to ``server_port``, keeping it in ``questions`` and ``answers``."""

    server_port: int
    change_question: Change | None = None
    change_answer: Change | None = None
    questions: bytearray = field(default_factory=bytearray)
    answers: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server_port))
                for source, sink, kept in ((client, server, self.questions), (server, client, self.answers)):
                    threading.Thread(target=self._relay, args=(source, sink, kept), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
        """Passes bytes on as they come, or whole messages where something is to be changed."""
        held = bytearray()
        with contextlib.suppress(OSError):
            while data := source.recv(_BLOCK):
                kept += data
                change = self.change_question if kept is self.questions else self.change_answer
                held += data
                if change is None:
                    sink.sendall(held)
                    held.clear()
                elif _is_whole(bytes(held)):
                    sink.sendall(change(bytes(held)))
                    held.clear()
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def drop_last_chunk(message: bytes) -> bytes:
    """The answer without its last frame, properly ended: EHBP cannot notice it, and the strict profile must."""
    head, body = _split(message)
    if not _is_chunked(head):
        return message
    return head + b"".join(_chunk(data) for data in _chunks(body)[:-1]) + b"0\r\n\r\n"


def flip_last_byte(message: bytes) -> bytes:
    """The message with one bit of its sealed body changed."""
    head, body = _split(message)
    if not body:
        return message
    if not _is_chunked(head):
        return head + body[:-1] + bytes([body[-1] ^ 1])
    *whole, last = _chunks(body)
    changed = [*whole, last[:-1] + bytes([last[-1] ^ 1])]
    return head + b"".join(_chunk(data) for data in changed) + b"0\r\n\r\n"


def _split(message: bytes) -> tuple[bytes, bytes]:
    head, separator, body = message.partition(b"\r\n\r\n")
    return head + separator, body


def _is_chunked(head: bytes) -> bool:
    return re.search(rb"(?im)^transfer-encoding:\s*chunked", head) is not None


def _is_whole(message: bytes) -> bool:
    head, body = _split(message)
    if not head.endswith(b"\r\n\r\n"):
        return False
    if _is_chunked(head):
        return body.endswith(b"0\r\n\r\n")
    length = re.search(rb"(?im)^content-length:\s*(\d+)", head)
    return len(body) >= (int(length[1]) if length else 0)


def _chunks(body: bytes) -> list[bytes]:
    """The data of each chunk, without the empty last one."""
    found = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            break
        found.append(rest[:length])
        body = rest[length + 2 :]
    return found


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
