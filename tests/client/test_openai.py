"""``hermetic.OpenAI`` against a real server: what it does for its user, and what never leaves the machine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from websockets.exceptions import InvalidURI

import hermetic
from hermetic.cli.demo.wiretap import Wiretap, drop_last_chunk
from hermetic.client.attest import Verifier
from hermetic.client.sealed import AsyncSealedClient, SealedClient
from hermetic.errors import ChannelBroken, Misconfigured, NotAcceptable, NotAuthentic, Unavailable
from hermetic.policy import Policy
from stack_support import PATIENCE, Up

PROMPT = "Say hello to the narwhal."
QUESTION: Any = [{"role": "user", "content": PROMPT}]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client remembers of dates stays with the test."""
    monkeypatch.setenv("HERMETIC_STATE", str(tmp_path / "state"))


@pytest.fixture
def wire(stack: Up) -> Iterator[Wiretap]:
    tap = Wiretap(stack.port)
    yield tap
    tap.close()


def options(stack: Up, **changes: Any) -> dict[str, Any]:
    """What a user gives besides the URL."""
    chosen = {
        "policy": stack.policy,
        "allow_simulated": True,
        "api_key": stack.api_key,
        "timeout": PATIENCE,
        "max_retries": 0,
    }
    return chosen | changes


def question(stack: Up, **changes: Any) -> dict[str, Any]:
    return {"model": stack.model, "messages": QUESTION, "max_tokens": 8, "temperature": 0} | changes


def requests(wire: Wiretap) -> list[str]:
    """Method and path of each request that passed."""
    return [match.decode() for match in re.findall(rb"(?m)^([A-Z]+ [^? ]+)\S* HTTP/1\.1\r$", bytes(wire.questions))]


ATTESTATION = "GET /.well-known/hermetic/attestation"


# What it is for


def test_complete_and_stream(stack: Up, wire: Wiretap) -> None:
    with hermetic.OpenAI(wire.url, **options(stack)) as client:
        answer = client.chat.completions.create(**question(stack))
        chunks = list(client.chat.completions.create(**question(stack), stream=True))
    text = answer.choices[0].message.content
    assert text
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason in {"length", "stop"}
    assert requests(wire)[0] == ATTESTATION
    assert requests(wire).count(ATTESTATION) == 1
    for secret in (PROMPT, text, stack.api_key):
        assert secret.encode() not in wire.questions + wire.answers


def test_asynchronously(stack: Up, wire: Wiretap) -> None:
    async def run() -> tuple[str, str]:
        async with hermetic.AsyncOpenAI(wire.url, **options(stack)) as client:
            answer = await client.chat.completions.create(**question(stack))
            stream = await client.chat.completions.create(**question(stack), stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return answer.choices[0].message.content or "", "".join(pieces)

    text, streamed = asyncio.run(run())
    assert text
    assert streamed
    for secret in (PROMPT, text, stack.api_key):
        assert secret.encode() not in wire.questions + wire.answers


def test_many_at_once_ask_the_server_once(stack: Up, wire: Wiretap) -> None:
    async def run() -> list[Any]:
        async with hermetic.AsyncOpenAI(wire.url, **options(stack)) as client:
            return await asyncio.gather(*(client.models.list() for _ in range(8)))

    assert [[model.id for model in found.data] for found in asyncio.run(run())] == [[stack.model]] * 8
    assert requests(wire).count(ATTESTATION) == 1


def test_a_copy_keeps_the_attested_transport(stack: Up, wire: Wiretap) -> None:
    with hermetic.OpenAI(wire.url, **options(stack)) as client:
        client.models.list()
        other = client.with_options(timeout=PATIENCE / 2, max_retries=1)
        assert type(other) is hermetic.OpenAI
        assert [model.id for model in other.models.list()] == [stack.model]
        with pytest.raises(openai.AuthenticationError):
            client.copy(api_key="wrong").models.list()
    assert requests(wire).count(ATTESTATION) == 1
    assert b"wrong" not in wire.questions


def test_an_asynchronous_copy(stack: Up) -> None:
    async def run() -> list[str]:
        async with hermetic.AsyncOpenAI(stack.url, **options(stack)) as client:
            other = client.with_options(max_retries=1)
            assert type(other) is hermetic.AsyncOpenAI
            return [model.id for model in (await other.models.list()).data]

    assert asyncio.run(run()) == [stack.model]


@pytest.mark.parametrize("form", ["path", "text", "loaded"])
def test_a_policy_in_any_form(stack: Up, form: str) -> None:
    forms = {"path": stack.policy, "text": str(stack.policy), "loaded": Policy.load(stack.policy)}
    with hermetic.OpenAI(f"{stack.url}/v1/", **options(stack, policy=forms[form])) as client:
        assert [model.id for model in client.models.list()] == [stack.model]


def test_openai_s_errors_are_openai_s(stack: Up) -> None:
    with hermetic.OpenAI(stack.url, **options(stack)) as client, pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(**question(stack, model="another"))
    assert refused.value.code == "model_not_found"


# What it refuses


def test_without_a_yes_to_simulation_nothing_is_sent(stack: Up, wire: Wiretap) -> None:
    with hermetic.OpenAI(wire.url, **options(stack, allow_simulated=False)) as client:
        for attempt in (client.models.list, lambda: client.chat.completions.create(**question(stack))):
            with pytest.raises(NotAuthentic, match="root") as refused:
                attempt()
            assert "--allow-simulated" in refused.value.fix
    assert requests(wire) == [ATTESTATION] * 2
    assert stack.api_key.encode() not in wire.questions


def test_nor_asynchronously(stack: Up, wire: Wiretap) -> None:
    async def run() -> None:
        async with hermetic.AsyncOpenAI(wire.url, **options(stack, allow_simulated=False)) as client:
            await client.chat.completions.create(**question(stack))

    with pytest.raises(NotAuthentic, match="root"):
        asyncio.run(run())
    assert requests(wire) == [ATTESTATION]


def test_whom_the_policy_does_not_want_gets_nothing(stack: Up, wire: Wiretap, tmp_path: Path) -> None:
    other = tmp_path / "policy.toml"
    other.write_text(stack.policy.read_text().replace('services = ["demo-chat"]', 'services = ["clinic-chat"]'))
    with (
        hermetic.OpenAI(wire.url, **options(stack, policy=other)) as client,
        pytest.raises(NotAcceptable) as refused,
    ):
        client.chat.completions.create(**question(stack))
    assert refused.value.code == "policy.service"
    assert requests(wire) == [ATTESTATION]


def test_an_answer_without_its_end(stack: Up) -> None:
    tap = Wiretap(stack.port, change_answer=drop_last_chunk)
    with hermetic.OpenAI(tap.url, **options(stack)) as client, pytest.raises(ChannelBroken):
        list(client.chat.completions.create(**question(stack), stream=True))
    tap.close()


@pytest.mark.parametrize("make", [hermetic.OpenAI, hermetic.AsyncOpenAI])
def test_nobody_accepts_without_a_policy(make: Any) -> None:
    with pytest.raises(Misconfigured) as refused:
        make("https://host", api_key="sk")
    assert refused.value.code == "no_policy"
    with pytest.raises(Misconfigured) as refused:
        make("https://host", policy="no-such-policy.toml", api_key="sk")
    assert refused.value.code == "policy_unreadable"


@pytest.mark.parametrize("make", [hermetic.OpenAI, hermetic.AsyncOpenAI])
@pytest.mark.parametrize("arguments", [{}, {"url": "https://host", "base_url": "https://other/v1"}])
def test_one_origin_and_no_other(make: Any, arguments: dict[str, str], stack: Up) -> None:
    with pytest.raises(Misconfigured):
        make(**arguments, policy=stack.policy, api_key="sk")


def test_another_http_client_would_bypass_it(stack: Up) -> None:
    with httpx2.Client() as plain, pytest.raises(Misconfigured, match="bypass"):
        hermetic.OpenAI(stack.url, **options(stack, http_client=plain))
    with hermetic.OpenAI(stack.url, **options(stack)) as client, httpx2.Client() as plain:
        with pytest.raises(Misconfigured, match="bypass"):
            client.with_options(http_client=plain)
        with pytest.raises(Misconfigured):
            client.copy(base_url="https://elsewhere.example/v1").models.list()


def test_another_asynchronous_http_client_too(stack: Up) -> None:
    async def run() -> None:
        async with httpx2.AsyncClient() as plain:
            hermetic.AsyncOpenAI(stack.url, **options(stack, http_client=plain))

    with pytest.raises(Misconfigured, match="bypass"):
        asyncio.run(run())


def test_nobody_there(stack: Up) -> None:
    with hermetic.OpenAI("http://127.0.0.1:1", **options(stack)) as client, pytest.raises(Unavailable):
        client.models.list()


# Ways around the channel


@pytest.mark.parametrize(
    "around",
    [{"proxy": "http://127.0.0.1:1"}, {"mounts": {"all://": None}}, {"transport": None}],
    ids=lambda way: next(iter(way)),
)
@pytest.mark.parametrize("kind", [SealedClient, AsyncSealedClient])
def test_no_option_takes_requests_around_the_sealed_transport(kind: Any, around: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match="bypass"):
        kind("http://127.0.0.1:1", Verifier(policy=None), **around)


def test_a_websocket_is_never_opened(stack: Up, wire: Wiretap) -> None:
    client = hermetic.OpenAI(wire.url, **options(stack))
    for made in (client, client.with_options(timeout=PATIENCE)):
        for manager in (made.realtime.connect(model=stack.model), made.responses.connect()):
            with pytest.raises(InvalidURI):
                manager.enter()
    assert wire.questions == b""


def test_a_websocket_is_never_opened_asynchronously(stack: Up, wire: Wiretap) -> None:
    async def run() -> None:
        client = hermetic.AsyncOpenAI(wire.url, **options(stack))
        for made in (client, client.with_options(timeout=PATIENCE)):
            for manager in (made.realtime.connect(model=stack.model), made.responses.connect()):
                with pytest.raises(InvalidURI):
                    await manager.enter()

    asyncio.run(run())
    assert wire.questions == b""


def test_no_other_address_for_websockets(stack: Up) -> None:
    with pytest.raises(Misconfigured, match="bypass"):
        hermetic.OpenAI(stack.url, **options(stack, websocket_base_url="wss://127.0.0.1:1"))
    client = hermetic.OpenAI(stack.url, **options(stack))
    with pytest.raises(Misconfigured, match="bypass"):
        client.with_options(websocket_base_url="wss://127.0.0.1:1")
