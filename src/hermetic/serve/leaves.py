"""Receipts' leaves into the broker's log, over HTTP: signed with the receipt key, and the answer checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import httpx2
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.errors import Malformed
from hermetic.identity import Keyset
from hermetic.ledger import Inclusion, leaf_hash, verify_inclusion
from hermetic.release import LeavesAnswer, LeavesRequest, convert
from hermetic.serve.broker_http import ask_async
from hermetic.serve.broker_log import BrokerLog
from hermetic.wire import unhex

__all__ = ["LeafAppender"]


class LeafAppender:
    """An :data:`hermetic.serve.batch.Append` that speaks to the broker.  One call at a time; close it when done."""

    def __init__(
        self, *, url: str, broker_key: str, log: BrokerLog, keyset: Keyset, private_key: Ed25519PrivateKey
    ) -> None:
        self._url = f"{url.rstrip('/')}/v1/log/leaves"
        self._broker_key = broker_key
        self._log = log
        self._keyset_digest = keyset.digest
        self._key_id = keyset.receipt_signing_keys[0].key_id
        self._private_key = private_key
        self._http = httpx2.AsyncClient(trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def __call__(self, leaves: Sequence[bytes]) -> Sequence[Inclusion]:
        """The place of each leaf, in order.  Raises Unavailable, NotReleased, NotAuthentic or Malformed."""
        answer = await ask_async(self._http, self._url, msgspec.to_builtins(self._request(leaves)))
        return self._check(convert(answer, LeavesAnswer, what="leaves"), leaves)

    def _request(self, leaves: Sequence[bytes]) -> LeavesRequest:
        unsigned = LeavesRequest(
            log_size=self._log.size,
            keyset_digest=self._keyset_digest,
            key_id=self._key_id,
            leaves=tuple(leaf.hex() for leaf in leaves),
            signature="0" * 128,
        )
        signature = self._private_key.sign(unsigned.signed_bytes(self._broker_key))
        return msgspec.structs.replace(unsigned, signature=signature.hex())

    def _check(self, answer: LeavesAnswer, leaves: Sequence[bytes]) -> list[Inclusion]:
        """Each leaf is under a checkpoint that continues the last one."""
        if len(answer.leaves) != len(leaves):
            raise Malformed(f"the log placed {len(answer.leaves)} of {len(leaves)} leaves")
        note = answer.checkpoint.encode()
        checkpoint = self._log.follow(note, answer.consistency)
        places = []
        for leaf, placed in zip(leaves, answer.leaves, strict=True):
            proof = tuple(unhex(step, what="inclusion", length=32) for step in placed.inclusion)
            verify_inclusion(
                leaf=leaf_hash(leaf), index=placed.index, size=checkpoint.size, proof=proof, root=checkpoint.root
            )
            places.append(Inclusion(index=placed.index, proof=proof, note=note))
        return places
