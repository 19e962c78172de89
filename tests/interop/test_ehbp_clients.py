"""Published EHBP clients of other people, under the OpenAI clients of other people, against a real server.

npm ``ehbp`` with npm ``openai``, and PyPI ``tinfoil-ehbp`` with PyPI ``openai``.  Neither knows of attestation: which
key to use is told to them, by a verifier that accepted the server.  EHBP seals bodies only; what it leaves open, the
server refuses.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from ehbp import EHBPTransport, KeyConfigMismatchError, ServerIdentity

from hermetic.channel import open_session
from hermetic.cli.demo.wiretap import Wiretap
from hermetic.client.attest import Verifier, fetch_accepted
from hermetic.policy import Policy
from stack_support import PATIENCE, Up

pytestmark = pytest.mark.interop

NODE = Path(__file__).resolve().parents[2] / "interop"
PROMPT = "Say hello to the narwhal."
needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not all((NODE / "node_modules" / name).is_dir() for name in ("ehbp", "openai")),
    reason="node_modules is absent",
)


@pytest.fixture(scope="module")
def attested_key(stack: Up) -> bytes:
    """The EHBP key of the accepted server: 32 bytes."""
    judge = Verifier(policy=Policy.load(stack.policy), allow_simulated=True)
    session = open_session(fetch_accepted(stack.url, judge))
    assert session.ehbp is not None
    return session.ehbp.raw


@pytest.fixture
def wire(stack: Up) -> Iterator[Wiretap]:
    """What the network sees, on the way to the server."""
    tap = Wiretap(stack.port)
    yield tap
    tap.close()


def question(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 8, "temperature": 0}


# npm


class Node:
    """``interop/ehbp/ehbp.mjs``, asked one line at a time."""

    def __init__(self, stack: Up, key: bytes) -> None:
        self._defaults = {"url": stack.url, "key": key.hex(), "apiKey": stack.api_key, "model": stack.model}
        self._process = subprocess.Popen(
            ["node", NODE / "ehbp" / "ehbp.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, task: str, **changes: str) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"do": task, "prompt": PROMPT} | self._defaults | changes) + "\n")
        stdin.flush()
        answer: dict[str, Any] = json.loads(stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate(timeout=PATIENCE)
        assert self._process.returncode == 0


@pytest.fixture(scope="module")
def node(stack: Up, attested_key: bytes) -> Iterator[Node]:
    running = Node(stack, attested_key)
    yield running
    running.close()


@needs_node
def test_npm_finds_the_key_that_was_attested(node: Node, attested_key: bytes) -> None:
    assert node("discover") == {"key": attested_key.hex()}


@needs_node
def test_npm_completes(node: Node, wire: Wiretap) -> None:
    answer = node("complete", url=wire.url)
    assert answer["text"]
    assert answer["finish"] in {"length", "stop"}
    assert 1 <= answer["tokens"] <= 8
    assert b"POST /v1/chat/completions" in wire.questions
    assert PROMPT.encode() not in wire.questions
    assert answer["text"].encode() not in wire.answers


@needs_node
def test_npm_streams_the_same(node: Node, wire: Wiretap) -> None:
    answer = node("stream", url=wire.url)
    assert answer["events"] > 1
    assert answer["finish"] in {"length", "stop"}
    assert answer["text"]
    assert PROMPT.encode() not in wire.questions
    assert b"data:" not in wire.answers


@needs_node
@pytest.mark.parametrize("task", ["complete", "stream"])
def test_npm_reads_a_sealed_refusal(node: Node, task: str) -> None:
    refused = node(task, apiKey="wrong")
    assert (refused["error"], refused["status"], refused["code"]) == ("AuthenticationError", 401, "invalid_api_key")
    refused = node(task, model="another")
    assert (refused["error"], refused["status"], refused["code"]) == ("NotFoundError", 404, "model_not_found")


@needs_node
def test_npm_notices_a_key_that_the_server_does_not_have(node: Node) -> None:
    other = ServerIdentity.from_public_key_bytes(bytes([9]) + bytes(31)).public_key_hex()
    assert node("complete", key=other)["cause"] == "KeyConfigMismatchError"


@needs_node
def test_npm_sends_a_get_in_clear_and_it_is_refused(node: Node) -> None:
    refused = node("models")
    assert (refused["status"], refused["code"]) == (400, "plaintext_refused")


@needs_node
def test_npm_openai_alone_is_refused(node: Node) -> None:
    refused = node("plain")
    assert (refused["status"], refused["code"]) == (400, "plaintext_refused")


# PyPI


def client(stack: Up, key: bytes, *, url: str | None = None, api_key: str | None = None) -> openai.OpenAI:
    transport = EHBPTransport(ServerIdentity.from_public_key_bytes(key))
    return openai.OpenAI(
        base_url=f"{url or stack.url}/v1",
        api_key=api_key or stack.api_key,
        http_client=httpx.Client(transport=transport, timeout=PATIENCE),  # type: ignore[arg-type]
        max_retries=0,
    )


def test_pypi_finds_the_key_that_was_attested(stack: Up, attested_key: bytes) -> None:
    answer = httpx.get(f"{stack.url}/.well-known/hpke-keys", timeout=PATIENCE)
    assert answer.headers["content-type"] == "application/ohttp-keys"
    assert ServerIdentity.unmarshal_public_config(answer.content).public_key_bytes() == attested_key


def test_pypi_completes(stack: Up, attested_key: bytes, wire: Wiretap) -> None:
    with client(stack, attested_key, url=wire.url) as sdk:
        answer = sdk.chat.completions.create(**question(stack.model))
    text = answer.choices[0].message.content
    assert text
    assert PROMPT.encode() not in wire.questions
    assert text.encode() not in wire.answers


def test_pypi_streams(stack: Up, attested_key: bytes, wire: Wiretap) -> None:
    with client(stack, attested_key, url=wire.url) as sdk:
        chunks = list(sdk.chat.completions.create(**question(stack.model), stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason in {"length", "stop"}
    assert PROMPT.encode() not in wire.questions
    assert b"data:" not in wire.answers


def test_pypi_reads_a_sealed_refusal(stack: Up, attested_key: bytes) -> None:
    with client(stack, attested_key, api_key="wrong") as sdk, pytest.raises(openai.AuthenticationError) as refused:
        sdk.chat.completions.create(**question(stack.model))
    assert refused.value.code == "invalid_api_key"


def test_pypi_notices_a_key_that_the_server_does_not_have(stack: Up) -> None:
    with client(stack, bytes([9]) + bytes(31)) as sdk, pytest.raises(KeyConfigMismatchError):
        sdk.chat.completions.create(**question(stack.model))


# Nobody's


def test_a_prompt_in_clear_is_refused(stack: Up) -> None:
    answer = httpx.post(
        f"{stack.url}/v1/chat/completions",
        json=question(stack.model),
        headers={"Authorization": f"Bearer {stack.api_key}"},
        timeout=PATIENCE,
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "plaintext_refused"
    assert PROMPT not in answer.text
