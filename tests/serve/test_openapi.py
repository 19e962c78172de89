"""OpenAI's published schema: our answers are what it describes, and we know every parameter it has."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import httpx2
import pytest

from hermetic.serve.errors import ApiError
from hermetic.serve.parsing import parse_chat, parse_completion
from hermetic.serve.requests import ChatRequest, CompletionRequest
from serve_support import MODEL
from vectors import ROOT, needs_vectors

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
pytestmark = needs_vectors

CHAT: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Say hello."}],
    "max_tokens": 3,
    "logprobs": True,
    "top_logprobs": 2,
}
PROMPT: dict[str, Any] = {"model": MODEL, "prompt": "The sky is", "max_tokens": 3, "logprobs": 2}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


@cache
def document() -> Any:
    return _nullable(json.loads((ROOT / "independent" / "openai-openapi" / "openapi.json").read_bytes()))


def _nullable(value: Any) -> Any:
    """``"nullable": true``, which OpenAPI 3.1 no longer knows and the document still uses, in JSON Schema's words."""
    if isinstance(value, list):
        return [_nullable(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    inner = {name: _nullable(entry) for name, entry in value.items() if name != "nullable"}
    return {"anyOf": [inner, {"type": "null"}]} if value.get("nullable") is True else inner


def check(value: object, schema: str) -> None:
    """``value`` is what the named schema describes."""
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document()["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


def parameters(schema: str) -> set[str]:
    described = document()["components"]["schemas"][schema]
    found = set(described.get("properties", ()))
    for part in described.get("allOf", ()):
        found |= parameters(part["$ref"].rpartition("/")[2]) if "$ref" in part else set(part.get("properties", ()))
    return found


def events(text: str) -> list[Any]:
    return [json.loads(part.removeprefix("data: ")) for part in text.split("\n\n") if part.startswith("data: {")]


def test_a_chat_completion(http: httpx2.Client) -> None:
    check(http.post("/v1/chat/completions", json=CHAT).json(), "CreateChatCompletionResponse")


def test_chat_completion_chunks(http: httpx2.Client) -> None:
    chunks = events(http.post("/v1/chat/completions", json=CHAT | STREAM).text)
    assert len(chunks) > 3
    for chunk in chunks:
        check(chunk, "CreateChatCompletionStreamResponse")


def test_a_completion_and_its_chunks(http: httpx2.Client) -> None:
    check(http.post("/v1/completions", json=PROMPT).json(), "CreateCompletionResponse")
    for chunk in events(http.post("/v1/completions", json=PROMPT | {"stream": True}).text):
        check(chunk | {"choices": [choice | {"finish_reason": "stop"} for choice in chunk["choices"]]}, (
            "CreateCompletionResponse"  # the published schema forgets that a chunk has no finish reason yet
        ))  # fmt: skip


def test_models(http: httpx2.Client) -> None:
    check(http.get("/v1/models").json(), "ListModelsResponse")
    check(http.get(f"/v1/models/{MODEL}").json(), "Model")


@pytest.mark.parametrize(
    "body", [b"", b'{"model": 1}', json.dumps({**CHAT, "model": "x"}).encode(), json.dumps({**CHAT, "n": 2}).encode()]
)
def test_refusals(http: httpx2.Client, body: bytes) -> None:
    response = http.post("/v1/chat/completions", content=body)
    assert response.status_code in {400, 404}
    check(response.json(), "ErrorResponse")


@pytest.mark.parametrize("name", sorted(parameters("CreateChatCompletionRequest")) if ROOT.is_dir() else [])
def test_every_chat_parameter_is_known(name: str) -> None:
    """None of OpenAI's is "unknown" here: each is understood, harmless, or refused as not supported."""
    with pytest.raises(ApiError) as refusal:
        parse_chat(json.dumps({name: {"x": 1}}).encode(), limit=1024)
    assert (refusal.value.code, refusal.value.param) != ("unknown_parameter", name)
    assert name in ChatRequest.__struct_fields__ or refusal.value.code in {
        "unsupported_parameter", "missing_required_parameter",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(parameters("CreateCompletionRequest")) if ROOT.is_dir() else [])
def test_every_completion_parameter_is_known(name: str) -> None:
    with pytest.raises(ApiError) as refusal:
        parse_completion(json.dumps({name: {"x": 1}}).encode(), limit=1024)
    assert (refusal.value.code, refusal.value.param) != ("unknown_parameter", name)
    assert name in CompletionRequest.__struct_fields__ or refusal.value.code in {
        "unsupported_parameter", "missing_required_parameter",
    }  # fmt: skip
