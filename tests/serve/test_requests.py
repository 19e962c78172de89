"""Requests: what is read, what reaches the engine, and what is refused by name and never by value."""

from __future__ import annotations

import json
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.serve.errors import ApiError
from hermetic.serve.parsing import parse_chat, parse_completion
from hermetic.serve.requests import TOP_LOGPROBS, ChatRequest, CompletionRequest

LIMIT = 64 * 1024
CANARY = "CANARY-31f0"
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
PROMPT: dict[str, Any] = {"model": "m", "prompt": "hi"}


def chat(**changes: Any) -> ChatRequest:
    return parse_chat(json.dumps(CHAT | changes).encode(), limit=LIMIT)


def completion(**changes: Any) -> CompletionRequest:
    return parse_completion(json.dumps(PROMPT | changes).encode(), limit=LIMIT)


def asked(**changes: Any) -> dict[str, Any]:
    return chat(**changes).for_engine(max_tokens=100)


# -- what reaches the engine


def test_only_what_was_asked_reaches_the_engine() -> None:
    assert asked() == {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}
    assert completion().for_engine(max_tokens=100) == {"prompt": "hi", "max_tokens": 16}
    assert completion().for_engine(max_tokens=5)["max_tokens"] == 5


def test_every_parameter_in_the_engines_words() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert asked(
        max_completion_tokens=7,
        temperature=0.5,
        top_p=0.9,
        stop="x",
        seed=-1,
        frequency_penalty=1,
        presence_penalty=-1,
        logprobs=True,
        top_logprobs=3,
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True}},
    ) == {
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["x"],
        "seed": 2**32 - 2,
        "frequency_penalty": 1.0,
        "presence_penalty": -1.0,
        "logprobs": True,
        "top_logprobs": 3,
        "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
    }
    assert asked(response_format={"type": "json_object"})["response_format"] == {"type": "json_object"}
    assert asked(response_format={"type": "text"}) == asked()
    assert completion(prompt=["one"], logprobs=0).for_engine(max_tokens=9) == {
        "prompt": "one",
        "max_tokens": 9,
        "logprobs": 1,
    }


def test_messages_in_the_engines_words() -> None:
    messages = [
        {"role": "developer", "content": "be brief"},
        {"role": "system", "content": [{"type": "text", "text": "be "}, {"type": "text", "text": "kind"}]},
        {"role": "assistant", "content": "yes", "refusal": None, "tool_calls": None},
        {"role": "assistant", "content": "no", "reasoning_content": "hm"},
    ]
    assert asked(messages=messages)["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "system", "content": "be kind"},
        {"role": "assistant", "content": "yes"},
        {"role": "assistant", "content": "no", "reasoning_content": "hm"},
    ]


@pytest.mark.parametrize("name", ["user", "safety_identifier", "prompt_cache_key"])
def test_who_asks_is_not_passed_on(name: str) -> None:
    assert asked(**{name: CANARY}) == asked()


@pytest.mark.parametrize(
    "harmless",
    [
        {"n": 1}, {"store": False}, {"logit_bias": {}}, {"tools": []}, {"tool_choice": "none"}, {"metadata": {}},
        {"modalities": ["text"]}, {"service_tier": "auto"}, {"parallel_tool_calls": True}, {"temperature": None},
        {"stop": None}, {"tools": None}, {"unheard_of": None}, {"stream": False},
    ],
)  # fmt: skip
def test_what_asks_for_nothing_is_accepted(harmless: dict[str, Any]) -> None:
    assert asked(**harmless) == asked()


# -- what is refused


def refused(**changes: Any) -> ApiError:
    with pytest.raises(ApiError) as refusal:
        asked(**changes)
    error = refusal.value
    assert error.status == 400
    assert CANARY not in json.dumps(error.to_json())
    return error


@pytest.mark.parametrize(
    "name", ["cache_prompt", "id_slot", "grammar", "n_predict", "lora", "samplers", "return_progress"]
)
def test_the_engines_own_parameters_are_unknown(name: str) -> None:
    error = refused(**{name: CANARY})
    assert (error.code, error.param) == ("unknown_parameter", name)


@pytest.mark.parametrize(
    "asking",
    [
        {"n": 2}, {"n": True}, {"n": 1.0}, {"store": True}, {"logit_bias": {"1": 5}}, {"tools": [{}]}, {"echo": True},
        {"tool_choice": "auto"}, {"functions": []}, {"audio": {}}, {"modalities": ["audio"]}, {"suffix": "x"},
        {"reasoning_effort": "low"}, {"prediction": {}}, {"web_search_options": {}}, {"metadata": {"a": CANARY}},
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(asking: dict[str, Any]) -> None:
    error = refused(**asking)
    assert (error.code, error.param) == ("unsupported_parameter", next(iter(asking)))


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": CANARY}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 101}, "max_tokens"),
        ({"max_completion_tokens": 101}, "max_completion_tokens"),
        ({"stop": [CANARY] * 5}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": {CANARY: 1}}, "stop"),
        ({"seed": "1"}, "seed"),
        ({"frequency_penalty": 3}, "frequency_penalty"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": TOP_LOGPROBS + 1}, "top_logprobs"),
        ({"messages": []}, "messages"),
        ({"messages": CANARY}, "messages"),
        ({"messages": [CANARY]}, "messages[0]"),
        ({"messages": [{"role": CANARY, "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x", "name": CANARY}]}, "messages[0].name"),
        ({"messages": [{"role": "assistant", "content": "x", "tool_calls": [CANARY]}]}, "messages[0].tool_calls"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": CANARY}}]}]},
            "messages[0].content[0].type",
        ),
        ({"response_format": {"type": CANARY}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"model": 5}, "model"),
    ],
)
def test_a_wrong_value_is_named_and_not_repeated(wrong: dict[str, Any], param: str) -> None:
    assert refused(**wrong).param == param


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_what_is_missing_is_named(missing: str) -> None:
    body = {name: value for name, value in CHAT.items() if name != missing}
    with pytest.raises(ApiError) as refusal:
        parse_chat(json.dumps(body).encode(), limit=LIMIT)
    assert (refusal.value.code, refusal.value.param) == ("missing_required_parameter", missing)


@pytest.mark.parametrize("prompt", [[], ["a", "b"], "", [1, 2], [[1]], 5, None])
def test_one_prompt_of_text(prompt: Any) -> None:
    with pytest.raises(ApiError):
        completion(prompt=prompt)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b'"x"', b"\xff", b'{"model":"a","model":"b"}', b'{"temperature":NaN}',
        b"[" * 100_000, b'{"seed":1e400}', b'{"seed":99999999999999999999}', b" " * (LIMIT + 1),
    ],
)  # fmt: skip
def test_what_is_not_strict_json_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as refusal:
        parse_chat(body, limit=LIMIT)
    assert refusal.value.code == "invalid_json"


def test_an_unprintable_name_is_not_repeated() -> None:
    assert refused(**{"a\x1b[31m": 1}).param == "(unprintable)"
    assert refused(**{"a" * 65: 1}).param == "(unprintable)"


def test_no_prompt_shows_in_a_repr() -> None:
    request = chat(messages=[{"role": "user", "content": CANARY}], stop=CANARY)
    assert CANARY not in repr(request)
    assert CANARY not in repr(request.messages)
    assert CANARY not in repr(completion(prompt=CANARY))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
names = st.sampled_from([*typing.get_type_hints(ChatRequest), "n", "tools", "user"]) | st.text(max_size=8)

ENGINE_FIELDS = {
    "messages", "max_tokens", "temperature", "top_p", "stop", "seed", "frequency_penalty", "presence_penalty",
    "logprobs", "top_logprobs", "response_format",
}  # fmt: skip


@given(st.dictionaries(names, json_values, max_size=4))
def test_anything_is_either_refused_or_within_the_allow_list(changes: dict[str, Any]) -> None:
    try:
        request = asked(**changes)
    except ApiError:
        return
    assert request.keys() <= ENGINE_FIELDS
    assert 1 <= request["max_tokens"] <= 100
    assert all(message.keys() <= {"role", "content", "reasoning_content"} for message in request["messages"])


def test_a_refusal_says_what_was_expected() -> None:
    assert refused(max_tokens=CANARY).message == "max_tokens: Expected int | null, got str"
    assert refused(messages=[{"role": CANARY, "content": ""}]).message == (
        "messages[0].role: this value is not supported here"
    )
