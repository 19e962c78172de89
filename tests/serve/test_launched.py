"""The whole of it: a launched process that attests, is given its model's key, and answers only who speaks sealed."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from broker_support import RESOURCE, Running, canary_forms
from hermetic.ledger import EventType, ReceiptFile, VerifierKey, verify_logged, verify_receipt
from hermetic.wire import sha256_digest
from launched_support import Launched, ServedHouse, launched, whole
from serve_support import KEY, MODEL, OTHER_KEY

CANARY = "CANARY-d2c8-canary"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServedHouse, Running, Launched]]:
    with whole(tmp_path_factory.mktemp("chain")) as all_of_it:
        yield all_of_it


@pytest.fixture(scope="module")
def server(chain: tuple[ServedHouse, Running, Launched]) -> Launched:
    return chain[2]


def test_it_says_how_it_came_to_be_ready(server: Launched) -> None:
    events = [line["event"] for line in server.said]
    assert events[:5] == ["note", "released", "opened", "loaded", "ready"]


def test_a_sealed_question_is_answered(server: Launched) -> None:
    answer = server.chat("Say hello.")
    assert answer.status == 200
    assert answer.json["choices"][0]["message"]["content"]


def test_keys_are_checked_inside_the_channel(server: Launched) -> None:
    for key in (None, OTHER_KEY):
        refused = server.ask("GET", "/v1/models", key=key)
        assert (refused.status, refused.json["error"]["code"]) == (401, "invalid_api_key")
    assert server.ask("GET", "/v1/models").json["data"][0]["id"] == MODEL


def test_a_receipt_holds_the_whole_chain(chain: tuple[ServedHouse, Running, Launched]) -> None:
    house, _, server = chain
    receipt_id = server.chat("Say hello.").headers["x-receipt-id"]
    until = time.monotonic() + 30
    file = ReceiptFile.from_bytes(server.ask("GET", f"/v1/receipts/{receipt_id}").body)
    while file.inclusion is None and time.monotonic() < until:
        time.sleep(0.05)
        file = ReceiptFile.from_bytes(server.ask("GET", f"/v1/receipts/{receipt_id}").body)
    assert file.inclusion is not None
    verify_logged(
        file.receipt.to_bytes(),
        salt=file.salt,
        inclusion=file.inclusion,
        log_key=VerifierKey.parse(house.made.log_key),
    )
    assert file.receipt.digest(EventType.MODEL) == house.bundle.manifest_digest
    policy = (house.folder / house.resources[RESOURCE]["policy"]).read_bytes()
    assert file.receipt.digest(EventType.POLICY) == sha256_digest(policy)
    with pytest.raises(Exception, match="expected one of the keys"):
        verify_receipt(file.receipt, keys={"another": bytes(32)})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("GET", "/v1/models"),
        ("GET", "/v1/receipts/rcpt-0"),
        ("POST", "/healthz"),
        ("GET", "/"),
    ],
)
def test_nothing_is_taken_in_clear(server: Launched, method: str, path: str) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": CANARY}]}
    content = json.dumps(body).encode() if method == "POST" else None
    response = httpx2.request(method, server.url + path, content=content, headers={"Authorization": f"Bearer {KEY}"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "plaintext_refused")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/aci/attestation", "/.well-known/hpke-keys"])
def test_what_says_nothing_is_read_in_clear(server: Launched, path: str) -> None:
    assert httpx2.get(server.url + path).status_code == 200


def test_one_door(server: Launched) -> None:
    """The process listens where it says, and nowhere else."""
    process = Path(f"/proc/{server.process.pid}")
    try:
        links = [os.readlink(entry) for entry in (process / "fd").iterdir()]
    except PermissionError:
        pytest.skip("only root sees the descriptors of a process that is not dumpable")
    mine = {link[8:-1] for link in links if link.startswith("socket:[")}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in (process / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in mine and fields[3] == "0A":
                listening.append(int(fields[1].rpartition(":")[2], 16))
    assert listening == [int(server.url.rpartition(":")[2])]
    unix = [line.split() for line in (process / "net" / "unix").read_text().splitlines()[1:]]
    assert not [fields for fields in unix if fields[6] in mine and len(fields) > 7], "no socket has a name"


def test_nothing_that_was_said_is_told(server: Launched) -> None:
    server.chat(CANARY, stop=[CANARY], user=CANARY)
    server.chat(CANARY, stream=True)
    server.chat(CANARY * 500)
    server.chat(CANARY, **{CANARY: CANARY})
    for schema in ({"type": CANARY}, {"type": "string", "pattern": CANARY}, {"$ref": f"#/{CANARY}"}):
        server.chat(CANARY, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}})
    server.ask("POST", "/v1/chat/completions", CANARY.encode())
    server.ask("GET", f"/v1/models/{CANARY}?{CANARY}")
    metrics = httpx2.get(server.url + "/metrics").content
    for form in canary_forms(CANARY.encode()) + canary_forms(KEY.encode()):
        assert form not in bytes(server.raw)
        assert form not in metrics


def test_stopping_answers_what_was_asked_and_logs_it(tmp_path: Path) -> None:
    with whole(tmp_path) as (_, broker, server):
        before = broker.server.broker.log.checkpoint.size
        server.chat("Say hello.")
        server.process.terminate()
        assert server.process.wait(30) == 0
        assert broker.server.broker.log.checkpoint.size == before + 1
        assert server.process.stdout is not None
        assert server.process.stdout.read() == b""
    assert server.said[-1]["text"] == "stopped"


def refusal(house: ServedHouse, config: bytes, **changes: object) -> dict[str, object]:
    """Launches what must not become ready, and returns why."""
    with launched(house, config, house.described(config, **changes)) as server:
        assert server.process.wait(30) != 0
    assert server.said[-1]["event"] == "refused", server.said
    return server.said[-1]


def test_a_changed_program_or_configuration_gets_no_key(tmp_path: Path) -> None:
    house = ServedHouse(tmp_path, real=False)
    with house.serving() as broker:
        config = house.server_config(broker.url)
        house.write_policies(house.described(config))
        broker.server.broker.reload()
        assert refusal(house, config, program_digest=sha256_digest(b"another"))["code"] == "not_released"
        assert refusal(house, config + b"# one byte more\n")["code"] == "not_released"


def test_another_bundle_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    house = ServedHouse(tmp_path, real=False)
    config = house.server_config("http://127.0.0.1:1")
    manifest = house.bundle.path / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(MODEL.encode(), MODEL.upper().encode()))
    assert refusal(house, config)["code"] == "manifest_digest"


def test_a_changed_ciphertext_is_refused(tmp_path: Path) -> None:
    house = ServedHouse(tmp_path, real=False)
    with house.serving() as broker:
        config = house.server_config(broker.url)
        house.write_policies(house.described(config))
        broker.server.broker.reload()
        sealed = house.bundle.member(house.bundle.manifest.files[0])
        with sealed.open("r+b") as file:
            file.seek(sealed.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        assert "changed" in str(refusal(house, config)["text"])


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    house = ServedHouse(tmp_path, real=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = house.server_config("http://127.0.0.1:1").replace(b"port = 0", b"port = %d" % port)
        assert refusal(house, config)["code"] == "listen"


def test_a_broker_that_does_not_answer(tmp_path: Path) -> None:
    house = ServedHouse(tmp_path, real=False)
    assert refusal(house, house.server_config("http://127.0.0.1:1"))["code"] == "broker_unreachable"
