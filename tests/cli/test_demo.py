"""``hermetic demo``, told to its end: nothing in it is scripted to succeed, so that it ends is the test."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from hermetic.cli._model import find_model
from hermetic.errors import Misconfigured
from stack_support import Home

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def model() -> None:
    try:
        find_model()
    except Misconfigured as error:
        pytest.skip(f"the model is not installed: {error.fix}")


def tell(home: Home, folder: Path, *arguments: str | Path) -> str:
    """What it says.  It must succeed, and leave nothing in the temporary folder."""
    folder.mkdir()
    done = home.hermetic("demo", "--fast", *arguments, TMPDIR=str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(folder) == []
    return done.stdout


def test_the_story(home: Home, tmp_path: Path) -> None:
    picture = tmp_path / "last-screen.svg"
    said = tell(home, tmp_path / "tmp", "--svg", picture)
    assert [int(number) for number in re.findall(r"(?m)^─* ?(\d)  [A-Z]", said)] == list(range(1, 9))
    assert said.count("✗ refused") == 4
    assert "SIMULATED" in said
    assert "prompt, answer or API key in them: 0" in said
    assert "in clear nowhere" in said
    assert picture.read_text().startswith("<svg")


def test_every_flipped_bit_is_refused(home: Home, tmp_path: Path) -> None:
    said = tell(home, tmp_path / "tmp", "--tamper")
    assert said.count("✗ refused") == 8
    assert "Nothing was accepted" in said
    rows = re.findall(r"(?m)^ *(program|copy|config|model|evidence|request|answer|receipt) +the \w+ +(\S+)", said)
    assert len(rows) == 8
    codes = dict(rows)
    assert codes["program"] == "policy.program"
    assert codes["config"] == "policy.config"
    assert codes["copy"] == "program_modified"
