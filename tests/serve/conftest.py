"""One engine, one simulated AMD and one server for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

import broker_support
import serve_support
from hermetic.serve.llama import LlamaEngine
from hermetic.sources.simulator.amd import SimulatedAmd
from serve_support import KEY, KeptLog, Served


@pytest.fixture(scope="session")
def engine() -> Iterator[LlamaEngine]:
    loaded = serve_support.load_engine()
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def amd() -> SimulatedAmd:
    return broker_support.amd()


@pytest.fixture
def log(tmp_path: Path) -> KeptLog:
    folder = tmp_path / "log"
    folder.mkdir()
    return KeptLog(folder)


@pytest.fixture(scope="session")
def served(engine: LlamaEngine, amd: SimulatedAmd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    log = KeptLog(tmp_path_factory.mktemp("log"))
    with Served(engine=engine, amd=amd, log=log, config=serve_support.config()).running() as running:
        yield running


@pytest.fixture
def http(served: Served) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=served.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:
        yield client
