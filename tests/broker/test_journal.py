"""The journal: durable before it answers, many at once, and one story in database and log whatever happens."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.broker.journal import Journal, Record
from hermetic.broker.store import Store
from hermetic.errors import NotAuthentic, NotReleased, Unavailable
from hermetic.identity import format_ed25519
from hermetic.ledger import FolderDisk, Log, NoteSigner, leaf_commitment, leaf_hash, verify_inclusion
from hermetic.release import Standing, open_signed
from hermetic.wire import parse_object, sha256_digest

SIGNER = NoteSigner.from_seed("log.test.example", bytes(32))
KEY = Ed25519PrivateKey.generate()
BROKER_KEY = format_ed25519(KEY.public_key().public_bytes_raw())


class FailingDisk(FolderDisk):
    """A disk whose writes fail from a moment on."""

    full = False

    def write(self, name: str, offset: int, data: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        super().write(name, offset, data)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "db.sqlite3", make=True)
    yield store
    store.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with Log.create(FolderDisk(tmp_path / "log"), signer=SIGNER) as log:
        yield log


def _receipt(leaf: bytes | None = None) -> Record:
    return Record(leaf=leaf or os.urandom(32), at=1, kind="receipt")


def _standing(also: Callable[[Store, int], None] | None = None) -> Record:
    document = Standing(
        at=5,
        broker_key=BROKER_KEY,
        resource="broker/clinic/triage",
        policy_epoch=1,
        policy_digest=sha256_digest(b"policy"),
        versions=(),
    )
    return Record.of(document, at=5, key=KEY) if also is None else Record.of(document, at=5, key=KEY, also=also)


def test_a_record_is_in_database_and_log_at_one_index(store: Store, log: Log) -> None:
    journal = Journal(store, log)
    record = _standing()
    recorded = journal.submit([_receipt(), record]).result()
    journal.close()
    entry = store.entry(recorded.indexes[1])
    assert entry is not None
    assert entry.document == record.document
    assert entry.salt == record.salt
    assert entry.leaf == leaf_commitment(record.salt or b"", record.document or b"") == log.entry(recorded.indexes[1])
    assert recorded.checkpoint.size == 2
    signed = open_signed(parse_object(record.document or b""), Standing, broker_key=BROKER_KEY)
    assert signed.policy_epoch == 1


def test_two_records_of_one_document_have_unrelated_leaves() -> None:
    assert _standing().leaf != _standing().leaf


def test_what_many_threads_submit_is_placed_once_each_with_proofs(store: Store, log: Log) -> None:
    journal = Journal(store, log)
    records = [_receipt() for _ in range(200)]
    with ThreadPoolExecutor(16) as pool:
        recorded = list(pool.map(lambda record: journal.submit([record]).result(), records))
    journal.close()
    assert sorted(each.indexes[0] for each in recorded) == list(range(200))
    for record, each in zip(records, recorded, strict=True):
        (index,), head = each.indexes, each.checkpoint
        proof = log.inclusion(index, head.size)
        verify_inclusion(leaf=leaf_hash(record.leaf), index=index, size=head.size, proof=proof, root=head.root)


def test_what_waits_together_shares_a_checkpoint(store: Store, log: Log) -> None:
    """Records submitted while the first is being written come out in few batches, not one each."""
    journal = Journal(store, log)
    futures = [journal.submit([_receipt()]) for _ in range(300)]
    sizes = {future.result().checkpoint.size for future in futures}
    journal.close()
    assert len(sizes) < 150


def test_a_leaf_that_is_there_already_keeps_its_place(store: Store, log: Log) -> None:
    journal = Journal(store, log)
    record = _receipt()
    first = journal.submit([record]).result()
    again = journal.submit([_receipt(), record, record]).result()
    only = journal.submit([record]).result()
    journal.close()
    assert first.indexes == (0,)
    assert again.indexes == (1, 0, 0)
    assert only.indexes == (0,)
    assert log.checkpoint.size == store.entry_count() == 2


def test_what_goes_with_a_record_is_in_the_same_transaction(store: Store, log: Log) -> None:
    def also(kept: Store, log_index: int) -> None:
        kept.add_standing(log_index=log_index, resource="r", policy_epoch=3, digest="d")

    journal = Journal(store, log)
    journal.submit([_standing(also)]).result()
    journal.close()
    assert (store.standing("r"), store.policy_epoch()) == ("d", 3)


def test_if_a_row_cannot_be_written_nothing_is_logged_and_nothing_answered_any_more(store: Store, log: Log) -> None:
    def also(_: Store, __: int) -> None:
        raise ValueError("the sky fell")

    journal = Journal(store, log)
    with pytest.raises(Unavailable) as refused:
        journal.submit([_standing(also)]).result()
    assert refused.value.code == "journal_stopped"
    assert not journal.healthy
    with pytest.raises(Unavailable):
        journal.submit([_receipt()]).result()
    journal.close()
    assert store.entry_count() == log.checkpoint.size == 0


def test_a_failed_log_stops_everything_and_the_next_start_completes_it(store: Store, tmp_path: Path) -> None:
    disk = FailingDisk(tmp_path / "log")
    log = Log.create(disk, signer=SIGNER)
    journal = Journal(store, log)
    journal.submit([_receipt()]).result()
    disk.full = True
    lost = _receipt()
    with pytest.raises(Unavailable):
        journal.submit([lost]).result()
    with pytest.raises(Unavailable):
        journal.submit([_receipt()]).result()
    journal.close()
    log.close()
    # The row was durable, the leaf was not: nothing was answered, and nothing is forgotten.
    assert store.entry_count() == 2
    with Log.open(FolderDisk(tmp_path / "log"), signer=SIGNER) as reopened:
        assert reopened.checkpoint.size == 1
        Journal(store, reopened).close()
        assert (reopened.checkpoint.size, reopened.entry(1)) == (2, lost.leaf)


def test_a_log_that_is_longer_than_the_database_is_refused(store: Store, log: Log) -> None:
    log.append([os.urandom(32)])
    with pytest.raises(NotAuthentic) as refused:
        Journal(store, log)
    assert refused.value.code == "rolled_back"


def test_a_log_that_somebody_else_writes_stops_the_journal(store: Store, log: Log) -> None:
    journal = Journal(store, log)
    journal.submit([_receipt()]).result()
    log.append([os.urandom(32)])
    # The journal places by what it sees of the log: its next record goes behind the foreign one, where its own database
    # has a gap that the next start refuses.
    journal.submit([_receipt()]).result()
    journal.close()
    with pytest.raises(NotAuthentic) as refused:
        Journal(store, log)
    assert refused.value.code == "store_corrupt"


def test_closing_writes_what_waits(store: Store, log: Log) -> None:
    journal = Journal(store, log)
    futures = [journal.submit([_receipt()]) for _ in range(50)]
    journal.close()
    assert all(future.done() and future.exception() is None for future in futures)
    assert not journal.healthy
    with pytest.raises(Unavailable):
        journal.submit([_receipt()]).result()


def test_a_guard_refuses_its_own_submission_and_no_other(store: Store, log: Log) -> None:
    def refuse(_: Store) -> None:
        raise NotReleased("changed meanwhile", code="changed")

    journal = Journal(store, log)
    first = journal.submit([_receipt()])
    refused = journal.submit([_receipt(), replace(_receipt(), guard=refuse)])
    last = journal.submit([_receipt()])
    with pytest.raises(NotReleased) as said:
        refused.result(timeout=20)
    assert said.value.code == "changed"
    assert (first.result(timeout=20).indexes, last.result(timeout=20).indexes) == ((0,), (1,))
    journal.close()
    assert store.entry_count() == log.checkpoint.size == 2


def test_a_guard_sees_what_was_written_before_it(store: Store, log: Log) -> None:
    seen: list[int] = []
    journal = Journal(store, log)
    journal.submit([_receipt(), _receipt()])
    journal.submit([replace(_receipt(), guard=lambda store: seen.append(store.entry_count()))]).result(timeout=20)
    journal.close()
    assert seen == [2]
