"""A clock does not run backwards past what was signed, and says so where it cannot tell how late that was."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hermetic.client.clock import FlooredClock
from hermetic.errors import Malformed

LATER = datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_what_was_seen_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    clock = FlooredClock(path)
    assert clock.now() - datetime.now(UTC) < timedelta(seconds=10)
    clock.observe([LATER, LATER - timedelta(days=1)])
    clock.observe([LATER - timedelta(days=1)])
    assert FlooredClock(path).now() == clock.now() == LATER


@pytest.mark.parametrize(
    "document",
    [{}, *({"not_before": value} for value in (None, "7", 2**50, -(2**50), 1e17, 1e300))],
    ids=["nothing", "null", "text", "too late", "too early", "too large for the system", "too large for any"],
)
def test_a_file_that_does_not_say_when(tmp_path: Path, document: object) -> None:
    path = tmp_path / "clock.json"
    path.write_text(json.dumps(document))
    with pytest.raises(Malformed, match="expected not_before") as caught:
        FlooredClock(path)
    assert "remove the file" in caught.value.fix
