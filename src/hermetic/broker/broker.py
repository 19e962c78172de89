"""The broker itself: what each request does, without HTTP.

    challenge                          a signed nonce
    decide → record → answer           a release in three steps, of which the middle one waits for the disk
    admit → append → answer_leaves     a workload's receipts on their way into the log, likewise

What :meth:`Broker.answer` returns cannot exist before the journal has made its decision durable.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from hermetic import __version__
from hermetic.broker.challenges import Challenges, stale_challenge
from hermetic.broker.config import BrokerConfig, load_config
from hermetic.broker.desk import Desk, Verdict
from hermetic.broker.findings import write_findings
from hermetic.broker.journal import Record, Recorded
from hermetic.broker.leaves import admit_leaves
from hermetic.broker.making import load_resource
from hermetic.broker.premises import Premises, open_premises
from hermetic.broker.resources import stand, standing_records
from hermetic.broker.store import Store
from hermetic.client.clock import FlooredClock
from hermetic.errors import Malformed, NotReleased
from hermetic.ledger import LogReader
from hermetic.release import (
    BrokerInfo,
    Challenge,
    Grant,
    LeavesAnswer,
    LeavesRequest,
    Placed,
    ReleaseRequest,
    convert,
    sign,
)
from hermetic.wire import b64encode, parse_object

__all__ = ["OUTSIDE_TEE", "Broker"]

OUTSIDE_TEE = "this broker runs outside a TEE: its operator can read the keys it holds"
"""Said on every surface, until the broker itself can attest that it is not so."""


class Broker:
    """An open broker.  Any thread may call any method."""

    def __init__(self, config_path: Path, config: BrokerConfig, premises: Premises) -> None:
        """Takes over the open premises.  Raises what :meth:`reload` raises."""
        self._config_path = config_path
        self._premises = premises
        self._challenges = Challenges(capacity=config.limits.challenges, seconds=config.limits.challenge_seconds)
        self._desk = _stand(config, premises)
        self._reloading = threading.Lock()
        self._info = _info(premises)
        self.config = config

    @classmethod
    def open(cls, config_path: Path) -> Broker:
        """Reads the configuration, opens the data folder and loads every resource.

        Raises Misconfigured, NotAuthentic where something stored was altered, Unavailable where another process has it.
        """
        config = load_config(config_path)
        premises = open_premises(config)
        try:
            return cls(config_path, config, premises)
        except BaseException:
            premises.close()
            raise

    def close(self) -> None:
        """Writes what waits and gives the data folder back."""
        self._premises.close()

    def reload(self) -> int:
        """Reads configuration, policies and versions again and returns the policy epoch.  Waits for the disk.

        A change is in the log before it counts, and voids the challenges given out before it.  On any error the broker
        goes on as it was.
        """
        with self._reloading:
            self._desk = _stand(load_config(self._config_path), self._premises)
            return self._desk.policy_epoch

    # --- what anybody may see -----------------------------------------------------------------------------------------

    @property
    def broker_key(self) -> str:
        """Its identity, ``ed25519:…``: what launch documents pin."""
        return self._premises.broker_key

    @property
    def log_key(self) -> str:
        """The log's verifier key."""
        return self._premises.log_key

    @property
    def log(self) -> LogReader:
        """The log, for reading."""
        return self._premises.log

    @property
    def clock(self) -> FlooredClock:
        """What every ``now`` comes from."""
        return self._premises.clock

    @property
    def healthy(self) -> bool:
        """Whether anything can be decided: nothing is, unless it can be written down."""
        return self._premises.journal.healthy

    @property
    def outstanding(self) -> int:
        """How many challenges are given out and neither used nor known to have expired."""
        return len(self._challenges)

    def info(self) -> dict[str, Any]:
        """Who this broker is, signed."""
        return self._info

    def challenge(self, *, peer: str) -> dict[str, Any]:
        """A fresh challenge, signed.  Raises Unavailable when too many are outstanding."""
        epoch = self._desk.policy_epoch
        issued = self._challenges.issue(peer=peer, policy_epoch=epoch, monotonic=time.monotonic())
        challenge = Challenge(
            challenge_id=issued.challenge_id,
            nonce=issued.nonce.hex(),
            expires_at=int(self.clock.now().timestamp()) + self.config.limits.challenge_seconds,
            broker_key=self.broker_key,
            policy_epoch=epoch,
        )
        return sign(challenge, self._premises.key)

    # --- a release ----------------------------------------------------------------------------------------------------

    def decide(self, body: bytes) -> Verdict:
        """Spends the challenge and judges the request: milliseconds of one core.

        Raises Malformed, and NotReleased (``challenge``) where there is no such challenge to spend.
        """
        request = convert(self._parse(body), ReleaseRequest, what="release request")
        desk = self._desk
        issued = self._challenges.take(request.challenge_id, policy_epoch=desk.policy_epoch, monotonic=time.monotonic())
        verdict = desk.decide(request, issued, now=self.clock.now())
        self.clock.observe(verdict.dates)
        return verdict

    def record(self, verdict: Verdict) -> Future[Recorded]:
        """Writes the decision down.  Resolves once it is durable in database and log.

        Fails with NotReleased (``challenge``) if a policy changed after it was decided: an owner's change that is in
        the log is never followed there by a decision under what stood before.
        """
        decision = verdict.decision

        def require_current(store: Store) -> None:
            # In the one thread that writes, so no change can come between this look and the entry.
            if store.policy_epoch() != decision.policy_epoch:
                raise stale_challenge()

        def store_decision(store: Store, log_index: int) -> None:
            store.add_decision(
                log_index=log_index,
                decision_id=decision.decision_id,
                resources=tuple(want.resource for want in decision.wants),
                findings=write_findings(verdict.findings),
            )
            if verdict.grant is not None:
                store.add_grant(verdict.grant)

        record = Record.of(decision, at=decision.at, key=self._premises.key, also=store_decision, guard=require_current)
        return self._premises.journal.submit([record])

    def answer(self, verdict: Verdict, recorded: Recorded) -> Grant:
        """The grant and its proof.  Raises NotReleased, with no reason, where it was denied: that is for the owner."""
        if verdict.box is None:
            raise NotReleased(f"the key was not released (decision {verdict.decision.decision_id})")
        (record,), (place,) = recorded.records, self._places(recorded)
        if record.document is None or record.salt is None:
            raise TypeError("a decision has a document and a salt")
        return Grant(
            receipt=parse_object(record.document),
            salt=record.salt.hex(),
            index=place.index,
            inclusion=place.inclusion,
            checkpoint=recorded.checkpoint.note.decode(),
            consistency=self._consistency(verdict.log_size, recorded),
            box=b64encode(verdict.box),
        )

    # --- receipts -----------------------------------------------------------------------------------------------------

    def admit(self, body: bytes) -> tuple[LeavesRequest, tuple[Record, ...]]:
        """A workload's leaves, once it is known that it may append them.  Raises Malformed or NotReleased."""
        request = convert(self._parse(body), LeavesRequest, what="leaves")
        if len(request.leaves) > self.config.limits.leaves:
            raise Malformed(f"leaves: at most {self.config.limits.leaves} at once", code="too_many")
        now = self.clock.now()
        return request, admit_leaves(request, store=self._premises.store, broker_key=self.broker_key, now=now)

    def append(self, records: Sequence[Record]) -> Future[Recorded]:
        """Resolves once the leaves are durable and a checkpoint covers them."""
        return self._premises.journal.submit(records)

    def answer_leaves(self, request: LeavesRequest, recorded: Recorded) -> LeavesAnswer:
        """Where the leaves stand, with proofs."""
        return LeavesAnswer(
            leaves=self._places(recorded),
            checkpoint=recorded.checkpoint.note.decode(),
            consistency=self._consistency(request.log_size, recorded),
        )

    def _places(self, recorded: Recorded) -> tuple[Placed, ...]:
        size = recorded.checkpoint.size
        return tuple(
            Placed(index=index, inclusion=tuple(step.hex() for step in self.log.inclusion(index, size)))
            for index in recorded.indexes
        )

    def _consistency(self, seen: int, recorded: Recorded) -> tuple[str, ...]:
        """From the checkpoint of size ``seen`` to ours.  Of a longer log than ours there is no proof: whoever saw one
        finds out from our checkpoint."""
        size = recorded.checkpoint.size
        return tuple(step.hex() for step in self.log.consistency(seen, size)) if seen <= size else ()

    def _parse(self, body: bytes) -> dict[str, Any]:
        return parse_object(body, what="request", limit=self.config.limits.body_bytes)


def _info(premises: Premises) -> dict[str, Any]:
    info = BrokerInfo(
        broker_key=premises.broker_key,
        log_key=premises.log_key,
        software=__version__,
        outside_tee=True,
        notice=OUTSIDE_TEE,
    )
    return sign(info, premises.key)


def _stand(config: BrokerConfig, premises: Premises) -> Desk:
    """Everything decisions rest on, with what changed since last time already in the log."""
    resources = {}
    for entry in config.resources:
        keeper = load_resource(
            entry, store=premises.store, log=premises.log, vault=premises.vault, broker_key=premises.broker_key
        )
        resources[entry.name] = stand(entry, keeper)
    records = standing_records(
        resources.values(), store=premises.store, key=premises.key, at=int(premises.clock.now().timestamp())
    )
    if records:
        premises.journal.submit(records).result()
    return Desk(broker_key=premises.broker_key, policy_epoch=premises.store.policy_epoch(), resources=resources)
