"""What a language-model engine must do for the server, whoever wrote it.

An engine takes a request that has already been rebuilt from the allow-list (:mod:`hermetic.serve.requests`) and
answers in pieces.  Closing the generator early cancels the work; there is no other handle to hold on to.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hermetic.errors import Refused, Unavailable

__all__ = ["ContextExceeded", "Engine", "EngineFailed", "EngineRefused", "Piece", "TokenLogprob", "Usage"]


class EngineRefused(Refused):
    """The engine cannot carry out this request: a grammar it does not support, say.  Never quotes the request."""

    code = "engine_refused"


class ContextExceeded(EngineRefused):
    """The prompt alone does not fit into the context."""

    code = "context_length_exceeded"

    def __init__(self, *, prompt_tokens: int, context: int) -> None:
        super().__init__(f"the prompt has {prompt_tokens} tokens; the context holds {context}")


class EngineFailed(Unavailable):
    """A fault of the engine's own.  Its message is dropped: it may quote the request."""

    code = "engine_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one request.  ``cached`` prompt tokens were taken from an earlier request: always 0 here."""

    prompt: int
    completion: int
    cached: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """One token with its natural-log probability, and the likeliest alternatives as (token, bytes, logprob)."""

    token: str = field(repr=False)
    data: tuple[int, ...] = field(repr=False)
    logprob: float = field(repr=False)
    top: tuple[tuple[str, tuple[int, ...], float], ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of an answer.

    The first piece is empty and means that the request was accepted; the last one carries ``finish_reason``
    (``"stop"`` or ``"length"``) and ``usage``.  ``reasoning`` is what a thinking model says before its answer.
    """

    text: str = field(default="", repr=False)
    reasoning: str = field(default="", repr=False)
    logprobs: tuple[TokenLogprob, ...] = field(default=(), repr=False)
    finish_reason: str | None = None
    usage: Usage | None = None


class Engine(Protocol):
    """A loaded model.  ``slots`` requests run side by side, each with ``context`` tokens for prompt and answer."""

    slots: int
    context: int

    def chat(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """Answers ``request`` (its ``messages`` run through the model's own chat template).

        Raises ContextExceeded or EngineRefused before the first piece, EngineFailed at any time.
        """
        ...

    def complete(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """Continues ``request["prompt"]``.  Raises like :meth:`chat`."""
        ...

    def close(self) -> None:
        """Cancels what runs, waits for it, and frees the model.  Blocking."""
        ...
