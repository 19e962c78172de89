"""The server put together: routes, limits, receipts and metrics around one engine; the channel around all of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.types import ASGIApp

from hermetic.channel import ehbp, strict
from hermetic.channel.asgi import SealedChannel
from hermetic.identity import ED25519, STRICT, Attester
from hermetic.serve.admission import Admission
from hermetic.serve.arrival import Arrival
from hermetic.serve.batch import Append, Batch
from hermetic.serve.config import ServerConfig
from hermetic.serve.engine import Engine
from hermetic.serve.guard import Wall
from hermetic.serve.issue import Issuer
from hermetic.serve.keys import WorkloadKeys
from hermetic.serve.metrics import Metrics
from hermetic.serve.observe import EventLog, Observer
from hermetic.serve.openai import Service
from hermetic.serve.receipts import Receipts
from hermetic.serve.routes import PLAINTEXT_ROUTES, routes
from hermetic.wire import Digest

__all__ = ["Assembly", "Parts", "assemble", "seal"]

_LAST_LEAVES = 5.0  # seconds to get what is left into the log


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a server is made of.

    ``append`` puts receipts' leaves into the log; ``policy`` is the one under which the model's key was released, for
    receipts, None where nobody said.
    """

    config: ServerConfig
    engine: Engine
    attester: Attester
    keys: WorkloadKeys
    append: Append
    policy: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """``inner`` takes prompts in clear: it belongs behind the channel and nowhere else."""

    inner: ASGIApp
    service: Service
    metrics: Metrics
    batch: Batch

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Appends receipts to the log for as long as the server runs, and what is left of them when it ends."""
        task = asyncio.create_task(self.batch.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self.batch.drain(seconds=_LAST_LEAVES)


def seal(assembly: Assembly, parts: Parts, log: EventLog) -> ASGIApp:
    """The application as it may be reached: behind the channel, observed, and walled off from the web server."""
    keyset = parts.attester.keyset
    channel = SealedChannel(
        assembly.inner,
        ehbp=ehbp.ServerKey(private_key=parts.keys.ehbp),
        strict=strict.ServerKey(
            private_key=parts.keys.strict,
            key_id=keyset.key(STRICT).key_id,
            keyset_digest=keyset.digest,
            service=keyset.subject,
        ),
        plaintext_routes=PLAINTEXT_ROUTES,
        clock=lambda: datetime.now(UTC),
        max_body=parts.config.limits.body_bytes,
        cors_origins=parts.config.listen.cors_origins,
    )
    arrival = Arrival(channel, seconds=parts.config.limits.body_seconds)
    return Observer(Wall(arrival), metrics=assembly.metrics, log=log)


def assemble(parts: Parts) -> Assembly:
    """Everything but the channel."""
    config, engine, attester = parts.config, parts.engine, parts.attester
    limits = config.limits
    admission = Admission(slots=engine.slots, queue=limits.queue)
    batch = Batch(parts.append)
    issuer = Issuer(
        model=config.model.name,
        manifest=config.model.manifest_digest,
        keyset=attester.keyset.digest,
        launch=attester.launch.digest,
        policy=parts.policy,
        key_id=attester.keyset.key(ED25519).key_id,
        private_key=parts.keys.receipt,
    )
    service = Service(
        model=config.model.name,
        engine=engine,
        keys=config.api_keys.keys(),
        limits=limits,
        admission=admission,
        receipts=Receipts(issuer, batch, capacity=limits.receipts, per_owner=limits.receipts_per_key),
    )
    metrics = Metrics(
        {
            "hermetic_slots": ("Requests the engine can run side by side.", lambda: engine.slots),
            "hermetic_slots_busy": ("Requests the engine is running.", lambda: admission.running),
            "hermetic_queue_waiting": ("Requests waiting for a slot.", lambda: admission.waiting),
            "hermetic_receipts_pending": ("Receipts not yet in the log.", lambda: batch.pending),
            "hermetic_receipts_lost": ("Receipts given up while the log did not answer.", lambda: batch.lost),
        }
    )
    return Assembly(inner=routes(service, attester, metrics), service=service, metrics=metrics, batch=batch)
