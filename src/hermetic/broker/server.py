"""``serve``: one process, one listener, until SIGTERM; SIGHUP reads policies and versions again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO

import uvicorn
from starlette.applications import Starlette

from hermetic.broker.app import make_app
from hermetic.broker.broker import Broker
from hermetic.broker.telemetry import Telemetry
from hermetic.errors import HermeticError, Misconfigured

__all__ = ["BrokerServer"]

_BACKLOG = 1024
_CONNECTIONS = 4096
_GRACE_SECONDS = 10


class BrokerServer:
    """A broker and its bound listener.  ``url`` is known before :meth:`run`, port 0 included."""

    def __init__(self, broker: Broker, *, log: IO[bytes] | None = None) -> None:
        """Binds the listener; ``log`` takes the log lines, standard error if None.

        Raises Misconfigured where the address cannot be had.
        """
        self.broker = broker
        self._socket = _bind(broker.config.listen.host, broker.config.listen.port)
        self._telemetry = Telemetry(
            {
                "hermetic_broker_log_size": (
                    "Entries in the log.",
                    lambda: float(broker.log.checkpoint.size),
                ),
                "hermetic_broker_challenges_outstanding": (
                    "Challenges given out and not used.",
                    lambda: float(broker.outstanding),
                ),
            },
            stream=log,
        )
        app = make_app(broker, self._telemetry)
        app.router.lifespan_context = self._lifespan
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                loop="uvloop",
                http="httptools",
                ws="none",
                access_log=False,
                log_config=None,  # the libraries' own logs could quote a request: ours is an allow-list
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
                backlog=_BACKLOG,
                limit_concurrency=_CONNECTIONS,
            )
        )

    @classmethod
    def open(cls, config_path: Path, *, log: IO[bytes] | None = None) -> BrokerServer:
        """Opens the broker of ``config_path`` and binds.  Raises as :meth:`Broker.open` does."""
        broker = Broker.open(config_path)
        try:
            return cls(broker, log=log)
        except BaseException:
            broker.close()
            raise

    @property
    def url(self) -> str:
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def run(self) -> None:
        """Serves until stopped; then answers what is under way, writes what waits, and closes everything."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            self.broker.close()

    def stop(self) -> None:
        """Asks :meth:`run` to end.  From any thread."""
        self._server.should_exit = True

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ValueError, RuntimeError):  # only the main thread may
            loop.add_signal_handler(signal.SIGTERM, self.stop)
            loop.add_signal_handler(signal.SIGINT, self.stop)
            loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, self._reload))
        self._telemetry.note("started")
        yield
        self._telemetry.note("stopping")

    def _reload(self) -> None:
        try:
            self.broker.reload()
        except HermeticError as error:
            self._telemetry.note(f"reload refused: {error.code}")
        else:
            self._telemetry.note("reloaded")


class _Uvicorn(uvicorn.Server):
    """Leaves signals to us: uvicorn would raise them again, and end the process before the journal is closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(
            _BACKLOG
        )  # already now: whoever connects before the loop runs waits a moment, and is not refused
    except OSError as error:
        raise Misconfigured(f"cannot listen on {host}:{port}: {error.strerror or error}", code="listen") from error
    return listener
