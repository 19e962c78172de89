"""The whole life of a server: keys, evidence, the model's key, the model in memory, answers, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn
import uvloop

from hermetic.errors import Misconfigured
from hermetic.evidence import EvidenceSource
from hermetic.identity import Attester, LaunchDocument
from hermetic.ledger import VerifierKey
from hermetic.serve.app import assemble, seal
from hermetic.serve.broker_http import ask
from hermetic.serve.broker_log import BrokerLog
from hermetic.serve.config import ServerConfig
from hermetic.serve.engine import Engine
from hermetic.serve.hardening import harden, silence
from hermetic.serve.keys import WorkloadKeys
from hermetic.serve.leaves import LeafAppender
from hermetic.serve.llama import LlamaEngine
from hermetic.serve.model import SealedModel
from hermetic.serve.observe import EventLog
from hermetic.serve.unlock import unlock
from hermetic.wire import Digest

__all__ = ["run"]

_GRACE = 20  # seconds for answers under way when told to stop
_BACKLOG = 1024
_IDLE = 75  # seconds a connection may say nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Workload:
    """What this process is: its configuration, its keys, and the platform's word for them."""

    config: ServerConfig
    keys: WorkloadKeys
    attester: Attester
    broker_log: BrokerLog


def run(*, config: ServerConfig, launch: LaunchDocument, source: EvidenceSource) -> None:
    """Serves until SIGTERM or SIGINT.  ``config`` must be read from the bytes that ``launch`` measures.

    From here on standard output and error say nothing; what there is to say goes to the former standard error, as JSON
    lines.  Raises Misconfigured, NotReleased, NotAuthentic, Unavailable … before the first request is taken.
    """
    log = EventLog(silence())
    # 1. This process keeps to itself.
    log.note(harden().summary)
    # 2. It makes keys, and can have the platform vouch for them.
    keys = WorkloadKeys.generate()
    not_after = int(time.time()) + config.keyset_hours * 3600
    attester = Attester(source, keyset=keys.keyset(subject=config.service, not_after=not_after), launch=launch)
    workload = _Workload(
        config=config, keys=keys, attester=attester, broker_log=BrokerLog(VerifierKey.parse(config.broker.log_key))
    )
    with _bound(config.listen.host, config.listen.port) as listener:
        # 3. For them, the broker releases the model's key; the model is opened in memory, and only there.
        engine, policy = _unlock(workload, log)
        # 4. It serves.
        try:
            uvloop.run(_serve(workload, engine, policy, listener, log))
        finally:
            engine.close()
    log.note("stopped")


def _unlock(workload: _Workload, log: EventLog) -> tuple[Engine, Digest | None]:
    config = workload.config
    model = SealedModel.find(config.model)
    with log.step("released"):
        unlocked = unlock(
            post=lambda path, document: ask(config.broker.url.rstrip("/") + path, document),
            broker_key=config.broker.key,
            log=workload.broker_log,
            attester=workload.attester,
            release_key=workload.keys.release,
            want=model.want,
            manifest_digest=model.manifest_digest,
        )
    with log.step("opened"):
        memory = model.open(unlocked.file_keys[0])
    try:
        with log.step("loaded"):
            wanted = config.engine
            engine = LlamaEngine.load(memory, slots=wanted.slots, context=wanted.context, threads=wanted.threads)
    finally:
        os.close(memory)
    return engine, unlocked.policy_digest


async def _serve(
    workload: _Workload, engine: Engine, policy: Digest | None, listener: socket.socket, log: EventLog
) -> None:
    config, attester, keys = workload.config, workload.attester, workload.keys
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log.fault(context.get("exception")))
    appender = LeafAppender(
        url=config.broker.url,
        broker_key=config.broker.key,
        log=workload.broker_log,
        keyset=attester.keyset,
        private_key=keys.receipt,
    )
    async with appender:
        assembly = assemble(config=config, engine=engine, attester=attester, keys=keys, append=appender, policy=policy)
        app = seal(assembly, config=config, attester=attester, keys=keys, log=log)
        server = _Server(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,  # the libraries' own logs could quote a request
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_IDLE,
                timeout_graceful_shutdown=_GRACE,
                limit_concurrency=_BACKLOG + config.engine.slots + config.limits.queue,
            )
        )

        def stop() -> None:
            assembly.service.admission.stop()
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError, RuntimeError):  # only the main thread may
                loop.add_signal_handler(number, stop)
        async with assembly.running():
            log.ready(_url(listener))
            await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn would raise them again, and end the process before receipts are in the log."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that has the address but does not listen yet.  Raises Misconfigured where it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise Misconfigured(f"cannot listen on {host}:{port}: {error.strerror or error}", code="listen") from None
    with listener:
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
