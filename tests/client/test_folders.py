"""Where a client remembers things: a folder that nobody else writes to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from collateral_support import needs_root
from hermetic.client.folders import state_folder
from hermetic.errors import Misconfigured


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "a" / "state"
    monkeypatch.setenv("HERMETIC_STATE", str(folder))
    return folder


def test_a_state_folder_is_made_for_its_owner_alone(state: Path) -> None:
    assert state_folder() == state
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


@pytest.mark.parametrize(("mode", "fine"), [(0o755, True), (0o770, False), (0o777, False), (0o1777, False)])
def test_a_state_folder_that_others_may_write_to_is_refused(state: Path, mode: int, fine: bool) -> None:
    state_folder().chmod(mode)
    if fine:
        assert state_folder() == state
        return
    with pytest.raises(Misconfigured, match="others may write to the state folder") as refusal:
        state_folder()
    assert refusal.value.fix == f"chmod 700 {state}"


@needs_root
def test_a_state_folder_of_another_user_is_refused(state: Path) -> None:
    os.chown(state_folder(), 12345, -1)
    with pytest.raises(Misconfigured, match=r"belongs to user 12345, and this program runs as 0"):
        state_folder()


def test_a_state_folder_that_cannot_be_made_is_refused(state: Path) -> None:
    state.parent.write_bytes(b"")
    with pytest.raises(Misconfigured, match=r"the state folder .* cannot be used"):
        state_folder()
