"""HTTP in front of the broker: bounded bodies, bounded callers, one shape for every error.

    GET  /v1/info           who this broker is, signed
    POST /v1/challenge      a signed nonce
    POST /v1/release        file keys for an attested workload
    POST /v1/log/leaves     receipts of a workload that was granted a key
    GET  /checkpoint, /tile/…       the log, as C2SP clients read it
    GET  /healthz, /metrics         for whoever runs it

Confidentiality never rests on TLS: whoever listens sees signed documents, evidence, and boxes they cannot open.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from hermetic.broker.broker import Broker
from hermetic.broker.limits import RateLimit
from hermetic.broker.telemetry import METRICS_TYPE, Telemetry
from hermetic.errors import HermeticError, Malformed, NotReleased, Unavailable

__all__ = ["make_app"]

P = ParamSpec("P")
T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]

_WORKERS = 8
"""Threads that verify: OpenSSL gives the interpreter up while it works, so a few more than cores keep them busy."""


def make_app(broker: Broker, telemetry: Telemetry) -> Starlette:
    """The application.  It opens and closes nothing: the broker is its caller's."""
    desk = _Endpoints(broker, telemetry)
    routes = (
        ("/v1/info", "GET", desk.info),
        ("/v1/challenge", "POST", desk.challenge),
        ("/v1/release", "POST", desk.release),
        ("/v1/log/leaves", "POST", desk.leaves),
        ("/checkpoint", "GET", desk.log_file),
        ("/tile/{path:path}", "GET", desk.log_file),
        ("/healthz", "GET", desk.health),
        ("/metrics", "GET", desk.metrics),
    )
    return Starlette(
        routes=[Route(path, desk.guarded(path, handler), methods=[method]) for path, method, handler in routes]
    )


class _Endpoints:
    def __init__(self, broker: Broker, telemetry: Telemetry) -> None:
        limits = broker.config.limits
        self._broker = broker
        self._telemetry = telemetry
        self._rate = RateLimit(rate=limits.requests_per_second, burst=limits.burst)
        self._body_limit = limits.body_bytes
        self._body_seconds = limits.body_seconds
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="hermetic-desk")

    async def info(self, request: Request) -> Response:
        return _json(self._broker.info())

    async def challenge(self, request: Request) -> Response:
        await self._body(request)
        return _json(self._broker.challenge(peer=_peer(request)))

    async def release(self, request: Request) -> Response:
        body = await self._body(request)
        verdict = await self._working(self._broker.decide, body)
        # From here on nothing leaves before the decision, whatever it is, is durable and in the log.
        recorded = await asyncio.wrap_future(self._broker.record(verdict))
        return _json(await self._working(self._broker.answer, verdict, recorded))

    async def leaves(self, request: Request) -> Response:
        asked, records = await self._working(self._broker.admit, await self._body(request))
        recorded = await asyncio.wrap_future(self._broker.append(records))
        return _json(await self._working(self._broker.answer_leaves, asked, recorded))

    async def log_file(self, request: Request) -> Response:
        found = await self._working(self._broker.log.resource, request.url.path.removeprefix("/"))
        if found is None:
            return _error(404, "not_found", "the log has nothing there")
        cache = "public, max-age=31536000, immutable" if found.immutable else "no-cache"
        return Response(found.body, media_type=found.content_type, headers={"cache-control": cache})

    async def health(self, request: Request) -> Response:
        if not self._broker.healthy:
            return _error(503, "journal_stopped", "the journal cannot be written")
        return _json({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        return Response(self._telemetry.render(), media_type=METRICS_TYPE)

    def guarded(self, route: str, handler: Handler) -> Handler:
        """Counts and times the handler, and turns its refusals into answers."""

        @functools.wraps(handler)
        async def endpoint(request: Request) -> Response:
            started = time.perf_counter()
            code = ""
            try:
                if request.method == "POST":
                    self._rate.spend(_peer(request), monotonic=time.monotonic())
                response = await handler(request)
            except HermeticError as error:
                response, code = _refusal(error)
            except ClientDisconnect:
                response, code = _error(499, "gone", "the caller went away"), "gone"
            except TimeoutError:
                response, code = _error(408, "too_slow", "the request did not arrive in time"), "too_slow"
            except Exception as error:
                # A fault of ours.  Its text might quote what it tripped over: the log gets its kind and place only.
                self._telemetry.fault(error)
                response, code = _error(500, "internal", "the broker failed"), "internal"
            self._telemetry.answered(
                route=route.partition("{")[0].rstrip("/"),
                status=response.status_code,
                code=code,
                seconds=time.perf_counter() - started,
            )
            return response

        return endpoint

    async def _body(self, request: Request) -> bytes:
        """The whole body, refused as soon as it is known to be too large."""
        announced = request.headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced) > self._body_limit:
            raise _TooLarge(self._body_limit)
        body = bytearray()
        async with asyncio.timeout(self._body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > self._body_limit:
                    raise _TooLarge(self._body_limit)
        return bytes(body)

    async def _working(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In a worker thread, so that the loop goes on answering."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, functools.partial(function, *args, **kwargs))


class _TooLarge(Malformed):
    def __init__(self, limit: int) -> None:
        super().__init__(f"the request is larger than {limit} bytes", code="too_large")


def _refusal(error: HermeticError) -> tuple[Response, str]:
    """Status and code for a refusal.  Its message is for the caller: it never says why evidence was refused."""
    if isinstance(error, _TooLarge):
        return _error(413, error.code, error.message), error.code
    if isinstance(error, Malformed):
        return _error(400, "malformed", error.message), error.code
    if isinstance(error, NotReleased):
        return _error(403, error.code, error.message), error.code
    if isinstance(error, Unavailable):
        limited = error.code == "rate_limited"
        response = _error(429 if limited else 503, error.code, error.message)
        response.headers["retry-after"] = "1"
        return response, error.code
    return _error(500, "internal", "the broker failed"), error.code


def _error(status: int, code: str, message: str) -> Response:
    return _json({"error": {"code": code, "message": message}}, status=status)


def _json(value: Any, *, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )


def _peer(request: Request) -> str:
    """Who asks: an address.  Forwarded-for headers are anybody's to write, so they do not count."""
    return request.client.host if request.client else ""
