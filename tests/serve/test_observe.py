"""What an operator sees: routes, numbers, kinds.  Not a word of anybody's."""

from __future__ import annotations

import asyncio
import io
import json
import re
from typing import Any

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from hermetic.errors import NotReleased
from hermetic.serve.engine import Usage
from hermetic.serve.guard import AnswerCut, Guard, Wall
from hermetic.serve.metrics import Metrics
from hermetic.serve.observe import EventLog, Observer, observation
from serve_support import KEY, MODEL, Served

CANARY = "CANARY-a90d"
FIELDS = {"event", "at", "method", "route", "status", "ms", "prompt_tokens", "completion_tokens", "fault"}


def test_a_request_is_a_line_of_numbers(served: Served, http: httpx2.Client) -> None:
    http.post(
        f"/v1/chat/completions?{CANARY}",
        json={"model": MODEL, "messages": [{"role": "user", "content": CANARY}], "max_tokens": 2, "user": CANARY},
        headers={"X-Canary": CANARY, "User-Agent": CANARY},
    )
    http.post("/v1/chat/completions", json={CANARY: CANARY})
    http.get(f"/v1/models/{CANARY}")
    http.get(f"/{CANARY}")
    http.request("PROPFIND", f"/v1/models?{CANARY}")
    lines = [json.loads(line) for line in served.lines.getvalue().splitlines()]
    assert all(line.keys() <= FIELDS for line in lines)
    *_, chat, broken, model, nowhere, method = lines
    assert (chat["route"], chat["method"], chat["status"]) == ("/v1/chat/completions", "POST", 200)
    assert chat["completion_tokens"] <= 2 < chat["prompt_tokens"]
    assert (broken["status"], broken["fault"]) == (400, "unknown_parameter")
    assert (model["route"], model["status"]) == ("/v1/models/{model:path}", 404)
    assert (nowhere["route"], nowhere["status"]) == ("other", 404)
    assert (method["method"], method["status"]) == ("other", 405)
    for said in (served.lines.getvalue(), http.get("/metrics").content):
        assert CANARY.encode() not in said
        assert KEY.encode() not in said


LINE = re.compile(r'hermetic_\w+(\{(\w+="[^"\\\n]*",?)+\})? -?[0-9.e+]+')


def test_metrics_are_prometheus_text(http: httpx2.Client) -> None:
    http.get("/healthz")
    response = http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert response.text.endswith("\n")
    for line in response.text.splitlines():
        assert line.startswith(("# HELP hermetic_", "# TYPE hermetic_")) or LINE.fullmatch(line), line
    assert re.search(r'hermetic_requests_total\{route="/healthz",method="GET",status="200"\} [1-9]', response.text)
    assert "hermetic_slots 2" in response.text


def test_a_histogram_adds_up() -> None:
    metrics = Metrics({})
    for seconds in (0.001, 0.3, 1000.0):
        metrics.request(route="/r", method="GET", status=200, seconds=seconds, usage=None)
    metrics.request(route="/r", method="GET", status=200, seconds=0.0, usage=Usage(prompt=3, completion=4, cached=0))
    text = metrics.render().decode()
    assert 'hermetic_request_seconds_bucket{route="/r",le="0.005"} 2' in text
    assert 'hermetic_request_seconds_bucket{route="/r",le="0.5"} 3' in text
    assert 'hermetic_request_seconds_bucket{route="/r",le="+Inf"} 4' in text
    assert 'hermetic_request_seconds_count{route="/r"} 4' in text
    assert 'hermetic_request_seconds_sum{route="/r"} 1000.301' in text
    assert 'hermetic_tokens_total{kind="prompt"} 3' in text


def test_a_refusal_is_told_in_full_and_a_fault_by_kind_and_place() -> None:
    stream = io.BytesIO()
    log = EventLog(stream)
    log.refused(NotReleased("the owner's policy does not want it", code="policy.program", fix="ask the owner"))
    try:
        raise ValueError(CANARY)
    except ValueError as error:
        log.fault(error)
    refused, fault = map(json.loads, stream.getvalue().splitlines())
    assert (refused["code"], refused["text"]) == (
        "policy.program", "the owner's policy does not want it (ask the owner)",
    )  # fmt: skip
    assert re.fullmatch(r"ValueError at test_observe\.py:\d+", fault["text"])


# -- the walls around the routes


class Sent:
    """What left a wall."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _run(app: Any) -> tuple[Sent, Scope]:
    sent, scope = Sent(), {"type": "http", "method": "GET", "path": "/", "headers": []}
    asyncio.run(app(scope, _nothing, sent))
    return sent, scope


async def _fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError(CANARY)


async def _fails_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ValueError(CANARY)


def test_a_fault_becomes_an_answer_that_says_nothing() -> None:
    sent, scope = _run(Guard(_fails))
    assert sent.messages[0]["status"] == 500
    assert CANARY.encode() not in sent.messages[1]["body"]
    assert observation(scope).fault == "ValueError"


def test_a_late_fault_is_raised_without_its_words_and_stops_at_the_wall() -> None:
    with pytest.raises(AnswerCut) as cut:
        _run(Guard(_fails_late))
    assert cut.value.__suppress_context__
    sent, _ = _run(Wall(Guard(_fails_late)))
    assert [message["type"] for message in sent.messages] == ["http.response.start"]


def test_nothing_gets_past_the_outer_wall() -> None:
    log = io.BytesIO()
    _run(Observer(Wall(_fails), metrics=Metrics({}), log=EventLog(log)))
    assert json.loads(log.getvalue())["fault"] == "ValueError"
    assert CANARY.encode() not in log.getvalue()
