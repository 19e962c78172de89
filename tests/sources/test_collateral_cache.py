"""The disk cache: what is whole is found again, what is not is as good as none, and nothing in it can crash anybody."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collateral_support import answer, day, needs_root
from hermetic.errors import Misconfigured, Unavailable
from hermetic.sources.collateral import Period
from hermetic.sources.collateral.cache import Entry, FolderCache, MemoryCache
from hermetic.sources.collateral.question import Request
from hermetic.sources.collateral.timed import Deadline

REQUEST = Request(url="https://vendor.example/document", largest=100)
ENTRY = Entry(answer=answer(b"a document\nof two lines", chain="abc"), fetched_at=day(1))
PERIOD = Period(first=day(0), last=day(2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def kept(folder: Path) -> FolderCache:
    cache = FolderCache(folder)
    cache.store(REQUEST, ENTRY, PERIOD)
    return cache


def file_of_request(folder: Path) -> Path:
    return folder / f"{REQUEST.key}.collateral"


def file_of(folder: Path) -> Path:
    (file,) = folder.glob("*.collateral")
    return file


def test_what_was_kept_is_found_by_another_process(kept: FolderCache, folder: Path) -> None:
    assert FolderCache(folder).load(REQUEST) == ENTRY


def test_an_entry_says_where_and_when_and_until_when(kept: FolderCache, folder: Path) -> None:
    head = json.loads(file_of(folder).read_bytes().partition(b"\n")[0])
    assert head["url"] == REQUEST.url
    assert (head["fetched_at"], head["holds_until"]) == (day(1).isoformat(), day(2).isoformat())


def test_only_its_owner_may_look_into_the_cache(kept: FolderCache, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file_of(folder).stat().st_mode) == 0o600


def test_a_newer_answer_replaces_the_older_and_leaves_nothing_behind(kept: FolderCache, folder: Path) -> None:
    newer = Entry(answer=answer(b"newer"), fetched_at=day(2))
    kept.store(REQUEST, newer, PERIOD)
    assert kept.load(REQUEST) == newer
    assert [path.suffix for path in folder.iterdir()] == [".collateral"]


@pytest.mark.parametrize(
    "other",
    [
        Request(url="https://vendor.example/documents", largest=100),
        Request(url=REQUEST.url, largest=100, body=b"a question"),
    ],
    ids=["another address", "another question"],
)
def test_other_requests_have_other_names(kept: FolderCache, other: Request) -> None:
    assert other.key != REQUEST.key
    assert kept.load(other) is None


def test_an_entry_moved_to_another_name_is_none(kept: FolderCache, folder: Path) -> None:
    other = Request(url="https://vendor.example/other", largest=100)
    file_of(folder).rename(folder / f"{other.key}.collateral")
    assert kept.load(other) is None


def test_an_entry_cut_anywhere_is_none(kept: FolderCache, folder: Path) -> None:
    file = file_of(folder)
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert kept.load(REQUEST) is None
    file.write_bytes(whole + b"x")
    assert kept.load(REQUEST) is None


def test_no_flipped_bit_of_the_content_goes_unnoticed(kept: FolderCache, folder: Path) -> None:
    file = file_of(folder)
    whole = file.read_bytes()
    for at in range(whole.index(b"\n") + 1, len(whole)):
        for bit in range(8):
            file.write_bytes(whole[:at] + bytes((whole[at] ^ 1 << bit,)) + whole[at + 1 :])
            assert kept.load(REQUEST) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"fetched_at": "2026-01-02T00:00:00"},
        {"fetched_at": "yesterday"},
        {"fetched_at": 1},
        {"headers": ["chain"]},
        {"headers": {"chain": 1}},
        {"url": "https://elsewhere.example/document"},
        {"sha256": "sha256:00"},
    ],
    ids=["no zone", "no date", "a number", "a list", "no text", "elsewhere", "another digest"],
)
def test_a_head_that_is_not_exact_makes_the_entry_none(
    kept: FolderCache, folder: Path, changes: dict[str, object]
) -> None:
    file = file_of(folder)
    head, _, content = file.read_bytes().partition(b"\n")
    for change in ({}, changes):
        file.write_bytes(json.dumps(json.loads(head) | change).encode() + b"\n" + content)
        assert (kept.load(REQUEST) is None) == bool(change)


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_nothing_in_a_cache_raises(kept: FolderCache, folder: Path, junk: bytes) -> None:
    file_of(folder).write_bytes(junk)
    assert kept.load(REQUEST) is None


def test_an_entry_larger_than_an_answer_may_be_is_none(kept: FolderCache, folder: Path) -> None:
    assert kept.load(Request(url=REQUEST.url, largest=23)) == ENTRY
    assert kept.load(Request(url=REQUEST.url, largest=22)) is None


def test_a_folder_in_the_place_of_an_entry_is_none(folder: Path) -> None:
    cache = FolderCache(folder)
    (folder / f"{REQUEST.key}.collateral").mkdir()
    assert cache.load(REQUEST) is None
    cache.store(REQUEST, ENTRY, PERIOD)  # and nothing is kept, which is no failure of who asks
    assert cache.load(REQUEST) is None


def test_a_link_in_the_place_of_an_entry_is_none(kept: FolderCache, folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    file_of(folder).rename(elsewhere)
    file_of_request(folder).symlink_to(elsewhere)
    assert kept.load(REQUEST) is None
    file_of_request(folder).unlink()
    elsewhere.rename(file_of_request(folder))
    assert kept.load(REQUEST) == ENTRY


def test_a_pipe_in_the_place_of_an_entry_is_none_and_not_waited_for(kept: FolderCache, folder: Path) -> None:
    entry = file_of(folder).read_bytes()
    file_of(folder).unlink()
    os.mkfifo(file_of_request(folder))
    loaded: list[Entry | None] = []
    thread = threading.Thread(target=lambda: loaded.append(kept.load(REQUEST)), daemon=True)
    thread.start()
    thread.join(20)
    assert loaded == [None]
    pipe = os.open(file_of_request(folder), os.O_RDWR)
    os.write(pipe, entry)
    assert kept.load(REQUEST) is None, "not even if an entry comes through it"
    os.close(pipe)


def test_a_folder_that_is_deleted_meanwhile_keeps_nothing_and_loses_nobody_s_answer(
    kept: FolderCache, folder: Path
) -> None:
    shutil.rmtree(folder)
    with kept.lock(REQUEST, Deadline(0)):
        kept.store(REQUEST, ENTRY, PERIOD)
    assert kept.load(REQUEST) is None


@needs_root
def test_a_cache_of_another_user_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    FolderCache(folder)
    os.chown(folder, 12345, 12345)
    with pytest.raises(Misconfigured, match="belongs to user 12345"):
        FolderCache(folder)


@pytest.mark.parametrize(("mode", "fine"), [(0o700, True), (0o755, True), (0o775, False), (0o707, False)])
def test_a_cache_that_others_may_write_to_is_refused(folder: Path, mode: int, fine: bool) -> None:
    folder.mkdir()
    folder.chmod(mode)
    if fine:
        FolderCache(folder)
        return
    with pytest.raises(Misconfigured, match="others may write"):
        FolderCache(folder)


def test_a_cache_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Misconfigured, match="cannot be used"):
        FolderCache(tmp_path / "file" / "cache")


def test_a_cache_lies_in_the_user_s_cache_folder_unless_told_otherwise() -> None:
    ask = "from hermetic.sources.collateral import default_cache; print(default_cache())"
    for configured, expected in (("/a/cache", "/a/cache"), ("relative", "/home/me/.cache"), ("", "/home/me/.cache")):
        environment = {"HOME": "/home/me", "XDG_CACHE_HOME": configured, "PYTHONPATH": ":".join(sys.path)}
        said = subprocess.run([sys.executable, "-c", ask], env=environment, check=True, capture_output=True, text=True)
        assert said.stdout == f"{expected}/hermetic/collateral\n"


# One process at a time

_HOLDER = """
import sys
from pathlib import Path
from hermetic.sources.collateral.cache import FolderCache
from hermetic.sources.collateral.timed import Deadline
from hermetic.sources.collateral.question import Request
with FolderCache(Path(sys.argv[1])).lock(Request(url=sys.argv[2], largest=100), Deadline(20)):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_waits_for_its_turn(folder: Path) -> None:
    cache, other = FolderCache(folder), Request(url="https://vendor.example/other", largest=100)
    command = [sys.executable, "-c", _HOLDER, str(folder), REQUEST.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Unavailable, match="another process is still fetching"), cache.lock(REQUEST, Deadline(0)):
            pass
        with cache.lock(other, Deadline(0)):  # another document is nobody's business
            pass
        holder.kill()
        holder.wait()
        with cache.lock(REQUEST, Deadline(20)):  # the system gave it back
            pass


def test_a_cache_that_cannot_be_locked_still_serves(kept: FolderCache, folder: Path) -> None:
    (folder / f"{REQUEST.key}.lock").mkdir()  # as unusable as a file in a folder that can only be read
    with kept.lock(REQUEST, Deadline(0)):
        assert kept.load(REQUEST) == ENTRY


def test_a_lock_that_is_a_link_is_not_followed(kept: FolderCache, folder: Path, tmp_path: Path) -> None:
    (folder / f"{REQUEST.key}.lock").symlink_to(tmp_path / "elsewhere")
    with kept.lock(REQUEST, Deadline(0)):
        assert kept.load(REQUEST) == ENTRY
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP], ids=["ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks_still_serves(folder: Path, number: int) -> None:
    def flock(descriptor: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    cache = FolderCache(folder, flock=flock)
    with cache.lock(REQUEST, Deadline(0)):
        cache.store(REQUEST, ENTRY, PERIOD)
    assert cache.load(REQUEST) == ENTRY


def test_a_system_without_locks_still_serves(folder: Path) -> None:
    cache = FolderCache(folder, flock=None)
    with cache.lock(REQUEST, Deadline(0)), cache.lock(REQUEST, Deadline(0)):
        cache.store(REQUEST, ENTRY, PERIOD)
    assert [path.suffix for path in folder.iterdir()] == [".collateral"]


def test_memory_keeps_the_last_few_hundred() -> None:
    cache = MemoryCache()
    requests = [Request(url=f"https://vendor.example/{n}", largest=100) for n in range(300)]
    for request in requests:
        with cache.lock(request, Deadline(0)):
            cache.store(request, ENTRY, PERIOD)
    found = [request for request in requests if cache.load(request) == ENTRY]
    assert found == requests[-256:]
