"""Outputs that appear whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from hermetic.errors import Misconfigured
from hermetic.seal import new_file, new_folder


class Interrupted(BaseException):
    """Something that is not an ordinary error, as Ctrl-C is not."""


def write(fd: int, data: bytes) -> None:
    assert os.write(fd, data) == len(data)


def test_a_file_appears_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with new_file(target) as fd:
        write(fd, b"half")
        assert not target.exists()
    assert target.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_has_its_mode_from_the_start(tmp_path: Path, mode: int) -> None:
    with new_file(tmp_path / "out", mode=mode) as fd:
        assert stat.S_IMODE(os.fstat(fd).st_mode) & ~mode == 0
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) & ~mode == 0


def fail_in_file(target: Path, failure: type[BaseException], *, replace: bool) -> None:
    with new_file(target, replace=replace) as fd:
        write(fd, b"half")
        raise failure


def fail_in_folder(target: Path, failure: type[BaseException], *, replace: bool) -> None:
    with new_folder(target, replace=replace) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a").write_bytes(b"half")
        raise failure


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, Interrupted])
def test_nothing_of_a_failed_file_stays(tmp_path: Path, failure: type[BaseException]) -> None:
    for replace in (False, True):
        if replace:
            (tmp_path / "out").write_bytes(b"before")
        with pytest.raises(failure):
            fail_in_file(tmp_path / "out", failure, replace=replace)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(Misconfigured, match="there already"), new_file(tmp_path / "out"):
        pytest.fail("no work is done for it")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_what_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="there already"), new_file(tmp_path / "out"):
        (tmp_path / "out").write_bytes(b"mine")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_a_link_that_leads_nowhere_counts_as_there(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Misconfigured), new_file(tmp_path / "out"):
        pytest.fail("no work is done for it")
    assert not (tmp_path / "elsewhere").exists()


def test_replacing_is_explicit_and_whole(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"before")
    with new_file(tmp_path / "out", replace=True) as fd:
        write(fd, b"after")
        assert (tmp_path / "out").read_bytes() == b"before"
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"after"]


def test_replacing_a_link_does_not_write_through_it(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "out").symlink_to(tmp_path / "victim")
    with new_file(tmp_path / "out", replace=True) as fd:
        write(fd, b"after")
    assert (tmp_path / "victim").read_bytes() == b"mine"
    assert not (tmp_path / "out").is_symlink()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no folder"), new_file(tmp_path / "no" / "out"):
        pytest.fail("no work is done for it")
    with pytest.raises(Misconfigured, match="no folder"), new_folder(tmp_path / "no" / "out"):
        pytest.fail("no work is done for it")


def test_a_folder_appears_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with new_folder(target) as folder:
        (folder / "a").write_bytes(b"x")
        assert not target.exists()
    assert (target / "a").read_bytes() == b"x"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, Interrupted])
@pytest.mark.parametrize("replace", [False, True])
def test_nothing_of_a_failed_folder_stays(tmp_path: Path, failure: type[BaseException], replace: bool) -> None:
    if replace:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "old").write_bytes(b"before")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(failure):
        fail_in_folder(tmp_path / "out", failure, replace=replace)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(Misconfigured, match="there already"), new_folder(tmp_path / "out"):
        pytest.fail("no work is done for it")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    meanwhile = tmp_path / "out" / "mine"
    with pytest.raises(Misconfigured, match="there already"), new_folder(tmp_path / "out"):
        meanwhile.mkdir(parents=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine"]


@pytest.mark.parametrize("before", ["folder", "file", "link"])
def test_a_folder_replaces_whatever_was_there(tmp_path: Path, before: str) -> None:
    target, victim = tmp_path / "out", tmp_path / "victim"
    victim.mkdir()
    (victim / "mine").write_bytes(b"mine")
    if before == "folder":
        target.mkdir()
        (target / "old").write_bytes(b"old")
    elif before == "file":
        target.write_bytes(b"old")
    else:
        target.symlink_to(victim)
    with new_folder(target, replace=True) as folder:
        (folder / "a").write_bytes(b"x")
    assert [path.name for path in target.iterdir()] == ["a"]
    assert (victim / "mine").read_bytes() == b"mine", "a link's target is not touched"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "victim"]


def test_two_writers_leave_one_whole_file(tmp_path: Path) -> None:
    target, both = tmp_path / "out", threading.Barrier(2)
    refused: list[str] = []

    def writer(data: bytes) -> None:
        try:
            with new_file(target) as fd:
                write(fd, data * 1000)
                both.wait()
        except Misconfigured as error:
            refused.append(error.message)

    threads = [threading.Thread(target=writer, args=(data,)) for data in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert target.read_bytes() in (b"a" * 1000, b"b" * 1000)
    assert list(tmp_path.iterdir()) == [target]
