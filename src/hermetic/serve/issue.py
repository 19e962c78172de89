"""Signs receipts with the keyset's receipt key: what was asked, what the engine got, what was returned, and by which
model under which launch document."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.ledger import Event, EventType, ReceiptFile, exchange_events, sign_receipt
from hermetic.serve.receipts import Facts
from hermetic.wire import Digest

__all__ = ["ABORTED", "Issuer"]

ABORTED = "response.aborted"
"""In place of ``response.returned`` and the token counts: ``body_hash`` covers the part of an answer that left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Everything that the receipts of one workload have in common.

    ``policy`` is the one under which the model's key was released, None where the broker did not say.
    """

    model: str
    manifest: Digest
    keyset: Digest
    launch: Digest
    policy: Digest | None
    key_id: str
    private_key: Ed25519PrivateKey = field(repr=False)

    def __call__(self, facts: Facts) -> ReceiptFile:
        """A signed receipt with a fresh salt, not yet in the log."""
        receipt = sign_receipt(
            receipt_id=facts.receipt_id,
            chat_id=facts.chat_id,
            model=self.model,
            workload_keyset_digest=self.keyset,
            endpoint=facts.endpoint,
            method="POST",
            served_at=facts.served_at,
            events=self._events(facts),
            key_id=self.key_id,
            private_key=self.private_key,
        )
        return ReceiptFile(receipt=receipt, salt=secrets.token_bytes(32))

    def _events(self, facts: Facts) -> tuple[Event, ...]:
        if facts.usage is not None:
            return exchange_events(
                request=facts.received,
                forwarded=facts.forwarded,
                response=facts.returned,
                manifest=self.manifest,
                launch=self.launch,
                policy=self.policy,
                prompt_tokens=facts.usage.prompt,
                completion_tokens=facts.usage.completion,
            )
        return (
            Event(type=EventType.REQUEST_RECEIVED, fields={"body_hash": facts.received}),
            Event(type=EventType.LAUNCH, fields={"launch_digest": self.launch}),
            *([] if self.policy is None else [Event(type=EventType.POLICY, fields={"policy_digest": self.policy})]),
            Event(type=EventType.MODEL, fields={"manifest_digest": self.manifest}),
            Event(type=EventType.REQUEST_FORWARDED, fields={"body_hash": facts.forwarded}),
            Event(type=ABORTED, fields={"body_hash": facts.returned}),
        )
