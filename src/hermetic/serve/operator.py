"""Routes for whoever runs the machine: alive, ready, metrics.  In clear, because there is nothing in them."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from hermetic.serve.admission import Admission
from hermetic.serve.asgi import respond
from hermetic.serve.metrics import CONTENT_TYPE, Metrics

__all__ = ["Health", "MetricsPage", "Readiness"]

_TEXT = b"text/plain; charset=utf-8"


class Health:
    """GET /healthz: the process answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"ok\n", content_type=_TEXT)


class Readiness:
    """GET /readyz: 200 while requests are taken, 503 once the server is stopping."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._admission.stopping:
            await respond(send, b"stopping\n", status=503, content_type=_TEXT)
        else:
            await respond(send, b"ready\n", content_type=_TEXT)


class MetricsPage:
    """GET /metrics: Prometheus text."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, self._metrics.render(), content_type=CONTENT_TYPE)
