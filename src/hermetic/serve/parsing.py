"""Reads requests strictly.  What is refused is named by its parameter; no refusal repeats a value.

A parameter that means nothing here is refused too, unless its value asks for what happens anyway: to accept it and do
otherwise would be a lie.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from hermetic.errors import Malformed
from hermetic.serve.errors import ApiError
from hermetic.serve.requests import ChatRequest, CompletionRequest
from hermetic.wire import parse_object

__all__ = ["parse_chat", "parse_completion"]

# Parameters of OpenAI's that have no meaning here, and the values of theirs that change nothing.
_NO_EFFECT: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "store": (False,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "tools": ([],),
    "tool_choice": ("none",),
    "parallel_tool_calls": (True, False),
    "audio": (),
    "function_call": (),
    "functions": (),
    "metadata": ({},),
    "moderation": (),
    "prediction": (),
    "prompt_cache_options": (),
    "prompt_cache_retention": (),
    "reasoning_effort": (),
    "suffix": (),
    "verbosity": (),
    "web_search_options": (),
}
# Who asks is not for the engine to know; these name a person or a cache, and are dropped unread.
_IGNORED = frozenset({"user", "safety_identifier", "prompt_cache_key"})

_Request = TypeVar("_Request", ChatRequest, CompletionRequest)


def parse_chat(body: bytes, *, limit: int) -> ChatRequest:
    """The chat request in ``body``.  Raises ApiError (400) and names the parameter, never its value."""
    return _parse(body, ChatRequest, limit=limit)


def parse_completion(body: bytes, *, limit: int) -> CompletionRequest:
    """The completion request in ``body``.  Raises ApiError like :func:`parse_chat`."""
    return _parse(body, CompletionRequest, limit=limit)


def _parse(body: bytes, kind: type[_Request], *, limit: int) -> _Request:
    # 1. Strict JSON: no repeated names, no NaN.
    try:
        document = parse_object(body, what="the request body", limit=limit)
    except Malformed as error:
        raise ApiError.invalid(None, error.message, code="invalid_json") from None
    # 2. Every parameter is known and means something here.  OpenAI's clients write null for "not given".
    given = {name: value for name, value in document.items() if value is not None and name not in _IGNORED}
    for name in given.keys() - set(kind.__struct_fields__):
        _without_effect(name, given.pop(name))
    if isinstance(messages := given.get("messages"), list):
        given["messages"] = [_without_nulls(message) for message in messages]
    # 3. Every value has its type.
    try:
        request = msgspec.convert(given, kind, strict=True)
    except msgspec.ValidationError as error:
        raise _fault(str(error)) from None
    # 4. What depends on another parameter has it.
    if request.stream_options is not None and not request.stream:
        raise ApiError.invalid("stream_options", "stream_options needs stream to be true")
    if request.stream_options is not None and request.stream_options.include_obfuscation:
        raise ApiError.unsupported("stream_options.include_obfuscation")  # the strict channel pads instead
    if isinstance(request, ChatRequest) and request.top_logprobs is not None and not request.logprobs:
        raise ApiError.invalid("top_logprobs", "top_logprobs needs logprobs to be true")
    return request


def _without_effect(name: str, value: object) -> None:
    if name not in _NO_EFFECT:
        raise ApiError.unknown(name if name.isprintable() and len(name) <= 64 else "(unprintable)")
    if not any(type(value) is type(harmless) and value == harmless for harmless in _NO_EFFECT[name]):
        raise ApiError.unsupported(name)


def _without_nulls(message: object) -> object:
    """Clients send an answer's message back as they got it: ``"refusal": null`` says nothing."""
    if not isinstance(message, dict):
        return message
    return {name: value for name, value in message.items() if value is not None}


_PLACE = re.compile(r"(?P<what>.*) - at `\$\.?(?P<place>[^`]*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(\w{1,64})`")


def _fault(message: str) -> ApiError:
    """A validation fault.  msgspec quotes a value only in the kinds that are not told here."""
    found = _PLACE.fullmatch(message)
    what, place = (found["what"], found["place"]) if found else (message, "")
    if missing := _MISSING.fullmatch(what):
        name = _inside(place, missing[1])
        return ApiError.invalid(name, f"{name} is missing", code="missing_required_parameter")
    if unknown := _UNKNOWN.fullmatch(what):
        return ApiError.unknown(_inside(place, unknown[1]))
    if not what.startswith("Expected "):
        what = "this value is not supported here"
    return ApiError.invalid(place or None, f"{place or 'the request body'}: {what.replace('`', '')}")


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
