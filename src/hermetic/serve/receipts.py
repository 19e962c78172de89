"""What the server owes each answer: a signed receipt, a place in the log, and a way to fetch both.

    exchange --finish--> Facts --issue--> ReceiptFile --append--> in the log

A receipt is complete the moment its answer is; its place in the log follows within a second or so, and until then it
is pending.  Only who asked may fetch it.  Everything is kept in memory, within bounds, and goes with the process.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from hermetic.ledger import Inclusion, ReceiptFile
from hermetic.serve.batch import Batch
from hermetic.serve.credentials import Principal
from hermetic.serve.engine import Usage
from hermetic.serve.errors import ApiError
from hermetic.wire import Digest, canonical, sha256_digest

__all__ = ["Exchange", "Facts", "Receipts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one exchange was.  The digests are over exact plaintext bytes; ``forwarded`` over the canonical form of what
    the engine was asked.  ``aborted`` means that ``returned`` covers an answer that was cut short.  ``served_at`` is
    Unix seconds.
    """

    receipt_id: str
    chat_id: str
    endpoint: str
    served_at: int
    received: Digest
    forwarded: Digest
    returned: Digest
    aborted: bool
    usage: Usage | None


class Exchange:
    """One exchange under way.  Every byte of the answer is told to it in order, and how it ended exactly once."""

    def __init__(
        self,
        *,
        chat_id: str,
        endpoint: str,
        received: bytes,
        forwarded: Mapping[str, Any],
        complete: Callable[[Facts], None],
    ) -> None:
        self.receipt_id = f"rcpt-{secrets.token_hex(16)}"
        self.usage: Usage | None = None
        self.started = self.ended = False
        self._chat_id = chat_id
        self._endpoint = endpoint
        self._received = sha256_digest(received)
        self._forwarded = sha256_digest(canonical(forwarded))
        self._returned = sha256()
        self._complete = complete

    def sent(self, data: bytes) -> None:
        """These bytes leave next."""
        self.started = True
        self._returned.update(data)

    def finish(self, usage: Usage) -> None:
        """Nothing follows what was sent, and it is the whole answer."""
        self.usage = usage
        self._end(aborted=False)

    def abort(self) -> None:
        """Nothing follows what was sent, and it is not the whole answer."""
        self._end(aborted=True)

    def _end(self, *, aborted: bool) -> None:
        if self.ended:
            raise RuntimeError("an exchange ends once")
        self.ended = True
        self._complete(
            Facts(
                receipt_id=self.receipt_id,
                chat_id=self._chat_id,
                endpoint=self._endpoint,
                served_at=int(time.time()),
                received=self._received,
                forwarded=self._forwarded,
                returned=Digest(f"sha256:{self._returned.hexdigest()}"),
                aborted=aborted,
                usage=self.usage,
            )
        )


@dataclass(slots=True)
class _Kept:
    owner: Principal
    file: ReceiptFile


class Receipts:
    """Issues, keeps and logs receipts: ``capacity`` in all, ``per_owner`` for each principal, the oldest go first."""

    def __init__(self, issue: Callable[[Facts], ReceiptFile], batch: Batch, *, capacity: int, per_owner: int) -> None:
        self._issue = issue
        self._batch = batch
        self._capacity = capacity
        self._per_owner = per_owner
        self._kept: dict[str, _Kept] = {}  # in the order they were made
        self._owned: dict[Principal, deque[str]] = {}

    @contextlib.contextmanager
    def exchange(
        self, owner: Principal | None, *, chat_id: str, endpoint: str, received: bytes, forwarded: Mapping[str, Any]
    ) -> Iterator[Exchange]:
        """An exchange that ends in a receipt if any of an answer was sent; without an owner nobody can fetch it."""
        exchange = Exchange(
            chat_id=chat_id,
            endpoint=endpoint,
            received=received,
            forwarded=forwarded,
            complete=lambda facts: self._complete(owner, facts),
        )
        try:
            yield exchange
        finally:
            if exchange.started and not exchange.ended:
                exchange.abort()

    def file(self, receipt_id: str, *, owner: Principal) -> ReceiptFile:
        """The receipt, with its place in the log once it has one.  Raises ApiError 404 unless it is ``owner``'s."""
        kept = self._kept.get(receipt_id)
        if kept is None or kept.owner != owner:
            raise ApiError.not_found()
        return kept.file

    def _complete(self, owner: Principal | None, facts: Facts) -> None:
        file = self._issue(facts)
        if owner is not None:
            self._keep(facts.receipt_id, _Kept(owner, file))
        # Only the leaf waits for the log, so that a log that is down does not fill the memory with receipts.
        self._batch.add(file.commitment, functools.partial(self._placed, facts.receipt_id))

    def _placed(self, receipt_id: str, inclusion: Inclusion) -> None:
        if kept := self._kept.get(receipt_id):
            kept.file = kept.file.logged(inclusion)

    def _keep(self, receipt_id: str, kept: _Kept) -> None:
        owned = self._owned.setdefault(kept.owner, deque())
        if len(owned) >= self._per_owner:
            self._forget(owned[0])
        elif len(self._kept) >= self._capacity:
            self._forget(next(iter(self._kept)))
        self._owned.setdefault(kept.owner, owned).append(receipt_id)
        self._kept[receipt_id] = kept

    def _forget(self, receipt_id: str) -> None:
        owner = self._kept.pop(receipt_id).owner
        self._owned[owner].popleft()  # an owner's oldest, because all are kept in the order they were made
        if not self._owned[owner]:
            del self._owned[owner]
