"""Power failures at every operation, and kill -9 at any moment: nothing acknowledged is lost, no fork is signed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from hermetic.ledger import FolderDisk, Log, SignedCheckpoint, open_checkpoint
from ledger_support import LOG_KEY, SIGNER, Stopped, VolatileDisk, commitment, leaves, mth

BATCHES = (2, 1, 255, 3)
WRITER = Path(__file__).with_name("writer.py")


def _append_all(log: Log, acknowledged: list[SignedCheckpoint]) -> None:
    for batch in BATCHES:
        start = log.checkpoint.size
        acknowledged.append(log.append([commitment(number) for number in range(start, start + batch)]).checkpoint)


def _run(disk: VolatileDisk, acknowledged: list[SignedCheckpoint]) -> None:
    log = Log.create(disk, signer=SIGNER)
    acknowledged.append(log.checkpoint)
    _append_all(log, acknowledged)


def _operations() -> int:
    disk = VolatileDisk()
    _run(disk, [])
    return disk.operations


def _expect_no_loss_and_no_fork(log: Log, seen: Sequence[SignedCheckpoint]) -> None:
    """Entry n is always ``commitment(n)``, so a root of any size has one right value.

    Appending *other* entries from here on shows a fork of anything that was signed beyond.
    """
    size = log.checkpoint.size
    assert size >= max((checkpoint.size for checkpoint in seen), default=0)
    assert [log.entry(index) for index in range(size)] == [commitment(index) for index in range(size)]
    assert log.checkpoint.root == mth(leaves(size))
    log.append([commitment(-1 - number) for number in range(300)])
    for checkpoint in seen:
        part = [log.entry(index) for index in range(checkpoint.size)]
        assert checkpoint.root == mth(leaves(checkpoint.size))
        assert part == [commitment(index) for index in range(checkpoint.size)]


def _seen(disk: VolatileDisk, acknowledged: Sequence[SignedCheckpoint]) -> list[SignedCheckpoint]:
    """What was acknowledged, and what a reader of the folder could have seen besides."""
    return [*acknowledged, *(open_checkpoint(note, log_key=LOG_KEY) for note in disk.shown)]


def _reopen(disk: VolatileDisk, acknowledged: Sequence[SignedCheckpoint]) -> Log:
    # Who was told that the log was created only ever opens it; before that, creating it again begins the same log.
    if not acknowledged and not disk.size("checkpoint"):
        return Log.create(disk, signer=SIGNER)
    return Log.open(disk, signer=SIGNER)


@pytest.mark.parametrize("fail_before", range(_operations()))
def test_power_fails_before_any_operation(fail_before: int) -> None:
    for seed in range(25):
        disk = VolatileDisk(fail_before=fail_before)
        acknowledged: list[SignedCheckpoint] = []
        with pytest.raises(Stopped):
            _run(disk, acknowledged)
        found = disk.after_power_loss(random.Random(seed))
        _expect_no_loss_and_no_fork(_reopen(found, acknowledged), _seen(found, acknowledged))


@pytest.mark.parametrize("fail_before", range(0, _operations(), 3))
def test_it_fails_again_and_again_while_the_log_is_opened_and_goes_on(fail_before: int) -> None:
    """Kills and power failures in turn; whoever finds the log open may have read its checkpoint."""
    for seed in range(20):
        choose = random.Random(seed)
        disk = VolatileDisk(fail_before=fail_before)
        acknowledged: list[SignedCheckpoint] = []
        with pytest.raises(Stopped):
            _run(disk, acknowledged)
        for _ in range(4):
            killed, fails = choose.random() < 0.5, choose.randrange(20)
            disk = disk.after_kill(fail_before=fails) if killed else disk.after_power_loss(choose, fail_before=fails)
            with suppress(Stopped):
                log = _reopen(disk, acknowledged)
                acknowledged.append(log.checkpoint)
                _append_all(log, acknowledged)
        disk = disk.after_power_loss(choose)
        _expect_no_loss_and_no_fork(_reopen(disk, acknowledged), _seen(disk, acknowledged))


def test_the_disk_of_these_tests_loses_what_was_not_synced() -> None:
    """A control: without syncs the same failures do lose entries."""

    class Careless(VolatileDisk):
        def sync(self, name: str) -> None:
            self._step()

    lost = 0
    for seed in range(25):
        disk = Careless(fail_before=_operations() - 6)
        acknowledged: list[SignedCheckpoint] = []
        with pytest.raises(Stopped):
            _run(disk, acknowledged)
        found = disk.after_power_loss(random.Random(seed))
        lost += found.size("entries") < 32 * acknowledged[-1].size
    assert lost > 0


# Operation of the disk, its file, and which time it happens: the writer is killed right before it.
POINTS = (
    "write entries 1",
    "sync entries 2",
    "write checkpoint.next 1",
    "write checkpoint.next 2",
    "sync checkpoint.next 3",
    "sync_folder . 2",
    "rename checkpoint.next 2",
    "sync_folder . 5",
    "write tiles 4",
    "write entries 3",
)


def _kills() -> Iterator[str]:
    choose = random.Random(20261124)
    yield from POINTS
    for _ in range(15):
        yield f"after {choose.uniform(0.0, 0.25):.4f}"


def test_kill_9_at_25_moments_loses_nothing_and_forks_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    Log.create(FolderDisk(folder), signer=SIGNER).close()
    acknowledged: list[tuple[int, int, SignedCheckpoint]] = []
    for kill in _kills():
        died, lines = _write_until_killed(folder, kill)
        assert died == -signal.SIGKILL
        for line in lines:
            place, number, note = line.split(" ")
            acknowledged.append((int(place), int(number), open_checkpoint(bytes.fromhex(note), log_key=LOG_KEY)))
        with Log.open(FolderDisk(folder), signer=SIGNER) as log:
            entries = [log.entry(index) for index in range(log.checkpoint.size)]
            assert entries == [commitment(index) for index in range(log.checkpoint.size)]
            for first, count, checkpoint in acknowledged:
                assert first + count <= checkpoint.size <= log.checkpoint.size
                assert checkpoint.root == mth(leaves(checkpoint.size))
    assert len(acknowledged) > 25
    assert not (folder / "checkpoint.next").exists()


def _write_until_killed(folder: Path, kill: str) -> tuple[int, list[str]]:
    """Runs a writer until it is dead; the whole lines it said before."""
    environment = {**os.environ, "PYTHONPATH": str(WRITER.parents[1])}
    with subprocess.Popen(
        [sys.executable, str(WRITER), str(folder), kill], stdout=subprocess.PIPE, env=environment, text=True
    ) as writer:
        said, _ = writer.communicate(timeout=60)
    *whole, _ = said.split("\n")
    return writer.returncode, whole
