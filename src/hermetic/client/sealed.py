"""HTTP clients that speak to one attested server and to nobody else, from a URL and a :class:`Verifier`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx2

from hermetic.channel import Session, open_session
from hermetic.client.attest import Verifier, fetch_report, fetch_report_async
from hermetic.client.transport import AsyncSealedTransport, SealedTransport
from hermetic.errors import Misconfigured, Unavailable
from hermetic.identity import AttestationReport
from hermetic.policy import Accepted

__all__ = ["AsyncSealedClient", "Attested", "SealedClient"]

_TIMEOUT = httpx2.Timeout(600.0, connect=10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """Why the server was accepted: its report, the nonce it answers, and the verdict with every check."""

    report: AttestationReport = field(repr=False)
    nonce: bytes
    accepted: Accepted = field(repr=False)


class SealedClient(httpx2.Client):
    """An ``httpx2.Client`` whose every request goes, sealed, to the server that ``verifier`` accepted.

    The server is asked what it is before the first request leaves, so nothing, the API key included, reaches a server
    that was not accepted.  Raises NotAuthentic, NotAcceptable, Unavailable then; ChannelBroken on a broken answer.
    """

    def __init__(self, url: str, verifier: Verifier, **options: Any) -> None:
        url = url.rstrip("/")
        self._attested: Attested | None = None

        def attest() -> Session:
            nonce = verifier.ask()
            self._attested = _accept(verifier, fetch_report(url, nonce=nonce), nonce)
            return open_session(self._attested.accepted)

        transport = SealedTransport(url, attest, clock=verifier.clock.now)
        super().__init__(transport=transport, **_settings(url, options))

    @property
    def attested(self) -> Attested:
        """Whom the last request was sealed for.  Raises Unavailable before the first."""
        return _known(self._attested)


class AsyncSealedClient(httpx2.AsyncClient):
    """:class:`SealedClient`, for asyncio."""

    def __init__(self, url: str, verifier: Verifier, **options: Any) -> None:
        url = url.rstrip("/")
        self._attested: Attested | None = None

        async def attest() -> Session:
            nonce = verifier.ask()
            self._attested = _accept(verifier, await fetch_report_async(url, nonce=nonce), nonce)
            return open_session(self._attested.accepted)

        transport = AsyncSealedTransport(url, attest, clock=verifier.clock.now)
        super().__init__(transport=transport, **_settings(url, options))

    @property
    def attested(self) -> Attested:
        """Whom the last request was sealed for.  Raises Unavailable before the first."""
        return _known(self._attested)


def _settings(url: str, options: dict[str, Any]) -> dict[str, Any]:
    # Each of these would have requests leave by another transport than the sealed one: in clear, to whoever answers.
    if around := {"app", "mounts", "proxy", "transport"} & options.keys():
        raise Misconfigured(
            f"{', '.join(sorted(around))} would bypass the attested channel",
            code="bypass",
            fix="leave it out; SealedTransport takes an inner transport that carries the sealed bytes",
        )
    # No proxies from the environment and no redirects: there is one origin, and the transport holds it.
    fixed = {"base_url": url, "trust_env": False, "follow_redirects": False}
    return {"timeout": _TIMEOUT} | options | fixed


def _accept(verifier: Verifier, answer: bytes, nonce: bytes) -> Attested:
    accepted = verifier.accept(answer, nonce=nonce)
    return Attested(report=AttestationReport.from_bytes(answer), nonce=nonce, accepted=accepted)


def _known(attested: Attested | None) -> Attested:
    if attested is None:
        raise Unavailable("nothing was sent yet, so nobody was asked what the server is")
    return attested
