"""Runs tests against a module with one check deleted: in a forked child, and in its memory only."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from types import CodeType, ModuleType
from typing import Literal

from hypothesis import HealthCheck, settings

from proof.checks.find import Deletion

SECONDS = 180
Verdict = Literal["noticed", "hung", "SURVIVED", "no test"]

PROFILE = "deleted"
settings.register_profile(
    PROFILE, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One deletion, and the tests that might notice it, quickest first."""

    deletion: Deletion
    tests: tuple[str, ...]
    arguments: tuple[str, ...]


class _Loader(SourceFileLoader):
    """Loads the module from code that was made without the check."""

    def __init__(self, deletion: Deletion) -> None:
        super().__init__(deletion.module, str(deletion.path))
        self._code = deletion.compiled()

    def get_code(self, fullname: str) -> CodeType:
        return self._code


class _Finder(MetaPathFinder):
    def __init__(self, deletion: Deletion) -> None:
        self._deletion = deletion

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self._deletion.module:
            return None
        is_package = self._deletion.path.name == "__init__.py"
        return spec_from_file_location(
            fullname,
            self._deletion.path,
            loader=_Loader(self._deletion),
            submodule_search_locations=[str(self._deletion.path.parent)] if is_package else None,
        )


def prepare() -> None:
    """Imports what every trial needs, and forgets Hermetic again: each child imports its own, one module changed."""
    for module in ("lxml.etree", "pytest", "hermetic.cli"):
        import_module(module)
    settings.load_profile(PROFILE)
    for name in [name for name in sys.modules if name.partition(".")[0] == "hermetic"]:
        del sys.modules[name]


def attempt(trial: Trial) -> Verdict:
    """Whether a test notices.  Needs a process in which Hermetic was not imported: see :func:`prepare`."""
    if not trial.tests:
        return "no test"
    child = os.fork()
    if child == 0:
        _become(trial)
    return _wait(child)


def _become(trial: Trial) -> None:
    """The child's whole life."""
    code = 70
    try:
        silence = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silence, descriptor)
        os.setpgid(0, 0)
        sys.meta_path.insert(0, _Finder(trial.deletion))
        import pytest

        code = int(pytest.main(["-x", *trial.arguments, *trial.tests]))
    finally:
        os._exit(code)


def _wait(child: int) -> Verdict:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "SURVIVED" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else "noticed"
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hung"
