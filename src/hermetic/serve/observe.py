"""What an operator may see: counts, times, routes.  Never content, identities or anything a prompt decides.

Both outlets are allow-lists by construction: a log line and a metric have no place for anything else.  Nothing is
handed to ``logging``, where a library could add an exception's text.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hermetic.errors import HermeticError
from hermetic.serve.engine import Usage
from hermetic.serve.metrics import Metrics

__all__ = ["EventLog", "Observation", "Observer", "observation"]

_KEY = "hermetic.observation"
_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS"})


@dataclass(slots=True)
class Observation:
    """What one request showed.  ``route`` is a template of ours, never a path that somebody sent."""

    route: str = "other"
    status: int = 0
    usage: Usage | None = None
    fault: str | None = None


def observation(scope: Scope) -> Observation:
    """The request's observation; where no observer stands, one that nobody reads."""
    found: Observation = scope.setdefault(_KEY, Observation())
    return found


class _Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="request"):
    at: float
    method: str
    route: str
    status: int
    ms: float
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    fault: str | None = None


class _Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Anything but a request: a step with its time, the address, a sentence of ours, a refusal, the kind of a fault."""

    event: str
    at: float
    ms: float | None = None
    url: str | None = None
    code: str | None = None
    text: str | None = None


class EventLog:
    """JSON lines.  ``stream`` is the one place where this process says anything."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def note(self, text: str) -> None:
        """A sentence of our own, with nothing of a request in it."""
        self._say("note", text=text)

    def ready(self, url: str) -> None:
        """Requests are taken at ``url``."""
        self._say("ready", url=url)

    def refused(self, error: HermeticError) -> None:
        """Why this server does not start.  Our own refusals hold no secret, by contract."""
        self._say("refused", code=error.code, text=str(error))

    def fault(self, error: object) -> None:
        """Something went wrong outside every request.  Its kind and place are told, its text is not."""
        trace = error.__traceback__ if isinstance(error, BaseException) else None
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = "" if trace is None else f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        self._say("fault", text=f"{type(error).__name__}{place}")

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A step on the way to being ready, written down with its time once it is done."""
        started = time.perf_counter()
        yield
        self._say(name, ms=round((time.perf_counter() - started) * 1000, 3))

    def request(self, *, method: str, seconds: float, seen: Observation) -> None:
        usage = seen.usage
        self._write(
            _Request(
                at=round(time.time(), 3),
                method=method,
                route=seen.route,
                status=seen.status,
                ms=round(seconds * 1000, 3),
                prompt_tokens=None if usage is None else usage.prompt,
                completion_tokens=None if usage is None else usage.completion,
                fault=seen.fault,
            )
        )

    def _say(self, event: str, **fields: Any) -> None:
        self._write(_Said(event=event, at=round(time.time(), 3), **fields))

    def _write(self, line: msgspec.Struct) -> None:
        self._stream.write(msgspec.json.encode(line) + b"\n")
        self._stream.flush()


class Observer:
    """The outermost layer: times every request and writes it down, the channel's own refusals included.

    The status is the one inside the channel, if the request came that far.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, log: EventLog) -> None:
        self._app = app
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = observation(scope)
        outer_status = 0

        async def noting(message: Message) -> None:
            nonlocal outer_status
            if message["type"] == "http.response.start":
                outer_status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, noting)
        finally:
            seconds = time.perf_counter() - started
            seen.status = seen.status or outer_status
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.request(
                route=seen.route, method=method, status=seen.status, seconds=seconds, usage=seen.usage
            )
            self._log.request(method=method, seconds=seconds, seen=seen)
