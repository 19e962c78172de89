"""A streamed chat over a sealed client, keeping the exact bytes that the receipt will speak of."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from hermetic.client.sealed import SealedClient
from hermetic.errors import ChannelBroken, HermeticError, Malformed, Unavailable
from hermetic.ledger import ReceiptFile
from hermetic.wire import parse_json, parse_object

__all__ = ["ChatStream", "Message", "fetch_receipt", "list_models"]

Message = dict[str, str]
_EVENT_LIMIT = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class ChatStream:
    """One question and its answer as it comes: iterate over pieces of text, then read what remains.

    ``request`` and ``response`` are the exact plaintext bytes of both bodies (never in ``repr``).
    """

    client: SealedClient
    model: str
    messages: Sequence[Message] = field(repr=False)
    api_key: str | None = field(default=None, repr=False)
    temperature: float = 0.2
    max_tokens: int = 512
    seed: int | None = None
    request: bytes = field(default=b"", init=False, repr=False)
    response: bytes = field(default=b"", init=False, repr=False)
    receipt_id: str = field(default="", init=False)
    finish_reason: str = field(default="", init=False)
    usage: dict[str, Any] = field(default_factory=dict, init=False)

    def __iter__(self) -> Iterator[str]:
        """Raises what the server's own error says, and ChannelBroken for an answer without its end."""
        self.request = json.dumps(self._body(), ensure_ascii=False).encode()
        headers = {"content-type": "application/json"} | _authorization(self.api_key)
        with (
            _reachable(),
            self.client.stream("POST", "/v1/chat/completions", content=self.request, headers=headers) as answer,
        ):
            self.receipt_id = answer.headers.get("x-receipt-id", "")
            if answer.status_code != 200:
                self.response = answer.read()
                raise _server_error(answer.status_code, self.response)
            yield from self._events(answer)

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": list(self.messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return body if self.seed is None else body | {"seed": self.seed}

    def _events(self, answer: httpx2.Response) -> Iterator[str]:
        received, pending, done = bytearray(), bytearray(), False
        for chunk in answer.iter_raw():
            received += chunk
            pending += chunk
            if len(pending) > _EVENT_LIMIT:
                raise Malformed("the server sent an event that does not end")
            while (end := pending.find(b"\n\n")) >= 0:
                event = bytes(pending[:end])
                del pending[: end + 2]
                done = done or event == b"data: [DONE]"
                if not done:
                    yield from self._delta(event)
        self.response = bytes(received)
        if not done:
            raise ChannelBroken("the answer ended without its last event", code="truncated")

    def _delta(self, event: bytes) -> Iterator[str]:
        if not event.startswith(b"data: "):
            return
        chunk = parse_object(event.removeprefix(b"data: "), what="event")
        if "error" in chunk:
            raise _server_error(200, event.removeprefix(b"data: "))
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk.get("choices", []):
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            if text := choice.get("delta", {}).get("content"):
                yield str(text)


def list_models(client: SealedClient, *, api_key: str | None) -> tuple[str, ...]:
    """The names of the models that are served."""
    with _reachable():
        answer = client.get("/v1/models", headers=_authorization(api_key))
    if answer.status_code != 200:
        raise _server_error(answer.status_code, answer.content)
    return tuple(str(entry["id"]) for entry in parse_object(answer.content, what="list of models")["data"])


def fetch_receipt(client: SealedClient, receipt_id: str, *, api_key: str | None, patience: float = 3.0) -> ReceiptFile:
    """The receipt, with its place in the log if it has one within ``patience`` seconds, else pending.

    The report that made the signing key trustworthy is put beside it, so that the file can be examined offline.
    """
    until = time.monotonic() + patience
    while True:
        with _reachable():
            answer = client.get(f"/v1/receipts/{receipt_id}", headers=_authorization(api_key))
        if answer.status_code != 200:
            raise _server_error(answer.status_code, answer.content)
        found = ReceiptFile.from_bytes(answer.content)
        if found.inclusion is not None or time.monotonic() > until:
            return found.attested(client.attested.report)
        time.sleep(0.1)


@contextmanager
def _reachable() -> Iterator[None]:
    """What the connection itself fails with, as an error of ours."""
    try:
        yield
    except httpx2.HTTPError as error:
        raise Unavailable(
            f"the server does not answer ({type(error).__name__})", code="server_unreachable", fix="try again"
        ) from error


def _authorization(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"authorization": f"Bearer {api_key}"}


def _server_error(status: int, body: bytes) -> HermeticError:
    """What the server says in OpenAI's error shape, as an error of ours.  The channel authenticated it."""
    try:
        said = parse_json(body, what="error")["error"]
        message, code = str(said["message"]), str(said.get("code") or said["type"])
    except (Malformed, KeyError, TypeError):
        message, code = "no reason given", "server_error"
    fix = "give the key with --api-key-file or HERMETIC_API_KEY" if status == 401 else ""
    return Unavailable(f"the server answered {status}: {message}", code=code, fix=fix)
