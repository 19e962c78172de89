"""Which tests execute which lines: recorded once per folder of tests, with coverage.py's contexts."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import coverage
from proof import ROOT, STATE
from proof.checks.trial import PROFILE

ARGUMENTS = ("-q", "-p", "no:cacheprovider", "--timeout=120", "-W", "ignore::DeprecationWarning")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """``tests`` are those that passed, with their seconds; ``executed`` says which of them ran a line of a file."""

    tests: tuple[tuple[str, float], ...]
    executed: dict[str, dict[int, tuple[int, ...]]]

    def covering(self, path: Path, lines: Iterable[int]) -> list[tuple[str, float]]:
        """The tests that execute one of ``lines``, quickest first; without lines, every test that executes the file."""
        recorded = self.executed.get(str(path.relative_to(ROOT)), {})
        wanted = set(lines) or recorded.keys()
        numbers = {number for line in wanted for number in recorded.get(line, ())}
        if not lines:
            numbers |= set(range(len(self.tests)))
        return sorted((self.tests[number] for number in numbers), key=lambda test: (test[1], test[0]))


class Recorder:
    """A pytest plugin that tells coverage which test is running."""

    def __init__(self, cover: coverage.Coverage) -> None:
        self._cover = cover
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self._cover.switch_context(item.nodeid)
        start = time.perf_counter()
        yield
        self.seconds[item.nodeid] = time.perf_counter() - start
        self._cover.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.failed.add(report.nodeid)


def arguments(folder: str) -> list[str]:
    """pytest's arguments for tests of ``folder``.

    The whole stack, which tests/conftest.py brings, is left out where no test needs it: importing it takes longer than
    most tests.
    """
    return [*ARGUMENTS, *([] if (ROOT / folder / "conftest.py").exists() else ["--noconftest"])]


@cache
def record(package: str, folder: str) -> Lines:
    """The lines of ``package`` that the tests of ``folder`` execute: as recorded before, if nothing changed since."""
    kept = STATE / "lines" / f"{package}-{folder.replace('/', '-')}-{_digest(package, folder)}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "proof.checks.lines", package, folder, str(kept)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    found = json.loads(kept.read_text(encoding="utf-8"))
    executed = {
        file: {int(line): tuple(numbers) for line, numbers in lines.items()} for file, lines in found["lines"].items()
    }
    return Lines(tests=tuple((name, seconds) for name, seconds in found["tests"]), executed=executed)


def _digest(package: str, folder: str) -> str:
    top = ROOT / "src" / Path(*package.split(".")[:2])
    files = [*top.rglob("*.py"), *(ROOT / folder).rglob("*.py"), *(ROOT / "tests").glob("*.py")]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _record(package: str, folder: str, kept: Path) -> None:
    settings.load_profile(PROFILE)  # generated examples are those of the trials: what is recorded will be executed
    cover = coverage.Coverage(data_file=None, source_pkgs=[package], config_file=False)
    recorder = Recorder(cover)
    cover.start()
    ended = pytest.main([*arguments(folder), folder], plugins=[recorder])
    cover.stop()
    if ended not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SystemExit(f"{folder} could not be run: {ended!r}")
    names = [name for name in recorder.seconds if name not in recorder.failed]
    found = {"tests": [(name, recorder.seconds[name]) for name in names], "lines": _lines(cover, names)}
    kept.write_text(json.dumps(found), encoding="utf-8")


def _lines(cover: coverage.Coverage, names: Sequence[str]) -> dict[str, dict[int, list[int]]]:
    numbers, data = {name: number for number, name in enumerate(names)}, cover.get_data()
    return {
        os.path.relpath(file, ROOT): {
            line: sorted(numbers[context] for context in contexts if context in numbers)
            for line, contexts in data.contexts_by_lineno(file).items()
        }
        for file in sorted(data.measured_files())
    }


if __name__ == "__main__":
    _record(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
