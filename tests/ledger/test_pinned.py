"""What a client remembers of a log: it only goes forward, along one history, under one key."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from hermetic.errors import Malformed, Misconfigured, NotAuthentic
from hermetic.ledger import Log, NoteSigner, Pinned, PinnedCheckpoints, SignedCheckpoint
from ledger_support import LOG_KEY, SIGNER, VolatileDisk, admit_checkpoints, commitments


class History:
    """One log, and every checkpoint it had."""

    def __init__(self, signer: NoteSigner = SIGNER, *, first_entry: int = 0) -> None:
        self.log = Log.create(VolatileDisk(), signer=signer)
        self.at = {0: self.log.checkpoint}
        for start in range(0, 40, 5):
            self.log.append(commitments(first_entry + start, 5))
            self.at[start + 5] = self.log.checkpoint

    def proof(self, old: int, new: int) -> tuple[bytes, ...]:
        return self.log.consistency(old, new)


TRUE = History()
FORK = History(first_entry=1000)


def test_a_pin_advances_along_proofs() -> None:
    pinned = Pinned.first(TRUE.at[5])
    pinned = pinned.advance(TRUE.at[15], TRUE.proof(5, 15))
    pinned = pinned.advance(TRUE.at[15])
    pinned = pinned.advance(TRUE.at[40], TRUE.proof(15, 40))
    assert pinned.newest == TRUE.at[40]
    assert dict(pinned.earlier) == {5: TRUE.at[5].root, 15: TRUE.at[15].root}
    assert [pinned.recognises(TRUE.at[size]) for size in (5, 10, 15, 40)] == [True, False, True, True]


def test_an_older_checkpoint_is_admitted_with_its_proof() -> None:
    pinned = Pinned.first(TRUE.at[40])
    assert not pinned.recognises(TRUE.at[10])
    assert pinned.admit(TRUE.at[10], TRUE.proof(10, 40)).recognises(TRUE.at[10])


def test_a_log_that_goes_back_is_refused() -> None:
    with pytest.raises(NotAuthentic) as refusal:
        Pinned.first(TRUE.at[15]).advance(TRUE.at[10], TRUE.proof(10, 15))
    assert refusal.value.code == "log_rollback"
    assert "15" in refusal.value.message
    assert "10" in refusal.value.message


@pytest.mark.parametrize(
    ("checkpoint", "proof"),
    [
        (FORK.at[15], ()),  # as long, another root
        (FORK.at[20], FORK.proof(15, 20)),
        (FORK.at[20], TRUE.proof(15, 20)),
        (TRUE.at[20], FORK.proof(15, 20)),
        (TRUE.at[20], ()),
        (TRUE.at[20], TRUE.proof(10, 20)),
        (TRUE.at[15], TRUE.proof(10, 15)),  # nothing to prove, and yet a proof
    ],
)
def test_a_history_that_does_not_continue_is_refused(checkpoint: SignedCheckpoint, proof: tuple[bytes, ...]) -> None:
    with pytest.raises(NotAuthentic) as refusal:
        Pinned.first(TRUE.at[15]).advance(checkpoint, proof)
    assert refusal.value.code == "log_fork"


def test_a_fork_is_neither_admitted_nor_recognised() -> None:
    pinned = Pinned.first(TRUE.at[15]).advance(TRUE.at[40], TRUE.proof(15, 40))
    with pytest.raises(NotAuthentic, match="more than one history"):
        pinned.admit(FORK.at[10], FORK.proof(10, 40))
    for size in (15, 40):
        with pytest.raises(NotAuthentic, match="more than one history"):
            pinned.recognises(FORK.at[size])


def test_another_log_has_another_pin() -> None:
    other = History(NoteSigner.from_seed("log.example/other", b"\x07" * 32))
    pinned = Pinned.first(TRUE.at[15])
    with pytest.raises(NotAuthentic, match="expected a checkpoint of"):
        pinned.advance(other.at[20], TRUE.proof(15, 20))
    with pytest.raises(NotAuthentic, match="expected a checkpoint of"):
        pinned.admit(other.at[10], TRUE.proof(10, 15))
    with pytest.raises(NotAuthentic, match="expected a checkpoint of"):
        pinned.recognises(other.at[15])


def test_the_file_remembers(tmp_path: Path) -> None:
    store = PinnedCheckpoints(tmp_path / "made" / "checkpoints.json")
    assert store.get(LOG_KEY) is None
    assert store.keys() == {}
    store.advance(TRUE.at[5])
    store.advance(TRUE.at[15], TRUE.proof(5, 15))
    store.admit(TRUE.at[10], TRUE.proof(10, 15))
    again = PinnedCheckpoints(tmp_path / "made" / "checkpoints.json")
    pinned = again.get(LOG_KEY)
    assert pinned is not None
    assert pinned.newest == TRUE.at[15]
    assert set(pinned.earlier) == {5, 10}
    assert again.keys() == {SIGNER.name: LOG_KEY}
    assert [path.name for path in (tmp_path / "made").iterdir() if path.name.startswith(".")] == []


def test_a_refusal_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.json"
    store = PinnedCheckpoints(path)
    store.advance(TRUE.at[15])
    before = path.read_bytes()
    attempts: list[Callable[[], object]] = [
        lambda: store.advance(FORK.at[20], FORK.proof(15, 20)),
        lambda: store.advance(TRUE.at[10]),
        lambda: store.admit(FORK.at[10], FORK.proof(10, 15)),
    ]
    for attempt in attempts:
        with pytest.raises(NotAuthentic):
            attempt()
        assert path.read_bytes() == before


def test_what_cannot_be_kept_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.json").mkdir()
    for path in (tmp_path / "file" / "checkpoints.json", tmp_path / "folder.json"):
        with pytest.raises(Misconfigured, match="cannot keep checkpoints"):
            PinnedCheckpoints(path).advance(TRUE.at[15])


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "checkpoints.json"
    PinnedCheckpoints(path).advance(TRUE.at[15])
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, limits[1]))
    try:
        with pytest.raises(Misconfigured, match="cannot keep checkpoints"):
            PinnedCheckpoints(path).advance(TRUE.at[20], TRUE.proof(15, 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"checkpoints.json", "checkpoints.json.lock"}


def test_logs_are_kept_apart(tmp_path: Path) -> None:
    other = NoteSigner.from_seed("log.example/other", b"\x09" * 32)
    store = PinnedCheckpoints(tmp_path / "checkpoints.json")
    store.advance(TRUE.at[15])
    store.advance(History(other).at[5])
    assert store.get(LOG_KEY) == Pinned.first(TRUE.at[15])
    assert store.keys() == {SIGNER.name: LOG_KEY, other.name: other.verifier}


def test_a_log_that_comes_with_another_key_is_refused(tmp_path: Path) -> None:
    imposter = NoteSigner.from_seed(SIGNER.name, b"\x09" * 32)
    store = PinnedCheckpoints(tmp_path / "checkpoints.json")
    store.advance(TRUE.at[15])
    with pytest.raises(NotAuthentic) as refusal:
        store.advance(History(imposter).at[20], TRUE.proof(15, 20))
    assert refusal.value.code == "log_key_changed"
    with pytest.raises(NotAuthentic):
        store.get(imposter.verifier)


def test_nothing_is_admitted_of_a_log_never_seen(tmp_path: Path) -> None:
    with pytest.raises(NotAuthentic, match="nothing is kept"):
        PinnedCheckpoints(tmp_path / "checkpoints.json").admit(TRUE.at[10], ())


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: {"newest": entry["newest"]},
        lambda entry: entry | {"newest": 7},
        lambda entry: entry | {"newest": entry["newest"].replace("15", "16", 1)},
        lambda entry: entry | {"earlier": []},
        lambda entry: entry | {"earlier": {"five": "00" * 32}},
        lambda entry: entry | {"earlier": {"5": "00"}},
        lambda entry: "entry",
    ],
)
def test_a_damaged_file_is_refused_not_forgotten(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "checkpoints.json"
    store = PinnedCheckpoints(path)
    store.advance(TRUE.at[15])
    document = json.loads(path.read_bytes())
    assert callable(damage)
    path.write_text(json.dumps({SIGNER.name: damage(document[SIGNER.name])}), encoding="utf-8")
    with pytest.raises((Malformed, NotAuthentic)):
        store.get(LOG_KEY)
    with pytest.raises((Malformed, NotAuthentic)):
        store.advance(TRUE.at[20], TRUE.proof(15, 20))


def test_two_processes_do_not_undo_each_other(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.json"
    log = Log.create(VolatileDisk(), signer=SIGNER)
    PinnedCheckpoints(path).advance(log.append(commitments(0, 60)).checkpoint)
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    processes = [
        context.Process(target=admit_checkpoints, args=(path, range(first, 59, 2), together)) for first in (1, 2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    pinned = PinnedCheckpoints(path).get(LOG_KEY)
    assert pinned is not None
    assert set(pinned.earlier) == set(range(1, 59))
