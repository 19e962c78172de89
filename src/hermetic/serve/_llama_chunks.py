"""llama.cpp's chunks, read into pieces.  Its own ids, model name, timings and fingerprint are left behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hermetic.serve.engine import ContextExceeded, EngineFailed, EngineRefused, Piece, TokenLogprob, Usage

__all__ = ["failure", "read_chat", "read_completion"]


def read_chat(chunk: Mapping[str, Any]) -> Piece:
    """A ``chat.completion.chunk``; the one that carries the usage has no choice in it."""
    choice = _choice(chunk)
    delta = choice.get("delta") or {}
    return Piece(
        text=delta.get("content") or "",
        reasoning=delta.get("reasoning_content") or "",
        logprobs=_logprobs(choice),
        finish_reason=choice.get("finish_reason"),
        usage=_usage(chunk),
    )


def read_completion(chunk: Mapping[str, Any]) -> Piece:
    """A ``text_completion`` chunk."""
    choice = _choice(chunk)
    return Piece(
        text=choice.get("text") or "",
        logprobs=_logprobs(choice),
        finish_reason=choice.get("finish_reason"),
        usage=_usage(chunk),
    )


def failure(error: Mapping[str, Any]) -> EngineRefused | EngineFailed:
    """The typed form of an error chunk.  Numbers are kept, the text is not: it may quote the request."""
    if error.get("type") == "exceed_context_size_error":
        return ContextExceeded(prompt_tokens=int(error["n_prompt_tokens"]), context=int(error["n_ctx"]))
    if error.get("code") == 400:
        return EngineRefused("the engine cannot carry out this request")
    return EngineFailed("the engine failed")


def _choice(chunk: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = chunk.get("choices") or [{}]
    choice: Mapping[str, Any] = choices[0]
    return choice


def _usage(chunk: Mapping[str, Any]) -> Usage | None:
    usage = chunk.get("usage")
    if not usage:
        return None
    return Usage(
        prompt=usage["prompt_tokens"],
        completion=usage["completion_tokens"],
        cached=usage["prompt_tokens_details"]["cached_tokens"],
    )


def _logprobs(choice: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    listed = (choice.get("logprobs") or {}).get("content") or ()
    return tuple(
        TokenLogprob(
            token=entry["token"],
            data=tuple(entry["bytes"]),
            logprob=entry["logprob"],
            top=tuple((top["token"], tuple(top["bytes"]), top["logprob"]) for top in entry["top_logprobs"]),
        )
        for entry in listed
    )
