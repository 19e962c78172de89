"""A deadline is one, however slowly and in whatever pieces a server answers: over raw sockets, and over TLS."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import httpcore2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hermetic.errors import Unavailable
from hermetic.sources.collateral import Patience
from hermetic.sources.collateral.fetch import Fetcher
from hermetic.sources.collateral.question import Request
from hermetic.sources.collateral.timed import Deadline, TimedNetwork

_PIECES = 100
_PATIENCE = Patience(total=20, silence=20, attempts=1, first_pause=0)


class Line:
    """One connection that was accepted, and ``left`` once the client has left it or five seconds have passed."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(20)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self.port: int = self._listener.getsockname()[1]
        self.left = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def end(self) -> None:
        self._thread.join()

    def _serve(self) -> None:
        with self._listener, self._listener.accept()[0] as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(5)
            try:
                self._answer(connection)
                while connection.recv(65536):
                    pass
            except TimeoutError:
                return
            except OSError:
                pass
            self.left = True


def _trickle(connection: socket.socket, piece: bytes) -> None:
    for _ in range(_PIECES):
        connection.sendall(piece)
        time.sleep(0.002)


def _pieces(before: bytes, piece: bytes, after: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(before)
        _trickle(connection, piece)
        connection.sendall(after)

    return answer


_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_WHOLE = b"Content-Length: 1\r\n\r\nx"
TRICKLES = {
    "headers": _pieces(_OK, b"X-A: b\r\n", _WHOLE),
    "interim answers": _pieces(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", _OK + _WHOLE),
    "extensions of a chunk": _pieces(_CHUNKED + b"1", b";a", b"\r\nx\r\n0\r\n\r\n"),
    "trailers": _pieces(_CHUNKED + b"1\r\nx\r\n0\r\n", b"x: a\r\n", b"\r\n"),
}


@contextmanager
def _fetching(answer: Callable[[socket.socket], None]) -> Iterator[tuple[Line, Fetcher]]:
    line = Line(answer)
    fetcher = Fetcher(frozenset({line.url}), patience=_PATIENCE)
    try:
        yield line, fetcher
    finally:
        fetcher.close()
        line.end()


@pytest.mark.parametrize("slow", [False, True], ids=["in time", "too slowly"])
@pytest.mark.parametrize("trickle", TRICKLES)
def test_what_trickles_is_given_up_on_at_the_deadline(trickle: str, slow: bool) -> None:
    """Each piece comes in time; all together do not, by a clock that advances by looking at it."""
    ticks = count()
    deadline = Deadline(15, monotonic=lambda: float(next(ticks))) if slow else Deadline(20)
    with _fetching(TRICKLES[trickle]) as (line, fetcher):
        request = Request(url=f"{line.url}/document", largest=100)
        if not slow:
            assert fetcher.fetch(request, deadline).content == b"x"
            return
        with pytest.raises(Unavailable, match="answers too slowly"):
            fetcher.fetch(request, deadline)


def test_silence_is_not_waited_out_beyond_the_deadline() -> None:
    with _fetching(lambda connection: None) as (line, fetcher):
        with pytest.raises(Unavailable, match="answers too slowly"):
            fetcher.fetch(Request(url=f"{line.url}/document", largest=100), Deadline(1))
        line.end()
        assert line.left


# The network beneath, over TLS


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and a client's that trusts it."""
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(_certificate_of_127_0_0_1())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=file)


def _certificate_of_127_0_0_1() -> bytes:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key(), serial_number=1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM) + private


Tls = tuple[ssl.SSLContext, ssl.SSLContext]


def test_what_is_read_over_tls_has_the_same_deadline(tls: Tls) -> None:
    server, client = tls

    def answer(connection: socket.socket) -> None:
        with server.wrap_socket(connection, server_side=True) as secured:
            secured.sendall(b"a")
            while secured.recv(100):
                pass
        raise ConnectionError

    line, network = Line(answer), TimedNetwork()
    with network.until(Deadline(20)):
        stream = network.connect_tcp("127.0.0.1", line.port, 20).start_tls(client, "127.0.0.1", 20)
        assert stream.read(100, 20) == b"a"
        stream.write(b"b", 20)
    with network.until(Deadline(0.05)), pytest.raises(httpcore2.ReadTimeout):
        stream.read(100, 20)
    with network.until(Deadline(0)), pytest.raises(httpcore2.WriteTimeout):
        stream.write(b"c", 20)
    with network.until(Deadline(20)), pytest.raises(httpcore2.ReadTimeout):
        stream.read(100, 0.05)
    stream.close()
    line.end()
    assert line.left


def test_a_greeting_that_is_not_answered_is_not_waited_for_beyond_the_deadline(tls: Tls) -> None:
    line, network = Line(lambda connection: None), TimedNetwork()
    with network.until(Deadline(0.1)), pytest.raises(httpcore2.ConnectTimeout):
        network.connect_tcp("127.0.0.1", line.port, 20).start_tls(tls[1], "127.0.0.1", 20)
    line.end()
    assert line.left


def test_nobody_is_called_after_the_deadline() -> None:
    line, network = Line(lambda connection: None), TimedNetwork()
    with network.until(Deadline(0)), pytest.raises(httpcore2.ConnectTimeout, match="the time is over"):
        network.connect_tcp("127.0.0.1", line.port, 20)
    with network.until(Deadline(20)):
        network.connect_tcp("127.0.0.1", line.port, 20).close()
    line.end()
