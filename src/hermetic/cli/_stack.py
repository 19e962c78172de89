"""Everything ``hermetic up`` and ``hermetic demo`` stand up: a broker, a sealed model, and a server on the simulator.

Each step is a function that does what its command-line twin does, so that the demo can narrate them and ``up`` can run
them in one go.  All files lie in one folder; running again there keeps broker, keys and sealed model.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hermetic.errors import Misconfigured, Unavailable
from hermetic.wire import sha256_digest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from hermetic.broker import Initialised
    from hermetic.guest.launch import LaunchPlan
    from hermetic.seal import Bundle
    from hermetic.sources.simulator.machine import SimulatedMachine

__all__ = ["RESOURCE", "Process", "Stack", "ending_signals", "free_port", "interruptible"]

RESOURCE = "demo/vendor/model"
SERVICE = "demo-chat"
_READY_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The folder and the addresses.  ``model_name`` is what clients ask for.

    ``tee``, ``gpus`` and ``switches`` are those of the simulated machine that the server runs on.
    """

    folder: Path
    port: int
    broker_port: int
    model_name: str
    simulator_state: Path | None = None
    tee: str = "snp"
    gpus: int = 0
    switches: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def broker_url(self) -> str:
        return f"http://127.0.0.1:{self.broker_port}"

    @property
    def broker_toml(self) -> Path:
        return self.folder / "broker.toml"

    @property
    def server_toml(self) -> Path:
        return self.folder / "server.toml"

    @property
    def policy(self) -> Path:
        return self.folder / "policy.toml"

    @property
    def bundle(self) -> Path:
        return self.folder / "model"

    @property
    def launch_json(self) -> Path:
        return self.folder / "launch.json"

    @property
    def owner_key_file(self) -> Path:
        return self.folder / "owner.key"

    @property
    def api_key_file(self) -> Path:
        return self.folder / "api-key"

    # 1. The owner of the model.

    def owner_key(self) -> Ed25519PrivateKey:
        """The owner's signing key, made the first time."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        from hermetic.seal import encode_owner_key, parse_owner_key

        if not self.owner_key_file.exists():
            _write(self.owner_key_file, encode_owner_key(Ed25519PrivateKey.generate()), mode=0o600)
        return parse_owner_key(self.owner_key_file.read_bytes())

    # 2. The broker: its keys are born, and it says what to seal for.

    def make_broker(self) -> Initialised:
        """Writes ``broker.toml`` and makes the broker's keys, or finds them made."""
        from hermetic.broker import initialise, load_config
        from hermetic.seal import owner_name

        text = f"""\
name = "{SERVICE}.broker.example"
data = "broker-data"

[listen]
port = {self.broker_port}

[[resources]]
name = "{RESOURCE}"
class = "simulated"
owner = "{owner_name(self.owner_key())}"
policy = "{self.policy.name}"
versions = ["{self.bundle.name}/version.json"]
"""
        _write(self.broker_toml, text.encode())
        return initialise(load_config(self.broker_toml))

    # 3. The model is sealed for the broker's resource; on disk there is ciphertext from here on.

    def seal_model(self, model: Path, broker: Initialised, progress: Callable[[int], None] | None = None) -> Bundle:
        """Seals ``model`` (a GGUF file), unless this very file was sealed here for this broker before."""
        from hermetic.cli._model import LICENCE, NAME
        from hermetic.seal import Kind, parse_recipient, read_bundle, seal_bundle, sign_version

        recipient = broker.recipients[RESOURCE]
        stamp = self.folder / "sealed-from.json"
        status = model.stat()
        seen = {"size": status.st_size, "modified": status.st_mtime_ns, "name": model.name, "recipient": recipient}
        if stamp.exists() and self.bundle.exists() and json.loads(stamp.read_text("utf-8")) == seen:
            return read_bundle(self.bundle)
        owner, version = self.owner_key(), "1"
        bundle = seal_bundle(
            model,
            self.bundle,
            [parse_recipient(recipient)],
            kind=Kind.MODEL,
            name=self.model_name,
            licence=LICENCE if self.model_name == NAME else "",
            sign=lambda made: sign_version(made.resource_version(resource=RESOURCE, version=version), owner),
            replace=self.bundle.exists(),
            progress=progress,
        )
        _write(stamp, json.dumps(seen).encode())
        return bundle

    # 4. The configuration, what its launch will be, and a policy that pins it.

    def configure(self, bundle: Bundle, broker: Initialised) -> None:
        """Writes ``server.toml`` and an API key (whose digest is all that the configuration holds)."""
        if not self.api_key_file.exists():
            _write(self.api_key_file, f"hk-{secrets.token_urlsafe(32)}\n".encode(), mode=0o600)
        digest = sha256_digest(self.api_key().encode())
        text = f"""\
service = "{SERVICE}"

[listen]
port = {self.port}

[model]
name = "{self.model_name}"
bundle = "{self.bundle.name}"
resource = "{RESOURCE}"
version = "1"
manifest_digest = "{bundle.manifest_digest}"

[broker]
url = "{self.broker_url}"
key = "{broker.broker_key}"
log_key = "{broker.log_key}"

[api_keys]
digests = ["{digest}"]
"""
        _write(self.server_toml, text.encode())

    def plan(self) -> LaunchPlan:
        """Measures what would be launched, and writes ``launch.json``."""
        from hermetic.guest.launch import plan_launch
        from hermetic.wire import canonical

        plan = plan_launch(self.server_toml)
        _write(self.launch_json, canonical(plan.document.to_json()))
        return plan

    def write_policy(self, plan: LaunchPlan, broker: Initialised) -> None:
        """Writes ``policy.toml``: exactly this launch, on this simulator, with receipts in that broker's log."""
        from hermetic.cli._seen import machine_tables
        from hermetic.policy import draft_policy

        machine = self.machine()
        text = draft_policy(
            plan.document,
            profile="development",
            tables=machine_tables(machine, now=datetime.now(UTC)),
            simulated_root=machine.root_digest,
            log_keys=(broker.log_key,),
            note="Pins one launch document on one simulated platform.  For trying things.",
        )
        _write(self.policy, text.encode())

    # 5. The processes.

    def start_broker(self, log: IO[bytes]) -> Process:
        """``hermetic broker serve``, once it answers."""
        command = [sys.executable, "-m", "hermetic", "broker", "serve", "--json", "--config", str(self.broker_toml)]
        child: subprocess.Popen[bytes] | None = None
        try:
            with _undisturbed():
                child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        except BaseException:
            if child is not None:
                _stop(child)
            raise
        process = Process(name="the broker", poll=child.poll, stop=partial(_stop, child))
        process.wait_ready(f"{self.broker_url}/healthz")
        return process

    def start_server(self, plan: LaunchPlan, log: IO[bytes]) -> Process:
        """``hermetic simulator run -- hermetic serve``, once the model is in memory and it serves."""
        from hermetic.guest.program import default_store
        from hermetic.guest.simulated import SimulatedPlatform

        platform = SimulatedPlatform(machine=self.machine(), store=default_store())
        child = platform.launch(plan, stdout=log, stderr=log)
        process = Process(name="the server", poll=child.poll, stop=child.stop)
        process.wait_ready(f"{self.url}/readyz")
        return process

    def machine(self) -> SimulatedMachine:
        """The simulated machine, of this installation's vendors."""
        from hermetic.cli._machine import tee_of
        from hermetic.sources.simulator.state import default_state, open_machine

        folder = self.simulator_state or default_state()
        return open_machine(folder, now=datetime.now(UTC), tee=tee_of(self.tee), gpus=self.gpus, switches=self.switches)

    def api_key(self) -> str:
        return self.api_key_file.read_text("utf-8").strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A child that is waited for until it answers.  ``poll`` gives its exit code or None; ``stop`` ends it."""

    name: str
    poll: Callable[[], int | None]
    stop: Callable[[], object]

    def wait_ready(self, url: str) -> None:
        """Returns when ``url`` answers 200.  Raises Unavailable if the process ends first, or takes too long.

        However else it ends, an interrupt included, the process does not stay behind.
        """
        try:
            self._wait_ready(url)
        except BaseException:
            self.stop()
            raise

    def _wait_ready(self, url: str) -> None:
        import httpx2

        until = time.monotonic() + _READY_SECONDS
        with httpx2.Client(timeout=2.0) as http:
            while time.monotonic() < until:
                if (code := self.poll()) is not None:
                    raise Unavailable(f"{self.name} stopped with exit code {code}", code="process_ended")
                try:
                    if http.get(url).status_code == 200:
                        return
                except httpx2.HTTPError:
                    pass  # not listening yet
                time.sleep(0.02)
        raise Unavailable(f"{self.name} was not ready after {_READY_SECONDS:.0f} s", code="process_slow")


def ending_signals() -> tuple[signal.Signals, ...]:
    """What asks a command to end, besides Ctrl-C: a closed terminal too, unless that is ignored, as under nohup."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM,) if ignored else (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """In the block other ends interrupt as Ctrl-C does, so that whatever was started is stopped on the way out."""
    numbers = ending_signals()

    def interrupt(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)  # a second one would interrupt the way out
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Interrupts wait for the end of the block: one in the middle of starting a child would lose the child."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    waiting: list[int] = []
    numbers = (signal.SIGINT, *ending_signals())
    before = {number: signal.signal(number, lambda came, _: waiting.append(came)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for caught in waiting:
            signal.raise_signal(caught)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Asks it to stop, and insists after ten seconds."""
    child.terminate()
    try:
        child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def free_port(wanted: int | None = None, *, option: str = "--port") -> int:
    """``wanted`` if it is free, any free loopback port if None.  Raises Misconfigured if ``wanted`` is taken.

    ``option`` is what the user chooses another with.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except OSError as error:
            raise Misconfigured(
                f"port {wanted} is taken ({error.strerror})", code="port_taken", fix=f"choose another with {option}"
            ) from error
        return int(probe.getsockname()[1])


def _write(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """The whole file or none of it."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    # Made anew and never through a link: in a folder that others may write to, one could be waiting under that name.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    os.replace(temporary, path)
