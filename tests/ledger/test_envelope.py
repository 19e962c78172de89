"""The file a receipt is kept in: strict, and its place in the log proven by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from hermetic.errors import Malformed, NotAuthentic
from hermetic.ledger import Checkpoint, Inclusion, ReceiptFile, open_checkpoint, sign_checkpoint, verify_logged
from ledger_support import LOG_KEY, SIGNER
from receipt_support import SALT, attestation, logged, pending_file, receipt


def test_files_come_back_as_they_were_written() -> None:
    placed, _ = logged(pending_file())
    for file in [pending_file(), placed, replace(placed, attestation=None), ReceiptFile(receipt=receipt(), salt=SALT)]:
        assert ReceiptFile.from_bytes(json.dumps(file.to_json())) == file


def test_a_pending_file_has_null_for_its_place() -> None:
    document = pending_file().to_json()
    assert (document["index"], document["inclusion"], document["checkpoint"]) == (None, None, None)


def test_the_report_is_put_beside_it_later() -> None:
    bare = ReceiptFile(receipt=receipt(), salt=SALT)
    assert "attestation" not in bare.to_json()
    assert bare.attested(attestation()) == pending_file()


def test_the_log_holds_what_it_says() -> None:
    placed, log = logged(pending_file())
    assert placed.inclusion is not None
    record = placed.receipt.to_bytes()
    checkpoint = verify_logged(record, salt=SALT, inclusion=placed.inclusion, log_key=LOG_KEY)
    assert checkpoint == log.checkpoint
    shorter = open_checkpoint(
        sign_checkpoint(Checkpoint(origin=SIGNER.name, size=9, root=bytes(32)), SIGNER).note, log_key=LOG_KEY
    )
    lies: list[dict[str, Any]] = [
        {"record": record + b" "},
        {"salt": bytes(32)},
        {"inclusion": replace(placed.inclusion, index=placed.inclusion.index + 1)},
        {"inclusion": replace(placed.inclusion, proof=placed.inclusion.proof[1:])},
        {"inclusion": replace(placed.inclusion, note=shorter.note)},
    ]
    for lie in lies:
        with pytest.raises(NotAuthentic):
            verify_logged(
                lie.get("record", record),
                salt=lie.get("salt", SALT),
                inclusion=lie.get("inclusion", placed.inclusion),
                log_key=LOG_KEY,
            )


def _changed(**changes: Any) -> dict[str, Any]:
    return logged(pending_file())[0].to_json() | changes


@pytest.mark.parametrize(
    "document",
    [
        _changed(index=None),
        _changed(inclusion=None),
        _changed(checkpoint=None),
        _changed(index=-1),
        _changed(index=True),
        _changed(index="3"),
        _changed(index=2**53),
        _changed(inclusion="00"),
        _changed(inclusion=["00" * 31]),
        _changed(inclusion=["00" * 32] * 65),
        _changed(checkpoint=7),
        _changed(checkpoint="\ud800"),
        _changed(salt="00" * 31),
        _changed(salt=None),
        _changed(attestation=None),
        _changed(receipt=None),
        _changed(more=1),
        {"receipt": receipt().to_json()},
        [],
    ],
)
def test_what_is_not_a_receipt_file_is_refused(document: object) -> None:
    with pytest.raises(Malformed):
        ReceiptFile.from_json(document)


def test_a_salt_has_32_bytes() -> None:
    with pytest.raises(Malformed, match="32 bytes"):
        ReceiptFile(receipt=receipt(), salt=b"short", inclusion=Inclusion(index=0, proof=(), note=b""))
