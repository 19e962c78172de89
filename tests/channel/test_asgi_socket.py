"""The middleware behind a real server on a real socket, spoken to by clients that share no code with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import httpx
import httpx2
import pytest
from ehbp import AsyncEHBPTransport, EHBPTransport, KeyConfigMismatchError, ServerIdentity

import channel_support as support
from channel_support import Application, channel, served, strict_key
from hermetic.channel import strict
from hermetic.errors import ChannelBroken


@pytest.fixture(scope="module")
def application() -> Application:
    return Application()


@pytest.fixture(scope="module")
def url(application: Application) -> Iterator[str]:
    with served(channel(application)) as base:
        yield base


def identity(url: str) -> ServerIdentity:
    return ServerIdentity.unmarshal_public_config(httpx.get(url + "/.well-known/hpke-keys").content)


def test_the_independent_ehbp_client_completes_and_streams(url: str) -> None:
    with httpx.Client(transport=EHBPTransport(identity(url)), base_url=url) as client:
        answer = client.post("/v1/chat/completions", json={"prompt": "hello"}, headers={"Authorization": "Bearer sk"})
        assert answer.json()["channel"] == "ehbp"
        assert json.loads(answer.json()["body"]) == {"prompt": "hello"}
        with client.stream("POST", "/stream", content=b"x") as response:
            assert b"".join(response.iter_raw()) == b"".join(support.EVENTS)
        assert client.post("/unauthorized", content=b"x").status_code == 401
        assert client.post("/echo", content=bytes(3_000_000)).status_code == 200


def test_the_independent_ehbp_client_works_asynchronously(url: str) -> None:
    async def run() -> bytes:
        async with (
            httpx.AsyncClient(transport=AsyncEHBPTransport(identity(url)), base_url=url) as client,
            client.stream("POST", "/stream", content=b"x") as response,
        ):
            return b"".join([chunk async for chunk in response.aiter_raw()])

    assert asyncio.run(run()) == b"".join(support.EVENTS)


def test_the_independent_ehbp_client_recognises_a_stale_key(url: str) -> None:
    stale = ServerIdentity.from_public_key_bytes(bytes([9]) + bytes(31))
    with (
        httpx.Client(transport=EHBPTransport(stale), base_url=url) as client,
        pytest.raises(KeyConfigMismatchError),
    ):
        client.post("/echo", content=b"hello")


def post(url: str, request: strict.RequestSealer, message: bytes | Iterator[bytes], target: str) -> httpx2.Response:
    return httpx2.post(url + target, content=message, headers=dict(request.outer_fields))


def test_a_strict_exchange_over_a_socket(url: str, application: Application) -> None:
    target = "/echo/a%2Fb?x=%20&y"
    client = strict.seal_request(
        strict_key().recipient(), method="PUT", target=target, fields=((b"x-sealed", b"1"),), now=support.now()
    )
    body = bytes(range(256)) * 4000

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield client.push(body[start : start + 10_000])
        yield client.finish()

    answer = post(url, client, chunks(), target)
    opener = client.response_opener()
    content = b"".join(opener.push(answer.content))
    opener.finish()
    assert json.loads(content)["body"].encode("latin-1") == body
    assert json.loads(content)["method"] == "PUT"
    assert application.seen[-1]["body"] == body


def test_a_strict_stream_arrives_write_by_write(url: str) -> None:
    client = strict.seal_request(strict_key().recipient(), method="GET", target="/stream", fields=(), now=support.now())
    opener = client.response_opener()
    events: list[bytes] = []
    with httpx2.stream("POST", url + "/stream", content=client.finish(), headers=dict(client.outer_fields)) as response:
        for chunk in response.iter_raw():
            events += opener.push(chunk)
    opener.finish()
    assert events == support.EVENTS


def test_an_unknown_key_is_told_while_the_body_is_still_coming(url: str) -> None:
    client = strict.seal_request(
        strict_key(1, "strict-0").recipient(), method="POST", target="/echo", fields=(), now=support.now()
    )
    answer = post(url, client, client.push(bytes(5_000_000)) + client.finish(), "/echo")
    assert answer.status_code == 422
    assert httpx2.get(url + "/healthz").status_code == 200


def test_an_application_that_fails_in_the_middle_cuts_the_stream(url: str) -> None:
    client = strict.seal_request(
        strict_key().recipient(), method="POST", target="/crash-late", fields=(), now=support.now()
    )
    opener = client.response_opener()
    parts: list[bytes] = []

    def read() -> None:
        headers = dict(client.outer_fields)
        with httpx2.stream("POST", url + "/crash-late", content=client.finish(), headers=headers) as response:
            for chunk in response.iter_raw():
                parts.extend(opener.push(chunk))

    with pytest.raises(httpx2.RemoteProtocolError):
        read()
    assert parts == [b"Do "]
    with pytest.raises(ChannelBroken):
        opener.finish()


def test_a_client_that_leaves_is_noticed(url: str, application: Application) -> None:
    client = strict.seal_request(
        strict_key().recipient(), method="POST", target="/endless", fields=(), now=support.now()
    )
    application.gone.clear()
    with httpx2.stream(
        "POST", url + "/endless", content=client.finish(), headers=dict(client.outer_fields)
    ) as response:
        next(response.iter_raw())
    assert application.gone.wait(10)
