"""HTTP clients that speak to one attested server and to nobody else, from a URL and a :class:`Verifier`."""

from __future__ import annotations

from typing import Any

import httpx2

from hermetic.channel import Session, open_session
from hermetic.client.attest import Verifier, fetch_accepted, fetch_accepted_async
from hermetic.client.transport import AsyncSealedTransport, SealedTransport

__all__ = ["AsyncSealedClient", "SealedClient"]

_TIMEOUT = httpx2.Timeout(600.0, connect=10.0)


class SealedClient(httpx2.Client):
    """An ``httpx2.Client`` whose every request goes, sealed, to the server that ``verifier`` accepted.

    The server is asked what it is before the first request leaves, so nothing, the API key included, reaches a server
    that was not accepted.  Raises NotAuthentic, NotAcceptable, Unavailable then; ChannelBroken on a broken answer.
    """

    def __init__(self, url: str, verifier: Verifier, **options: Any) -> None:
        url = url.rstrip("/")
        settings: dict[str, Any] = {"timeout": _TIMEOUT, "base_url": url}
        super().__init__(
            transport=SealedTransport(url, lambda: _session(url, verifier), clock=verifier.clock.now),
            trust_env=False,
            follow_redirects=False,
            **(settings | options),
        )


class AsyncSealedClient(httpx2.AsyncClient):
    """:class:`SealedClient`, for asyncio."""

    def __init__(self, url: str, verifier: Verifier, **options: Any) -> None:
        url = url.rstrip("/")
        settings: dict[str, Any] = {"timeout": _TIMEOUT, "base_url": url}

        async def attest() -> Session:
            return open_session(await fetch_accepted_async(url, verifier))

        super().__init__(
            transport=AsyncSealedTransport(url, attest, clock=verifier.clock.now),
            trust_env=False,
            follow_redirects=False,
            **(settings | options),
        )


def _session(url: str, verifier: Verifier) -> Session:
    return open_session(fetch_accepted(url, verifier))
