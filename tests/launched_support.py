"""A server as it really runs: a process that the simulated platform launched, a broker, a model sealed for it.

Everything is real but the platform's silicon; nothing is reached but through sockets and the inherited descriptor.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx2

import broker_support
import serve_support
from broker_support import RESOURCE, VERSION, House, Platform, Running
from hermetic.channel import XWingPublicKey, strict
from hermetic.guest.launch import describe_config
from hermetic.identity import STRICT, AttestationReport, LaunchDocument
from hermetic.seal import Bundle, Kind, parse_recipient, seal_bundle, sign_version
from hermetic.sources.simulator.answering import answer
from hermetic.sources.simulator.device import OPTION
from hermetic.sources.simulator.handover import Handover, socket_pair
from hermetic.wire import parse_object, sha256_digest
from serve_support import CONTEXT, KEY, MODEL, SERVICE, SLOTS

ENTRY = "from hermetic.guest import enter; from hermetic.serve.run import run; run(enter())"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back through the strict channel: the inner status, header fields and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return parse_object(self.body)


@dataclass(kw_only=True)
class Launched:
    """A launched server.  ``said`` is every line of its log, ``spoken`` what came on standard output and error."""

    process: subprocess.Popen[bytes]
    said: list[dict[str, Any]] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    ready: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return str(next(line["url"] for line in self.said if line["event"] == "ready"))

    @cached_property
    def recipient(self) -> strict.Recipient:
        """Whom requests are sealed to, taken from the attestation report as it comes (tests verify it elsewhere)."""
        got = httpx2.get(f"{self.url}/.well-known/hermetic/attestation", params={"nonce": "00" * 32})
        keyset = AttestationReport.from_bytes(got.content).keyset
        key = keyset.key(STRICT)
        return strict.Recipient(
            public_key=XWingPublicKey(key.public_key),
            key_id=key.key_id,
            keyset_digest=keyset.digest,
            service=keyset.subject,
        )

    def ask(self, method: str, target: str, body: bytes = b"", *, key: str | None = KEY) -> Answer:
        """One request through the strict channel."""
        fields = [(b"content-type", b"application/json")]
        fields += [] if key is None else [(b"authorization", f"Bearer {key}".encode())]
        sealer = strict.seal_request(
            self.recipient, method=method, target=target, fields=strict.sealable(fields), now=datetime.now(UTC)
        )
        sealed = sealer.push(body) + sealer.finish()
        response = httpx2.post(self.url + target, content=sealed, headers=dict(sealer.outer_fields), timeout=60)
        assert response.status_code == 200, response.content
        opener = sealer.response_opener()
        inner = b"".join(opener.push(response.content))
        opener.finish()
        assert opener.head is not None
        return Answer(
            status=opener.head.status,
            headers={name.decode(): value.decode() for name, value in opener.head.fields},
            body=inner,
        )

    def chat(self, text: str, **changes: Any) -> Answer:
        fields = {
            "model": MODEL,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": 4,
            "temperature": 0,
        }
        return self.ask("POST", "/v1/chat/completions", json.dumps(fields | changes).encode())

    def listen(self) -> None:
        """Collects what the process says, until it ends."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.raw += line
            with contextlib.suppress(ValueError):
                self.said.append(json.loads(line))
                if self.said[-1]["event"] == "ready":
                    self.ready.set()
        self.ready.set()


class ServedHouse(House):
    """A broker's house with a model sealed in it, and a configuration of a server that may have it.

    ``real`` is the test model; otherwise a few kilobytes, for servers that do not come as far as loading them.
    """

    def __init__(self, folder: Path, *, real: bool = True) -> None:
        super().__init__(folder)
        self.bundle = self._seal_model(serve_support.model_file() if real else self._stand_in())

    def _stand_in(self) -> Path:
        path = self.folder / "stand-in.gguf"
        path.write_bytes(bytes(200_000))
        return path

    def _seal_model(self, model: Path) -> Bundle:
        recipient = parse_recipient(self.made.recipients[RESOURCE])
        bundle = seal_bundle(model, self.folder / "model", [recipient], kind=Kind.MODEL, name=MODEL)
        said = bundle.resource_version(resource=RESOURCE, version=VERSION)
        (self.folder / self.resources[RESOURCE]["version"]).write_bytes(sign_version(said, self.owner).encode())
        return bundle

    def server_config(self, broker_url: str) -> bytes:
        return f'''
service = "{SERVICE}"
[listen]
port = 0
[model]
name = "{MODEL}"
bundle = "model"
resource = "{RESOURCE}"
version = "{VERSION}"
manifest_digest = "{self.bundle.manifest_digest}"
[broker]
url = "{broker_url}"
key = "{self.made.broker_key}"
log_key = "{self.made.log_key}"
[api_keys]
digests = ["{sha256_digest(KEY.encode())}"]
[engine]
slots = {SLOTS}
context = {CONTEXT}
threads = 1
'''.encode()

    def described(self, config: bytes, **changes: Any) -> LaunchDocument:
        """The launch document of that configuration; its program is the one that the tests run in."""
        fields: dict[str, Any] = {
            "program_digest": sha256_digest(b"program"),
            "argv": ("hermetic", "serve", "--config", "server.toml"),
            "name": "server.toml",
        }
        return describe_config(config, **(fields | changes))


@contextlib.contextmanager
def launched(house: ServedHouse, config: bytes, launch: LaunchDocument) -> Iterator[Launched]:
    """Launches a server as the simulated platform does, with the evidence of ``launch``."""
    host_data = bytes.fromhex(launch.digest.removeprefix("sha256:"))
    platform, child = socket_pair()
    handover = Handover(launch=launch, config=config, folder=house.folder)
    source = Platform(broker_support.amd(), host_data)
    answering = threading.Thread(target=answer, args=(platform,), kwargs={"source": source, "handover": handover})
    answering.start()
    with child:
        process = subprocess.Popen(
            [sys.executable, "-X", f"{OPTION}={child.fileno()}", "-c", ENTRY],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(child.fileno(),),
        )
    server = Launched(process=process)
    listening = threading.Thread(target=server.listen)
    listening.start()
    try:
        assert server.ready.wait(60)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        listening.join(10)
        answering.join(10)
        platform.close()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def whole(folder: Path) -> Iterator[tuple[ServedHouse, Running, Launched]]:
    """Broker, sealed model, policy and server, all agreeing with one another."""
    house = ServedHouse(folder)
    with house.serving() as broker:
        config = house.server_config(broker.url)
        launch = house.described(config)
        house.write_policies(launch)
        broker.server.broker.reload()
        with launched(house, config, launch) as server:
            yield house, broker, server
