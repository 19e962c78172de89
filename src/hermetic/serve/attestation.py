"""Routes that say who is speaking: the attestation report, the ACI one, and the headers that name the keyset.

They are public and in clear: evidence is for everybody, and nobody has a key to encrypt to before reading it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hermetic.errors import Malformed
from hermetic.identity import ACI_VERSION, Attester, Purpose, aci_report_data
from hermetic.serve.admission import Admission
from hermetic.serve.asgi import respond
from hermetic.serve.deadline import Deadline
from hermetic.serve.errors import ApiError
from hermetic.wire import canonical, unhex

__all__ = ["AciAttestation", "Attestation", "Identified", "attestation_queue"]

T = TypeVar("T")

_SECONDS = 30.0


def attestation_queue() -> Admission:
    """One question at a time to the device, and a bound on who may wait: anybody may ask."""
    return Admission(slots=1, queue=256)


class Attestation:
    """GET /.well-known/hermetic/attestation?nonce=<64 hex>: the native report, made for a session."""

    def __init__(self, attester: Attester, queue: Admission) -> None:
        self._attester = attester
        self._queue = queue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        nonce = _nonce(scope)
        if nonce is None:
            raise ApiError.invalid(
                "nonce", "nonce is missing; choose 32 random bytes", code="missing_required_parameter"
            )
        raw = unhex(nonce)
        report = await _ask(self._queue, lambda: self._attester.attest(purpose=Purpose.SESSION, nonce=raw))
        await respond(send, report.to_bytes(), headers={"Cache-Control": "no-store"})


class AciAttestation:
    """GET /v1/aci/attestation?nonce=<64 hex>: for ACI clients (protocols.md §3).  Binds no launch document."""

    def __init__(self, attester: Attester, queue: Admission) -> None:
        self._attester = attester
        self._queue = queue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        nonce = _nonce(scope)
        keyset = self._attester.keyset
        evidence = await _ask(self._queue, lambda: self._attester.attest_aci(nonce))
        document = {
            "api_version": ACI_VERSION,
            "workload_keyset_digest": keyset.digest,
            "attestation": {
                "tee_type": evidence.tee,
                "workload_keyset": keyset.to_json(),
                "report_data": aci_report_data(keyset.digest, nonce).hex(),
                # Where the program came from is not claimed here: the launch document of the native report measures it.
                "source_provenance": dict.fromkeys(("repo_url", "repo_commit", "image_digest", "image_provenance")),
                "evidence": evidence.to_json(),
            },
            # ACI's own body encryption is not spoken here; what is, the keyset's end-to-end keys say.
            "service_capabilities": {"supported_e2ee_versions": [], "serving": "direct"},
        }
        await respond(send, canonical(document), headers={"Cache-Control": "no-store"})


class Identified:
    """Names the keyset in every answer, as ACI clients expect.  A hint, not a proof."""

    def __init__(self, app: ASGIApp, *, keyset_digest: str) -> None:
        self._app = app
        self._headers = [
            (b"x-aci-version", ACI_VERSION.encode("ascii")),
            (b"x-aci-keyset-digest", keyset_digest.encode("ascii")),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def naming(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await self._app(scope, receive, naming)


def _nonce(scope: Scope) -> str | None:
    """The query's one nonce.  Raises ApiError 400 on anything but 64 lowercase hex digits."""
    values: list[str] = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get("nonce", [])
    if not values:
        return None
    try:
        unhex(values[0], length=32)
    except Malformed:
        values = []
    if len(values) != 1:
        raise ApiError.invalid("nonce", "nonce: expected 64 lowercase hex digits, once")
    return values[0]


async def _ask(queue: Admission, question: Callable[[], T]) -> T:
    async with queue.slot(Deadline.after(_SECONDS)):
        return await asyncio.to_thread(question)
