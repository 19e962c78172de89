"""Puts an answer on the wire, whole or as a stream, and tells the exchange every byte that left."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.types import Send

from hermetic.serve.answers import DONE, Answer, event, join
from hermetic.serve.asgi import respond
from hermetic.serve.engine import EngineFailed, Piece, Usage
from hermetic.serve.errors import ApiError
from hermetic.serve.receipts import Exchange

__all__ = ["send_stream", "send_whole"]

_STREAM_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # an nginx in front of us would hold events back
)


async def send_whole(send: Send, answer: Answer, pieces: AsyncGenerator[Piece, None], exchange: Exchange) -> None:
    """One JSON document.  Nothing is sent before the engine has finished, so its faults still have a status."""
    whole = join([piece async for piece in pieces])
    usage = _usage(whole)
    body = answer.document(whole, usage)
    exchange.sent(body)
    # The receipt is there before the answer is: whoever has the answer can ask for it.
    exchange.finish(usage)
    await respond(send, body, headers={"X-Receipt-Id": exchange.receipt_id})


async def send_stream(send: Send, answer: Answer, pieces: AsyncGenerator[Piece, None], exchange: Exchange) -> None:
    """Server-sent events.  The first piece decides the status; a later fault is told as an event, without [DONE]."""
    first = await anext(pieces)
    headers = [*_STREAM_HEADERS, (b"x-receipt-id", exchange.receipt_id.encode("ascii"))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    try:
        last = first
        await _send_more(send, answer.events(first), exchange)
        async for piece in pieces:
            last = piece
            await _send_more(send, answer.events(piece), exchange)
        usage = _usage(last)
    except (ApiError, EngineFailed) as error:
        ending = event(ApiError.of(error).to_json())
        exchange.sent(ending)
        exchange.abort()
    else:
        ending = DONE
        exchange.sent(ending)
        exchange.finish(usage)
    await send({"type": "http.response.body", "body": ending, "more_body": False})


async def _send_more(send: Send, events: bytes, exchange: Exchange) -> None:
    exchange.sent(events)
    await send({"type": "http.response.body", "body": events, "more_body": True})


def _usage(piece: Piece) -> Usage:
    if piece.usage is None:
        raise EngineFailed("the engine ended without counting its tokens")
    return piece.usage
