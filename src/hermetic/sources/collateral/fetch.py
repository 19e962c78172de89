"""The one way in which anything is fetched: bounded in size, in time and in attempts; never away from the known hosts.

TLS hides who asks for what, and proves nothing here.  A vendor's busy signal (429, 503) is waited out, for as long as
the caller has time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpcore2
import httpx2

from hermetic.errors import Malformed, Misconfigured, Unavailable
from hermetic.sources.collateral.question import Answer, Request
from hermetic.sources.collateral.services import origin_of
from hermetic.sources.collateral.timed import Deadline, TimedNetwork

__all__ = ["Fetcher", "Patience"]

_BUSY = frozenset({429, 502, 503, 504})
_WEB_PAGES = ("text/html", "application/xhtml")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_IDLE = 5.0  # seconds after which a connection that nobody uses is given back


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to try, in seconds: ``total`` for all that one bundle needs, ``silence`` without a byte.

    The pause before the second of at most ``attempts`` is ``first_pause``; it doubles from there, or is as long as the
    vendor asks.
    """

    total: float = 30.0
    silence: float = 10.0
    attempts: int = 4
    first_pause: float = 0.5

    def __post_init__(self) -> None:
        if self.attempts < 1 or min(self.total, self.silence) <= 0 or self.first_pause < 0:
            raise Misconfigured("patience: at least one attempt, and time for it")


class _Again(Exception):
    """Worth another attempt, not before ``pause`` seconds have passed."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class Fetcher:
    """Asks the services at ``origins`` and no others.  Safe to share between threads."""

    def __init__(
        self, origins: frozenset[str], *, patience: Patience, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._origins = origins
        self._patience = patience
        self._sleep = sleep
        self._lock = threading.Lock()
        self._network = TimedNetwork()
        self._connections: httpcore2.ConnectionPool | None = None

    def close(self) -> None:
        if self._connections is not None:
            self._connections.close()

    def fetch(self, request: Request, deadline: Deadline, *, insist: bool = True) -> Answer:
        """What the service answers, whole.  Where the caller does not ``insist``, one attempt is enough.

        Raises Unavailable where it does not answer, or not in time; Malformed where the answer cannot be a document: a
        web page, empty, compressed, or larger than ``request.largest``.
        """
        if origin_of(request.url) not in self._origins:
            raise Misconfigured(f"{request.url} is not one of the services that may be asked", code="collateral_url")
        attempts = self._patience.attempts if insist else 1
        attempt, pause = 1, self._patience.first_pause
        while True:
            try:
                return self._attempt(request, deadline)
            except _Again as again:
                wait = max(pause, again.pause)
                if attempt == attempts or wait >= deadline.left:
                    asked = f", and asks to wait {again.pause:.0f} s" if again.pause else ""
                    raise Unavailable(
                        f"{request.url}: {again}{asked}; gave up after {attempt} attempts",
                        code="collateral_unavailable",
                    ) from again.__cause__
            self._sleep(wait)
            attempt, pause = attempt + 1, pause * 2

    def _attempt(self, request: Request, deadline: Deadline) -> Answer:
        silence = self._patience.silence
        waits = {"connect": silence, "read": silence, "write": silence, "pool": min(silence, deadline.left)}
        url = httpx2.URL(request.url)
        try:
            with (
                self._network.until(deadline),
                self._pool().stream(
                    "GET" if request.body is None else "POST",
                    httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=_headers(request, url),
                    content=request.body,
                    extensions={"timeout": waits},
                ) as response,
            ):
                headers = httpx2.Headers(response.headers)
                _require_document(response.status, headers, request.url)
                content = _read(response, request)
        except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            if not deadline.left:
                raise Unavailable(f"{request.url} answers too slowly", code="collateral_unavailable") from error
            raise _Again(f"no answer ({type(error).__name__})") from error
        return Answer(content=content, headers={name: headers[name] for name in request.headers if name in headers})

    def _pool(self) -> httpcore2.ConnectionPool:
        with self._lock:
            if self._connections is None:  # loading the system's roots costs more than all that a warm cache does
                self._connections = httpcore2.ConnectionPool(
                    ssl_context=httpx2.create_ssl_context(trust_env=False),
                    keepalive_expiry=_IDLE,
                    network_backend=self._network,
                )
            return self._connections


def _headers(request: Request, url: httpx2.URL) -> list[tuple[bytes, bytes]]:
    # Asked for as it is: what expands could grow without bound between two looks at its size.
    headers = [(b"Host", url.netloc), (b"User-Agent", b"hermetic"), (b"Accept-Encoding", b"identity")]
    return headers + ([(b"Content-Type", request.media_type.encode())] if request.media_type else [])


def _require_document(status: int, headers: httpx2.Headers, url: str) -> None:
    """The status is 200 and the head is not that of a web page or of something compressed."""
    if status in _BUSY:
        after = headers.get("Retry-After", "")
        # The other form is a date, by a clock that is not ours.
        raise _Again(f"it answers {status}", float(after) if after.isdecimal() and len(after) < 6 else 0.0)
    if status in _REDIRECTS:
        raise Unavailable(f"{url} answers with a redirect, which is not followed", code="collateral_unavailable")
    if status == 404:
        raise Unavailable(f"{url}: there is no such document", code="collateral_unknown")
    if status != 200:
        raise Unavailable(f"{url} answers {status}", code="collateral_unavailable")
    if headers.get("Content-Type", "").lower().startswith(_WEB_PAGES):
        raise Malformed(f"{url} answers with a web page, not with a document")
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Malformed(f"{url} answers in a compressed form that was not asked for")


def _read(response: httpcore2.Response, request: Request) -> bytes:
    """The body, given up on as soon as it is too long."""
    content = bytearray()
    for chunk in response.iter_stream():
        content += chunk
        if len(content) > request.largest:
            raise Malformed(f"{request.url} answers with more than {request.largest} bytes")
    if not content:
        raise Malformed(f"{request.url} answers with nothing")
    return bytes(content)
