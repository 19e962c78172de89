"""The log on disk: what it promises to those who append, read, and open it again."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from hermetic.errors import Malformed, Misconfigured, NotAuthentic, Unavailable
from hermetic.ledger import (
    Checkpoint,
    FolderDisk,
    Log,
    LogReader,
    NoteSigner,
    SignedCheckpoint,
    leaf_hash,
    open_checkpoint,
    sign_checkpoint,
    verify_consistency,
    verify_inclusion,
)
from hermetic.ledger.tiles import bundles_of, parse_bundle, tiles_of
from ledger_support import LOG_KEY, SIGNER, commitment, commitments, leaves, mth


def new_log(folder: Path, entries: int = 0) -> Log:
    log = Log.create(FolderDisk(folder), signer=SIGNER)
    if entries:
        log.append(commitments(0, entries))
    return log


def test_a_new_log_has_a_signed_checkpoint(tmp_path: Path) -> None:
    with new_log(tmp_path / "log") as log:
        assert open_checkpoint(log.checkpoint.note, log_key=LOG_KEY).size == 0


def test_what_is_appended_is_included_and_consistent(tmp_path: Path) -> None:
    seen: list[SignedCheckpoint] = []
    with new_log(tmp_path) as log:
        for batch in [1, 2, 253, 1, 300]:
            start = log.checkpoint.size
            appended = log.append(commitments(start, batch))
            assert appended.first_index == start
            assert appended.checkpoint.size == start + batch
            assert open_checkpoint(appended.checkpoint.note, log_key=LOG_KEY).root == mth(leaves(start + batch))
            seen.append(appended.checkpoint)
        head = log.checkpoint
        for old in seen:
            verify_consistency(
                old_size=old.size,
                old_root=old.root,
                new_size=head.size,
                new_root=head.root,
                proof=log.consistency(old.size, head.size),
            )
            for index in {0, old.size // 2, old.size - 1}:
                assert log.entry(index) == commitment(index)
                verify_inclusion(
                    leaf=leaf_hash(commitment(index)),
                    index=index,
                    size=old.size,
                    proof=log.inclusion(index, old.size),
                    root=old.root,
                )


def test_a_log_goes_on_where_it_was_closed(tmp_path: Path) -> None:
    with new_log(tmp_path, 300) as log:
        before = log.checkpoint
    with Log.open(FolderDisk(tmp_path), signer=SIGNER) as log:
        assert log.checkpoint == before
        assert log.append(commitments(300, 300)).checkpoint.root == mth(leaves(600))


def test_a_log_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    with new_log(tmp_path, 300) as log:
        reader = LogReader.load(FolderDisk(tmp_path), log_key=LOG_KEY)
        log.append(commitments(300, 300))
        assert reader.checkpoint.size == 300
        assert reader.inclusion(7, 300) == log.inclusion(7, 300)
        assert LogReader.load(FolderDisk(tmp_path), log_key=LOG_KEY).checkpoint == log.checkpoint


def test_everything_a_c2sp_client_may_ask_for_is_served(tmp_path: Path) -> None:
    with new_log(tmp_path, 700) as log:
        checkpoint = log.resource("checkpoint")
        assert checkpoint is not None
        assert (checkpoint.content_type, checkpoint.immutable) == ("text/plain; charset=utf-8", False)
        assert checkpoint.body == log.checkpoint.note
        for size in (700, 600, 257, 256, 1):  # partial tiles of every size a checkpoint was signed for
            for tile in tiles_of(size):
                resource = log.resource(tile.path)
                assert resource is not None
                assert (resource.content_type, resource.immutable) == ("application/octet-stream", True)
                assert len(resource.body) == 32 * tile.width
            for bundle in bundles_of(size):
                resource = log.resource(bundle.path)
                assert resource is not None
                first = bundle.index * 256
                assert list(parse_bundle(resource.body, width=bundle.width)) == commitments(first, bundle.width)


@pytest.mark.parametrize(
    "path",
    ["tile/0/002.p/189", "tile/0/003", "tile/0/002", "tile/1/000.p/3", "tile/2/000.p/1", "tile/entries/002", "x", ""],
)
def test_what_the_log_does_not_have_is_not_served(tmp_path: Path, path: str) -> None:
    with new_log(tmp_path, 700) as log:
        assert log.resource(path) is None


def test_proofs_and_entries_beyond_the_log_are_refused(tmp_path: Path) -> None:
    with new_log(tmp_path, 5) as log:
        for index, size in [(5, 5), (0, 6), (-1, 5), (3, 3)]:
            with pytest.raises(Malformed):
                log.inclusion(index, size)
        for old, new in [(3, 6), (4, 3), (-1, 3)]:
            with pytest.raises(Malformed):
                log.consistency(old, new)
        for index in (-1, 5):
            with pytest.raises(Malformed):
                log.entry(index)


@pytest.mark.parametrize("batch", [[], [bytes(31)], [bytes(32), bytes(33)]])
def test_only_leaves_of_32_bytes_are_taken(tmp_path: Path, batch: list[bytes]) -> None:
    with new_log(tmp_path) as log, pytest.raises(Malformed, match="32 bytes"):
        log.append(batch)


def test_one_process_writes(tmp_path: Path) -> None:
    with new_log(tmp_path):
        with pytest.raises(Unavailable) as refusal:
            Log.open(FolderDisk(tmp_path), signer=SIGNER)
        assert refusal.value.code == "log_locked"
    Log.open(FolderDisk(tmp_path), signer=SIGNER).close()


def test_a_log_is_created_once_and_opened_only_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no log"):
        Log.open(FolderDisk(tmp_path / "a"), signer=SIGNER)
    new_log(tmp_path / "a", 3).close()
    with pytest.raises(Misconfigured, match="already holds"):
        Log.create(FolderDisk(tmp_path / "a"), signer=SIGNER)
    (tmp_path / "a" / "checkpoint").unlink()
    for attempt in (Log.create, Log.open):
        with pytest.raises(Misconfigured):
            attempt(FolderDisk(tmp_path / "a"), signer=SIGNER)
    with pytest.raises(Misconfigured, match="no log"):
        LogReader.load(FolderDisk(tmp_path / "b"), log_key=LOG_KEY)


@pytest.mark.parametrize("leftover", [b"", b"half a no", b"x" * 1000])
def test_what_a_crash_left_beside_the_log_does_not_count(tmp_path: Path, leftover: bytes) -> None:
    tmp_path.joinpath("checkpoint.next").write_bytes(leftover)
    new_log(tmp_path, 3).close()
    tmp_path.joinpath("checkpoint.next").write_bytes(leftover)
    with tmp_path.joinpath("entries").open("ab") as entries:
        entries.write(leftover)
    with Log.open(FolderDisk(tmp_path), signer=SIGNER) as log:
        assert not tmp_path.joinpath("checkpoint.next").exists()
        assert log.append(commitments(3, 2)).checkpoint.root == mth(leaves(5))
    Log.open(FolderDisk(tmp_path), signer=SIGNER).close()


def test_a_note_that_was_signed_and_not_put_in_its_place_is(tmp_path: Path) -> None:
    with new_log(tmp_path, 3) as log:
        before = log.checkpoint.note
        after = log.append(commitments(3, 300)).checkpoint
    tmp_path.joinpath("checkpoint").write_bytes(before)
    tmp_path.joinpath("checkpoint.next").write_bytes(after.note)
    with Log.open(FolderDisk(tmp_path), signer=SIGNER) as log:
        assert log.checkpoint == after
    assert tmp_path.joinpath("checkpoint").read_bytes() == after.note


def test_a_log_does_not_open_under_another_key_or_name(tmp_path: Path) -> None:
    new_log(tmp_path, 3).close()
    for other in [
        NoteSigner.from_seed(SIGNER.name, b"\x09" * 32),
        NoteSigner.from_seed("log.example/other", b"\x07" * 32),
    ]:
        with pytest.raises(NotAuthentic):
            Log.open(FolderDisk(tmp_path), signer=other)


def test_a_closed_log_appends_nothing(tmp_path: Path) -> None:
    log = new_log(tmp_path, 1)
    log.close()
    with pytest.raises(Unavailable, match="not writing"):
        log.append([bytes(32)])


def _flip_entry(folder: Path) -> None:
    _flip(folder / "entries", 32 * 600)


def _cut_entries(folder: Path) -> None:
    data = (folder / "entries").read_bytes()
    (folder / "entries").write_bytes(data[:-1])


def _swap_entries(folder: Path) -> None:
    data = (folder / "entries").read_bytes()
    (folder / "entries").write_bytes(data[32 * 699 :] + data[32 : 32 * 699] + data[:32])


def _flip_checkpoint(folder: Path) -> None:
    _flip(folder / "checkpoint", 20)


def _longer_checkpoint(folder: Path) -> None:
    longer = Checkpoint(origin=SIGNER.name, size=701, root=bytes(32))
    (folder / "checkpoint").write_bytes(sign_checkpoint(longer, SIGNER).note)


def _signed_next_without_its_entries(folder: Path) -> None:
    longer = Checkpoint(origin=SIGNER.name, size=701, root=bytes(32))
    (folder / "checkpoint.next").write_bytes(sign_checkpoint(longer, SIGNER).note)


@pytest.mark.parametrize(
    "damage",
    [
        _flip_entry,
        _cut_entries,
        _swap_entries,
        _flip_checkpoint,
        _longer_checkpoint,
        _signed_next_without_its_entries,
    ],
)
def test_a_damaged_log_is_refused_and_left_as_it_is(tmp_path: Path, damage: object) -> None:
    new_log(tmp_path, 700).close()
    assert callable(damage)
    damage(tmp_path)
    (tmp_path / "tiles").unlink()
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises((NotAuthentic, Malformed)):
        Log.open(FolderDisk(tmp_path), signer=SIGNER)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == found


def test_the_cache_of_tile_roots_is_never_believed(tmp_path: Path) -> None:
    with new_log(tmp_path, 700) as log:
        head = log.checkpoint
    for cache in [b"", b"\x00" * 64, b"\x00" * 63, b"\x01" * 640]:
        (tmp_path / "tiles").write_bytes(cache)
        with Log.open(FolderDisk(tmp_path), signer=SIGNER) as log:
            assert log.checkpoint == head
            assert log.append(commitments(700, 1)).checkpoint.root == mth(leaves(701))
        assert (tmp_path / "tiles").read_bytes()[:64] == mth(leaves(256)) + mth(leaves(512)[256:])
        new_entries = (tmp_path / "entries").read_bytes()[: 32 * 700]
        (tmp_path / "entries").write_bytes(new_entries)
        (tmp_path / "checkpoint").write_bytes(head.note)


class FullDisk(FolderDisk):
    """A folder on a disk that fills up at one operation."""

    def __init__(self, folder: Path, operation: str) -> None:
        super().__init__(folder)
        self._operation = operation
        self.full = False

    def write(self, name: str, offset: int, data: bytes) -> None:
        self._fill(f"write {name}")
        super().write(name, offset, data)

    def sync(self, name: str) -> None:
        self._fill(f"sync {name}")
        super().sync(name)

    def rename(self, old: str, new: str) -> None:
        self._fill(f"rename {old}")
        super().rename(old, new)

    def _fill(self, operation: str) -> None:
        if self.full and operation == self._operation:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "operation",
    ["write entries", "sync entries", "write checkpoint.next", "sync checkpoint.next", "rename checkpoint.next"],
)
def test_a_failed_write_stops_the_log_until_it_is_opened_again(tmp_path: Path, operation: str) -> None:
    disk = FullDisk(tmp_path, operation)
    log = Log.create(disk, signer=SIGNER)
    log.append(commitments(0, 3))
    head = log.checkpoint
    disk.full = True
    with pytest.raises(Unavailable) as refusal:
        log.append(commitments(3, 2))
    assert refusal.value.code == "log_disk"
    disk.full = False
    with pytest.raises(Unavailable) as refusal:
        log.append(commitments(3, 2))
    assert refusal.value.code == "log_stopped"
    assert log.checkpoint == head
    assert log.inclusion(0, 3)
    log.close()
    with Log.open(FolderDisk(tmp_path), signer=SIGNER) as again:
        assert again.checkpoint.size in (3, 5)
        assert again.checkpoint.root == mth(leaves(again.checkpoint.size))


def test_many_threads_append_and_read_at_once(tmp_path: Path) -> None:
    log = new_log(tmp_path, 300)
    placed: dict[int, bytes] = {}
    faults: list[BaseException] = []

    def write(number: int) -> None:
        for turn in range(8):
            batch = [commitment(1_000_000 + number * 1000 + turn * 10 + i) for i in range(1 + turn)]
            first = log.append(batch).first_index
            for i, entry in enumerate(batch):
                assert placed.setdefault(first + i, entry) == entry

    def read() -> None:
        for turn in range(60):
            head = log.checkpoint
            index = turn * 7 % head.size
            leaf = leaf_hash(log.entry(index))
            proof = log.inclusion(index, head.size)
            verify_inclusion(leaf=leaf, index=index, size=head.size, proof=proof, root=head.root)

    def guarded(job: object, *arguments: object) -> None:
        try:
            assert callable(job)
            job(*arguments)
        except BaseException as fault:
            faults.append(fault)

    jobs = [threading.Thread(target=guarded, args=(write, number)) for number in range(4)]
    jobs += [threading.Thread(target=guarded, args=(read,)) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert not faults
    assert len(placed) == 4 * 36
    assert sorted(placed) == list(range(300, 300 + 4 * 36))
    assert all(log.entry(index) == entry for index, entry in placed.items())
    log.close()


def _flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
