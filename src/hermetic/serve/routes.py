"""The routes behind the channel, in one place."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from hermetic.identity import Attester
from hermetic.serve.attestation import AciAttestation, Attestation, Identified, attestation_queue
from hermetic.serve.guard import Guard
from hermetic.serve.metrics import Metrics
from hermetic.serve.openai import FetchReceipt, Models, Service, chat_completions, completions
from hermetic.serve.operator import Health, MetricsPage, Readiness

__all__ = ["PLAINTEXT_ROUTES", "routes"]

PLAINTEXT_ROUTES = (
    "/.well-known/hermetic/attestation",
    "/v1/aci/attestation",
    "/healthz",
    "/readyz",
    "/metrics",
)
"""What may be read without the channel: it says nothing about anybody."""


def routes(service: Service, attester: Attester, metrics: Metrics) -> ASGIApp:
    """Every route, guarded.  It must stand behind the channel: on its own it would take prompts in clear."""
    queue = attestation_queue()
    router = Router(
        [
            Route("/v1/chat/completions", chat_completions(service), methods=["POST"]),
            Route("/v1/completions", completions(service), methods=["POST"]),
            Route("/v1/models", Models(service), methods=["GET"]),
            Route("/v1/models/{model:path}", Models(service), methods=["GET"]),
            Route("/v1/receipts/{receipt_id}", FetchReceipt(service), methods=["GET"]),
            Route("/.well-known/hermetic/attestation", Attestation(attester, queue), methods=["GET"]),
            Route("/v1/aci/attestation", AciAttestation(attester, queue), methods=["GET"]),
            Route("/healthz", Health(), methods=["GET"]),
            Route("/readyz", Readiness(service.admission), methods=["GET"]),
            Route("/metrics", MetricsPage(metrics), methods=["GET"]),
        ],
        redirect_slashes=False,
        default=_nowhere,
    )

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = router  # so that a wrong method is raised, not answered in plain text
        await router(scope, receive, send)

    return Identified(Guard(application), keyset_digest=attester.keyset.digest)


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    raise HTTPException(status_code=404)
