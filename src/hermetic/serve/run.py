"""The whole life of a server: keys, evidence, the model's key, the model in memory, answers, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence

import uvicorn
import uvloop

from hermetic.client.broker import BrokerClient, LeafSigner
from hermetic.errors import HermeticError, Misconfigured
from hermetic.guest import Guest
from hermetic.guest.hardening import harden, silence
from hermetic.identity import ED25519, Attester
from hermetic.ledger import Inclusion
from hermetic.serve.app import Parts, assemble, seal
from hermetic.serve.batch import Append
from hermetic.serve.config import EngineConfig, parse_config
from hermetic.serve.engine import Engine
from hermetic.serve.keys import WorkloadKeys
from hermetic.serve.llama import LlamaEngine
from hermetic.serve.model import SealedModel
from hermetic.serve.observe import EventLog
from hermetic.wire import Digest

__all__ = ["run", "serve"]

_GRACE = 20  # seconds for answers under way when told to stop
_MARGIN = 60  # seconds before the keys expire, for answers under way and clocks that differ
_BACKLOG = 1024
_IDLE = 75  # seconds a connection may say nothing


def run(guest: Guest) -> None:
    """Serves until SIGTERM or SIGINT.

    From here on standard output and error say nothing; what there is to say goes to the former standard error, as JSON
    lines.  Raises Misconfigured, NotReleased, NotAuthentic, Unavailable … before the first request is taken.
    """
    log = EventLog(silence())
    try:
        _run(guest, log)
    except HermeticError as error:
        log.refused(error)
        raise
    except Exception as error:
        log.fault(error)
        raise
    log.note("stopped")


def _run(guest: Guest, log: EventLog) -> None:
    config = parse_config(guest.config, folder=guest.folder, name="server.toml")
    # 1. This process keeps to itself.
    log.note(harden().summary)
    # 2. It makes keys, and can have the platform vouch for them.
    keys = WorkloadKeys.generate()
    not_after = int(time.time()) + config.keyset_hours * 3600
    keyset = keys.keyset(subject=config.service, not_after=not_after)
    attester = Attester(guest.source, keyset=keyset, launch=guest.launch, devices=guest.devices)
    with (
        _bound(config.listen.host, config.listen.port) as listener,
        BrokerClient(config.broker.url, broker_key=config.broker.key, log_key=config.broker.log_key) as broker,
    ):
        # 3. For them, the broker releases the model's key; the model is opened in memory, and only there.
        model = SealedModel.find(config.model)
        with log.step("released"):
            released = broker.release(attester, (model.want,), release_key=keys.release)
        with log.step("opened"):
            memory = model.open(released.file_keys[0][0])
        with log.step("loaded"):
            engine = _load(memory, config.engine)
        # 4. It serves.
        policy = released.decision.wants[0].policy_digest
        parts = Parts(
            config=config,
            engine=engine,
            attester=attester,
            keys=keys,
            append=_appending(broker, attester, keys),
            policy=None if policy is None else Digest(policy),
        )
        try:
            uvloop.run(serve(parts, listener, log))
        finally:
            engine.close()


def _load(memory: int, config: EngineConfig) -> Engine:
    try:
        return LlamaEngine.load(memory, slots=config.slots, context=config.context, threads=config.threads)
    finally:
        os.close(memory)


def _appending(broker: BrokerClient, attester: Attester, keys: WorkloadKeys) -> Append:
    """Receipts' leaves go into the broker's log, in the name of our receipt key."""
    signer = LeafSigner(
        keyset_digest=attester.keyset.digest, key_id=attester.keyset.key(ED25519).key_id, private_key=keys.receipt
    )

    async def append(leaves: Sequence[bytes]) -> Sequence[Inclusion]:
        return await asyncio.to_thread(broker.append, leaves, signer=signer)

    return append


async def serve(parts: Parts, listener: socket.socket, log: EventLog) -> None:
    """Serves on ``listener`` until told to stop by a signal, or until the attested keys expire."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log.fault(context.get("exception")))
    assembly = assemble(parts)
    server = _Server(
        uvicorn.Config(
            seal(assembly, parts, log),
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,  # the libraries' own logs could quote a request
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_IDLE,
            timeout_graceful_shutdown=_GRACE,
            limit_concurrency=_BACKLOG + parts.config.engine.slots + parts.config.limits.queue,
        ),
        ready=lambda: log.ready(_url(listener)),
    )

    def stop() -> None:
        assembly.service.admission.stop()
        server.should_exit = True

    def expire() -> None:
        log.note("the attested keys expire: start again to make new ones")
        stop()

    loop.call_later(parts.attester.keyset.not_after - time.time() - _MARGIN, expire)
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError, RuntimeError):  # only the main thread may
            loop.add_signal_handler(number, stop)
    async with assembly.running():
        await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Says when it listens, and leaves signals to us: uvicorn would raise them again when it has answered, and end the
    process before the last receipts are in the log.
    """

    def __init__(self, config: uvicorn.Config, *, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

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
