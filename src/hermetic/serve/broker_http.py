"""Questions to the broker over HTTP.  Its answers are not believed here: they are signed, and checked by who asked.

No proxy, no redirect, nothing from the environment: the address is in the measured configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2

from hermetic.errors import Malformed, NotReleased, Unavailable
from hermetic.wire import parse_object

__all__ = ["ask", "ask_async"]

_LIMIT = 4 * 1024 * 1024
_TIMEOUT = httpx2.Timeout(20.0)


def ask(url: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """POSTs ``document`` and returns the answer.  Raises NotReleased on a refusal, Unavailable, Malformed."""
    body = bytearray()
    try:
        with (
            httpx2.Client(timeout=_TIMEOUT, trust_env=False) as http,
            http.stream("POST", url, json=document) as response,
        ):
            for part in response.iter_bytes():
                _collect(body, part)
    except httpx2.HTTPError as error:
        raise _no_answer(url, error) from None
    return _answer(response.status_code, bytes(body))


async def ask_async(http: httpx2.AsyncClient, url: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """:func:`ask`, for asyncio and a client that is kept."""
    body = bytearray()
    try:
        async with http.stream("POST", url, json=document, timeout=_TIMEOUT) as response:
            async for part in response.aiter_bytes():
                _collect(body, part)
    except httpx2.HTTPError as error:
        raise _no_answer(url, error) from None
    return _answer(response.status_code, bytes(body))


def _collect(body: bytearray, part: bytes) -> None:
    body += part
    if len(body) > _LIMIT:
        raise Malformed(f"the broker's answer is larger than {_LIMIT} bytes")


def _answer(status: int, body: bytes) -> dict[str, Any]:
    if status == 200:
        return parse_object(body, what="the broker's answer", limit=_LIMIT)
    code, message = _reason(body)
    if status in {400, 401, 403, 404, 413}:
        raise NotReleased(
            f"the broker refused: {message}", code=code, fix="its owner can see which check failed, and why"
        )
    raise Unavailable(f"the broker answered {status}: {message}", code=code)


def _reason(body: bytes) -> tuple[str, str]:
    """The code and message of a refusal; a stranger's words, so only short printable ones."""
    try:
        error = parse_object(body, what="refusal", limit=64 * 1024)["error"]
        code, message = str(error["code"]), str(error["message"])
    except (Malformed, KeyError, TypeError):
        return "not_released", "without a reason"
    if not (code.isprintable() and message.isprintable()):
        return "not_released", "without a readable reason"
    return code[:64], message[:300]


def _no_answer(url: str, error: httpx2.HTTPError) -> Unavailable:
    return Unavailable(
        f"no answer from the broker at {url} ({type(error).__name__})",
        code="broker_unavailable",
        fix="is it running? hermetic broker serve --config broker.toml",
    )
