"""Examining a receipt: each check by itself fails on its own lie, and nothing that was left out passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from attested_support import policy
from hermetic.ledger import (
    Event,
    EventType,
    Inclusion,
    NoteSigner,
    Pinned,
    ReceiptFile,
    conclude,
    examine,
    exchange_events,
)
from hermetic.verify import Check, Outcome
from hermetic.wire import sha256_digest
from identity_support import keyset, launch
from ledger_support import LOG_KEY
from receipt_support import (
    REQUEST,
    RESPONSE,
    SALT,
    accepting_policy,
    claims,
    logged,
    pending_file,
    receipt,
    workload_keyset,
)

OTHER = sha256_digest(b"other")


def outcomes(file: ReceiptFile, **changes: Any) -> dict[str, Outcome]:
    return {check.name: check.outcome for check in checks(file, **changes)}


def checks(file: ReceiptFile, **changes: Any) -> tuple[Check, ...]:
    everything: dict[str, Any] = {
        "claims": claims(),
        "policy": accepting_policy(),
        "request": REQUEST,
        "response": RESPONSE,
        "log_key": LOG_KEY,
    }
    if file.inclusion is not None and "pinned" not in changes:
        everything["pinned"] = _pinned()
    return examine(file, **(everything | changes))


def _pinned() -> Pinned:
    return Pinned.first(logged(pending_file())[1].checkpoint)


def placed(**changes: Any) -> ReceiptFile:
    return logged(pending_file(**changes))[0]


def only(outcome: Outcome, file: ReceiptFile, **changes: Any) -> set[str]:
    return {name for name, found in outcomes(file, **changes).items() if found is outcome}


def test_with_everything_at_hand_everything_holds() -> None:
    found = outcomes(placed())
    assert set(found.values()) == {Outcome.PASS}
    assert {name for name in found if name.startswith(("receipt.", "log."))} == {
        "receipt.keyset",
        "receipt.signature",
        "receipt.time",
        "receipt.request",
        "receipt.response",
        "receipt.launch",
        "receipt.model",
        "log.checkpoint",
        "log.inclusion",
        "log.consistency",
    }
    assert {"policy.program", "snp.signature"} <= found.keys()
    assert conclude(checks(placed())) is Outcome.PASS


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"request": REQUEST + b" "}, {"receipt.request"}),
        ({"response": RESPONSE[:-1]}, {"receipt.response"}),
        ({"manifest": OTHER}, {"receipt.model"}),
        ({"log_key": NoteSigner.from_seed(LOG_KEY.name, bytes(32)).verifier}, {"log.checkpoint"}),
        ({"policy": policy(launch(program_digest=OTHER))}, {"policy.program"}),
    ],
)
def test_what_does_not_match_fails_by_name(changes: dict[str, Any], failed: set[str]) -> None:
    assert only(Outcome.FAIL, placed(), **changes) == failed
    assert conclude(checks(placed(), **changes)) is Outcome.FAIL


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"private_key": Ed25519PrivateKey.generate()}, {"receipt.signature"}),
        ({"key_id": "ehbp"}, {"receipt.signature"}),
        ({"workload_keyset_digest": OTHER}, {"receipt.keyset"}),
        ({"served_at": workload_keyset().not_after + 1}, {"receipt.time"}),
    ],
)
def test_a_receipt_signed_otherwise_fails_by_name(changes: dict[str, Any], failed: set[str]) -> None:
    # Each of these is another record, so the log of the genuine one does not hold it: place it in a log of its own.
    file, log = logged(pending_file(**changes))
    assert only(Outcome.FAIL, file, pinned=Pinned.first(log.checkpoint)) == failed


@pytest.mark.parametrize(("name", "failed"), [("manifest", "receipt.model"), ("launch", "receipt.launch")])
def test_a_receipt_of_another_model_or_launch_fails_by_name(name: str, failed: str) -> None:
    document = launch()
    digests: dict[str, Any] = {
        "request": sha256_digest(REQUEST),
        "forwarded": sha256_digest(REQUEST),
        "response": sha256_digest(RESPONSE),
        "manifest": document.models[0].manifest_digest,
        "launch": document.digest,
        "prompt_tokens": 1,
        "completion_tokens": 1,
    }
    file, log = logged(pending_file(events=exchange_events(**(digests | {name: OTHER}))))
    assert only(Outcome.FAIL, file, pinned=Pinned.first(log.checkpoint)) == {failed}


def test_a_receipt_that_was_changed_is_no_longer_in_the_log() -> None:
    file = placed()
    other = replace(file, receipt=replace(file.receipt, model="another"))
    assert only(Outcome.FAIL, other) == {"receipt.signature", "log.inclusion"}
    assert only(Outcome.FAIL, replace(file, salt=bytes(32))) == {"log.inclusion"}


def test_a_wrong_place_in_the_log_fails() -> None:
    file = placed()
    assert file.inclusion is not None
    proof = file.inclusion.proof
    wrong = [
        replace(file.inclusion, index=file.inclusion.index - 1),
        replace(file.inclusion, proof=proof[:-1]),
        replace(file.inclusion, proof=(bytes(32), *proof[1:])),
    ]
    for inclusion in wrong:
        assert only(Outcome.FAIL, file.logged(inclusion)) == {"log.inclusion"}
        assert only(Outcome.FAIL, file.logged(inclusion), log_key=None) == {"log.inclusion"}


def test_a_pending_receipt_is_never_proven() -> None:
    assert only(Outcome.NOT_PERFORMED, pending_file()) == {"log.checkpoint", "log.inclusion", "log.consistency"}
    assert conclude(checks(pending_file())) is Outcome.NOT_PERFORMED
    assert "pending" in next(check.got for check in checks(pending_file()) if check.name == "log.inclusion")


@pytest.mark.parametrize(
    ("changes", "open_questions"),
    [
        ({"policy": None}, {"receipt.holder"}),
        ({"claims": None}, {"receipt.holder"}),
        ({"request": None}, {"receipt.request"}),
        ({"response": None}, {"receipt.response"}),
        ({"pinned": None}, {"log.consistency"}),
        ({"log_key": None}, {"log.checkpoint", "log.inclusion", "log.consistency"}),
    ],
)
def test_what_was_not_given_is_not_performed_and_never_proven(
    changes: dict[str, Any], open_questions: set[str]
) -> None:
    assert only(Outcome.NOT_PERFORMED, placed(), **changes) == open_questions
    assert only(Outcome.FAIL, placed(), **changes) == set()
    assert conclude(checks(placed(), **changes)) is Outcome.NOT_PERFORMED


def test_without_a_report_nothing_is_said_of_the_signature() -> None:
    bare = replace(placed(), attestation=None)
    assert only(Outcome.NOT_PERFORMED, bare, claims=None) == {
        "receipt.holder",
        "receipt.keyset",
        "receipt.signature",
        "receipt.time",
        "receipt.launch",
        "receipt.model",
    }


def test_signature_only_says_so() -> None:
    found = checks(placed(), policy=None)
    holder = next(check for check in found if check.name == "receipt.holder")
    assert holder.got == "signature only: nobody checked who holds the signing key"
    assert next(check for check in found if check.name == "receipt.signature").outcome is Outcome.PASS


def test_claims_of_another_workload_do_not_vouch_for_the_signature() -> None:
    other = replace(claims(), keyset=keyset(not_after=workload_keyset().not_after))
    assert only(Outcome.FAIL, placed(), claims=other) == {"receipt.keyset", "receipt.signature"}


def test_an_event_that_nobody_knows_leaves_the_receipt_incomplete() -> None:
    events = (*receipt().events, Event(type="other.thing", fields={}))
    file, log = logged(pending_file(events=events))
    assert only(Outcome.NOT_PERFORMED, file, pinned=Pinned.first(log.checkpoint)) == {"receipt.events"}


def test_a_receipt_that_does_not_say_is_incomplete() -> None:
    events = [Event(type=EventType.REQUEST_RECEIVED, fields={"body_hash": sha256_digest(REQUEST)})]
    file, log = logged(pending_file(events=events))
    unsaid = {"receipt.response", "receipt.launch", "receipt.model"}
    assert only(Outcome.NOT_PERFORMED, file, pinned=Pinned.first(log.checkpoint)) == unsaid


def test_a_log_that_shows_another_history_fails() -> None:
    file, _ = logged(pending_file())
    _, fork = logged(pending_file(receipt_id="rcpt-2"))
    assert only(Outcome.FAIL, file, pinned=Pinned.first(fork.checkpoint)) == {"log.consistency"}


def test_a_checkpoint_of_unknown_size_is_not_performed() -> None:
    file, log = logged(pending_file())
    log.append([bytes(32)])
    assert only(Outcome.NOT_PERFORMED, file, pinned=Pinned.first(log.checkpoint)) == {"log.consistency"}


def test_without_the_log_key_what_is_no_checkpoint_still_fails() -> None:
    file = ReceiptFile(receipt=receipt(), salt=SALT, inclusion=Inclusion(index=0, proof=(), note=b"nonsense"))
    assert "log.inclusion" in only(Outcome.FAIL, file, log_key=None)


def test_no_checks_prove_nothing() -> None:
    assert conclude([]) is Outcome.NOT_PERFORMED
