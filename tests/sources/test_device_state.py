"""The simulator's folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hermetic.errors import Misconfigured, Unavailable
from hermetic.sources.simulator.state import default_state, open_vendor, reset_state
from snp_support import NOW


def test_the_default_is_in_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    assert default_state() == Path("/somewhere/hermetic/simulator")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_state() == Path.home() / ".local/share/hermetic/simulator"


def test_it_is_made_at_random_kept_private_and_forgotten_on_reset(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    first = open_vendor(folder, now=datetime.now(UTC))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]
    assert open_vendor(folder, now=datetime.now(UTC)).root_digest == first.root_digest
    assert len(reset_state(folder)) == 1
    assert list(folder.iterdir()) == []
    assert reset_state(folder) == reset_state(tmp_path / "absent") == ()


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(Misconfigured, match="chmod 700"):
        open_vendor(tmp_path, now=NOW)


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot be used"):
        open_vendor(tmp_path / "file", now=NOW)
