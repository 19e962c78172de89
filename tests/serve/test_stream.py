"""Answers that go wrong: cut by the client, by the clock, by the engine; and the queue before them.

The engine here is a script, so that each fault comes exactly when it should.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import msgspec
import openai
import pytest
from starlette.types import ASGIApp

import serve_support
from hermetic.ledger import EventType, ReceiptFile
from hermetic.serve.config import Limits
from hermetic.serve.engine import EngineFailed, EngineRefused, Piece, Usage
from hermetic.serve.guard import AnswerCut
from hermetic.serve.issue import ABORTED
from hermetic.sources.simulator.amd import SimulatedAmd
from hermetic.wire import sha256_digest
from serve_support import KEY, MODEL, KeptLog, ScriptedEngine, Served

CANARY = "CANARY-5b77"
ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": CANARY}]}
LAST = Piece(finish_reason="stop", usage=Usage(prompt=1, completion=1, cached=0))


class Script:
    """What the engine does with the next requests, and what became of them."""

    def __init__(self) -> None:
        self.open = 0
        self.closed = threading.Event()
        self.begun = threading.Semaphore(0)
        self.release = threading.Event()

    async def __call__(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        self.open += 1
        try:
            if request["max_tokens"] == 1:
                raise EngineRefused(f"cannot do {CANARY}")
            if request["max_tokens"] == 2:
                raise ValueError(CANARY)
            yield Piece()
            yield Piece(text="first")
            self.begun.release()
            match request["max_tokens"]:
                case 3:
                    raise EngineFailed(f"failed at {CANARY}")
                case 4:
                    raise ValueError(CANARY)
                case 5:
                    return
            while not self.release.is_set():
                await asyncio.sleep(0.005)
            yield Piece(text=" last")
            yield LAST
        finally:
            self.open -= 1
            self.closed.set()


@pytest.fixture
def script() -> Script:
    return Script()


@contextlib.contextmanager
def serving(script: Script, amd: SimulatedAmd, log: KeptLog, **limits: Any) -> Iterator[Served]:
    config = serve_support.config()
    config = msgspec.structs.replace(config, limits=msgspec.structs.replace(config.limits, **limits))
    with Served(engine=ScriptedEngine(script), amd=amd, log=log, config=config).running() as served:
        yield served


@pytest.fixture
def scripted(script: Script, amd: SimulatedAmd, log: KeptLog) -> Iterator[Served]:
    with serving(script, amd, log, queue=1) as served:
        yield served


def client(served: Served) -> httpx2.Client:
    return httpx2.Client(base_url=served.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=30)


def fault(served: Served) -> str | None:
    """What the log says of the first request, once it has ended."""
    until = time.monotonic() + 20
    while b"\n" not in served.lines.getvalue() and time.monotonic() < until:
        time.sleep(0.005)
    line = json.loads(served.lines.getvalue().splitlines()[0])
    return str(line["fault"])


def receipt(served: Served, receipt_id: str) -> dict[str, Any]:
    """The events of a receipt, once there is one."""
    until = time.monotonic() + 20
    with client(served) as http:
        while (response := http.get(f"/v1/receipts/{receipt_id}")).status_code == 404 and time.monotonic() < until:
            time.sleep(0.01)
    file = ReceiptFile.from_bytes(response.content)
    return {event.type: dict(event.fields) for event in file.receipt.events}


def test_hanging_up_on_a_stream_stops_the_engine_and_is_told(scripted: Served, script: Script) -> None:
    with client(scripted) as http, http.stream("POST", "/v1/chat/completions", json=ASK | {"stream": True}) as response:
        receipt_id = response.headers["x-receipt-id"]
        got = b""
        for part in response.iter_raw():
            got += part
            if b"first" in got:
                break
    assert script.closed.wait(20)
    assert script.open == 0
    assert fault(scripted) == "client_gone"
    events = receipt(scripted, receipt_id)
    assert events[ABORTED] == {"body_hash": sha256_digest(got)}
    assert EventType.RESPONSE_RETURNED not in events


def test_hanging_up_on_a_whole_answer_stops_the_engine(scripted: Served, script: Script) -> None:
    with client(scripted) as http, pytest.raises(httpx2.ReadTimeout):
        http.post("/v1/chat/completions", json=ASK, timeout=0.3)
    assert script.closed.wait(20)
    assert script.open == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("tokens", "status", "code"), [(1, 400, "unsupported_request"), (2, 500, "internal_error")])
def test_a_fault_before_the_answer_has_a_status(
    scripted: Served, stream: bool, tokens: int, status: int, code: str
) -> None:
    with client(scripted) as http:
        response = http.post("/v1/chat/completions", json=ASK | {"stream": stream, "max_tokens": tokens})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert CANARY not in response.text
    assert CANARY.encode() not in scripted.lines.getvalue()


@pytest.mark.parametrize("tokens", [3, 4, 5])
def test_a_fault_within_a_whole_answer_has_a_status(scripted: Served, tokens: int) -> None:
    with client(scripted) as http:
        response = http.post("/v1/chat/completions", json=ASK | {"max_tokens": tokens})
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    assert CANARY not in response.text


@pytest.mark.parametrize("tokens", [3, 5])
def test_a_fault_within_a_stream_is_an_event_and_never_the_end_mark(scripted: Served, tokens: int) -> None:
    with client(scripted) as http:
        response = http.post("/v1/chat/completions", json=ASK | {"stream": True, "max_tokens": tokens})
    *_, last, nothing = response.text.split("\n\n")
    assert (json.loads(last.removeprefix("data: "))["error"]["code"], nothing) == ("internal_error", "")
    assert "[DONE]" not in response.text
    assert CANARY not in response.text
    assert receipt(scripted, response.headers["x-receipt-id"])[ABORTED] == {
        "body_hash": sha256_digest(response.content)
    }


def test_openais_client_notices_a_stream_that_failed(scripted: Served) -> None:
    with (
        openai.OpenAI(base_url=f"{scripted.url}/v1", api_key=KEY, max_retries=0) as sdk,
        pytest.raises(openai.APIError),
    ):
        list(sdk.chat.completions.create(model=MODEL, messages=ASK["messages"], max_tokens=3, stream=True))


def test_an_unforeseen_fault_within_a_stream_breaks_it_off(scripted: Served) -> None:
    with client(scripted) as http, pytest.raises(httpx2.RemoteProtocolError):
        http.post("/v1/chat/completions", json=ASK | {"stream": True, "max_tokens": 4})
    assert CANARY.encode() not in scripted.lines.getvalue()


@pytest.mark.parametrize("stream", [False, True])
def test_time_runs_out(script: Script, amd: SimulatedAmd, log: KeptLog, stream: bool) -> None:
    with serving(script, amd, log, request_seconds=0.2) as served, client(served) as http:
        response = http.post("/v1/chat/completions", json=ASK | {"stream": stream})
    assert response.status_code == (200 if stream else 503)
    assert '"code":"timeout"' in response.text
    assert "[DONE]" not in response.text
    assert script.closed.is_set()


def test_whoever_does_not_read_is_left(script: Script, amd: SimulatedAmd, log: KeptLog) -> None:
    script.release.set()

    async def ask(app: ASGIApp) -> None:
        body = json.dumps(ASK | {"stream": True}).encode()
        asked = iter([{"type": "http.request", "body": body}])

        async def receive() -> Any:
            for message in asked:
                return message
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        headers = [(b"authorization", f"Bearer {KEY}".encode())]
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
        await app(scope, receive, send)

    with (
        serving(script, amd, log, request_seconds=0.1, reading_seconds=0.1) as served,
        pytest.raises(AnswerCut),
    ):
        asyncio.run(ask(served.assembly.inner))
    assert (script.closed.is_set(), script.open) == (True, 0)


def test_slots_queue_and_refusal(scripted: Served, script: Script) -> None:
    """One slot, one place to wait: the third is told to come back, and the first two are answered."""
    with ThreadPoolExecutor(2) as pool:

        def ask() -> httpx2.Response:
            with client(scripted) as http:
                return http.post("/v1/chat/completions", json=ASK)

        first = pool.submit(ask)
        assert script.begun.acquire(timeout=20)
        second = pool.submit(ask)
        until = time.monotonic() + 20
        while scripted.assembly.service.admission.waiting < 1 and time.monotonic() < until:
            time.sleep(0.005)
        third = ask()
        assert (third.status_code, third.json()["error"]["type"]) == (429, "rate_limit_error")
        assert int(third.headers["retry-after"]) >= 1
        script.release.set()
        assert [first.result().status_code, second.result().status_code] == [200, 200]


def test_a_stopping_server_says_so(scripted: Served) -> None:
    with client(scripted) as http:
        assert http.get("/readyz").status_code == 200
        scripted.assembly.service.admission.stop()
        response = http.post("/v1/chat/completions", json=ASK)
        assert (response.status_code, response.json()["error"]["code"]) == (503, "stopping")
        assert http.get("/readyz").status_code == 503
        assert http.get("/healthz").status_code == 200


def test_receipts_stay_pending_while_the_log_is_down(scripted: Served, script: Script, log: KeptLog) -> None:
    script.release.set()
    log.down = True
    with client(scripted) as http:
        receipt_id = http.post("/v1/chat/completions", json=ASK).headers["x-receipt-id"]
        file = ReceiptFile.from_bytes(http.get(f"/v1/receipts/{receipt_id}").content)
        assert file.inclusion is None
        assert b"hermetic_receipts_pending 1" in http.get("/metrics").content
        log.down = False
        until = time.monotonic() + 20
        while file.inclusion is None and time.monotonic() < until:
            time.sleep(0.02)
            file = ReceiptFile.from_bytes(http.get(f"/v1/receipts/{receipt_id}").content)
    assert file.inclusion is not None


def test_limits_are_bounded_themselves() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"request_seconds": 0}, Limits)
