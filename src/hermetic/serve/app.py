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
from hermetic.identity import STRICT, Attester
from hermetic.serve.admission import Admission
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

__all__ = ["Assembly", "assemble", "seal"]

_LAST_LEAVES = 5.0  # seconds to get what is left into the log


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


def seal(assembly: Assembly, *, config: ServerConfig, attester: Attester, keys: WorkloadKeys, log: EventLog) -> ASGIApp:
    """The application as it may be reached: behind the channel, observed, and walled off from the web server."""
    channel = SealedChannel(
        assembly.inner,
        ehbp=ehbp.ServerKey(private_key=keys.ehbp),
        strict=strict.ServerKey(
            private_key=keys.strict,
            key_id=attester.keyset.key(STRICT).key_id,
            keyset_digest=attester.keyset.digest,
            service=attester.keyset.subject,
        ),
        plaintext_routes=PLAINTEXT_ROUTES,
        clock=lambda: datetime.now(UTC),
        max_body=config.limits.body_bytes,
        cors_origins=config.listen.cors_origins,
    )
    return Observer(Wall(channel), metrics=assembly.metrics, log=log)


def assemble(
    *,
    config: ServerConfig,
    engine: Engine,
    attester: Attester,
    keys: WorkloadKeys,
    append: Append,
    policy: Digest | None,
) -> Assembly:
    """Everything but the channel.  ``append`` puts receipts' leaves into the log; ``policy`` goes into receipts."""
    limits = config.limits
    admission = Admission(slots=engine.slots, queue=limits.queue)
    batch = Batch(append)
    issuer = Issuer(
        model=config.model.name,
        manifest=config.model.manifest_digest,
        keyset=attester.keyset.digest,
        launch=attester.launch.digest,
        policy=policy,
        key_id=attester.keyset.receipt_signing_keys[0].key_id,
        private_key=keys.receipt,
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
