"""Runs tests and notes which checks each of them saw pass and refuse."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proof import ROOT
from proof.coverage.emitted import fold

FOLDERS = ("tests/evidence", "tests/verify", "tests/identity", "tests/policy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """By name of a check: the tests (without parameters) in which it passed, and in which it refused."""

    passed: Mapping[str, tuple[str, ...]]
    refused: Mapping[str, tuple[str, ...]]


class Recorder:
    """A pytest plugin that notes every check and every refusal that is made while a test runs.

    It listens where they are made.  Nothing is replaced: what is made is what would have been made without it.
    """

    def __init__(self) -> None:
        self._test = ""
        self.passed: dict[str, set[str]] = defaultdict(set)
        self.refused: dict[str, set[str]] = defaultdict(set)
        self.failed: set[str] = set()

    def listen(self) -> None:
        """Begins, in a process that is there for nothing else."""
        from hermetic.errors import HermeticError
        from hermetic.verify import Check, Outcome

        make_check, make_error = Check.__init__, HermeticError.__init__

        def check(self_: Check, **fields: Any) -> None:
            make_check(self_, **fields)
            if self_.outcome is not Outcome.NOT_PERFORMED:
                (self.passed if self_.outcome is Outcome.PASS else self.refused)[self_.name].add(self._test)

        def error(self_: HermeticError, *words: Any, **fields: Any) -> None:
            make_error(self_, *words, **fields)
            self.refused[self_.code].add(self._test)

        for kind, method in ((Check, check), (HermeticError, error)):
            setattr(kind, "__init__", method)  # noqa: B010 - a class's method, which mypy rightly does not let be assigned

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self._test = item.nodeid.partition("[")[0].removeprefix("tests/")
        yield
        self._test = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid.partition("[")[0].removeprefix("tests/"))


def seen() -> Seen:
    """Runs the tests of :data:`FOLDERS` in a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "seen.json"
        subprocess.run([sys.executable, "-m", "proof.coverage.refusals", str(kept)], check=True, cwd=ROOT)
        found = json.loads(kept.read_text(encoding="utf-8"))
    return Seen(passed=_folded(found["passed"]), refused=_folded(found["refused"]))


def _folded(found: Mapping[str, list[str]]) -> Mapping[str, tuple[str, ...]]:
    tests: dict[str, set[str]] = defaultdict(set)
    for name, names in found.items():
        tests[fold(name)].update(names)
    return {name: tuple(sorted(names)) for name, names in sorted(tests.items())}


def _main(kept: Path) -> None:
    recorder = Recorder()
    recorder.listen()
    folders = [folder for folder in FOLDERS if (ROOT / folder).is_dir()]
    # Tests that flip bits see every check refuse, and would stand beside each as its test.
    others = ("--ignore-glob=*_mutants.py", "-k", "not bit and not splice and not truncation")
    pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", "--noconftest", *others, *folders], plugins=[recorder])
    kept.write_text(
        json.dumps(
            {
                which: {name: sorted(tests - recorder.failed - {""}) for name, tests in sorted(found.items())}
                for which, found in (("passed", recorder.passed), ("refused", recorder.refused))
            }
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
