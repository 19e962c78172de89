"""The workload's side of key release: challenge → attest → release → file keys, and receipts into the log.

    with BrokerClient(url, broker_key=launch.broker_key) as broker:
        released = broker.release(attester, wants, release_key=release_key)
        released.file_keys[0]                       # of the first want, in the order of its headers
        broker.append(leaves, signer=signer)        # once a key was granted

Pinning the broker's key is enough: the log's key comes in a document that it signed.  Nothing is believed that the
broker did not sign, nothing released that is not in its log, and the log may never take back what it showed before.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.channel.kem import XWingPrivateKey
from hermetic.client.broker_http import BrokerHttp
from hermetic.errors import ChannelBroken, Malformed, NotAuthentic, Refused
from hermetic.identity import AttestationReport, Attester, Purpose
from hermetic.ledger import Inclusion, Pinned, SignedCheckpoint, VerifierKey, open_checkpoint, verify_logged
from hermetic.ledger.merkle import leaf_hash, verify_inclusion
from hermetic.release import (
    BrokerInfo,
    Challenge,
    Decision,
    FileKeys,
    Grant,
    LeavesAnswer,
    LeavesRequest,
    ReleaseRequest,
    Terms,
    Want,
    context_digest,
    convert,
    open_box,
    open_signed,
)
from hermetic.seal import parse_header, verify_mac
from hermetic.wire import Digest, b64decode, canonical, sha256_digest, unhex

__all__ = ["BrokerClient", "LeafSigner", "Released"]

_TIMEOUT = 15.0  # seconds
_NO_SIGNATURE = "00" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafSigner:
    """A receipt key of a keyset that was granted a key: it vouches for the leaves that the workload appends."""

    keyset_digest: Digest
    key_id: str
    private_key: Ed25519PrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """File keys, and the broker's word about them.

    ``decision`` is what the broker signed; ``receipt`` the JSON to keep: the signed decision with its proof of being in
    the log, ``{"receipt", "salt", "index", "inclusion", "checkpoint"}``.  It holds no key.
    """

    file_keys: FileKeys
    decision: Decision
    receipt: Mapping[str, Any] = field(repr=False)


class BrokerClient:
    """One broker, by its pinned key.  Blocking; one request at a time, from any thread.

    ``log_key`` may be pinned too (a C2SP verifier key).  ``seen`` is what was seen of its log before.
    """

    def __init__(
        self,
        url: str,
        *,
        broker_key: str,
        log_key: str | None = None,
        seen: Pinned | None = None,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._http = BrokerHttp(url, timeout=timeout)
        self._broker_key = broker_key
        self._log_key = log_key
        self._verifier: VerifierKey | None = None
        self._seen = seen
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @property
    def seen(self) -> Pinned | None:
        """The newest checkpoint of the log that this client has seen, to hand to the next one."""
        return self._seen

    def info(self) -> BrokerInfo:
        """Who the broker says it is, signed by its key.  Raises NotAuthentic, Malformed or Unavailable."""
        info = open_signed(self._http.get("/v1/info"), BrokerInfo, broker_key=self._broker_key)
        _same_broker(info.broker_key, self._broker_key)
        if self._log_key is not None and info.log_key != self._log_key:
            raise NotAuthentic(f"expected the log {self._log_key}, got {info.log_key}", code="log_key")
        return info

    def release(self, attester: Attester, wants: Sequence[Want], *, release_key: XWingPrivateKey) -> Released:
        """The file keys of every header in ``wants``, or none.

        ``release_key`` is the private half of the keyset's release key.  Raises NotReleased where the broker says no,
        NotAuthentic where the answer is not the pinned broker's or not in its log, ChannelBroken where the keys are not
        those of the headers, Unavailable where nobody answers.
        """
        wants = tuple(wants)
        with self._lock:
            # 1. A challenge that the pinned broker signed.
            challenge = open_signed(self._http.post("/v1/challenge"), Challenge, broker_key=self._broker_key)
            _same_broker(challenge.broker_key, self._broker_key)
            # 2. Evidence for it, about exactly these wants from this broker.
            report = attester.attest(
                purpose=Purpose.RELEASE,
                nonce=unhex(challenge.nonce, what="nonce", length=32),
                context_digest=context_digest(self._broker_key, wants),
            )
            grant = self._ask_for_grant(challenge, report, wants)
            # 3. The broker signed that decision, about this exchange.
            decision = open_signed(grant.receipt, Decision, broker_key=self._broker_key)
            _about_this_exchange(decision, challenge, report, wants)
            # 4. It is in the log, and the log continues what was seen of it.
            self._require_logged(grant)
        # 5. The box is the one that the broker signed for, and holds the keys of these very headers.
        file_keys = _file_keys(grant, decision, wants, release_key)
        kept = {name: getattr(grant, name) for name in ("receipt", "salt", "index", "checkpoint")}
        return Released(file_keys=file_keys, decision=decision, receipt={**kept, "inclusion": list(grant.inclusion)})

    def append(self, leaves: Sequence[bytes], *, signer: LeafSigner) -> tuple[Inclusion, ...]:
        """Puts leaves (32 bytes each) into the broker's log and returns where each one lies, verified.

        Appending a leaf again changes nothing and returns its place.  Raises NotReleased where the keyset may not
        append, NotAuthentic where a proof does not hold, Unavailable where nobody answers.
        """
        with self._lock:
            request = self._leaves_request(leaves, signer)
            answer = convert(
                self._http.post("/v1/log/leaves", msgspec.json.encode(request)), LeavesAnswer, what="leaves"
            )
            if len(answer.leaves) != len(leaves):
                raise Malformed(f"expected the places of {len(leaves)} leaves, got {len(answer.leaves)}")
            checkpoint = open_checkpoint(answer.checkpoint.encode(), log_key=self._log_verifier())
            places = tuple(_inclusion(place.index, place.inclusion, answer.checkpoint) for place in answer.leaves)
            for leaf, place in zip(leaves, places, strict=True):
                verify_inclusion(
                    leaf=leaf_hash(leaf),
                    index=place.index,
                    size=checkpoint.size,
                    proof=place.proof,
                    root=checkpoint.root,
                )
            self._advance(checkpoint, answer.consistency)
            return places

    # --- requests -----------------------------------------------------------------------------------------------------

    def _ask_for_grant(self, challenge: Challenge, report: AttestationReport, wants: tuple[Want, ...]) -> Grant:
        request = ReleaseRequest(
            challenge_id=challenge.challenge_id, log_size=self._log_size(), report=report.to_json(), wants=wants
        )
        return convert(self._http.post("/v1/release", msgspec.json.encode(request)), Grant, what="grant")

    def _leaves_request(self, leaves: Sequence[bytes], signer: LeafSigner) -> LeavesRequest:
        unsigned = LeavesRequest(
            log_size=self._log_size(),
            keyset_digest=signer.keyset_digest,
            key_id=signer.key_id,
            leaves=tuple(leaf.hex() for leaf in leaves),
            signature=_NO_SIGNATURE,
        )
        signature = signer.private_key.sign(unsigned.signed_bytes(self._broker_key))
        return msgspec.structs.replace(unsigned, signature=signature.hex())

    # --- the log ------------------------------------------------------------------------------------------------------

    def _log_verifier(self) -> VerifierKey:
        if self._verifier is None:
            self._verifier = VerifierKey.parse(self.info().log_key)
        return self._verifier

    def _require_logged(self, grant: Grant) -> None:
        checkpoint = verify_logged(
            canonical(grant.receipt),
            salt=unhex(grant.salt, what="salt", length=32),
            inclusion=_inclusion(grant.index, grant.inclusion, grant.checkpoint),
            log_key=self._log_verifier(),
        )
        self._advance(checkpoint, grant.consistency)

    def _log_size(self) -> int:
        return 0 if self._seen is None else self._seen.newest.size

    def _advance(self, checkpoint: SignedCheckpoint, consistency: Sequence[str]) -> None:
        """Raises NotAuthentic (``log_rollback``, ``log_fork``) unless the log only grew."""
        proof = tuple(unhex(step, what="consistency", length=32) for step in consistency)
        self._seen = Pinned.first(checkpoint) if self._seen is None else self._seen.advance(checkpoint, proof)


def _file_keys(grant: Grant, decision: Decision, wants: tuple[Want, ...], release_key: XWingPrivateKey) -> FileKeys:
    box = b64decode(grant.box, what="box")
    if decision.box_digest != sha256_digest(box):
        raise NotAuthentic("the box is not the one that the broker signed for", code="box_digest")
    terms = Terms(
        broker_key=decision.broker_key,
        challenge_id=decision.challenge_id,
        decision_id=decision.decision_id,
        keyset_digest=Digest(decision.keyset_digest),
        launch_digest=Digest(decision.launch_digest),
        wants=wants,
    )
    keys = open_box(box, release_key, terms=terms)
    for want, group in zip(wants, keys, strict=True):
        for header, key in zip(want.header_bytes(), group, strict=True):
            try:
                verify_mac(parse_header(header), key)
            except Refused:
                raise ChannelBroken("a file key is not that of its header") from None
    return keys


def _about_this_exchange(
    decision: Decision, challenge: Challenge, report: AttestationReport, wants: tuple[Want, ...]
) -> None:
    """A decision about anybody or anything else, however well signed, is not ours."""
    binding = report.binding
    expected = (
        "granted",
        challenge.challenge_id,
        report.digest,
        binding.keyset_digest,
        binding.launch_digest,
        [(want.resource, want.version, tuple(map(sha256_digest, want.header_bytes()))) for want in wants],
    )
    got = (
        decision.outcome,
        decision.challenge_id,
        decision.report_digest,
        decision.keyset_digest,
        decision.launch_digest,
        [(want.resource, want.version, want.headers) for want in decision.wants],
    )
    if expected != got:
        raise NotAuthentic("the broker's decision is about another exchange", code="decision")


def _same_broker(got: str, expected: str) -> None:
    if got != expected:
        raise NotAuthentic(f"expected the broker {expected}, got {got}", code="broker_key")


def _inclusion(index: int, proof: Sequence[str], checkpoint: str) -> Inclusion:
    steps = tuple(unhex(step, what="inclusion", length=32) for step in proof)
    return Inclusion(index=index, proof=steps, note=checkpoint.encode())
