"""Requests in OpenAI's words, and what the engine is asked because of them.

    bytes --parse_chat--> ChatRequest --for_engine--> the engine's request

Nothing reaches the engine because a client wrote it: ``for_engine`` lists every field that does.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from hermetic.serve.errors import ApiError
from hermetic.serve.schemas import check_schema

__all__ = ["TOP_LOGPROBS", "ChatRequest", "CompletionRequest"]

TOP_LOGPROBS = 5
"""Alternatives told for each token.  More would make it cheaper to copy the model by asking it (threats.md 15)."""

_SEEDS = 2**32 - 1  # llama.cpp's seeds are 32 bits, and the last one means "choose for me"

Text = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Temperature = Annotated[float, msgspec.Meta(ge=0, le=2)]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
Stop: TypeAlias = Text | Annotated[tuple[Text, ...], msgspec.Meta(max_length=4)]
Alternatives = Annotated[int, msgspec.Meta(ge=0, le=TOP_LOGPROBS)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"  # prompts do not belong in a traceback


class TextPart(_Strict, frozen=True, kw_only=True):
    type: Literal["text"]
    text: str


Content: TypeAlias = str | Annotated[tuple[TextPart, ...], msgspec.Meta(min_length=1)]


class SystemMessage(_Strict, frozen=True, kw_only=True, tag_field="role", tag="system"):
    content: Content


class DeveloperMessage(_Strict, frozen=True, kw_only=True, tag_field="role", tag="developer"):
    content: Content


class UserMessage(_Strict, frozen=True, kw_only=True, tag_field="role", tag="user"):
    content: Content


class AssistantMessage(_Strict, frozen=True, kw_only=True, tag_field="role", tag="assistant"):
    content: Content
    reasoning_content: str | None = None


Message: TypeAlias = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage


class StreamOptions(_Strict, frozen=True, kw_only=True):
    include_usage: bool = False
    include_obfuscation: bool = False


class TextFormat(_Strict, frozen=True, kw_only=True, tag_field="type", tag="text"):
    pass


class JsonObject(_Strict, frozen=True, kw_only=True, tag_field="type", tag="json_object"):
    pass


class SchemaOf(_Strict, frozen=True, kw_only=True):
    name: str
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class JsonSchema(_Strict, frozen=True, kw_only=True, tag_field="type", tag="json_schema"):
    json_schema: SchemaOf


ResponseFormat: TypeAlias = TextFormat | JsonObject | JsonSchema


class _Sampling(_Strict, frozen=True, kw_only=True):
    """What chat and completion have in common."""

    model: str
    max_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    stop: Stop | None = None
    seed: int | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def sampling(self, max_tokens: int) -> dict[str, Any]:
        """The engine's sampling fields; what was not asked for is left to the engine."""
        asked = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "stop": [self.stop] if isinstance(self.stop, str) else self.stop and list(self.stop),
            "seed": None if self.seed is None else self.seed % _SEEDS,
            "frequency_penalty": self.frequency_penalty,
            "presence_penalty": self.presence_penalty,
        }
        return {"max_tokens": max_tokens, **{name: value for name, value in asked.items() if value is not None}}


class ChatRequest(_Sampling, frozen=True, kw_only=True):
    """POST /v1/chat/completions."""

    messages: Annotated[tuple[Message, ...], msgspec.Meta(min_length=1, max_length=4096)]
    max_completion_tokens: Count | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool = False
    top_logprobs: Alternatives | None = None

    @property
    def alternatives(self) -> int | None:
        """Alternatives to tell for each token; None for no probabilities at all."""
        return (self.top_logprobs or 0) if self.logprobs else None

    def for_engine(self, *, max_tokens: int) -> dict[str, Any]:
        """The request as the engine gets it.  ``max_tokens`` is the server's limit.  Raises ApiError above it."""
        asked = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        name = "max_tokens" if self.max_completion_tokens is None else "max_completion_tokens"
        return {
            "messages": [_message(message) for message in self.messages],
            **self.sampling(_within(asked, max_tokens, name=name, default=max_tokens)),
            **_format(self.response_format),
            **({} if self.alternatives is None else {"logprobs": True, "top_logprobs": max(1, self.alternatives)}),
        }


class CompletionRequest(_Sampling, frozen=True, kw_only=True):
    """POST /v1/completions, the older interface: a prompt is continued as it stands, without a chat template."""

    prompt: Text | Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=1)]
    logprobs: Alternatives | None = None

    @property
    def alternatives(self) -> int | None:
        """Alternatives to tell for each token; None for no probabilities at all."""
        return self.logprobs

    def for_engine(self, *, max_tokens: int) -> dict[str, Any]:
        """The request as the engine gets it.  Unasked, OpenAI's default of 16 tokens holds."""
        return {
            "prompt": self.prompt if isinstance(self.prompt, str) else self.prompt[0],
            **self.sampling(_within(self.max_tokens, max_tokens, name="max_tokens", default=min(16, max_tokens))),
            **({} if self.alternatives is None else {"logprobs": max(1, self.alternatives)}),
        }


def _within(asked: int | None, limit: int, *, name: str, default: int) -> int:
    if asked is not None and asked > limit:
        raise ApiError.invalid(name, f"{name} is above this server's limit of {limit}")
    return default if asked is None else asked


def _message(message: Message) -> dict[str, Any]:
    content = message.content
    plain = content if isinstance(content, str) else "".join(part.text for part in content)
    match message:
        case AssistantMessage(reasoning_content=str() as reasoning):
            return {"role": "assistant", "content": plain, "reasoning_content": reasoning}
        case AssistantMessage():
            return {"role": "assistant", "content": plain}
        case UserMessage():
            return {"role": "user", "content": plain}
        case SystemMessage() | DeveloperMessage():  # one role under two names; chat templates know the older
            return {"role": "system", "content": plain}


def _format(wanted: ResponseFormat | None) -> dict[str, Any]:
    match wanted:
        case JsonObject():
            return {"response_format": {"type": "json_object"}}
        case JsonSchema(json_schema=asked):
            check_schema(asked.schema, place="response_format.json_schema.schema")
            return {"response_format": {"type": "json_schema", "json_schema": {"schema": asked.schema}}}
        case _:
            return {}
