"""``hermetic receipt verify`` and ``hermetic log verify`` as a person runs them, with their exit codes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from attested_support import policy_text
from hermetic.cli import main
from hermetic.cli._log_watch import watch_log
from hermetic.errors import NotAuthentic
from hermetic.ledger import FolderDisk, Log, NoteSigner, PinnedCheckpoints, ReceiptFile
from identity_support import launch
from ledger_support import LOG_KEY, SIGNER, VolatileDisk, commitment, commitments
from receipt_support import REQUEST, RESPONSE, logged, pending_file

pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of our own: where the client remembers checkpoints."""
    folder = tmp_path / "state"
    monkeypatch.setenv("HERMETIC_STATE", str(folder))
    return folder


class Runner:
    """Runs ``hermetic`` with the given words; what it printed and how it ended."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object, code: int) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        printed = self._capsys.readouterr()
        assert ended.value.code == code, printed
        return printed.out + printed.err

    def json(self, *words: object, code: int) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self(*words, "--json", code=code))
        return document


@pytest.fixture
def hermetic(capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(capsys)


@pytest.fixture
def kept(tmp_path: Path, state: Path) -> tuple[Path, list[object]]:
    """A receipt in a file with all there is to hold against it, and the words that name it."""
    file, log = logged(pending_file())
    path = _write(tmp_path / "receipt.json", file)
    (tmp_path / "request.json").write_bytes(REQUEST)
    (tmp_path / "response.sse").write_bytes(RESPONSE)
    (tmp_path / "policy.toml").write_text(policy_text(), encoding="utf-8")
    PinnedCheckpoints(state / "checkpoints.json").advance(log.checkpoint)
    words: list[object] = ["--policy", tmp_path / "policy.toml", "--allow-simulated"]
    return path, [*words, "--request", tmp_path / "request.json", "--response", tmp_path / "response.sse"]


def _write(path: Path, file: ReceiptFile) -> Path:
    path.write_text(json.dumps(file.to_json()), encoding="utf-8")
    return path


def test_a_receipt_with_everything_beside_it_is_proven(hermetic: Runner, kept: tuple[Path, list[object]]) -> None:
    path, words = kept
    found = hermetic.json("receipt", "verify", path, *words, code=0)
    assert found["verdict"] == "proven"
    assert found["manifest_digest"] == launch().models[0].manifest_digest
    assert found["simulated"] is True
    assert not found["pending"]
    assert {check["outcome"] for check in found["checks"]} == {"pass"}
    text = hermetic("receipt", "verify", path, *words, code=0)
    assert "SIMULATED" in text
    assert "proven" in text


def test_a_receipt_alone_is_signature_only(hermetic: Runner, kept: tuple[Path, list[object]]) -> None:
    path, _ = kept
    for file, signature in [
        (ReceiptFile.from_bytes(path.read_bytes()), "pass"),
        (replace(ReceiptFile.from_bytes(path.read_bytes()), attestation=None), "not performed"),
    ]:
        found = hermetic.json("receipt", "verify", _write(path, file), code=3)
        assert found["verdict"] == "incomplete"
        assert _outcome(found, "receipt.signature") == signature
        holder = next(check for check in found["checks"] if check["name"] == "receipt.holder")
        assert holder["got"] == "signature only: nobody checked who holds the signing key"


def test_a_pending_receipt_is_incomplete(hermetic: Runner, kept: tuple[Path, list[object]], tmp_path: Path) -> None:
    _, words = kept
    found = hermetic.json("receipt", "verify", _write(tmp_path / "pending.json", pending_file()), *words, code=3)
    assert found["pending"]


@pytest.mark.parametrize("missing", ["--policy", "--request", "--response"])
def test_what_is_left_out_is_not_proven(hermetic: Runner, kept: tuple[Path, list[object]], missing: str) -> None:
    path, words = kept
    at = words.index(missing)
    rest = words[:at] + words[at + 2 :]
    if missing == "--policy":
        rest.remove("--allow-simulated")
    hermetic("receipt", "verify", path, *rest, code=3)


def test_simulation_must_be_allowed(hermetic: Runner, kept: tuple[Path, list[object]]) -> None:
    path, words = kept
    words.remove("--allow-simulated")
    found = hermetic.json("receipt", "verify", path, *words, code=1)
    assert found["simulated"] is None


def test_another_response_is_refused(hermetic: Runner, kept: tuple[Path, list[object]], tmp_path: Path) -> None:
    path, words = kept
    (tmp_path / "response.sse").write_bytes(RESPONSE + b"\n")
    found = hermetic.json("receipt", "verify", path, *words, code=1)
    assert [check["name"] for check in found["checks"] if check["outcome"] == "fail"] == ["receipt.response"]


def test_a_workload_that_the_policy_does_not_want_is_refused(
    hermetic: Runner, kept: tuple[Path, list[object]], tmp_path: Path
) -> None:
    path, words = kept
    other = launch(argv=("hermetic", "serve"))
    (tmp_path / "policy.toml").write_text(policy_text(other), encoding="utf-8")
    found = hermetic.json("receipt", "verify", path, *words, code=1)
    assert [check["name"] for check in found["checks"] if check["outcome"] == "fail"] == ["policy.argv"]


def test_a_changed_receipt_is_refused(hermetic: Runner, kept: tuple[Path, list[object]]) -> None:
    path, words = kept
    path.write_text(path.read_text(encoding="utf-8").replace('"toy"', '"big"', 1), encoding="utf-8")
    hermetic("receipt", "verify", path, *words, code=1)


def test_the_log_key_given_counts(hermetic: Runner, kept: tuple[Path, list[object]], state: Path) -> None:
    path, words = kept
    (state / "checkpoints.json").unlink()
    found = hermetic.json("receipt", "verify", path, *words, code=3)
    assert _outcome(found, "log.checkpoint") == "not performed"
    found = hermetic.json("receipt", "verify", path, *words, "--log-key", LOG_KEY, code=3)
    assert _outcome(found, "log.inclusion") == "pass"
    assert _outcome(found, "log.consistency") == "not performed"
    imposter = NoteSigner.from_seed(SIGNER.name, bytes(32)).verifier
    found = hermetic.json("receipt", "verify", path, *words, "--log-key", imposter, code=1)
    assert _outcome(found, "log.checkpoint") == "fail"


def test_a_policy_that_names_logs_accepts_no_other(
    hermetic: Runner, kept: tuple[Path, list[object]], tmp_path: Path
) -> None:
    # The receipt's log is known and remembered from elsewhere; the policy wants receipts in another.
    path, words = kept
    other = NoteSigner.from_seed("other.example/log", bytes(32)).verifier
    (tmp_path / "policy.toml").write_text(policy_text(log_keys=(str(other),)), encoding="utf-8")
    found = hermetic.json("receipt", "verify", path, *words, code=1)
    assert [check["name"] for check in found["checks"] if check["outcome"] == "fail"] == ["log.checkpoint"]
    hermetic("receipt", "verify", path, *words, "--log-key", LOG_KEY, code=2)
    (tmp_path / "policy.toml").write_text(policy_text(log_keys=(str(other), str(LOG_KEY))), encoding="utf-8")
    assert hermetic.json("receipt", "verify", path, *words, code=0)["verdict"] == "proven"
    assert hermetic.json("receipt", "verify", path, *words, "--log-key", LOG_KEY, code=0)["verdict"] == "proven"


def test_a_receipt_cannot_write_on_the_screen(hermetic: Runner, kept: tuple[Path, list[object]]) -> None:
    path, words = kept
    file = json.loads(path.read_text(encoding="utf-8"))
    file["receipt"]["model"] = "[bold green]proven[/] [/nothing]"
    path.write_text(json.dumps(file), encoding="utf-8")
    assert "[bold green]proven[/] [/nothing]" in hermetic("receipt", "verify", path, *words, code=1)


@pytest.mark.parametrize("content", ["", "{}", "not json"])
def test_what_is_no_receipt_is_refused(hermetic: Runner, tmp_path: Path, content: str) -> None:
    path = tmp_path / "receipt.json"
    path.write_text(content, encoding="utf-8")
    hermetic("receipt", "verify", path, code=1)


def test_a_file_that_is_not_there_is_wrong_usage(hermetic: Runner, tmp_path: Path) -> None:
    hermetic("receipt", "verify", tmp_path / "absent.json", code=2)


class LogServer:
    """A real HTTP server for a log, honest unless ``bodies`` says otherwise."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.bodies: dict[str, bytes | None] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/log"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.removeprefix("/log/")
        resource = self.log.resource(path)
        body = self.bodies.get(path, resource.body if resource else None)
        request.send_response(200 if body is not None else 404)
        request.send_header("Content-Length", str(len(body or b"")))
        request.end_headers()
        request.wfile.write(body or b"")


@pytest.fixture
def server() -> Iterator[LogServer]:
    log = Log.create(VolatileDisk(), signer=SIGNER)
    log.append(commitments(0, 700))
    server = LogServer(log)
    yield server
    server.close()


def test_a_log_is_verified_remembered_and_continued(hermetic: Runner, server: LogServer, state: Path) -> None:
    found = hermetic.json("log", "verify", server.url, "--log-key", LOG_KEY, code=0)
    assert (found["verdict"], found["size"], found["first_seen"]) == ("verified", 700, True)
    server.log.append(commitments(700, 300))
    found = hermetic.json("log", "verify", server.url, code=0)  # the key is remembered
    assert (found["verdict"], found["size"], found["first_seen"]) == ("verified", 1000, False)
    pinned = PinnedCheckpoints(state / "checkpoints.json").get(LOG_KEY)
    assert pinned is not None
    assert (pinned.newest, set(pinned.earlier)) == (server.log.checkpoint, {700})
    assert "1000 entries" in hermetic("log", "verify", server.url, code=0)


def test_without_the_key_nobody_vouches(hermetic: Runner, server: LogServer, state: Path) -> None:
    found = hermetic.json("log", "verify", server.url, code=3)
    assert _outcome(found, "log.entries") == "pass"
    assert _outcome(found, "log.checkpoint") == "not performed"
    assert PinnedCheckpoints(state / "checkpoints.json").keys() == {}


def test_a_policy_that_names_logs_knows_no_other(hermetic: Runner, server: LogServer, tmp_path: Path) -> None:
    hermetic("log", "verify", server.url, "--log-key", LOG_KEY, code=0)  # remembered from here on
    other = NoteSigner.from_seed("other.example/log", bytes(32)).verifier
    policy = tmp_path / "policy.toml"
    policy.write_text(policy_text(log_keys=(str(other),)), encoding="utf-8")
    found = hermetic.json("log", "verify", server.url, "--policy", policy, code=1)
    assert _outcome(found, "log.checkpoint") == "fail"
    policy.write_text(policy_text(log_keys=(str(other), str(LOG_KEY))), encoding="utf-8")
    hermetic("log", "verify", server.url, "--policy", policy, code=0)


def test_an_empty_log_is_verified(hermetic: Runner) -> None:
    server = LogServer(Log.create(VolatileDisk(), signer=SIGNER))
    assert hermetic.json("log", "verify", server.url, "--log-key", LOG_KEY, code=0)["size"] == 0
    server.close()


@pytest.mark.parametrize("path", ["tile/0/001", "tile/1/000.p/2", "tile/entries/002.p/188"])
def test_a_log_that_lies_or_withholds_is_refused(hermetic: Runner, server: LogServer, state: Path, path: str) -> None:
    honest = server.log.resource(path)
    assert honest is not None
    for body in (None, honest.body[:-1], bytes(len(honest.body))):
        server.bodies[path] = body
        found = hermetic.json("log", "verify", server.url, "--log-key", LOG_KEY, code=1)
        assert _outcome(found, "log.entries") == "fail"
    assert PinnedCheckpoints(state / "checkpoints.json").keys() == {}


def test_a_fork_and_a_rollback_are_refused(hermetic: Runner, server: LogServer, state: Path) -> None:
    hermetic("log", "verify", server.url, "--log-key", LOG_KEY, code=0)
    before = (state / "checkpoints.json").read_bytes()
    for entries, word in [
        ([commitment(-1), *commitments(1, 800)], "more than one history"),
        (commitments(0, 600), "went back"),
    ]:
        server.log = Log.create(VolatileDisk(), signer=SIGNER)
        server.log.append(entries)
        assert word in json.dumps(hermetic.json("log", "verify", server.url, code=1))
    assert (state / "checkpoints.json").read_bytes() == before


def test_another_key_is_refused(hermetic: Runner, server: LogServer) -> None:
    imposter = NoteSigner.from_seed(SIGNER.name, bytes(32)).verifier
    hermetic("log", "verify", server.url, "--log-key", imposter, code=1)
    hermetic("log", "verify", server.url, "--log-key", LOG_KEY, code=0)
    server.log = Log.create(VolatileDisk(), signer=NoteSigner.from_seed(SIGNER.name, bytes(32)))
    hermetic("log", "verify", server.url, "--log-key", imposter, code=1)  # the log had another key before


def test_nobody_there_is_unavailable(hermetic: Runner, server: LogServer, tmp_path: Path) -> None:
    server.close()
    hermetic("log", "verify", server.url, "--log-key", LOG_KEY, code=4)
    hermetic("log", "verify", tmp_path, "--log-key", LOG_KEY, code=2)


def test_a_folder_is_verified_while_the_broker_has_it(hermetic: Runner, tmp_path: Path) -> None:
    with Log.create(FolderDisk(tmp_path / "log"), signer=SIGNER) as log:
        log.append(commitments(0, 300))
        found = hermetic.json("log", "verify", tmp_path / "log", "--log-key", LOG_KEY, code=0)
        assert found["size"] == 300
        log.append(commitments(300, 5))
        hermetic("log", "verify", tmp_path / "log", code=0)
    entries = (tmp_path / "log" / "entries").read_bytes()
    (tmp_path / "log" / "entries").write_bytes(entries[32:] + entries[:32])
    hermetic("log", "verify", tmp_path / "log", code=1)


def _outcome(document: dict[str, Any], name: str) -> str:
    outcome: str = next(check["outcome"] for check in document["checks"] if check["name"] == name)
    return outcome


def _watched(hermetic: Runner, *words: object, code: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in hermetic("log", "watch", *words, "--json", code=code).splitlines()]


def test_a_watch_sees_a_log_grow(hermetic: Runner, server: LogServer, state: Path) -> None:
    looks = _watched(hermetic, server.url, "--log-key", LOG_KEY, "--looks", 2, "--every", 0.1, code=0)
    assert [(look["size"], look["alarm"]) for look in looks] == [(700, None), (700, None)]
    server.log.append(commitments(700, 300))
    assert [look["size"] for look in _watched(hermetic, server.url, "--looks", 1, code=0)] == [1000]
    assert "1000 entries, everything holds" in hermetic("log", "watch", server.url, "--looks", 1, code=0)


def test_a_watch_ends_with_an_alarm_on_a_fork_a_step_back_and_a_gap(hermetic: Runner, server: LogServer) -> None:
    hermetic("log", "watch", server.url, "--log-key", LOG_KEY, "--looks", 1, code=0)
    honest = server.log
    for entries in ([commitment(-1), *commitments(1, 800)], commitments(0, 600)):
        server.log = Log.create(VolatileDisk(), signer=SIGNER)
        server.log.append(entries)
        (look,) = _watched(hermetic, server.url, "--looks", 3, code=1)
        assert look["alarm"]["outcome"] == "fail"
        assert "ALARM" in hermetic("log", "watch", server.url, "--looks", 3, code=1)
    server.log = honest
    server.bodies["tile/entries/001"] = None
    (look,) = _watched(hermetic, server.url, "--looks", 3, code=1)
    assert look["alarm"]["name"] == "log.entries"


def test_a_watch_without_the_key_is_incomplete(hermetic: Runner, server: LogServer) -> None:
    (look,) = _watched(hermetic, server.url, "--looks", 3, code=3)
    assert look["alarm"]["name"] == "log.checkpoint"


def test_a_watch_of_nobody_says_so_and_asks_again(hermetic: Runner, server: LogServer) -> None:
    server.close()
    looks = _watched(hermetic, server.url, "--log-key", LOG_KEY, "--looks", 2, "--every", 0.1, code=4)
    assert [(look["size"], bool(look["unavailable"])) for look in looks] == [(None, True), (None, True)]


def test_a_watch_of_what_is_no_log_ends(hermetic: Runner, server: LogServer) -> None:
    server.bodies["checkpoint"] = b"nonsense"
    hermetic("log", "watch", server.url, "--log-key", LOG_KEY, "--looks", 3, code=1)


def test_a_look_that_checked_nothing_is_refused(server: LogServer) -> None:
    with pytest.raises(NotAuthentic):
        next(watch_log(lambda: (server.log.checkpoint.checkpoint, ()), seconds=1, looks=1))
