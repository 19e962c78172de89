"""Clients on a real socket: httpx2 and httpx, sync and async, both profiles, and whoever is in between."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import httpx2
import openai
import pytest

import channel_support as support
from channel_support import Application, channel, ehbp_key, served, strict_key
from hermetic.channel import Session, strict
from hermetic.client import transport_httpx
from hermetic.client.exchange import Profile
from hermetic.client.transport import AsyncSealedTransport, SealedTransport
from hermetic.errors import ChannelBroken, Misconfigured, NotAcceptable, Unavailable
from hermetic.wire import sha256_digest


def session(key: strict.ServerKey | None = None, **changes: Any) -> Session:
    made = Session(
        strict=(key or strict_key()).recipient(),
        ehbp=ehbp_key().private_key.public_key(),
        not_after=support.now() + timedelta(hours=1),
        simulated=True,
    )
    return replace(made, **changes)


@pytest.fixture(scope="module")
def application() -> Application:
    return Application()


@pytest.fixture(scope="module")
def url(application: Application) -> Iterator[str]:
    with served(channel(application)) as base:
        yield base


both = pytest.mark.parametrize("profile", list(Profile))


def client(url: str, attest: Callable[[], Session] = session, **options: Any) -> httpx2.Client:
    return httpx2.Client(transport=SealedTransport(url, attest, **options), base_url=url, timeout=10)


def async_client(url: str, **options: Any) -> httpx2.AsyncClient:
    async def attest() -> Session:
        return session()

    return httpx2.AsyncClient(transport=AsyncSealedTransport(url, attest, **options), base_url=url, timeout=10)


# What works


@both
def test_a_request_and_its_answer(url: str, profile: Profile) -> None:
    with client(url, profile=profile) as http:
        answer = http.post("/v1/echo?a=%20b&c", json={"x": 1}, headers={"Authorization": "Bearer sk"})
    told = answer.json()
    assert (told["channel"], told["method"], json.loads(told["body"])) == (str(profile), "POST", {"x": 1})
    assert ["authorization", "Bearer sk"] in told["headers"]
    assert not any(name.startswith(("hermetic", "ehbp")) for name, _ in told["headers"])
    assert not any(name.startswith(("hermetic", "ehbp")) for name in answer.headers)
    assert answer.extensions["hermetic.session"].service == "clinic"


@both
def test_a_stream(url: str, profile: Profile) -> None:
    with client(url, profile=profile) as http, http.stream("POST", "/stream", content=b"x") as answer:
        assert list(answer.iter_raw()) == support.EVENTS


@both
def test_bodies_that_are_read_from_somewhere(url: str, profile: Profile) -> None:
    pieces = [bytes([number]) * 50_000 for number in range(10)]
    with client(url, profile=profile) as http:
        answer = http.post("/echo", content=iter(pieces))
    assert answer.json()["body"].encode("latin-1") == b"".join(pieces)


@both
def test_asynchronously(url: str, profile: Profile) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async def run() -> tuple[Any, list[bytes]]:
        async with async_client(url, profile=profile) as http:
            answer = await http.post("/echo", content=body())
            async with http.stream("POST", "/stream", content=b"x") as stream:
                return answer.json(), [chunk async for chunk in stream.aiter_raw()]

    told, events = asyncio.run(run())
    assert told["body"] == "one two"
    assert events == support.EVENTS


@both
def test_httpx_too(url: str, profile: Profile) -> None:
    inner = SealedTransport(url, session, profile=profile)
    with httpx.Client(transport=transport_httpx.SealedTransport(inner), base_url=url) as http:
        assert http.post("/echo", json={"x": 1}).json()["channel"] == str(profile)
        assert http.post("/echo", content=iter([b"a", b"b"])).json()["body"] == "ab"
        with http.stream("POST", "/stream", content=b"x") as answer:
            assert list(answer.iter_raw()) == support.EVENTS


@both
def test_httpx_asynchronously_too(url: str, profile: Profile) -> None:
    async def attest() -> Session:
        return session()

    async def run() -> list[bytes]:
        inner = AsyncSealedTransport(url, attest, profile=profile)
        async with (
            httpx.AsyncClient(transport=transport_httpx.AsyncSealedTransport(inner), base_url=url) as http,
            http.stream("POST", "/stream", content=b"x") as answer,
        ):
            return [chunk async for chunk in answer.aiter_raw()]

    assert asyncio.run(run()) == support.EVENTS


def test_reads_and_heads_are_sealed(url: str, application: Application) -> None:
    with client(url) as http:
        assert http.get("/v1/receipts/1", headers={"Authorization": "Bearer sk"}).json()["method"] == "GET"
        assert application.seen[-1]["hermetic.channel"] == "strict"
        assert http.head("/echo").content == b""
        assert http.get("/unauthorized").status_code == 401


def test_frames_of_one_size(url: str) -> None:
    with client(url, shape=12) as http:
        assert http.post("/stream", content=b"x").content == b"".join(support.EVENTS)


def test_the_openai_client_streams() -> None:
    with served(channel(chat)) as base, client(base) as http:
        api = openai.OpenAI(base_url=base + "/v1", api_key="sk", http_client=http)
        messages: Any = [{"role": "user", "content": "hello"}]
        stream = api.chat.completions.create(model="toy", messages=messages, stream=True)
        assert [chunk.choices[0].delta.content for chunk in stream] == ["Do ", "NOT send it."]


# Who is in between


class Cut(httpx2.BaseTransport):
    """A network that passes on the first ``length`` bytes of an answer and then ends it, as if that were all."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._inner = httpx2.HTTPTransport()
        self.requests = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests += 1
        answer = self._inner.handle_request(request)
        body = answer.read()
        return httpx2.Response(answer.status_code, headers=answer.headers, content=body[: self._length])


class AsyncCut(httpx2.AsyncBaseTransport):
    """:class:`Cut`, for asyncio."""

    def __init__(self, length: int) -> None:
        self._cut = Cut(length)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        return await asyncio.to_thread(self._cut.handle_request, request)


class Breaks(httpx2.BaseTransport):
    """A network that passes on a whole answer, and then the connection breaks."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = httpx2.HTTPTransport().handle_request(request)
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=BreakingStream(answer.read()))


class BreakingStream(httpx2.SyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body
        raise httpx2.RemoteProtocolError("peer closed the connection")


@pytest.mark.parametrize("length", [0, 16, 32, 300, 32 + 533, 32 + 533 + 533, 32 + 4 * 533])
def test_a_cut_answer_never_looks_whole(url: str, length: int) -> None:
    with client(url, inner=Cut(length)) as http, pytest.raises(ChannelBroken) as refusal:
        http.post("/stream", content=b"x")
    assert refusal.value.code in ("truncated", "channel_broken")

    async def run() -> None:
        async with async_client(url, inner=AsyncCut(length)) as http:
            await http.post("/stream", content=b"x")

    with pytest.raises(ChannelBroken):
        asyncio.run(run())


def test_a_connection_that_breaks_after_a_proved_end_spoils_nothing(url: str) -> None:
    with client(url, inner=Breaks()) as http:
        assert http.post("/stream", content=b"x").content == b"".join(support.EVENTS)
    with client(url, inner=Breaks(), profile=Profile.EHBP) as http, pytest.raises(ChannelBroken):
        http.post("/stream", content=b"x")


def test_a_connection_that_breaks_inside_an_answer_is_a_cut_answer(url: str) -> None:
    with client(url) as http, http.stream("POST", "/crash-late", content=b"x") as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"Do "
        with pytest.raises(ChannelBroken) as refusal:
            next(chunks)
    assert refusal.value.code == "truncated"

    async def run() -> None:
        async with async_client(url) as http:
            await http.post("/crash-late", content=b"x")

    with pytest.raises(ChannelBroken):
        asyncio.run(run())


def test_the_openai_client_neither_hides_nor_retries_a_broken_channel(url: str) -> None:
    cut = Cut(100)
    with client(url, inner=cut) as http:
        api = openai.OpenAI(base_url=url + "/v1", api_key="sk", http_client=http, max_retries=3)
        with pytest.raises(ChannelBroken):
            api.chat.completions.create(model="toy", messages=[])
    assert cut.requests == 1


class Says(httpx2.BaseTransport):
    """A network that answers by itself."""

    def __init__(self, status: int, content_type: str = "text/html", body: bytes = b"") -> None:
        self._answer = (status, content_type, body)
        self.seen: list[httpx2.Request] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.seen.append(request)
        status, content_type, body = self._answer
        return httpx2.Response(status, headers={"content-type": content_type}, content=body)


@both
@pytest.mark.parametrize("status", [200, 302, 401, 422, 429, 500, 502])
def test_answers_in_clear_are_nobodys(status: int, profile: Profile) -> None:
    expected = Unavailable if status in (429, 500, 502) else ChannelBroken
    says = Says(status, body=b'{"choices":[]}')
    with client("http://localhost", inner=says, profile=profile) as http, pytest.raises(expected) as refusal:
        http.post("/v1/chat/completions", content=b"x")
    assert getattr(refusal.value, "code", "") == "unsealed_response"
    assert len(says.seen) == 1


def test_a_sealed_answer_is_a_200_outside() -> None:
    says = Says(502, strict.CONTENT_TYPE)
    with client("http://localhost", inner=says) as http, pytest.raises(Unavailable):
        http.post("/v1/chat/completions", content=b"x")


def test_a_refused_request_says_what_may_be_wrong(url: str) -> None:
    class Moved(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            request.read()
            moved = request.url.copy_with(path="/elsewhere")
            return httpx2.HTTPTransport().handle_request(
                httpx2.Request(request.method, moved, headers=request.headers.raw, content=request.content)
            )

    with client(url, inner=Moved()) as http, pytest.raises(ChannelBroken) as refusal:
        http.post("/echo", content=b"x")
    assert refusal.value.code == "refused"


def test_the_network_sees_no_header_and_no_body() -> None:
    says = Says(500)
    with client("http://localhost", inner=says) as http, pytest.raises(Unavailable):
        http.get("/v1/models?x=1", headers={"Authorization": "Bearer sk-secret", "X-Tenant": "secret"})
    (outer,) = says.seen
    assert outer.method == "POST"
    assert sorted(outer.headers) == [
        "accept",
        "accept-encoding",
        "content-length",
        "content-type",
        "hermetic-key-id",
        "hermetic-method",
        "host",
    ]
    assert b"secret" not in outer.content + b"".join(value for _, value in outer.headers.raw)


def test_redirects_are_not_followed() -> None:
    async def redirect(scope: Any, receive: Any, send: Any) -> None:
        await send(support.start(307, (b"location", b"/elsewhere")))
        await send({"type": "http.response.body", "body": b""})

    for profile in Profile:
        with (
            served(channel(redirect)) as base,
            httpx2.Client(
                transport=SealedTransport(base, session, profile=profile), base_url=base, follow_redirects=True
            ) as http,
            pytest.raises(ChannelBroken) as refusal,
        ):
            http.post("/v1/echo", content=b"x")
        assert refusal.value.code == "redirect"


# What the caller may not do


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("http://other.example/echo", {}),
        ("https://{host}/echo", {}),
        ("http://user:password@{host}/echo", {}),
        ("/echo", {"Hermetic-Method": "GET"}),
        ("/echo", {"Hermetic-Anything": "x"}),
        ("/echo", {"Ehbp-Encapsulated-Key": "00"}),
    ],
)
def test_other_places_and_the_channels_own_headers_are_refused(url: str, target: str, headers: dict[str, str]) -> None:
    def attest() -> Session:
        raise AssertionError("nobody is asked what they are for a request that cannot be sent")

    with client(url, attest) as http, pytest.raises(Misconfigured):
        http.post(target.replace("{host}", url.removeprefix("http://")), headers=headers, content=b"x")


def test_only_a_url_is_an_origin() -> None:
    for wrong in ("host", "ftp://host", "/path", ""):
        with pytest.raises(Misconfigured):
            SealedTransport(wrong, session)


def test_a_target_extension_cannot_move_the_request(url: str) -> None:
    with client(url) as http:
        assert http.post("/echo", content=b"x", extensions={"target": b"/elsewhere"}).status_code == 200


def test_ehbp_does_not_send_what_it_cannot_seal(url: str, application: Application) -> None:
    count = len(application.seen)
    with client(url, profile=Profile.EHBP) as http:
        bodies: tuple[bytes | Iterator[bytes], ...] = (b"", iter([]))
        for content in bodies:
            with pytest.raises(Misconfigured, match="without a body"):
                http.request("GET", "/healthz", content=content)
    with client(url, lambda: session(ehbp=None), profile=Profile.EHBP) as http, pytest.raises(NotAcceptable):
        http.post("/echo", content=b"x")
    assert len(application.seen) == count


# Sessions


class Attest:
    """Counts how often the server was asked what it is; answers with ``sessions`` in turn, the last one for ever."""

    def __init__(self, *sessions: Session) -> None:
        self._sessions = list(sessions)
        self.times = 0

    def __call__(self) -> Session:
        self.times += 1
        return self._sessions.pop(0) if len(self._sessions) > 1 else self._sessions[0]


OLD = session(strict_key(seed=7, key_id="strict-0"))
OLD = replace(OLD, strict=replace(OLD.strict, keyset_digest=sha256_digest(b"another keyset")))


def test_a_server_is_asked_once_and_before_anything_is_sent(url: str) -> None:
    attest = Attest(session())
    with client(url, attest) as http:
        for _ in range(3):
            http.post("/echo", content=b"x")
    assert attest.times == 1

    def refuses() -> Session:
        raise NotAcceptable("not what I want")

    says = Says(200)
    with client("http://localhost", refuses, inner=says) as http, pytest.raises(NotAcceptable):
        http.post("/echo", content=b"x")
    assert not says.seen


def test_new_keys_are_attested_and_a_read_is_sent_once_more(url: str, application: Application) -> None:
    attest, count = Attest(OLD, session()), len(application.seen)
    with client(url, attest) as http:
        assert http.get("/echo").status_code == 200
        assert http.get("/echo").status_code == 200
    assert attest.times == 2
    assert len(application.seen) == count + 2

    async def run() -> int:
        sessions = [session(), OLD]

        async def attest_async() -> Session:
            return sessions.pop()

        transport = AsyncSealedTransport(url, attest_async)
        async with httpx2.AsyncClient(transport=transport, base_url=url) as http:
            return (await http.get("/echo")).status_code

    assert asyncio.run(run()) == 200


@pytest.mark.parametrize("profile", Profile)
def test_new_keys_are_attested_and_anything_else_is_the_callers_to_repeat(
    url: str, application: Application, profile: Profile
) -> None:
    """The word that the key is unknown came in clear: the request may have been carried out before it was said."""
    other = replace(OLD, ehbp=ehbp_key().private_key.generate().public_key())
    attest, count = Attest(other, session()), len(application.seen)
    with client(url, attest, profile=profile) as http:
        with pytest.raises(ChannelBroken) as refusal:
            http.post("/echo", content=b"x")
        assert refusal.value.code == "key_changed"
        assert len(application.seen) == count
        assert http.post("/echo", content=b"x").json()["channel"] == str(profile)
    assert attest.times == 2


@pytest.mark.parametrize("kind", [strict.UNKNOWN_KEY_TYPE, "urn:ietf:params:ehbp:error:key-config"])
def test_whoever_lies_about_the_key_does_not_get_the_request_twice(kind: str) -> None:
    """The answer is forged: the attested server still has its key, and may have served the request."""
    says = Says(422, "application/problem+json", json.dumps({"type": kind}).encode())
    with client("http://localhost", Attest(session()), inner=says) as http, pytest.raises(ChannelBroken) as refusal:
        http.post("/echo", content=b"x")
    assert refusal.value.code == "key_refused"
    assert len(says.seen) == 1


def test_it_is_tried_once_more_and_not_for_ever() -> None:
    says = Says(422, "application/problem+json", json.dumps({"type": strict.UNKNOWN_KEY_TYPE}).encode())
    with (
        client("http://localhost", Attest(OLD, session()), inner=says) as http,
        pytest.raises(ChannelBroken) as refusal,
    ):
        http.get("/echo")
    assert refusal.value.code == "key_unknown"
    assert len(says.seen) == 2


def test_neither_an_upload_nor_a_prompt_is_repeated(url: str) -> None:
    with client(url, Attest(OLD, session())) as http, pytest.raises(ChannelBroken) as refusal:
        http.request("GET", "/echo", content=iter([b"x"]))
    assert refusal.value.code == "key_changed"

    async def run() -> None:
        sessions = [session(), OLD]

        async def attest() -> Session:
            return sessions.pop()

        async with httpx2.AsyncClient(transport=AsyncSealedTransport(url, attest), base_url=url) as http:
            await http.post("/echo", content=b"x")

    with pytest.raises(ChannelBroken) as refusal:
        asyncio.run(run())
    assert refusal.value.code == "key_changed"


def test_sessions_are_renewed_before_they_expire(url: str) -> None:
    expiring = session(not_after=support.now() + timedelta(seconds=59))
    attest = Attest(expiring, session())
    with client(url, attest) as http:
        http.post("/echo", content=b"x")
        http.post("/echo", content=b"x")
        http.post("/echo", content=b"x")
    assert attest.times == 2


def test_many_threads_ask_once(url: str) -> None:
    attest = Attest(session())
    with client(url, attest) as http:
        threads = [threading.Thread(target=http.post, args=("/echo",), kwargs={"content": b"x"}) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert attest.times == 1


# Errors that are not refusals


@contextmanager
def silent_server() -> Iterator[str]:
    """Accepts connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_no_connection_and_no_answer_stay_the_clients_own_errors() -> None:
    with silent_server() as base:
        with client(base) as http, pytest.raises(httpx2.ReadTimeout):
            http.post("/echo", content=b"x", timeout=0.2)
        inner = transport_httpx.SealedTransport(SealedTransport(base, session))
        with httpx.Client(transport=inner, base_url=base) as old, pytest.raises(httpx.ReadTimeout):
            old.post("/echo", content=b"x", timeout=0.2)
    with (
        served(channel(Application())) as base,
        client(base) as http,
        http.stream("POST", "/endless", content=b"x", timeout=0.2) as answer,
        pytest.raises(httpx2.ReadTimeout),
    ):
        answer.read()
    with client(base) as http, pytest.raises(httpx2.ConnectError):
        http.post("/echo", content=b"x")


async def chat(scope: Any, receive: Any, send: Any) -> None:
    """An OpenAI chat of two tokens."""
    await receive()
    await send(support.start(200, (b"content-type", b"text/event-stream")))
    for text in ("Do ", "NOT send it."):
        delta = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "toy", "choices": [delta]}
        event = b"data: " + json.dumps(chunk).encode() + b"\n\n"
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
