"""OpenAI's routes: chat completions, completions, models."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from starlette.types import Receive, Scope, Send

from hermetic.serve.admission import Admission
from hermetic.serve.answers import Answer, ChatAnswer, CompletionAnswer
from hermetic.serve.asgi import header, read_body, respond, while_connected
from hermetic.serve.config import Limits
from hermetic.serve.credentials import ApiKeys
from hermetic.serve.deadline import Deadline
from hermetic.serve.engine import Engine, Piece
from hermetic.serve.errors import ApiError
from hermetic.serve.observe import observation
from hermetic.serve.parsing import parse_chat, parse_completion
from hermetic.serve.receipts import Receipts
from hermetic.serve.requests import ChatRequest, CompletionRequest
from hermetic.serve.stream import send_stream, send_whole
from hermetic.wire import canonical

__all__ = ["Completions", "FetchReceipt", "Models", "Service", "chat_completions", "completions"]

_Request: TypeAlias = ChatRequest | CompletionRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the routes share."""

    model: str
    engine: Engine
    keys: ApiKeys
    limits: Limits
    admission: Admission
    receipts: Receipts


class Completions:
    """A route that asks the engine.  An ASGI application of its own, because an answer may be a stream."""

    def __init__(
        self,
        service: Service,
        *,
        parse: Callable[[bytes], _Request],
        ask: Callable[[Mapping[str, Any]], AsyncGenerator[Piece, None]],
        answer: type[Answer],
    ) -> None:
        self._service = service
        self._parse = parse
        self._ask = ask
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service, limits = self._service, self._service.limits
        deadline = Deadline.after(limits.request_seconds)
        # 1. Who asks?
        principal = service.keys.principal(header(scope, b"authorization"))
        # 2. What is asked, in words we know?
        async with deadline.kept():
            body = await read_body(receive, limit=limits.body_bytes)
        request = self._parse(body)
        if request.model != service.model:
            raise ApiError.model_not_found(service.model)
        asked = request.for_engine(max_tokens=min(limits.max_tokens, service.engine.context))
        # 3. The engine answers for as long as somebody listens; what passes goes into the receipt.
        answer = self._answer(
            model=service.model,
            created=int(time.time()),
            alternatives=request.alternatives,
            include_usage=request.include_usage,
        )

        async def work() -> None:
            async with service.admission.slot(deadline), contextlib.aclosing(deadline.each(self._ask(asked))) as pieces:
                with service.receipts.exchange(
                    principal, endpoint=scope["path"], chat_id=answer.id, received=body, forwarded=asked
                ) as exchange:
                    await (send_stream if request.stream else send_whole)(send, answer, pieces, exchange)
                observation(scope).usage = exchange.usage

        async with asyncio.timeout_at(deadline.at + limits.reading_seconds):
            await while_connected(receive, work())


def chat_completions(service: Service) -> Completions:
    """POST /v1/chat/completions."""
    limit = service.limits.body_bytes
    return Completions(
        service, parse=lambda body: parse_chat(body, limit=limit), ask=service.engine.chat, answer=ChatAnswer
    )


def completions(service: Service) -> Completions:
    """POST /v1/completions."""
    limit = service.limits.body_bytes
    return Completions(
        service,
        parse=lambda body: parse_completion(body, limit=limit),
        ask=service.engine.complete,
        answer=CompletionAnswer,
    )


class Models:
    """GET /v1/models and GET /v1/models/{id}: the one model this server was measured with."""

    def __init__(self, service: Service) -> None:
        self._keys = service.keys
        self._model = service.model
        self._card = {"id": service.model, "object": "model", "created": int(time.time()), "owned_by": "hermetic"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._keys.principal(header(scope, b"authorization"))
        name = scope["path_params"].get("model")
        if name is not None and name != self._model:
            raise ApiError.model_not_found(self._model)
        document = {"object": "list", "data": [self._card]} if name is None else self._card
        await respond(send, msgspec.json.encode(document))


class FetchReceipt:
    """GET /v1/receipts/{id}: only for the key that made the request; to everybody else it does not exist."""

    def __init__(self, service: Service) -> None:
        self._keys = service.keys
        self._receipts = service.receipts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        owner = self._keys.owner(header(scope, b"authorization"))
        file = self._receipts.file(scope["path_params"]["receipt_id"], owner=owner)
        await respond(send, canonical(file.to_json()), headers={"Cache-Control": "no-store"})
