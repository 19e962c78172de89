"""The server put together: routes, limits, receipts and metrics around one engine; the channel around all of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.types import ASGIApp

from hermetic.identity import Attester
from hermetic.serve.admission import Admission
from hermetic.serve.batch import Append, Batch
from hermetic.serve.config import ServerConfig
from hermetic.serve.engine import Engine
from hermetic.serve.issue import Issuer
from hermetic.serve.keys import WorkloadKeys
from hermetic.serve.metrics import Metrics
from hermetic.serve.openai import Service
from hermetic.serve.receipts import Receipts
from hermetic.serve.routes import routes

__all__ = ["Assembly", "assemble"]

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


def assemble(
    *, config: ServerConfig, engine: Engine, attester: Attester, keys: WorkloadKeys, append: Append
) -> Assembly:
    """Everything but the channel.  ``append`` puts receipts' leaves into the log."""
    limits = config.limits
    admission = Admission(slots=engine.slots, queue=limits.queue)
    batch = Batch(append)
    issuer = Issuer(
        model=config.model.name,
        manifest=config.model.manifest_digest,
        keyset=attester.keyset.digest,
        launch=attester.launch.digest,
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
