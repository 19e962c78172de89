"""kill -9 at the worst moments: what was answered is in the log, and what was decided is not forgotten."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2

from broker_support import RESOURCE, House, Workload
from hermetic.broker import Broker
from hermetic.client.broker import BrokerClient
from hermetic.errors import Unavailable
from hermetic.ledger import leaf_commitment
from hermetic.wire import canonical

# Decides and records as the server does, and dies before the answer exists.
_DIE_BEFORE_ANSWERING = """
import json, os, signal, sys
from pathlib import Path
from hermetic.broker import Broker
broker = Broker.open(Path(sys.argv[1]))
print(json.dumps(broker.challenge(peer="test")), flush=True)
verdict = broker.decide(sys.stdin.buffer.readline())
recorded = broker.record(verdict).result()
print(recorded.indexes[0], verdict.decision.decision_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


class Serving:
    """``hermetic broker serve`` in a process of its own."""

    def __init__(self, house: House) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hermetic", "broker", "serve", "--config", str(house.config_path), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        self.ready = json.loads(self.process.stdout.readline())

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def test_a_decision_whose_answer_never_left_is_in_the_log(house: House) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _DIE_BEFORE_ANSWERING, str(house.config_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    challenge = json.loads(process.stdout.readline())["document"]
    request = house.request(house.workload(), challenge=challenge)
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()
    index, decision_id = process.stdout.readline().split()
    assert process.wait(timeout=20) == -signal.SIGKILL
    process.stdin.close()
    process.stdout.close()
    broker = Broker.open(house.config_path)
    broker.close()
    seen = house.seen()[0]
    assert (seen.log_index, seen.decision.decision_id) == (int(index), decision_id.decode())
    assert seen.decision.outcome == "granted"


def test_every_grant_that_arrived_is_in_the_log_after_kill_9(house: House) -> None:
    serving = Serving(house)
    receipts: list[dict[str, object]] = []
    stop = threading.Event()

    def ask(workload: Workload) -> None:
        with BrokerClient(serving.url, broker_key=house.made.broker_key) as client:
            while not stop.is_set():
                try:
                    released = client.release(
                        workload.attester, [house.sealed[RESOURCE].want()], release_key=workload.release_key
                    )
                except Unavailable:
                    return
                receipts.append(dict(released.receipt))

    threads = [threading.Thread(target=ask, args=(house.workload(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    while len(receipts) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert serving.end(signal.SIGKILL) == -signal.SIGKILL
    stop.set()
    for thread in threads:
        thread.join()
    assert len(receipts) >= 20
    broker = Broker.open(house.config_path)
    try:
        for receipt in receipts:
            leaf = leaf_commitment(bytes.fromhex(str(receipt["salt"])), canonical(receipt["receipt"]))
            assert broker.log.entry(int(str(receipt["index"]))) == leaf
        assert len(house.seen()) >= len(receipts)
    finally:
        broker.close()


def test_sigterm_ends_it_cleanly_and_sighup_reads_policies_again(house: House) -> None:
    serving = Serving(house)
    with httpx2.Client(base_url=serving.url, trust_env=False) as http:
        before = http.post("/v1/challenge").json()["document"]["policy_epoch"]
        house.write_policies(house.launch(service="renamed"))
        serving.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        epoch = before
        while epoch == before and time.monotonic() < deadline:
            time.sleep(0.02)
            epoch = http.post("/v1/challenge").json()["document"]["policy_epoch"]
    assert epoch == before + 1
    assert serving.end(signal.SIGTERM) == 0
    assert serving.ready["outside_tee"] is True
    Broker.open(house.config_path).close()


def test_two_servers_cannot_share_a_folder(house: House) -> None:
    serving = Serving(house)
    try:
        second = subprocess.run(
            [sys.executable, "-m", "hermetic", "broker", "serve", "--config", str(house.config_path)],
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert second.returncode == 4
        assert b"log_locked" in second.stderr
    finally:
        serving.end(signal.SIGTERM)


def test_the_folder_is_named_where_nothing_was_made(tmp_path: Path) -> None:
    (tmp_path / "broker.toml").write_text('name = "a.example"\ndata = "data"\n')
    command = [sys.executable, "-m", "hermetic", "broker", "serve", "--config", str(tmp_path / "broker.toml")]
    ended = subprocess.run(command, capture_output=True, timeout=30, check=False, env=dict(os.environ))
    assert ended.returncode == 2
    assert b"hermetic broker init" in ended.stderr
