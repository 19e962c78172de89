"""``hermetic.OpenAI``: the ``openai`` package's client, speaking only to a server that a policy accepted.

    client = hermetic.OpenAI("https://host", policy="policy.toml", api_key=...)
    client.chat.completions.create(model=..., messages=...)

Everything else is the ``openai`` package's own: streaming, types, errors.  What is refused is raised as it is
(:mod:`hermetic.errors`), and not retried.  What timed out is retried as that package does; such a repetition is a new
sealed request, so set ``max_retries=0`` where a prompt must be handled at most once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import openai

from hermetic.client.attest import Verifier
from hermetic.client.clock import FlooredClock
from hermetic.client.folders import state_folder
from hermetic.client.sealed import AsyncSealedClient, SealedClient
from hermetic.errors import Misconfigured
from hermetic.policy import Policy

__all__ = ["AsyncOpenAI", "OpenAI"]

_NO_WEBSOCKETS = "websockets-would-bypass-the-attested-channel://refused"
"""What the ``openai`` package connects to where it uses WebSockets, which go around ``http_client``: no address at all.

Otherwise the API key and the prompt would go, in clear, to a server that nobody verified."""


class OpenAI(openai.OpenAI):
    """An ``openai.OpenAI`` with an attested transport.

    ``url`` is the server's origin, without ``/v1``; ``policy`` a file or a loaded Policy.  ``allow_simulated`` accepts
    the simulated platform that the policy pins.  Further options are ``openai.OpenAI``'s, except ``http_client`` and
    ``base_url``, which are what makes it safe.  Verification happens before the first request leaves.

    Raises Misconfigured where the policy cannot be used; at the first request NotAuthentic, NotAcceptable, Unavailable.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        policy: Policy | Path | str | None = None,
        allow_simulated: bool = False,
        base_url: str | httpx2.URL | None = None,
        http_client: httpx2.Client | None = None,
        **options: Any,
    ) -> None:
        if http_client is None:
            url = _origin(url, base_url)
            http_client = SealedClient(url, _verifier(policy, allow_simulated))
            base_url = f"{url}/v1/"
        elif not isinstance(http_client, SealedClient):
            raise _would_bypass()
        super().__init__(base_url=base_url, http_client=http_client, **_without_websockets(options))


class AsyncOpenAI(openai.AsyncOpenAI):
    """:class:`OpenAI`, for asyncio."""

    def __init__(
        self,
        url: str | None = None,
        *,
        policy: Policy | Path | str | None = None,
        allow_simulated: bool = False,
        base_url: str | httpx2.URL | None = None,
        http_client: httpx2.AsyncClient | None = None,
        **options: Any,
    ) -> None:
        if http_client is None:
            url = _origin(url, base_url)
            http_client = AsyncSealedClient(url, _verifier(policy, allow_simulated))
            base_url = f"{url}/v1/"
        elif not isinstance(http_client, AsyncSealedClient):
            raise _would_bypass()
        super().__init__(base_url=base_url, http_client=http_client, **_without_websockets(options))


def _origin(url: str | None, base_url: object) -> str:
    if url is None or base_url is not None:
        raise Misconfigured(
            "give the server's origin as the first argument, and no base_url",
            fix='hermetic.OpenAI("https://host", policy="policy.toml", api_key=…)',
        )
    return url.rstrip("/").removesuffix("/v1")


def _verifier(policy: Policy | Path | str | None, allow_simulated: bool) -> Verifier:
    if policy is None:
        raise Misconfigured(
            "no policy: without one nothing is accepted",
            code="no_policy",
            fix="give policy=…; to try things: hermetic policy new URL > policy.toml",
        )
    loaded = policy if isinstance(policy, Policy) else Policy.load(policy)
    return Verifier(policy=loaded, allow_simulated=allow_simulated, clock=FlooredClock(state_folder() / "clock.json"))


def _without_websockets(options: dict[str, Any]) -> dict[str, Any]:
    if options.get("websocket_base_url") not in (None, _NO_WEBSOCKETS):  # ``copy`` hands our own on
        raise Misconfigured("WebSockets would bypass the attested channel", fix="leave websocket_base_url out")
    return options | {"websocket_base_url": _NO_WEBSOCKETS}


def _would_bypass() -> Misconfigured:
    # ``copy`` and ``with_options`` hand our own client on; any other would send the prompt in clear.
    return Misconfigured("another http_client would bypass the attested channel", fix="leave http_client out")
