"""A real ``hermetic up`` for tests that stand outside it: started, spoken to and stopped as a person would.

``stack`` is one for the whole run of a process (with xdist, of each worker); ``starting`` makes others.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from hermetic.cli._model import find_model
from hermetic.errors import Misconfigured

T = TypeVar("T")
HERMETIC = (sys.executable, "-m", "hermetic")
PATIENCE = 240.0
"""Seconds for anything that a loaded machine may do slowly.  No test says how fast something is."""


@dataclass(frozen=True, kw_only=True)
class Home:
    """Where the commands of one person keep what they remember: nothing is shared with who runs the tests."""

    folder: Path
    programs: Path = field(repr=False)
    """XDG_CACHE_HOME: laying out a program copy is slow, so all stacks of a run share them."""

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HERMETIC_")}
        return inherited | {
            "HERMETIC_STATE": str(self.folder / "state"),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "XDG_CACHE_HOME": str(self.programs),
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }

    def hermetic(self, *arguments: str | Path, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, ``typed`` being its input."""
        return subprocess.run(
            [*HERMETIC, *map(str, arguments)],
            env=self.environment | variables,
            input=typed,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


@dataclass(frozen=True, kw_only=True)
class Up:
    """A running ``hermetic up`` and what it announced."""

    home: Home
    folder: Path
    process: subprocess.Popen[str] = field(repr=False)
    url: str
    broker_url: str
    policy: Path
    api_key: str = field(repr=False)
    model: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def server_toml(self) -> Path:
        return self.folder / "server.toml"

    @property
    def broker_toml(self) -> Path:
        return self.folder / "broker.toml"

    @property
    def log_key(self) -> str:
        """The transparency log's, as its keeper configured it."""
        return str(tomllib.loads(self.server_toml.read_text())["broker"]["log_key"])

    @property
    def log(self) -> Path:
        """What broker and server wrote."""
        return self.folder / "log.jsonl"

    @property
    def accepted(self) -> tuple[str | Path, ...]:
        """The arguments with which a stranger's command accepts this server."""
        return "--policy", self.policy, "--allow-simulated"

    def hermetic(self, *arguments: str | Path, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """A command of whoever ran ``hermetic up``."""
        return self.home.hermetic(*arguments, typed=typed, **variables)


def ports() -> tuple[int, int]:
    """Two that nobody listens on, below the range out of which outgoing connections take theirs."""
    found: list[int] = []
    while len(found) < 2:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            if port not in found and probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found[0], found[1]


@contextmanager
def starting(home: Home, folder: Path, *arguments: str, at: tuple[int, int] | None = None) -> Iterator[Up]:
    """``hermetic up`` in ``folder`` with further ``arguments``, on ports of its own; skips where the model is missing.

    It is stopped as a person's Ctrl-C or a service manager would, must then say that all went well, and must leave no
    process behind.
    """
    try:
        find_model()
    except Misconfigured as error:
        pytest.skip(f"the model is not installed: {error.fix}")
    port, broker_port = at or ports()
    folder.mkdir(parents=True, exist_ok=True)
    said = folder / "up-said.txt"
    with said.open("w") as stderr:
        process = subprocess.Popen(
            [
                *HERMETIC,
                "up",
                "--json",
                "--dir",
                folder,
                "--port",
                str(port),
                "--broker-port",
                str(broker_port),
                *arguments,
            ],
            env=home.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert process.stdout is not None
    with process.stdout:
        try:
            announced = _announced(process.stdout.readline(), said)
            started = descendants(process.pid)
            yield Up(home=home, folder=folder, process=process, **announced)
        finally:
            code = _stop(process)
    assert code == 0, said.read_text()
    assert len(started) >= 2  # the broker and the server
    assert not [pid for pid in started if alive(pid)]


def _stop(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(PATIENCE)
    finally:
        process.kill()


def _announced(line: str, said: Path) -> dict[str, Any]:
    assert line, said.read_text()
    fields = json.loads(line)
    return {**fields, "policy": Path(fields["policy"])}


def descendants(pid: int) -> set[int]:
    """The processes below ``pid``, whichever of its threads started them."""
    found: set[int] = set()
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, _read(children).split()):
            found |= {child} | descendants(child)
    return found


def alive(pid: int) -> bool:
    """Whether it still runs; one that ended and was not waited for does not."""
    state = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return bool(state) and state[0] != "Z"


def command_line(pid: int) -> list[str]:
    return _read(Path(f"/proc/{pid}/cmdline")).split("\0")


def _read(path: Path) -> str:
    """What the kernel says of a process; nothing once it is gone."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def eventually(read: Callable[[], T], *, until: Callable[[T], bool]) -> T:
    """What ``read()`` gives once ``until`` of it is true."""
    deadline = time.monotonic() + PATIENCE
    while not until(got := read()):
        assert time.monotonic() < deadline, got
        time.sleep(0.05)
    return got


def answers(url: str) -> None:
    """Returns once somebody listens at ``url``."""
    place = ("127.0.0.1", int(url.rpartition(":")[2]))

    def knock() -> int:
        with socket.socket() as probe:
            return probe.connect_ex(place)

    eventually(knock, until=lambda code: code == 0)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return Home(folder=tmp_path_factory.mktemp("home"), programs=shared / "programs")


@pytest.fixture(scope="session")
def stack(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with starting(home, tmp_path_factory.mktemp("up")) as up:
        yield up


@pytest.fixture
def stranger(home: Home, tmp_path: Path) -> Home:
    """Somebody who has run no ``hermetic up`` and remembers nothing."""
    return replace(home, folder=tmp_path / "stranger")
