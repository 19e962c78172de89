"""The server's own life: it ends with its keys, and it tells web pages what was configured."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
import time
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

import identity_support
import serve_support
from hermetic.errors import Misconfigured
from hermetic.identity import STRICT, Attester
from hermetic.seal import Kind, generate_identity, seal_bundle
from hermetic.serve._listener import remove_listener
from hermetic.serve.app import Parts, assemble, seal
from hermetic.serve.asgi import ClientGone, read_body
from hermetic.serve.config import ListenConfig, ModelConfig
from hermetic.serve.engine import EngineFailed, Piece
from hermetic.serve.errors import ApiError
from hermetic.serve.keys import WorkloadKeys
from hermetic.serve.model import SealedModel
from hermetic.serve.observe import EventLog
from hermetic.serve.run import serve
from hermetic.sources.simulator.amd import SimulatedAmd
from serve_support import SERVICE, KeptLog, Platform, ScriptedEngine

ORIGIN = "https://page.example"


async def _silent(_: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
    return
    yield


def test_it_serves_until_its_keys_expire(amd: SimulatedAmd, log: KeptLog) -> None:
    keys = WorkloadKeys.generate()
    launch = identity_support.launch(service=SERVICE)
    keyset = keys.keyset(subject=SERVICE, not_after=int(time.time()) + 62)  # 60 s are kept back, 1 to 2 remain
    parts = Parts(
        config=msgspec.structs.replace(serve_support.config(), listen=ListenConfig(cors_origins=(ORIGIN,))),
        engine=ScriptedEngine(_silent),
        attester=Attester(Platform(amd=amd, launch=launch), keyset=keyset, launch=launch),
        keys=keys,
        append=log.append,
        policy=None,
    )
    said = io.BytesIO()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=lambda: asyncio.run(serve(parts, listener, EventLog(said))))
        thread.start()
        while b"ready" not in said.getvalue():
            time.sleep(0.005)
        answer = httpx2.get(f"{url}/healthz", headers={"Origin": ORIGIN, "Connection": "close"})
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        thread.join(30)
        assert not thread.is_alive()
    notes = [line.get("text", "") for line in map(json.loads, said.getvalue().splitlines())]
    assert any("keys expire" in note for note in notes)


@pytest.mark.parametrize(
    "headers",
    [
        {"Hermetic-Key-Id": "", "Hermetic-Method": "POST", "Content-Type": "application/hermetic-sealed"},
        {"Ehbp-Encapsulated-Key": "09" + 31 * "00"},
    ],
    ids=["strict", "ehbp"],
)
def test_a_sealed_body_that_never_ends_is_not_waited_for(
    amd: SimulatedAmd, log: KeptLog, headers: dict[str, str]
) -> None:
    keys = WorkloadKeys.generate()
    launch = identity_support.launch(service=SERVICE)
    keyset = keys.keyset(subject=SERVICE, not_after=int(time.time()) + 3600)
    config = serve_support.config()
    parts = Parts(
        config=msgspec.structs.replace(config, limits=msgspec.structs.replace(config.limits, body_seconds=0.05)),
        engine=ScriptedEngine(_silent),
        attester=Attester(Platform(amd=amd, launch=launch), keyset=keyset, launch=launch),
        keys=keys,
        append=log.append,
        policy=None,
    )
    if "Hermetic-Key-Id" in headers:
        headers = headers | {"Hermetic-Key-Id": keyset.key(STRICT).key_id}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    sent: list[Any] = []
    pieces = [b"\x00", b"\x00"]

    async def receive() -> Any:
        if not pieces:
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": pieces.pop(), "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        async with asyncio.timeout(30):
            await seal(assemble(parts), parts, EventLog(io.BytesIO()))(scope, receive, send)

    asyncio.run(run())
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


@pytest.mark.parametrize("names", [(), ("a.gguf", "b.gguf")])
def test_a_bundle_holds_one_model(tmp_path: Path, names: tuple[str, ...]) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    for name in (*names, "README"):
        (plain / name).write_bytes(b"text")
    recipient = generate_identity().recipient()
    bundle = seal_bundle(plain, tmp_path / "sealed", [recipient], kind=Kind.MODEL, name="toy")
    config = ModelConfig(
        name="toy",
        bundle=bundle.path,
        resource="broker/test/toy",
        version="1",
        manifest_digest=bundle.manifest_digest,
    )
    with pytest.raises(Misconfigured, match=f"got {len(names)}"):
        SealedModel.find(config)


def test_a_listener_that_stays_is_a_failure(tmp_path: Path) -> None:
    path = str(tmp_path / "e.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with pytest.raises(EngineFailed, match="does not go away"):
            remove_listener(path, grace=0.05)
    remove_listener(path, grace=0.05)


def test_a_body_is_refused_as_soon_as_it_is_too_long() -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": b"12345", "more_body": True}

    with pytest.raises(ApiError) as refusal:
        asyncio.run(read_body(receive, limit=10))
    assert refusal.value.status == 413


def test_a_body_that_does_not_end_is_no_body() -> None:
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    with pytest.raises(ClientGone):
        asyncio.run(read_body(receive, limit=10))
