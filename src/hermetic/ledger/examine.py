"""Examining a kept receipt: a list of named checks, all of them made, each passed, failed or not performed.

Nothing is raised for a check that fails, because whoever disputes a receipt needs to see all of them;
:func:`hermetic.ledger.conclude` draws the conclusion.  A check is *not performed* where something to hold against the
receipt is missing (a body, a policy, the log's key, its place in the log), and that is never a pass.
"""

from __future__ import annotations

from collections.abc import Iterator

from hermetic.errors import NotAuthentic, Refused
from hermetic.identity import Claims, Keyset, LaunchDocument
from hermetic.ledger.checkpoint import SignedCheckpoint, open_checkpoint, parse_checkpoint
from hermetic.ledger.envelope import Inclusion, ReceiptFile
from hermetic.ledger.merkle import leaf_hash, verify_inclusion
from hermetic.ledger.note import VerifierKey, parse_note
from hermetic.ledger.pinned import Pinned
from hermetic.ledger.question import Question
from hermetic.ledger.receipt import EventType, Receipt, verify_receipt
from hermetic.policy import Policy, review
from hermetic.verify import Check, Outcome
from hermetic.wire import Digest, sha256_digest

__all__ = ["examine"]

_RECEIPTS = "protocols: receipts"
_LOG = "c2sp: tlog-checkpoint, tlog-tiles"

_HOLDER = Question(
    name="receipt.holder", title="A workload that our policy accepts holds the signing key", section=_RECEIPTS
)
_KEYSET = Question(name="receipt.keyset", title="The receipt names the workload's keyset", section=_RECEIPTS)
_SIGNATURE = Question(name="receipt.signature", title="A key of that keyset signed it", section=_RECEIPTS)
_TIME = Question(name="receipt.time", title="The keys were alive by the workload's clock", section=_RECEIPTS)
_REQUEST = Question(name="receipt.request", title="It is about this request", section=_RECEIPTS)
_RESPONSE = Question(name="receipt.response", title="It is about this response", section=_RECEIPTS)
_EVENTS = Question(name="receipt.events", title="We know every type of event in it", section=_RECEIPTS)
_LAUNCH = Question(name="receipt.launch", title="It comes from the launch that was attested", section=_RECEIPTS)
_MODEL = Question(name="receipt.model", title="The model is one we know by its manifest", section=_RECEIPTS)
_CHECKPOINT = Question(name="log.checkpoint", title="The log's key signed the checkpoint", section=_LOG)
_INCLUSION = Question(name="log.inclusion", title="The log holds the receipt's commitment", section=_LOG)
_CONSISTENCY = Question(name="log.consistency", title="The log's history is the one we saw before", section=_LOG)


def examine(
    file: ReceiptFile,
    *,
    claims: Claims | None = None,
    policy: Policy | None = None,
    request: bytes | None = None,
    response: bytes | None = None,
    manifest: Digest | None = None,
    log_key: VerifierKey | None = None,
    pinned: Pinned | None = None,
) -> tuple[Check, ...]:
    """Every check that can be made of ``file`` with what is given, in the order a person reads them.

    ``claims``: what :func:`hermetic.identity.verify_report` made of the workload's report; without them, or without
    ``policy``, nobody has checked who holds the signing key.  ``request`` and ``response``: the exact plaintext bytes
    that were sent and received.  ``manifest``: the model's manifest digest, where it is known from elsewhere than the
    launch document.  ``pinned``: what was seen of the log before.
    """
    report = claims or file.attestation
    return (
        *_holder(claims, policy),
        *_signature(file.receipt, report.keyset if report else None),
        *_content(file.receipt, request, response),
        *_workload(file.receipt, report.launch if report else None, manifest),
        *_logged(file, log_key, pinned),
    )


def _holder(claims: Claims | None, policy: Policy | None) -> Iterator[Check]:
    if claims is None or policy is None:
        yield _HOLDER.unanswered(
            expected="the workload's report, accepted by a policy",
            got="signature only: nobody checked who holds the signing key",
            fix="give --policy, and a receipt that was saved with its attestation report",
        )
        return
    # A kept report answers somebody's nonce at some time.  Before one talks to a workload that matters, because an old
    # report could hide that the key has moved.  Here it does not: the key belonged to this workload when the report was
    # made, and never leaves it.
    yield from (check for check in review(claims, policy) if check.name != "binding.nonce")


def _signature(receipt: Receipt, keyset: Keyset | None) -> Iterator[Check]:
    if keyset is None:
        for question in (_KEYSET, _SIGNATURE, _TIME):
            yield question.unanswered(
                expected="a keyset", got="none", fix="save the receipt together with the attestation report"
            )
        return
    yield _KEYSET.equal(expected=keyset.digest, got=receipt.workload_keyset_digest)
    keys = {key.key_id: key.public_key for key in keyset.receipt_signing_keys}
    yield _SIGNATURE.attempt(
        lambda: verify_receipt(receipt, keys=keys),
        expected=f"one of {', '.join(sorted(keys)) or 'no keys'}",
        got=receipt.key_id,
    )
    yield _TIME.judge(
        receipt.served_at <= keyset.not_after, expected=f"at most {keyset.not_after}", got=str(receipt.served_at)
    )


def _content(receipt: Receipt, request: bytes | None, response: bytes | None) -> Iterator[Check]:
    yield _body(_REQUEST, receipt.digest(EventType.REQUEST_RECEIVED), request)
    yield _body(_RESPONSE, receipt.digest(EventType.RESPONSE_RETURNED), response)
    if receipt.unknown_events:
        yield _EVENTS.unanswered(
            expected="types that this version knows",
            got=", ".join(receipt.unknown_events),
            fix="a newer version may know what they say",
        )


def _body(question: Question, signed: Digest | None, body: bytes | None) -> Check:
    if signed is None:
        return question.unanswered(expected="the digest of a body", got="the receipt does not say")
    if body is None:
        fix = "give the exact bytes: --request and --response"
        return question.unanswered(expected=signed, got="no bytes to compare", fix=fix)
    return question.equal(expected=sha256_digest(body), got=signed)


def _workload(receipt: Receipt, launch: LaunchDocument | None, manifest: Digest | None) -> Iterator[Check]:
    launches = [launch.digest] if launch else []
    yield _one_of(_LAUNCH, launches, receipt.digest(EventType.LAUNCH))
    measured = [model.manifest_digest for model in launch.models] if launch else []
    yield _one_of(_MODEL, [manifest] if manifest else measured, receipt.digest(EventType.MODEL))


def _one_of(question: Question, known: list[Digest], signed: Digest | None) -> Check:
    expected = " or ".join(known)
    if not known or signed is None:
        return question.unanswered(
            expected=expected or "a digest known from elsewhere", got=signed or "the receipt does not say"
        )
    return question.judge(signed in known, expected=expected, got=signed)


def _logged(file: ReceiptFile, log_key: VerifierKey | None, pinned: Pinned | None) -> Iterator[Check]:
    if file.inclusion is None:
        for question in (_CHECKPOINT, _INCLUSION, _CONSISTENCY):
            yield question.unanswered(
                expected="a place in the log",
                got="pending: the log has not taken it in",
                fix="receipts are logged within a second or so: fetch it again",
            )
        return
    if log_key is None:
        yield from _under_an_unknown_key(file, file.inclusion)
        return
    try:
        checkpoint = open_checkpoint(file.inclusion.note, log_key=log_key)
    except Refused as error:
        yield _CHECKPOINT.refused(error, expected=str(log_key))
        for question in (_INCLUSION, _CONSISTENCY):
            yield question.unanswered(expected="a checkpoint that holds", got="none")
        return
    yield _CHECKPOINT.judge(True, expected=str(log_key), got=str(checkpoint.checkpoint))
    yield _included(file, file.inclusion, checkpoint.size, checkpoint.root)
    yield _consistent(checkpoint, pinned)


def _under_an_unknown_key(file: ReceiptFile, inclusion: Inclusion) -> Iterator[Check]:
    """Without the log's key a wrong path still fails; a right one shows only that somebody could make it."""
    yield _CHECKPOINT.unanswered(
        expected="the log's key", got="no key given", fix="give --log-key, or run hermetic log verify once with it"
    )
    try:
        claimed = parse_checkpoint(parse_note(inclusion.note).text)
    except Refused as error:
        yield _INCLUSION.refused(error, expected="a checkpoint")
    else:
        found = _included(file, inclusion, claimed.size, claimed.root)
        yield (
            _INCLUSION.unanswered(expected="a verified checkpoint", got="its root, which nobody verified")
            if found.outcome is Outcome.PASS
            else found
        )
    yield _CONSISTENCY.unanswered(expected="a verified checkpoint", got="none")


def _included(file: ReceiptFile, inclusion: Inclusion, size: int, root: bytes) -> Check:
    leaf = leaf_hash(file.commitment)
    return _INCLUSION.attempt(
        lambda: verify_inclusion(leaf=leaf, index=inclusion.index, size=size, proof=inclusion.proof, root=root),
        expected=f"a path to root {root.hex()}",
        got=f"entry {inclusion.index} of {size}",
    )


def _consistent(checkpoint: SignedCheckpoint, pinned: Pinned | None) -> Check:
    if pinned is None:
        expected, got = "a checkpoint seen before", "none of this log was seen"
    else:
        expected, got = str(pinned.newest.checkpoint), f"nothing is known of size {checkpoint.size}"
        try:
            if pinned.recognises(checkpoint):
                return _CONSISTENCY.judge(True, expected=expected, got=str(checkpoint.checkpoint))
        except NotAuthentic as error:
            return _CONSISTENCY.refused(error, expected=expected)
    return _CONSISTENCY.unanswered(
        expected=expected, got=got, fix="give --log URL: it reads the log and ties this checkpoint to the newest"
    )
