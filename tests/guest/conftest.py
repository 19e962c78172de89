"""One real copied program for all tests of this folder: ``hermetic[broker]`` on the interpreter that runs."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pytest

from hermetic.guest.installation import Installation
from hermetic.guest.program import Program, materialise, measure_program
from hermetic.guest.tree import Tree


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The running one with a copy of hermetic's code, in which ``hermetic serve`` looks around instead of serving."""
    running = Installation.running()
    snapshot = tmp_path_factory.mktemp("source") / "hermetic"
    shutil.copytree(running.package, snapshot, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).with_name("probe_serve.py"), snapshot / "cli" / "serve.py")
    return dataclasses.replace(running, package=snapshot)


@pytest.fixture(scope="session")
def tree(installation: Installation) -> Tree:
    return measure_program("broker", installation)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def program(tree: Tree, store: Path) -> Program:
    return materialise(tree, store)


@pytest.fixture
def own_copy(program: Program, tmp_path: Path) -> Program:
    """A copy that a test may modify by replacing files (they are links to the shared copy's)."""
    shutil.copytree(program.root, tmp_path / "copy", copy_function=os.link)
    for folder, _, _ in os.walk(tmp_path / "copy"):
        os.chmod(folder, 0o700)
    return dataclasses.replace(program, root=tmp_path / "copy")
