"""An application to put behind the channel, a way to call it without a socket, and a real server around it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import uvicorn

from hermetic.channel import ehbp, strict
from hermetic.channel.asgi import SealedChannel
from hermetic.channel.kem import X25519PrivateKey, XWingPrivateKey
from hermetic.wire import sha256_digest

Message = MutableMapping[str, Any]

EVENTS = [b"data: %d\n\n" % number for number in range(5)] + [b"data: [DONE]\n\n"]


def now() -> datetime:
    return datetime.now(UTC)


def ehbp_key() -> ehbp.ServerKey:
    return ehbp.ServerKey(private_key=X25519PrivateKey(bytes(range(32))))


def strict_key(seed: int = 0, key_id: str = "strict-1") -> strict.ServerKey:
    return strict.ServerKey(
        private_key=XWingPrivateKey(bytes([seed]) * 32),
        key_id=key_id,
        keyset_digest=sha256_digest(b"keyset"),
        service="clinic",
    )


@dataclass
class Application:
    """Does what the path says, and remembers what it saw."""

    seen: list[dict[str, Any]] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.seen.append({**scope, "body": body})
        handler = getattr(self, scope["path"].strip("/").replace("-", "_"), self.echo)
        await handler(scope, receive, send, body)

    async def echo(self, scope: Any, _: Any, send: Any, body: bytes) -> None:
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
        told = {"method": scope["method"], "channel": scope["hermetic.channel"], "headers": headers}
        answer = json.dumps({**told, "body": body.decode("latin-1")}).encode()
        await send(start(200, (b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(answer))))
        await send({"type": "http.response.body", "body": answer})

    async def stream(self, _: Any, receive: Any, send: Any, body: bytes) -> None:
        await send(start(200, (b"content-type", b"text/event-stream")))
        for event in EVENTS:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def unauthorized(self, _: Any, receive: Any, send: Any, body: bytes) -> None:
        await send(start(401, (b"www-authenticate", b"Bearer")))
        await send({"type": "http.response.body", "body": b'{"error":{"message":"no key"}}'})

    async def crash_early(self, _: Any, receive: Any, send: Any, body: bytes) -> None:
        raise ValueError("the prompt was: " + body.decode())

    async def crash_late(self, _: Any, receive: Any, send: Any, body: bytes) -> None:
        await send(start(200))
        await send({"type": "http.response.body", "body": b"Do ", "more_body": True})
        raise ValueError("in the middle")

    async def silent(self, _: Any, receive: Any, send: Any, body: bytes) -> None:
        return

    async def endless(self, _: Any, receive: Any, send: Any, body: bytes) -> None:
        await send(start(200))
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone.set()

    async def pathsend(self, scope: Any, receive: Any, send: Any, body: bytes) -> None:
        await send(start(200))
        await send({"type": "http.response.pathsend", "path": __file__})


def start(status: int, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def channel(application: Any, **options: Any) -> SealedChannel:
    chosen: dict[str, Any] = {
        "ehbp": ehbp_key(),
        "strict": strict_key(),
        "plaintext_routes": ("/healthz",),
        "clock": now,
    }
    return SealedChannel(application, **chosen | options)


@dataclass(frozen=True)
class Response:
    """What came out of an application, as a network sees it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    messages: list[Message]
    error: BaseException | None = None

    def header(self, name: bytes) -> bytes | None:
        found = [value for key, value in self.headers if key == name]
        assert len(found) < 2
        return found[0] if found else None

    @property
    def ended(self) -> bool:
        return not self.messages[-1].get("more_body", False)


def call(
    application: Any,
    method: str,
    target: str,
    headers: list[tuple[str, str]] | None = None,
    body: bytes | list[bytes] = b"",
    *,
    extensions: dict[str, Any] | None = None,
    scope_without: tuple[str, ...] = (),
    disconnect: bool = False,
) -> Response:
    """One request over ASGI; ``disconnect``: the client goes before its body has ended."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "headers": [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers or []],
        "extensions": extensions or {},
    }
    for name in scope_without:
        del scope[name]
    pieces = [body] if isinstance(body, bytes) else body
    events = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    events.append({"type": "http.disconnect"} if disconnect else {"type": "http.request", "body": b""})
    sent: list[Message] = []

    async def receive() -> Message:
        return events.pop(0) if events else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    error: BaseException | None = None
    try:
        asyncio.run(application(scope, receive, send))
    except Exception as raised:
        error = raised
    if not sent:
        return Response(0, [], b"", [], error)
    return Response(
        sent[0]["status"], sent[0]["headers"], b"".join(m.get("body", b"") for m in sent[1:]), sent[1:], error
    )


@contextmanager
def served(application: Any) -> Iterator[str]:
    """A real server on loopback, its base URL."""
    config = uvicorn.Config(application, host="127.0.0.1", port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        threading.Event().wait(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
