"""The middleware over plain ASGI: what the application sees, what the network sees, and what gets neither."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import channel_support as support
from channel_support import Application, Response, call, channel, ehbp_key, strict_key
from hermetic.channel import ehbp, strict
from hermetic.channel.asgi import SealedChannel
from hermetic.channel.replay import NonceWindow, ReplayCache
from hermetic.errors import ChannelBroken, Misconfigured

CHAT = "/v1/chat/completions"
AUTHORIZATION = ((b"authorization", b"Bearer sk-secret"), (b"content-type", b"application/json"))


class Strict:
    """A strict request, ready to be sent and to open its answer."""

    def __init__(self, method: str = "POST", target: str = CHAT, body: bytes = b"{}", **options: Any) -> None:
        recipient = options.pop("recipient", strict_key().recipient())
        arguments: dict[str, Any] = {"fields": AUTHORIZATION, "now": support.now()} | options
        self.target = target
        self.sealer = strict.seal_request(recipient, method=method, target=target, **arguments)
        self.message = self.sealer.push(body) + self.sealer.finish()
        self.headers = [*self.sealer.outer_fields]

    def send(self, application: Any, **options: Any) -> Response:
        arguments = {"headers": self.headers, "body": self.message} | options
        return call(application, "POST", arguments.pop("target", self.target), **arguments)

    def opened(self, response: Response) -> tuple[int, dict[bytes, bytes], bytes]:
        assert response.status == 200
        assert response.header(b"content-type") == b"application/hermetic-sealed"
        opener = self.sealer.response_opener()
        body = b"".join(opener.push(response.body))
        opener.finish()
        assert opener.head is not None
        return opener.head.status, dict(opener.head.fields), body


class Ehbp:
    """An EHBP request, likewise."""

    def __init__(self, body: bytes = b"{}") -> None:
        self.sealer = ehbp.RequestSealer(ehbp_key().private_key.public_key())
        self.message = self.sealer.push(body)
        self.headers = [("Ehbp-Encapsulated-Key", self.sealer.header), ("Authorization", "Bearer sk-secret")]

    def send(self, application: Any, target: str = CHAT, **options: Any) -> Response:
        arguments = {"headers": self.headers, "body": self.message} | options
        return call(application, "POST", target, **arguments)

    def opened(self, response: Response) -> bytes:
        nonce = response.header(b"ehbp-response-nonce")
        assert nonce is not None
        opener = self.sealer.response_opener(status=response.status, nonces=[nonce.decode()])
        assert opener is not None
        body = b"".join(opener.push(response.body))
        opener.finish()
        return body


def code_of(body: bytes) -> object:
    return json.loads(body)["error"]["code"]


# What the application sees, and what the network sees


@settings(max_examples=30, deadline=None)
@given(body=st.binary(max_size=3000), cuts=st.lists(st.integers(min_value=1, max_value=1500), max_size=6))
def test_a_strict_request_arrives_whole_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    application = Application()
    request = Strict(body=body)
    pieces, rest = [], request.message
    for length in cuts:
        pieces.append(rest[:length])
        rest = rest[length:]
    status, _, answer = request.opened(request.send(channel(application), body=[*pieces, rest]))
    assert status == 200
    assert application.seen[0]["body"] == body == json.loads(answer)["body"].encode("latin-1")


def test_the_inner_request_is_the_sealed_one() -> None:
    application = Application()
    request = Strict(method="PATCH", target="/v1/files?a=%2F", body=b"hello")
    outer = [*request.headers, ("Host", "gateway"), ("X-Added", "by a gateway"), ("Authorization", "Bearer forged")]
    request.opened(request.send(channel(application), headers=outer))
    (seen,) = application.seen
    assert (seen["method"], seen["path"], seen["query_string"]) == ("PATCH", "/v1/files", b"a=%2F")
    assert seen["hermetic.channel"] == "strict"
    assert seen["headers"] == [(b"host", b"gateway"), *AUTHORIZATION, (b"content-length", b"5")]


def test_reads_are_sealed_too() -> None:
    application = Application()
    request = Strict(method="GET", target="/v1/receipts/1", body=b"", fields=())
    assert request.opened(request.send(channel(application)))[0] == 200
    (seen,) = application.seen
    assert (seen["method"], seen["headers"], seen["body"]) == ("GET", [], b"")


def test_the_network_sees_neither_status_nor_fields() -> None:
    request = Strict(target="/unauthorized")
    response = request.send(channel(Application()))
    assert response.headers == [(b"content-type", b"application/hermetic-sealed"), (b"cache-control", b"no-store")]
    assert request.opened(response)[:2] == (401, {b"www-authenticate": b"Bearer"})


def test_an_ehbp_request_keeps_its_fields_and_gains_its_length() -> None:
    application = Application()
    request = Ehbp(b"hello")
    response = request.send(channel(application), headers=[*request.headers, ("Content-Length", "999")])
    (seen,) = application.seen
    assert seen["hermetic.channel"] == "ehbp"
    assert seen["headers"] == [(b"authorization", b"Bearer sk-secret"), (b"content-length", b"5")]
    assert json.loads(request.opened(response))["body"] == "hello"
    assert response.header(b"content-length") is None
    assert response.header(b"content-type") == b"application/json"


def test_streams_are_sealed_write_by_write() -> None:
    strict_request, ehbp_request = Strict(target="/stream"), Ehbp()
    answer = strict_request.send(channel(Application()))
    assert strict_request.opened(answer)[2] == b"".join(support.EVENTS)
    assert len(answer.messages) == 1 + len(support.EVENTS) + 1  # the head, each event, the last frame
    answer = ehbp_request.send(channel(Application()), target="/stream")
    assert ehbp_request.opened(answer) == b"".join(support.EVENTS)
    assert len(answer.messages) == len(support.EVENTS) + 1


def test_frames_of_one_size_on_request() -> None:
    request = Strict(target="/stream", shape=12)
    answer = request.send(channel(Application()))
    assert request.opened(answer)[2] == b"".join(support.EVENTS)
    assert [len(message["body"]) for message in answer.messages] == [32 + 5 + 512 + 16, 5 + 4096 + 16]


def test_errors_of_the_application_are_sealed() -> None:
    ehbp_request = Ehbp()
    answer = ehbp_request.send(channel(Application()), target="/unauthorized")
    assert answer.status == 401
    assert b"no key" in ehbp_request.opened(answer)


def test_a_head_request_gets_no_body() -> None:
    request = Strict(method="HEAD", target="/echo", body=b"")
    status, fields, body = request.opened(request.send(channel(Application())))
    assert (status, fields[b"content-type"], body) == (200, b"application/json", b"")


# What a failing application may not spoil


@pytest.mark.parametrize("path", ["/crash-early", "/silent"])
def test_an_application_without_an_answer_gets_a_sealed_one(path: str) -> None:
    strict_request, ehbp_request = Strict(target=path, body=b"secret prompt"), Ehbp(b"secret prompt")
    answer = strict_request.send(channel(Application()))
    status, _, body = strict_request.opened(answer)
    assert (status, code_of(body)) == (500, "internal_error")
    assert b"secret" not in body
    assert isinstance(answer.error, ValueError) == (path == "/crash-early")
    answer = ehbp_request.send(channel(Application()), target=path)
    assert (answer.status, code_of(ehbp_request.opened(answer))) == (500, "internal_error")


def test_an_application_that_fails_later_leaves_a_stream_without_an_end() -> None:
    request = Strict(target="/crash-late")
    answer = request.send(channel(Application()))
    assert isinstance(answer.error, ValueError)
    assert not answer.ended
    with pytest.raises(ChannelBroken) as refusal:
        request.opened(answer)
    assert refusal.value.code == "truncated"


def test_nothing_goes_out_past_the_seal() -> None:
    application = Application()
    offered: dict[str, Any] = {"http.response.pathsend": {}}
    answers = [
        Strict(target="/pathsend").send(channel(application), extensions=offered),
        Ehbp().send(channel(application), target="/pathsend", extensions=offered),
    ]
    for seen, answer in zip(application.seen, answers, strict=True):
        assert seen["extensions"] == {}
        assert isinstance(answer.error, RuntimeError)
        assert all(message["type"] == "http.response.body" for message in answer.messages)


def test_an_application_cannot_start_twice_or_write_before_it_starts() -> None:
    async def twice(scope: Any, receive: Any, send: Any) -> None:
        await send(support.start(200))
        await send(support.start(500))

    async def early(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"x"})

    assert isinstance(Strict().send(channel(twice)).error, RuntimeError)
    request = Strict()
    answer = request.send(channel(early))
    assert isinstance(answer.error, RuntimeError)
    assert request.opened(answer)[0] == 500


# What is refused, and how


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("POST", CHAT, []),
        ("POST", "/healthz", []),
        ("GET", "/v1/models", []),
        ("GET", "/healthz/", []),
        ("GET", "/HEALTHZ", []),
        ("OPTIONS", CHAT, []),
        ("POST", CHAT, [("Content-Type", "application/json"), ("Authorization", "Bearer sk")]),
        ("POST", "/.well-known/hpke-keys", []),
    ],
)
def test_plaintext_is_refused_off_the_list(method: str, target: str, headers: list[tuple[str, str]]) -> None:
    application = Application()
    answer = call(channel(application), method, target, headers, b"a prompt in clear")
    assert (answer.status, code_of(answer.body)) == (400, "plaintext_refused")
    assert not application.seen


def test_plaintext_on_the_list_may_be_read() -> None:
    application = Application()
    assert call(channel(application), "GET", "/healthz").status == 200
    assert application.seen[0]["hermetic.channel"] == "plaintext"


def test_unknown_keys_are_told_before_the_body_is_read() -> None:
    request = Strict(recipient=strict_key(seed=1, key_id="strict-0").recipient())
    answer = request.send(channel(Application()), body=[])
    assert answer.status == 422
    assert answer.header(b"content-type") == b"application/problem+json"
    assert json.loads(answer.body)["type"] == "urn:hermetic:strict:unknown-key"


def without(headers: list[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    return [(key, value) for key, value in headers if key != name]


def test_every_cryptographic_failure_looks_the_same() -> None:
    """A wrong place, a forged frame, a cut, a missing header: nobody learns which."""
    good = Strict()
    other_key = Strict(recipient=strict_key(seed=1).recipient())
    message, headers = good.message, good.headers
    answers = [
        good.send(channel(Application()), target="/v1/completions"),
        good.send(channel(Application()), target=CHAT + "?n=2"),
        good.send(channel(Application()), headers=[*without(headers, "Hermetic-Method"), ("Hermetic-Method", "GET")]),
        good.send(channel(Application()), headers=[*without(headers, "Hermetic-Method"), ("Hermetic-Method", "TRACE")]),
        good.send(channel(Application()), headers=without(headers, "Hermetic-Method")),
        good.send(channel(Application()), headers=without(headers, "Hermetic-Key-Id")),
        good.send(channel(Application()), headers=without(headers, "Content-Type")),
        good.send(channel(Application()), headers=[*headers, ("Hermetic-Method", "POST")]),
        good.send(channel(Application()), headers=[*headers, ("Hermetic-Key-Id", "strict-1")]),
        good.send(channel(Application()), body=b""),
        good.send(channel(Application()), body=message[:1120]),
        good.send(channel(Application()), body=message[:-1]),
        good.send(channel(Application()), body=message + b"\x00"),
        good.send(channel(Application()), body=message[:-1] + bytes([message[-1] ^ 1])),
        good.send(channel(Application()), body=bytes(1120) + message[1120:]),
        good.send(channel(Application()), body=message[: 1120 + 5 + 512 + 16]),
        good.send(channel(Application()), scope_without=("raw_path",)),
        call(channel(Application()), "PUT", CHAT, headers, message),
        other_key.send(channel(Application())),
    ]
    first = answers[0]
    assert first.status == 400
    assert json.loads(first.body)["type"] == "urn:hermetic:strict:refused"
    for answer in answers[1:]:
        assert (answer.status, answer.headers, answer.body) == (first.status, first.headers, first.body)


@pytest.mark.parametrize("cut", [1120, 1120 + 5 + 512 + 16, -1])
def test_the_handler_runs_only_after_the_last_frame(cut: int) -> None:
    application = Application()
    request = Strict()
    request.send(channel(application), body=[request.message[:cut], b""])
    assert request.send(channel(application), body=request.message[:cut], disconnect=True).messages == []
    assert not application.seen


def test_a_replay_reaches_no_handler_and_is_told_inside() -> None:
    application = Application()
    server = channel(application)
    strict_request, ehbp_request = Strict(), Ehbp()
    assert strict_request.opened(strict_request.send(server))[0] == 200
    status, _, body = strict_request.opened(strict_request.send(server))
    assert (status, code_of(body)) == (409, "replayed")
    assert ehbp_request.send(server).status == 200
    answer = ehbp_request.send(server)
    assert (answer.status, code_of(ehbp_request.opened(answer))) == (409, "replayed")
    assert len(application.seen) == 2


def test_a_full_memory_refuses() -> None:
    base = strict_key()
    full = strict.ServerKey(
        private_key=base.private_key,
        key_id=base.key_id,
        keyset_digest=base.keyset_digest,
        service=base.service,
        window=NonceWindow(capacity=0),
    )
    request = Strict()
    assert request.opened(request.send(channel(Application(), strict=full)))[0] == 503
    full_ehbp = ehbp.ServerKey(private_key=ehbp_key().private_key, seen=ReplayCache(capacity=0))
    assert Ehbp().send(channel(Application(), ehbp=full_ehbp)).status == 503


def test_large_bodies_are_refused_inside() -> None:
    application = Application()
    server = channel(application, max_body=1000)
    strict_request = Strict(body=bytes(1001))
    status, _, body = strict_request.opened(strict_request.send(server))
    assert (status, code_of(body)) == (413, "body_too_large")
    sealer = Ehbp(bytes(600))
    answer = sealer.send(server, body=sealer.message + sealer.sealer.push(bytes(600)))
    assert (answer.status, code_of(sealer.opened(answer))) == (413, "body_too_large")
    assert not application.seen


def test_ehbp_errors_are_told_apart_as_its_clients_expect() -> None:
    stale, other, good = Ehbp(), Ehbp(), Ehbp()
    answer = stale.send(channel(Application()), body=other.message)
    assert answer.status == 422
    assert answer.header(b"content-type") == b"application/problem+json"
    assert json.loads(answer.body)["type"] == "urn:ietf:params:ehbp:error:key-config"
    for headers in ([("Ehbp-Encapsulated-Key", "00")], [*good.headers, *good.headers]):
        answer = good.send(channel(Application()), headers=headers)
        assert (answer.status, answer.header(b"ehbp-response-nonce")) == (400, None)
    answer = good.send(channel(Application()), body=good.message[:-1])
    assert (answer.status, answer.header(b"ehbp-response-nonce")) == (400, None)
    answer = good.send(channel(Application()), body=good.message + good.message)  # a later frame that does not open
    assert answer.status == 400
    assert code_of(good.opened(answer)) == "channel_broken"


def test_a_profile_without_a_key_is_not_offered() -> None:
    with pytest.raises(Misconfigured):
        channel(Application(), ehbp=None, strict=None)
    for request, server in (
        (Strict(), channel(Application(), strict=None)),
        (Ehbp(), channel(Application(), ehbp=None)),
    ):
        assert code_of(request.send(server).body) == "plaintext_refused"
    assert call(channel(Application(), ehbp=None), "GET", ehbp.KEYS_PATH).status == 400


def test_two_profiles_at_once_are_refused() -> None:
    request = Strict()
    answer = request.send(channel(Application()), headers=[*request.headers, *Ehbp().headers])
    assert code_of(answer.body) == "two_profiles"


def test_the_key_configuration_is_served_as_ehbp_wants_it() -> None:
    answer = call(channel(Application()), "GET", "/.well-known/hpke-keys")
    assert (answer.status, answer.header(b"content-type")) == (200, b"application/ohttp-keys")
    assert ehbp.parse_key_config(answer.body) == ehbp_key().private_key.public_key()


# Pages in a browser


ORIGIN = [("Origin", "https://app.example")]


def test_an_allowed_origin_may_ask_and_read() -> None:
    server = channel(Application(), cors_origins=("https://app.example",))
    asks = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "ehbp-encapsulated-key")]
    answer = call(server, "OPTIONS", CHAT, [*ORIGIN, *asks])
    assert answer.status == 204
    assert answer.header(b"access-control-allow-origin") == b"https://app.example"
    assert answer.header(b"access-control-allow-headers") == b"ehbp-encapsulated-key"
    request = Ehbp()
    answer = request.send(server, headers=[*request.headers, *ORIGIN])
    exposed = answer.header(b"access-control-expose-headers")
    assert exposed == b"Ehbp-Response-Nonce, Ehbp-Encapsulated-Key, Content-Type"
    request.opened(answer)


@pytest.mark.parametrize("origins", [(), ("https://other.example",)])
def test_another_origin_is_told_nothing(origins: tuple[str, ...]) -> None:
    server = channel(Application(), cors_origins=origins)
    answer = call(server, "OPTIONS", CHAT, [*ORIGIN, ("Access-Control-Request-Method", "POST")])
    assert (answer.status, answer.header(b"access-control-allow-origin")) == (400, None)
    assert call(server, "GET", "/healthz", ORIGIN).header(b"access-control-allow-origin") is None
    anyone = channel(Application(), cors_origins=("*",))
    assert call(anyone, "GET", "/healthz", ORIGIN).header(b"access-control-allow-origin") == b"https://app.example"


# Everything that is not HTTP


def test_websockets_are_closed_and_lifespans_passed_on() -> None:
    sent: list[Any] = []
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return events.pop(0)

    server: SealedChannel = channel(Application())
    asyncio.run(server({"type": "websocket", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
    asyncio.run(server({"type": "lifespan"}, receive, send))
    assert sent[-1] == {"type": "lifespan.shutdown.complete"}
    with pytest.raises(RuntimeError):
        asyncio.run(server({"type": "other"}, receive, send))
