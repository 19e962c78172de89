"""A workload that signs receipts on a simulated machine, a log that takes them in, and a policy that wants them."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from attested_support import NOT_AFTER, NOW, policy, report
from hermetic.identity import ED25519, AttestationReport, Claims, Keyset, PublicKey, Purpose, verify_report
from hermetic.ledger import Inclusion, Log, Receipt, ReceiptFile, exchange_events, sign_receipt
from hermetic.policy import Policy
from hermetic.wire import sha256_digest
from identity_support import keyset, launch
from ledger_support import SIGNER, VolatileDisk, commitments

RECEIPT_KEY = Ed25519PrivateKey.from_private_bytes(b"\x0a" * 32)
KEY_ID = "receipt-1"
REQUEST = b'{"messages":[{"content":"hi","role":"user"}],"model":"toy"}'
RESPONSE = b'data: {"choices":[]}\n\ndata: [DONE]\n\n'
SALT = hashlib.sha256(b"salt").digest()
SERVED_AT = int(NOW.timestamp()) + 60


def workload_keyset(**changes: Any) -> Keyset:
    """The workload's keyset: its receipt key is RECEIPT_KEY."""
    public = RECEIPT_KEY.public_key().public_bytes_raw()
    signing = (PublicKey(key_id=KEY_ID, algo=ED25519, public_key=public),)
    return keyset(**({"receipt_signing_keys": signing, "not_after": NOT_AFTER} | changes))


def receipt(**changes: Any) -> Receipt:
    """A genuine receipt for REQUEST and RESPONSE; ``changes`` are what the workload itself would sign otherwise."""
    document = launch()
    events = exchange_events(
        request=sha256_digest(REQUEST),
        forwarded=sha256_digest(REQUEST),
        response=sha256_digest(RESPONSE),
        manifest=document.models[0].manifest_digest,
        launch=document.digest,
        policy=sha256_digest(b"the vendor's policy"),
        prompt_tokens=3,
        completion_tokens=5,
    )
    fields: dict[str, Any] = {
        "receipt_id": "rcpt-1",
        "chat_id": "chatcmpl-1",
        "model": "toy",
        "workload_keyset_digest": workload_keyset().digest,
        "endpoint": "/v1/chat/completions",
        "method": "POST",
        "served_at": SERVED_AT,
        "events": events,
        "key_id": KEY_ID,
        "private_key": RECEIPT_KEY,
    }
    return sign_receipt(**(fields | changes))


@cache
def attestation() -> AttestationReport:
    """The report of the workload that signs these receipts."""
    return report(keys=workload_keyset())


@cache
def accepting_policy() -> Policy:
    """A policy that wants that workload, simulated as it is."""
    return policy()


@cache
def claims() -> Claims:
    """What the report says, verified later, without a nonce of one's own."""
    roots = accepting_policy().roots(allow_simulated=True)
    return verify_report(attestation(), roots=roots, now=NOW, purpose=Purpose.SESSION, nonce=None)


def pending_file(**changes: Any) -> ReceiptFile:
    """A receipt that no log has taken in yet."""
    return ReceiptFile(receipt=receipt(**changes), salt=SALT, attestation=attestation())


def logged(file: ReceiptFile, *, before: int = 300, after: int = 5) -> tuple[ReceiptFile, Log]:
    """``file`` with its place in a new log, among ``before`` and ``after`` other entries."""
    log = Log.create(VolatileDisk(), signer=SIGNER)
    log.append(commitments(0, before))
    placed = log.append([file.commitment]).first_index
    head = log.append(commitments(before, after)).checkpoint
    proof = log.inclusion(placed, head.size)
    return file.logged(Inclusion(index=placed, proof=proof, note=head.note)), log
