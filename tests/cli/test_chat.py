"""``hermetic chat`` and what remains of it: an answer, files that prove it, and nothing anywhere else."""

from __future__ import annotations

import json
import re
import secrets
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermetic.wire import sha256_digest
from stack_support import HERMETIC, PATIENCE, Home, Up, eventually

SHORT = ("--max-tokens", "8", "--temperature", "0")
CANARY = f"canary {secrets.token_hex(16)}"
KEPT = {"request.json", "response.sse", "receipt.json"}


@pytest.fixture(scope="module")
def exchange(stack: Up, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved exchange about CANARY whose receipt has its place in the log."""
    folder = tmp_path_factory.mktemp("exchange")

    def save() -> dict[str, object]:
        done = stack.hermetic("chat", "--save", folder, *SHORT, f"Repeat: {CANARY}")
        assert done.returncode == 0, done.stderr
        assert "hermetic receipt verify" in done.stderr
        receipt: dict[str, object] = json.loads((folder / "receipt.json").read_bytes())
        return receipt

    eventually(save, until=lambda receipt: receipt["inclusion"] is not None)
    return folder


def verify(home: Home, stack: Up, folder: Path, *more: str | Path) -> tuple[int, dict[str, str]]:
    """``hermetic receipt verify`` on a saved exchange: exit code, and the outcome of each check by its name."""
    bodies = ("--request", folder / "request.json", "--response", folder / "response.sse")
    done = home.hermetic("receipt", "verify", folder / "receipt.json", *stack.accepted, *bodies, "--json", *more)
    assert done.stdout, done.stderr
    return done.returncode, {check["name"]: check["outcome"] for check in json.loads(done.stdout)["checks"]}


def copy(folder: Path, to: Path) -> Path:
    for name in KEPT:
        (to / name).write_bytes((folder / name).read_bytes())
    return to


# It answers


def test_an_answer_streams_to_standard_output(stack: Up) -> None:
    done = stack.hermetic("chat", *SHORT, "Say hello.")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "SIMULATED" in done.stderr
    assert "verified" in done.stderr


def test_a_stranger_with_url_policy_and_key(stack: Up, stranger: Home) -> None:
    stranger.folder.mkdir()
    key = stranger.folder / "key"
    key.write_text(stack.api_key + "\n")
    arguments = (stack.url, *stack.accepted, *SHORT, "--system", "Be brief.", "--model", stack.model, "--seed", "1")
    done = stranger.hermetic("chat", *arguments, "--api-key-file", key, "Say hello.")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_session(stack: Up) -> None:
    done = stack.hermetic("chat", *SHORT, typed="Say one.\nSay two.\n\nnever asked\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("› ") == 3


def test_an_interrupt_ends_the_answer_and_not_the_session(stack: Up) -> None:
    session = subprocess.Popen(
        [*HERMETIC, "chat", "--max-tokens", "1000"],
        env=stack.home.environment | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert session.stdin is not None
    assert session.stdout is not None
    try:
        session.stdin.write(b"Count from one to a thousand, one number a line.\n")
        session.stdin.flush()
        session.stdout.read(len("› ".encode()) + 1)  # the answer has begun
        session.send_signal(signal.SIGINT)
        _, said = session.communicate(b"Say one.\n\n", timeout=PATIENCE)
    finally:
        session.kill()
        session.wait()
    assert session.returncode == 0, said
    assert b"the session goes on" in said


# It refuses


def test_nobody_is_asked_who_is_not_accepted(stack: Up, stranger: Home) -> None:
    done = stranger.hermetic("chat", stack.url, "--policy", stack.policy, "Hello", HERMETIC_API_KEY=stack.api_key)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "--allow-simulated" in done.stderr


@pytest.mark.parametrize(
    "arguments", [["Hello"], ["URL", "Hello"], ["URL", "--allow-simulated", "Hello"]], ids=" ".join
)
def test_without_a_policy_nothing_is_sent(stack: Up, stranger: Home, arguments: list[str]) -> None:
    done = stranger.hermetic("chat", *(stack.url if word == "URL" else word for word in arguments))
    assert done.returncode == 2
    assert "→" in done.stderr


def test_a_wrong_key_and_a_wrong_model(stack: Up) -> None:
    done = stack.hermetic("chat", "--model", stack.model, "Hello", HERMETIC_API_KEY="wrong")
    assert done.returncode == 4
    assert "401" in done.stderr
    assert "--api-key-file" in done.stderr
    done = stack.hermetic("chat", "--model", "another", "Hello")
    assert done.returncode == 2
    assert f"it serves {stack.model}" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--save", "FOLDER"],
        ["--save", "EMPTY/below", "Hello"],
        ["--api-key-file", "no-such-file", "Hello"],
        ["--api-key-file", "EMPTY", "Hello"],
        ["--temperature", "9", "Hello"],
    ],
    ids=" ".join,
)
def test_wrong_usage(stack: Up, tmp_path: Path, arguments: list[str]) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    words = [word.replace("EMPTY", str(empty)).replace("FOLDER", str(tmp_path / "there")) for word in arguments]
    done = stack.hermetic("chat", *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "there").exists()


def test_nobody_there(stack: Up, stranger: Home) -> None:
    assert stranger.hermetic("chat", "http://127.0.0.1:1", *stack.accepted, "Hello").returncode == 4


# What it leaves behind


def test_the_receipt_is_about_exactly_these_files(stack: Up, exchange: Path) -> None:
    assert {path.name for path in exchange.iterdir()} == KEPT
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in exchange.iterdir())
    assert CANARY in (exchange / "request.json").read_text()
    events = {
        event["type"]: event for event in json.loads((exchange / "receipt.json").read_bytes())["receipt"]["event_log"]
    }
    for name, event in (("request.json", "request.received"), ("response.sse", "response.returned")):
        assert events[event]["body_hash"] == sha256_digest((exchange / name).read_bytes())


def test_a_receipt_is_proven_once_the_whole_log_was_read(stack: Up, exchange: Path, stranger: Home) -> None:
    code, checks = verify(stranger, stack, exchange)
    assert code == 3
    assert [name for name, outcome in checks.items() if outcome != "pass"] == ["log.consistency"]
    assert stranger.hermetic("log", "verify", stack.broker_url, "--log-key", stack.log_key).returncode == 0
    code, checks = verify(stranger, stack, exchange)
    assert (code, set(checks.values())) == (0, {"pass"})


def test_a_receipt_of_yesterday_is_tied_to_the_log_of_today(stack: Up, exchange: Path, stranger: Home) -> None:
    """The log has grown since: its checkpoint in the receipt is older than any that this person has seen."""
    assert stack.hermetic("chat", *SHORT, "Say hello.").returncode == 0

    def grown() -> int:
        done = stranger.hermetic("log", "verify", stack.broker_url, "--log-key", stack.log_key, "--json")
        return int(json.loads(done.stdout)["size"])

    saved = json.loads((exchange / "receipt.json").read_bytes())["checkpoint"].splitlines()[1]
    eventually(grown, until=lambda size: size > int(saved))
    code, checks = verify(stranger, stack, exchange)
    assert (code, checks["log.consistency"]) == (3, "not performed")
    code, checks = verify(stranger, stack, exchange, "--log", stack.broker_url)
    assert (code, set(checks.values())) == (0, {"pass"})
    assert verify(stranger, stack, exchange)[0] == 0  # it is remembered, so from here on offline


def test_without_a_policy_a_receipt_is_only_a_signature(stack: Up, exchange: Path, stranger: Home) -> None:
    done = stranger.hermetic("receipt", "verify", exchange / "receipt.json")
    assert done.returncode == 3
    assert "incomplete" in done.stdout


@pytest.mark.parametrize(("name", "check"), [("request.json", "receipt.request"), ("response.sse", "receipt.response")])
def test_another_body(stack: Up, exchange: Path, stranger: Home, tmp_path: Path, name: str, check: str) -> None:
    copy(exchange, tmp_path)
    with (tmp_path / name).open("ab") as file:
        file.write(b" ")
    code, checks = verify(stranger, stack, tmp_path)
    assert code == 1
    assert [name for name, outcome in checks.items() if outcome == "fail"] == [check]


@pytest.mark.parametrize("field", ["model", "served_at", "endpoint"])
def test_another_receipt(stack: Up, exchange: Path, stranger: Home, tmp_path: Path, field: str) -> None:
    file = copy(exchange, tmp_path) / "receipt.json"
    document = json.loads(file.read_bytes())
    value = document["receipt"][field]
    document["receipt"][field] = value + 1 if isinstance(value, int) else value + "x"
    file.write_text(json.dumps(document))
    assert verify(stranger, stack, tmp_path)[0] == 1


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def test_no_word_of_it_is_kept_anywhere(stack: Up, exchange: Path) -> None:
    """Prompt, answer and API key, in everything that broker, server and client wrote."""
    answer = "".join(re.findall(r'"content":"((?:[^"\\]|\\.)*)"', (exchange / "response.sse").read_text()))
    secrets_ = [CANARY.encode(), CANARY.split()[1].encode(), stack.api_key.encode()]
    secrets_ += [answer.encode()] if len(answer) >= 12 else []  # a short word may stand anywhere
    searched = [*files(stack.folder), *files(stack.home.folder / "state")]
    assert stack.log in searched
    found = {path for path in searched for secret in secrets_ if secret in path.read_bytes()}
    assert found == {stack.folder / "api-key"}


def test_what_was_logged_is_what_happened(stack: Up, exchange: Path) -> None:
    lines = [json.loads(line) for line in stack.log.read_text().splitlines() if line.startswith("{")]
    routes = {line["route"] for line in lines if line.get("event") == "request"}
    assert {"/v1/chat/completions", "/v1/receipts/{receipt_id}", "/.well-known/hermetic/attestation"} <= routes
