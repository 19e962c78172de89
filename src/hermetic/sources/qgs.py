"""Intel's quote generation service: a TDREPORT goes to the host, a quote comes back (DCAP, qgs_msg_lib.h).

    frame     length of the message u32, big-endian · message
    message   major u16 = 1 · minor u16 · type u32 · length of the message u32 · error u32 · …, little-endian
    type 0    … · report length u32 · length of identifiers u32 = 0 · report 1024
    type 1    … · length of the selected identifier u32 · quote length u32 · identifier · quote

The host is not trusted with more than its answer: a quote that it made up does not verify.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hermetic.errors import Malformed, Unavailable

__all__ = ["QuoteService", "configured_port", "connected", "read_quote_answer", "vsock", "write_quote_request"]

_FRAME = struct.Struct(">I")
_MESSAGE = struct.Struct("<HHIIIII")
_MAJOR, _MINOR = 1, 1
_ASK, _ANSWER = 0, 1
_HOST = 2  # the CID of a machine's host
_PORT = 4050
_CONFIGURATION = Path("/etc/tdx-attest.conf")
_PORT_LINE = re.compile(r"\s*port\s*=\s*([0-9]{1,10})\s*")
_LIMIT = 64 * 1024


class QuoteService:
    """Asks a service that ``connect`` reaches.  One connection for each quote, as the service wants it."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect

    def quote(self, report: bytes) -> bytes:
        """The quote over a TDREPORT.  Blocks; raises Unavailable, Malformed and OSError."""
        message = write_quote_request(report)
        with self._connect() as connection:
            connection.sendall(_FRAME.pack(len(message)) + message)
            (length,) = _FRAME.unpack(_receive(connection, _FRAME.size))
            if length > _LIMIT:
                raise Malformed(f"the quote service's answer: at most {_LIMIT} bytes, got {length}")
            return read_quote_answer(_receive(connection, length))


def vsock(port: int | None = None, *, timeout: float = 30.0) -> Callable[[], socket.socket]:
    """Connects to the host of this machine, at ``port`` or the one that Intel's configuration file names.

    ``timeout`` in seconds is for each step.  What it returns raises OSError.
    """

    return lambda: connected(socket.AF_VSOCK, (_HOST, configured_port() if port is None else port), timeout=timeout)


def connected(family: int, address: object, *, timeout: float) -> socket.socket:
    """A stream to ``address``, each step of which takes ``timeout`` seconds at most.  Raises OSError."""
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(address)  # type: ignore[arg-type]  # an address of any family
    except BaseException:
        connection.close()
        raise
    return connection


def configured_port(path: Path = _CONFIGURATION) -> int:
    """The port in a file of Intel's (``port = 4050``), or 4050 where there is none."""
    with suppress(OSError, UnicodeDecodeError):
        for line in path.read_text("utf-8").splitlines():
            if (found := _PORT_LINE.fullmatch(line)) and 0 < int(found[1]) < 2**32:
                return int(found[1])
    return _PORT


def write_quote_request(report: bytes) -> bytes:
    """The message that asks for a quote by the service's default key: no list of identifiers."""
    return _MESSAGE.pack(_MAJOR, _MINOR, _ASK, _MESSAGE.size + len(report), 0, len(report), 0) + report


def read_quote_answer(message: bytes) -> bytes:
    """The quote in an answer.

    Raises Malformed on another kind of message or a length that is not exact, Unavailable on the service's own error.
    """
    if len(message) < _MESSAGE.size:
        raise Malformed("the quote service's answer ends early")
    major, _, kind, length, error, identifier, quote = _MESSAGE.unpack_from(message)
    if major != _MAJOR or kind != _ANSWER:
        raise Malformed(f"the quote service's answer: expected version {_MAJOR}, type {_ANSWER}, got {major}, {kind}")
    if error != 0:
        raise Unavailable(f"the quote service answers with error {error:#x}", fix="its log on the host says why")
    if length != len(message) or _MESSAGE.size + identifier + quote != length:
        raise Malformed("the quote service's answer: its lengths do not add up")
    return message[_MESSAGE.size + identifier :]


def _receive(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        if not (part := connection.recv(length - len(received))):
            raise Unavailable("the quote service closed the connection before its answer was whole")
        received += part
    return received
