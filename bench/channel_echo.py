"""What the channel costs a server: a 2 KiB echo and a stream of events, in clear, over EHBP, over the strict profile.

    python -m bench.channel_echo [--requests N] [--rounds N]      prints one JSON object

One uvicorn process on one core serves the same application three ways; a client on another core sends requests that
were sealed before the clock started, and does not open the answers.  The three take turns within each round, and ratios
are taken within a round, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httptools
import uvicorn
import uvloop

from hermetic.channel import X25519PrivateKey, XWingPrivateKey, ehbp, strict
from hermetic.channel.asgi import SealedChannel
from hermetic.wire import sha256_digest

BODY = os.urandom(2048)
EVENT = b"data: " + b"x" * 250 + b"\n\n"
EVENTS = 2000
CONNECTIONS = 8
EHBP = ehbp.ServerKey(private_key=X25519PrivateKey(bytes(32)))
STRICT = strict.ServerKey(
    private_key=XWingPrivateKey(bytes(32)), key_id="bench", keyset_digest=sha256_digest(b""), service="bench"
)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Echoes a body, or streams events."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    length = (b"content-length", str(len(body)).encode())
    if scope["path"] == "/events":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(EVENTS):
            await send({"type": "http.response.body", "body": EVENT, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})


def clock() -> datetime:
    return datetime.now(UTC)


def plain(path: str) -> bytes:
    return _request(path, [], BODY)


def over_ehbp(path: str) -> bytes:
    sealer = ehbp.RequestSealer(EHBP.private_key.public_key())
    return _request(path, [(ehbp.REQUEST_HEADER, sealer.header)], sealer.push(BODY))


def over_strict(path: str) -> bytes:
    sealer = strict.seal_request(STRICT.recipient(), method="POST", target=path, fields=(), now=clock())
    return _request(path, list(sealer.outer_fields), sealer.push(BODY) + sealer.finish())


CONTESTANTS: dict[str, Callable[[str], bytes]] = {"plain": plain, "ehbp": over_ehbp, "strict": over_strict}


def _request(path: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: bench", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


# The server


def _serve(listener: socket.socket, sealed: bool) -> None:
    _pin(0)
    channel = SealedChannel(application, ehbp=EHBP, strict=STRICT, plaintext_routes=(), clock=clock)
    served: Any = channel if sealed else application
    config = uvicorn.Config(served, log_level="critical", lifespan="off", access_log=False)
    uvloop.run(uvicorn.Server(config).serve([listener]))


@contextmanager
def server(*, sealed: bool) -> Iterator[int]:
    """A server process; its port."""
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        process = multiprocessing.get_context("fork").Process(target=_serve, args=(listener, sealed), daemon=True)
        process.start()
        try:
            yield listener.getsockname()[1]
        finally:
            process.terminate()
            process.join()


def _pin(core: int) -> None:
    with suppress(OSError, AttributeError):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[core]})


# The client


@dataclass
class Answers:
    """Counts whole answers on one connection."""

    status: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def on_message_complete(self) -> None:
        self.done.set()


async def _connection(port: int, requests: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        answers = Answers()
        parser = httptools.HttpResponseParser(answers)
        writer.write(request)
        while not answers.done.is_set():
            parser.feed_data(await reader.read(1 << 18))
        if parser.get_status_code() != 200:
            raise RuntimeError(f"the server answered {parser.get_status_code()}")
    writer.close()


async def _measure(port: int, requests: list[bytes]) -> float:
    shares = [requests[number::CONNECTIONS] for number in range(CONNECTIONS)]
    begin = time.perf_counter()
    await asyncio.gather(*(_connection(port, share) for share in shares if share))
    return time.perf_counter() - begin


def rounds(path: str, *, requests: int, repeat: int, units: int) -> dict[str, Any]:
    """Units a second of each contestant, and the ratios to plain, as medians over the rounds."""
    rates: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    with server(sealed=False) as clear, server(sealed=True) as sealed:
        ports = {"plain": clear, "ehbp": sealed, "strict": sealed}
        for _ in range(repeat):
            for name, make in CONTESTANTS.items():
                prepared = [make(path) for _ in range(requests)]
                rates[name].append(requests * units / uvloop.run(_measure(ports[name], prepared)))
    ratios = {
        name: statistics.median(rate / base for rate, base in zip(rates[name], rates["plain"], strict=True))
        for name in rates
    }
    return {
        "per_second": {name: round(statistics.median(values)) for name, values in rates.items()},
        "ratio": {name: round(value, 3) for name, value in ratios.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What the channel costs a server.")
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    _pin(-1)
    result = {
        "echo_2_kib": rounds("/echo", requests=options.requests, repeat=options.rounds, units=1),
        "stream_events": rounds("/events", requests=CONNECTIONS, repeat=options.rounds, units=EVENTS),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
