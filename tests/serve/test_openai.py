"""OpenAI's routes over a real socket: answers, streams, and every refusal in OpenAI's shape."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from hermetic.ledger import EventType, ReceiptFile
from serve_support import CONTEXT, KEY, MODEL, Served

GREETING: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Say hello."}],
    "max_tokens": 4,
    "temperature": 0,
}
PROMPT: dict[str, Any] = {"model": MODEL, "prompt": "The sky is", "max_tokens": 3, "temperature": 0}


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def events(response: httpx2.Response) -> list[Any]:
    """The documents of a stream, which must end with ``[DONE]``."""
    parts = response.text.split("\n\n")
    assert parts[-2:] == ["data: [DONE]", ""]
    return [json.loads(part.removeprefix("data: ")) for part in parts[:-2]]


def refusal(response: httpx2.Response) -> dict[str, Any]:
    body = response.json()
    assert response.headers["content-type"] == "application/json"
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    return {"status": response.status_code, **body["error"]}


# -- answers


def test_a_chat_completion(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**GREETING)
    choice = answer.choices[0]
    assert answer.id.startswith("chatcmpl-")
    assert (answer.model, answer.object) == (MODEL, "chat.completion")
    assert choice.message.content
    assert choice.finish_reason in {"stop", "length"}
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert 1 <= answer.usage.completion_tokens <= 4


def test_a_streamed_chat_completion_says_the_same(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(**GREETING)
    stream = list(client.chat.completions.create(**GREETING, stream=True, stream_options={"include_usage": True}))
    assert len({chunk.id for chunk in stream}) == 1
    assert stream[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream[:-1]) == whole.choices[0].message.content
    assert stream[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert stream[-1].choices == []
    assert stream[-1].usage == whole.usage


def test_usage_is_streamed_only_when_asked_for(http: httpx2.Client) -> None:
    plain = events(http.post("/v1/chat/completions", json={**GREETING, "stream": True}))
    assert not any("usage" in event for event in plain)


def test_a_completion_whole_and_streamed(client: openai.OpenAI) -> None:
    whole = client.completions.create(**PROMPT)
    assert whole.id.startswith("cmpl-")
    assert whole.object == "text_completion"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 3
    stream = list(client.completions.create(**PROMPT, stream=True))
    assert "".join(chunk.choices[0].text for chunk in stream) == whole.choices[0].text
    assert stream[-1].choices[0].finish_reason == "length"


def test_a_completion_has_openais_default_length(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt="1 2 3 4 5 6", temperature=0)
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 16


def test_probabilities_are_told_as_asked(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(**GREETING, logprobs=True, top_logprobs=2)
    told = chat.choices[0].logprobs
    assert told is not None
    assert told.content
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in told.content)
    bare = client.chat.completions.create(**GREETING, logprobs=True).choices[0].logprobs
    assert bare is not None
    assert bare.content
    assert all(token.top_logprobs == [] for token in bare.content)
    older = client.completions.create(**PROMPT, logprobs=1).choices[0].logprobs
    assert older is not None
    assert older.tokens is not None
    assert older.text_offset is not None
    assert older.text_offset == [sum(map(len, older.tokens[:i])) for i in range(len(older.tokens))]


def test_probabilities_are_not_told_unasked(http: httpx2.Client) -> None:
    answer = http.post("/v1/chat/completions", json=GREETING).json()
    assert answer["choices"][0]["logprobs"] is None


def test_stop_ends_the_answer(client: openai.OpenAI) -> None:
    free = client.completions.create(**PROMPT).choices[0].text
    stopped = client.completions.create(**PROMPT, stop=[free[-1]]).choices[0]
    assert stopped.finish_reason == "stop"
    assert free[-1] not in stopped.text


def test_a_seed_repeats_an_answer(client: openai.OpenAI) -> None:
    ask = {**GREETING, "temperature": 1.0, "max_tokens": 8}
    first, second = (client.chat.completions.create(**ask, seed=7).choices[0].message.content for _ in range(2))
    assert first == second


def test_an_answer_is_held_to_a_schema(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 5}}, "required": ["n"]}
    answer = client.chat.completions.create(
        **GREETING | {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}},
        max_completion_tokens=64,
    )
    assert 3 <= json.loads(answer.choices[0].message.content or "")["n"] <= 5


def test_an_answer_goes_back_as_it_came(client: openai.OpenAI) -> None:
    """Clients append the message they were given, with its null fields."""
    first = client.chat.completions.create(**GREETING)
    messages = [*GREETING["messages"], first.choices[0].message, {"role": "user", "content": "Again."}]
    again = client.chat.completions.create(**{**GREETING, "messages": messages})
    assert again.choices[0].message.content


def test_no_prompt_token_is_served_from_a_cache(http: httpx2.Client) -> None:
    for _ in range(3):
        usage = http.post("/v1/chat/completions", json=GREETING).json()["usage"]
        assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).owned_by == "hermetic"
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("gpt-4")
    assert error.value.code == "model_not_found"


# -- refusals


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("GET", "/v1/models"),
        ("GET", f"/v1/models/{MODEL}"),
        ("GET", "/v1/receipts/rcpt-0"),
    ],
)
def test_every_route_wants_a_key(served: Served, method: str, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = httpx2.request(method, served.url + path, headers=headers, content=b"{}" if method == "POST" else None)
    assert refusal(response)["status"] == 401
    assert refusal(response)["code"] == "invalid_api_key"
    assert response.headers["www-authenticate"] == "Bearer"


def test_two_keys_at_once_are_no_key(served: Served) -> None:
    headers = [("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {KEY}")]
    assert refusal(httpx2.get(f"{served.url}/v1/models", headers=headers))["status"] == 401


def test_another_model_is_not_found(http: httpx2.Client) -> None:
    told = refusal(http.post("/v1/chat/completions", json={**GREETING, "model": "gpt-4"}))
    assert (told["status"], told["code"], told["param"]) == (404, "model_not_found", "model")


def test_an_unknown_path_and_a_wrong_method(http: httpx2.Client) -> None:
    assert refusal(http.get("/v1/nothing"))["status"] == 404
    assert refusal(http.get("/"))["code"] == "not_found"
    wrong = http.get("/v1/chat/completions")
    assert refusal(wrong)["status"] == 405
    assert wrong.headers["allow"] == "POST"
    assert refusal(http.post("/v1/models"))["status"] == 405
    assert refusal(http.get("/v1/models/"))["status"] == 404


def test_a_body_beyond_the_limit(served: Served, http: httpx2.Client) -> None:
    padding = "x" * served.config.limits.body_bytes
    told = refusal(http.post("/v1/chat/completions", content=json.dumps({**GREETING, "user": padding}).encode()))
    assert (told["status"], told["code"]) == (413, "request_too_large")


def test_more_tokens_than_the_limit(served: Served, http: httpx2.Client) -> None:
    limit = served.config.limits.max_tokens
    for name in ("max_tokens", "max_completion_tokens"):
        told = refusal(http.post("/v1/chat/completions", json={**GREETING, name: limit + 1}))
        assert (told["status"], told["param"]) == (400, name)


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_beyond_the_context(http: httpx2.Client, stream: bool) -> None:
    messages = [{"role": "user", "content": "word " * (2 * CONTEXT)}]
    told = refusal(http.post("/v1/chat/completions", json={**GREETING, "messages": messages, "stream": stream}))
    assert (told["status"], told["code"]) == (400, "context_length_exceeded")


# -- receipts


def test_a_receipt_covers_exactly_what_passed(served: Served, http: httpx2.Client) -> None:
    body = json.dumps({**GREETING, "stream": True}).encode()
    response = http.post("/v1/chat/completions", content=body)
    receipt = ReceiptFile.from_bytes(http.get(f"/v1/receipts/{response.headers['x-receipt-id']}").content).receipt
    assert receipt.digest(EventType.REQUEST_RECEIVED) == "sha256:" + hashlib.sha256(body).hexdigest()
    assert receipt.digest(EventType.RESPONSE_RETURNED) == "sha256:" + hashlib.sha256(response.content).hexdigest()
    assert receipt.digest(EventType.MODEL) == served.config.model.manifest_digest
    assert receipt.chat_id == events(response)[0]["id"]
