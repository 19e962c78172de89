"""Files that a command writes: whole or not at all, and never in place of something that is no file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from hermetic.cli._files import save_file
from hermetic.errors import Misconfigured


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    for data in (b"first", b"second"):
        save_file(path, data)
        assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.with_name("target").write_bytes(b"kept")
    path.symlink_to("target")


def dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [pipe, Path.mkdir, link, dangling_link], ids=lambda make: make.__name__)
def test_what_is_no_file_is_left_alone(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "report.json"
    make(path)
    before = path.lstat()
    with pytest.raises(Misconfigured, match="not a regular file"):
        save_file(path, b"data")
    assert path.lstat() == before
    assert {entry.name for entry in tmp_path.iterdir()} <= {"report.json", "target"}
