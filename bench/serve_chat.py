"""What the strict channel costs a conversation: tokens a second and time to the first token, sealed and in clear.

    python -m bench.serve_chat [--tokens N] [--rounds N] [--threads N]      prints one JSON object

One server process with one engine listens twice: once as it always does, sealed, and once in clear, which only this
bench does.  A client process asks both in turn for the same continuation, with 1 stream and with 4, and opens what it
gets.  Ratios and differences are taken within a round, so that a busy machine slows both alike.
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
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
import uvloop

from hermetic.channel import XWingPublicKey, strict
from hermetic.cli._model import find_model
from hermetic.errors import Unavailable
from hermetic.evidence import EvidenceBundle
from hermetic.identity import STRICT, Attester, Keyset, LaunchDocument, MeasuredModel, format_ed25519
from hermetic.ledger import Inclusion
from hermetic.serve.app import Parts, assemble, seal
from hermetic.serve.config import ApiKeysConfig, BrokerConfig, EngineConfig, Limits, ModelConfig, ServerConfig
from hermetic.serve.keys import WorkloadKeys
from hermetic.serve.llama import LlamaEngine, default_threads
from hermetic.serve.observe import EventLog
from hermetic.wire import sha256_digest

MODEL = "bench"
PROMPT = "1 2 3 4 5 6 7 8 9 10 11 12"
PATH = "/v1/completions"
STREAMS = (1, 4)
MANIFEST = sha256_digest(b"bench")

CONFIG = ServerConfig(
    service="bench",
    model=ModelConfig(name=MODEL, bundle=Path(), resource="broker/bench/model", version="1", manifest_digest=MANIFEST),
    broker=BrokerConfig(url="http://127.0.0.1:1", key=format_ed25519(bytes(32)), log_key=""),
    api_keys=ApiKeysConfig(open=True),
    limits=Limits(max_tokens=4096),
    engine=EngineConfig(slots=max(STREAMS), context=1024),
)
LAUNCH = LaunchDocument(
    service="bench",
    program_digest=sha256_digest(b""),
    argv=("bench",),
    environment={},
    config_digest=sha256_digest(b""),
    models=(MeasuredModel(name=MODEL, manifest_digest=MANIFEST),),
    broker_key=None,
    outbound={},
)


class NoPlatform:
    """Nobody asks for evidence here."""

    tee = "none"

    def collect(self, report_data: bytes) -> EvidenceBundle:
        raise Unavailable("there is no evidence in a bench")


async def _no_log(leaves: Sequence[bytes]) -> Sequence[Inclusion]:
    return [Inclusion(index=0, proof=(), note=b"") for _ in leaves]


@dataclass(frozen=True)
class Ports:
    """Where the server listens, and whom sealed requests are for."""

    clear: int
    sealed: int
    recipient: strict.Recipient


# The server


async def _serve(threads: int, told: Connection) -> None:
    keys = WorkloadKeys.generate()
    keyset = keys.keyset(subject="bench", not_after=int(time.time()) + 3600)
    with find_model().open("rb") as file:
        engine = LlamaEngine.load(
            file.fileno(), slots=CONFIG.engine.slots, context=CONFIG.engine.context, threads=threads
        )
    parts = Parts(
        config=CONFIG,
        engine=engine,
        attester=Attester(NoPlatform(), keyset=keyset, launch=LAUNCH),
        keys=keys,
        append=_no_log,
        policy=None,
    )
    assembly = assemble(parts)
    with open(os.devnull, "wb") as nowhere:
        sealed = seal(assembly, parts, EventLog(nowhere))
        listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        servers = [
            uvicorn.Server(uvicorn.Config(app, lifespan="off", access_log=False, log_config=None))
            for app in (assembly.inner, sealed)
        ]
        clear_port, sealed_port = (listener.getsockname()[1] for listener in listeners)
        told.send((clear_port, sealed_port, keyset.to_json()))
        async with assembly.running():
            await asyncio.gather(
                *(server.serve([listener]) for server, listener in zip(servers, listeners, strict=True))
            )


@contextmanager
def server(threads: int) -> Iterator[Ports]:
    """The server in a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run_server, args=(threads, theirs), daemon=True)
    process.start()
    try:
        theirs.close()
        clear, sealed_port, keyset = ours.recv()
        yield Ports(clear=clear, sealed=sealed_port, recipient=_recipient(Keyset.from_json(keyset)))
    finally:
        process.terminate()
        process.join()


def _recipient(keyset: Keyset) -> strict.Recipient:
    key = keyset.key(STRICT)
    return strict.Recipient(
        public_key=XWingPublicKey(key.public_key),
        key_id=key.key_id,
        keyset_digest=keyset.digest,
        service=keyset.subject,
    )


def _run_server(threads: int, told: Connection) -> None:
    uvloop.run(_serve(threads, told))


# The client


@dataclass(frozen=True)
class Timing:
    """One stream: seconds to its first text, and to its end, from when all were sent."""

    first: float
    end: float
    tokens: int


Ask = Callable[[httpx2.AsyncClient, Ports, bytes], AsyncIterator[bytes]]


async def in_clear(http: httpx2.AsyncClient, ports: Ports, body: bytes) -> AsyncIterator[bytes]:
    async with http.stream("POST", f"http://127.0.0.1:{ports.clear}{PATH}", content=body) as response:
        async for part in response.aiter_raw():
            yield part


async def sealed(http: httpx2.AsyncClient, ports: Ports, body: bytes) -> AsyncIterator[bytes]:
    sealer = strict.seal_request(ports.recipient, method="POST", target=PATH, fields=(), now=datetime.now(UTC))
    content = sealer.push(body) + sealer.finish()
    url = f"http://127.0.0.1:{ports.sealed}{PATH}"
    opener = sealer.response_opener()
    async with http.stream("POST", url, content=content, headers=dict(sealer.outer_fields)) as response:
        async for part in response.aiter_raw():
            for opened in opener.push(part):
                yield opened
    opener.finish()


CONTESTANTS: dict[str, Ask] = {"clear": in_clear, "strict": sealed}


async def _stream(http: httpx2.AsyncClient, ports: Ports, ask: Ask, tokens: int) -> Timing:
    fields = {"model": MODEL, "prompt": PROMPT, "max_tokens": tokens, "temperature": 0, "stream": True}
    body = json.dumps(fields | {"stream_options": {"include_usage": True}}).encode()
    begin = time.perf_counter()
    first, received = 0.0, b""
    async for part in ask(http, ports, body):
        received += part
        # The first event says only that the request was accepted; the second one holds text.
        if not first and received.count(b"\n\n") > 1:
            first = time.perf_counter() - begin
    end = time.perf_counter() - begin
    *_, usage, done, _ = received.split(b"\n\n")
    if done != b"data: [DONE]":
        raise RuntimeError("the stream was cut")
    counted = json.loads(usage.removeprefix(b"data: "))["usage"]["completion_tokens"]
    return Timing(first=first, end=end, tokens=counted)


async def _round(ports: Ports, ask: Ask, *, streams: int, tokens: int) -> tuple[float, float]:
    """Tokens a second of all streams together, and the median time to a first token."""
    async with httpx2.AsyncClient(timeout=600, trust_env=False) as http:
        timings = await asyncio.gather(*(_stream(http, ports, ask, tokens) for _ in range(streams)))
    total = sum(timing.tokens for timing in timings)
    return total / max(timing.end for timing in timings), statistics.median(timing.first for timing in timings)


def compare(ports: Ports, *, streams: int, tokens: int, rounds: int) -> dict[str, Any]:
    """Both contestants in turn; the order alternates, so that neither always goes first."""
    rates: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    firsts: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for number in range(rounds):
        names = list(CONTESTANTS)[:: 1 if number % 2 else -1]
        for name in names:
            rate, first = uvloop.run(_round(ports, CONTESTANTS[name], streams=streams, tokens=tokens))
            rates[name].append(rate)
            firsts[name].append(first)
    ratio = statistics.median(b / a for a, b in zip(rates["clear"], rates["strict"], strict=True))
    added = statistics.median(b - a for a, b in zip(firsts["clear"], firsts["strict"], strict=True))
    return {
        "tokens_per_second": {name: round(statistics.median(values), 1) for name, values in rates.items()},
        "ratio": round(ratio, 3),
        "first_token_ms": {name: round(statistics.median(values) * 1000, 2) for name, values in firsts.items()},
        "first_token_added_ms": round(added * 1000, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What the strict channel costs a conversation.")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=default_threads())
    options = parser.parse_args()
    with server(options.threads) as ports:
        compare(ports, streams=1, tokens=8, rounds=1)  # warm
        result = {
            f"streams_{streams}": compare(ports, streams=streams, tokens=options.tokens, rounds=options.rounds)
            for streams in STREAMS
        }
    print(json.dumps({"threads": options.threads, **result}, indent=2))


if __name__ == "__main__":
    main()
