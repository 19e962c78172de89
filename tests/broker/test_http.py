"""The HTTP surface: bounded, terse, silent about everything that is nobody's business."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from broker_support import RESOURCE, House, Running
from hermetic.broker import OUTSIDE_TEE
from hermetic.ledger import VerifierKey, open_checkpoint
from hermetic.release import BrokerInfo, Challenge, open_signed


def test_who_the_broker_is_is_signed_and_says_that_it_runs_outside_a_tee(running: Running) -> None:
    info = open_signed(running.http.get("/v1/info").json(), BrokerInfo, broker_key=running.broker_key)
    assert (info.broker_key, info.log_key) == (running.broker_key, running.house.made.log_key)
    assert (info.outside_tee, info.notice, info.attestation) == (True, OUTSIDE_TEE, None)


def test_a_challenge_is_signed_and_short_lived(running: Running) -> None:
    answer = running.http.post("/v1/challenge")
    challenge = open_signed(answer.json(), Challenge, broker_key=running.broker_key)
    assert challenge.broker_key == running.broker_key
    assert len(bytes.fromhex(challenge.nonce)) == 32
    assert answer.headers["cache-control"] == "no-store"


def test_the_log_is_served_as_c2sp_clients_read_it(running: Running) -> None:
    log_key = VerifierKey.parse(running.house.made.log_key)
    checkpoint = open_checkpoint(running.http.get("/checkpoint").content, log_key=log_key)
    tile = running.http.get(f"/tile/0/000.p/{checkpoint.size}")
    assert tile.status_code == 200
    assert len(tile.content) == 32 * checkpoint.size
    assert "immutable" in tile.headers["cache-control"]
    entries = running.http.get(f"/tile/entries/000.p/{checkpoint.size}")
    assert len(entries.content) == 34 * checkpoint.size
    assert running.http.get("/tile/0/001").status_code == 404
    assert running.http.get("/tile/../../etc/passwd").status_code == 404


def test_unknown_paths_and_methods_are_refused(running: Running) -> None:
    assert running.http.get("/").status_code == 404
    assert running.http.get("/v1/release").status_code == 405
    assert running.http.post("/v1/info").status_code == 405


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"challenge_id": 1}',
        b'{"a": 1, "a": 2}',
        b"\xff\xfe",
        b'{"challenge_id": "00000000000000000000000000000000", "log_size": 0, "report": {}, "wants": []}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_request_is_a_400_that_quotes_nothing(running: Running, body: bytes) -> None:
    for path in ("/v1/release", "/v1/log/leaves"):
        answer = running.http.post(path, content=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "malformed"


def test_unknown_missing_and_misspelt_fields_are_a_400(running: Running) -> None:
    workload = running.house.workload()

    def spoilt(**changes: Any) -> dict[str, Any]:
        return running.request(workload) | changes

    want = running.request(workload)["wants"][0]
    without_size = {name: value for name, value in spoilt().items() if name != "log_size"}
    for request in (
        without_size,
        spoilt(extra=1),
        spoilt(log_size=-1),
        spoilt(challenge_id=running.challenge()["challenge_id"] + "\n"),
        spoilt(wants=[want | {"headers": []}]),
        spoilt(wants=[want | {"headers": ["AA=A"]}]),
        spoilt(wants=[want | {"headers": ["AB=="]}]),
        spoilt(wants=[want | {"headers": ["QUFBQQ=="]}]),
        spoilt(wants=[want] * 17),
        spoilt(report=spoilt()["report"] | {"extra": 1}),
    ):
        answer = running.post(request)
        assert answer.status_code == 400, answer.text


def test_a_body_that_is_too_large_is_refused_by_its_length_and_by_its_bytes(running: Running) -> None:
    size = 2 * 1024 * 1024 + 1
    announced = running.http.post("/v1/release", content=b"x" * size)

    def stream() -> Iterator[bytes]:
        for _ in range(size // 4096 + 1):
            yield b"x" * 4096

    chunked = running.http.post("/v1/release", content=stream())
    for answer in (announced, chunked):
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_a_body_that_announces_too_much_is_not_waited_for(running: Running) -> None:
    with socket.create_connection(running.address, timeout=10) as connection:
        connection.sendall(b"POST /v1/release HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n")
        assert connection.recv(64).startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_arrive_is_given_up(house: House) -> None:
    house.limits["body_seconds"] = 0.05
    house.write_config()
    with house.serving() as running, socket.create_connection(running.address) as connection:
        connection.sendall(b"POST /v1/release HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{")
        assert connection.recv(64).startswith(b"HTTP/1.1 408")


def test_a_caller_that_asks_too_often_is_told_to_wait(house: House) -> None:
    house.limits |= {"requests_per_second": 0.001, "burst": 3}
    house.write_config()
    with house.serving() as running:
        answers = [running.http.post("/v1/challenge") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].json()["error"]["code"] == "rate_limited"
        assert answers[-1].headers["retry-after"] == "1"
        assert running.http.get("/v1/info").status_code == 200


def test_only_so_many_challenges_are_outstanding(house: House) -> None:
    house.limits["challenges"] = 8
    house.write_config()
    with house.serving() as running:
        answers = [running.http.post("/v1/challenge").status_code for _ in range(3)]
        assert answers == [200, 200, 503]


def test_health_and_metrics_name_nobody(running: Running) -> None:
    workload = running.house.workload()
    running.post(running.request(workload))
    assert running.http.get("/healthz").status_code == 200
    metrics = running.http.get("/metrics").text
    assert 'hermetic_broker_answers_total{route="/v1/release",status="200",code=""}' in metrics
    assert "hermetic_broker_log_size" in metrics
    for identity in (RESOURCE, workload.keyset.digest, workload.launch.digest, workload.launch.service):
        assert identity not in metrics
