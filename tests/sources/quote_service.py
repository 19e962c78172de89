"""A quote generation service on a Unix socket instead of a vsock: the same bytes, from Intel's structures."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from quote_support import tdx_bundle

__all__ = ["answer_message", "honest", "serving"]

Answer = Callable[[bytes], bytes]
"""From the message that was asked to the bytes that go back, frame included."""


def honest(message: bytes) -> bytes:
    """The quote over the TDREPORT in a request, framed."""
    major, minor, kind, size, error, report_size, id_list_size = struct.unpack_from("<HHIIIII", message)
    assert (major, minor, kind, error) == (1, 1, 0, 0)
    assert (size, report_size, id_list_size) == (len(message), 1024, 0)
    report = message[24:]
    return framed(answer_message(tdx_bundle(report[128:192]).evidence))


def answer_message(
    quote: bytes, *, identifier: bytes = b"", major: int = 1, kind: int = 1, error: int = 0, more: int = 0
) -> bytes:
    """A response; ``more`` is added to the length that it states of itself."""
    size = 24 + len(identifier) + len(quote)
    # qgs_msg_get_quote_resp_t: header, selected_id_size, quote_size, selected id and quote
    return struct.pack("<HHIIIII", major, 1, kind, size + more, error, len(identifier), len(quote)) + identifier + quote


def framed(message: bytes) -> bytes:
    return struct.pack(">I", len(message)) + message


@contextmanager
def serving(answer: Answer = honest) -> Iterator[Callable[[], socket.socket]]:
    """Connects to a service that answers each connection once and closes it."""
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            (length,) = struct.unpack(">I", connection.recv(4, socket.MSG_WAITALL))
            connection.sendall(answer(connection.recv(length, socket.MSG_WAITALL)))

    def connect() -> socket.socket:
        ours, theirs = socket.socketpair()
        threads.append(threading.Thread(target=serve, args=(theirs,)))
        threads[-1].start()
        ours.settimeout(10)
        return ours

    yield connect
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
