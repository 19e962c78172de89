"""Answers in OpenAI's words, made from an engine's pieces: whole, or event by event.

Ids, times and the model's name are the server's own; nothing of the engine's shows.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from hermetic.serve.engine import Piece, TokenLogprob, Usage

__all__ = ["DONE", "Answer", "ChatAnswer", "CompletionAnswer", "event", "join"]

DONE = b"data: [DONE]\n\n"
"""The last event of a stream that ended well.  A stream without it was cut short."""


def event(document: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(document) + b"\n\n"


def join(pieces: Iterable[Piece]) -> Piece:
    """All pieces as one.  The last of them says how it ended."""
    listed = tuple(pieces)
    return Piece(
        text="".join(piece.text for piece in listed),
        reasoning="".join(piece.reasoning for piece in listed),
        logprobs=tuple(logprob for piece in listed for logprob in piece.logprobs),
        finish_reason=listed[-1].finish_reason,
        usage=listed[-1].usage,
    )


class Answer:
    """One answer's words.  :meth:`events` is called for each piece in turn, or :meth:`document` once for all.

    ``created`` is Unix seconds; ``alternatives`` says how many are told for each token, None for no logprobs at all.
    """

    whole: ClassVar[str]
    chunk: ClassVar[str]
    prefix: ClassVar[str]

    def __init__(self, *, model: str, created: int, alternatives: int | None, include_usage: bool) -> None:
        self.id = f"{self.prefix}-{secrets.token_hex(16)}"
        self._model = model
        self._created = created
        self._alternatives = alternatives
        self._include_usage = include_usage
        self._told = 0  # characters, so that a token's place in the text is known

    def events(self, piece: Piece) -> bytes:
        """The events that tell one piece; after the last one the usage follows, if it was asked for."""
        document = self._head(self.chunk) | {"choices": [self._part(piece)]}
        if not self._include_usage:
            return event(document)
        told = event(document | {"usage": None})
        if piece.usage is not None:
            told += event(self._head(self.chunk) | {"choices": [], "usage": _usage(piece.usage)})
        return told

    def document(self, piece: Piece, usage: Usage) -> bytes:
        """The whole answer, joined into one piece."""
        return msgspec.json.encode(self._head(self.whole) | {"choices": [self._choice(piece)], "usage": _usage(usage)})

    def _part(self, piece: Piece) -> dict[str, Any]:
        """A choice within a chunk."""
        raise NotImplementedError

    def _choice(self, piece: Piece) -> dict[str, Any]:
        """A choice within a whole answer."""
        raise NotImplementedError

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self._created, "model": self._model}


class ChatAnswer(Answer):
    """POST /v1/chat/completions."""

    whole = "chat.completion"
    chunk = "chat.completion.chunk"
    prefix = "chatcmpl"

    def _part(self, piece: Piece) -> dict[str, Any]:
        if piece == Piece():  # accepted: OpenAI's first chunk names the role
            delta: dict[str, Any] = {"role": "assistant", "content": ""}
        else:
            delta = {"content": piece.text} if piece.text else {}
            delta |= {"reasoning_content": piece.reasoning} if piece.reasoning else {}
        return {
            "index": 0,
            "delta": delta,
            "logprobs": self._logprobs(piece),
            "finish_reason": piece.finish_reason,
        }

    def _choice(self, piece: Piece) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": piece.text, "refusal": None}
        message |= {"reasoning_content": piece.reasoning} if piece.reasoning else {}
        return {
            "index": 0,
            "message": message,
            "logprobs": self._logprobs(piece),
            "finish_reason": piece.finish_reason,
        }

    def _logprobs(self, piece: Piece) -> dict[str, Any] | None:
        if self._alternatives is None or not piece.logprobs:
            return None
        return {"content": [self._token(token) for token in piece.logprobs], "refusal": None}

    def _token(self, token: TokenLogprob) -> dict[str, Any]:
        likeliest = [
            {"token": text, "bytes": data, "logprob": logprob}
            for text, data, logprob in token.top[: self._alternatives]
        ]
        return {"token": token.token, "bytes": token.data, "logprob": token.logprob, "top_logprobs": likeliest}


class CompletionAnswer(Answer):
    """POST /v1/completions."""

    whole = "text_completion"
    chunk = "text_completion"
    prefix = "cmpl"

    def _part(self, piece: Piece) -> dict[str, Any]:
        return {
            "index": 0,
            "text": piece.text,
            "logprobs": self._logprobs(piece),
            "finish_reason": piece.finish_reason,
        }

    def _choice(self, piece: Piece) -> dict[str, Any]:
        return self._part(piece)

    def _logprobs(self, piece: Piece) -> dict[str, Any] | None:
        if self._alternatives is None or not piece.logprobs:
            return None
        places = []
        for token in piece.logprobs:
            places.append(self._told)
            self._told += len(token.token)
        return {
            "tokens": [token.token for token in piece.logprobs],
            "token_logprobs": [token.logprob for token in piece.logprobs],
            "top_logprobs": [
                {text: logprob for text, _, logprob in token.top[: self._alternatives]} for token in piece.logprobs
            ],
            "text_offset": places,
        }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    }
