"""``hermetic verify``: online, offline, and every way in which it must not say yes."""

from __future__ import annotations

import json
import os
import shlex
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from hermetic.cli._verdict import exit_code, fixes
from hermetic.client.attest import Verifier, fetch_report
from hermetic.identity import AttestationReport
from hermetic.policy import Policy
from hermetic.results import report_verdict
from stack_support import Home, Up

NOBODY = "http://127.0.0.1:1"


def outcomes(document: dict[str, Any]) -> dict[str, set[str]]:
    """The names of the checks, by outcome."""
    found: dict[str, set[str]] = {}
    for check in document["checks"]:
        found.setdefault(check["outcome"], set()).add(check["name"])
    return found


def another_policy(stack: Up, path: Path, **changes: Any) -> Path:
    """The stack's policy with other values in its tables."""
    document = tomllib.loads(stack.policy.read_text())
    for table, values in changes.items():
        document[table] = values if not isinstance(values, dict) else document[table] | values
    path.write_text(tomli_w.dumps(document))
    return path


@pytest.fixture(scope="module")
def saved(stack: Up, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A report that ``hermetic verify --save`` kept, and the arguments that it printed to check it offline."""
    path = tmp_path_factory.mktemp("saved") / "report.json"
    done = stack.hermetic("verify", stack.url, *stack.accepted, "--save", path)
    assert done.returncode == 0, done.stderr
    command = shlex.split(done.stderr.splitlines()[-1])
    assert command[:3] == ["hermetic", "verify", str(path)]
    return path, command[3:]


# Accepted


def test_the_server_of_the_last_up(stack: Up) -> None:
    done = stack.hermetic("verify")
    assert done.returncode == 0, done.stderr
    assert "SIMULATED" in done.stdout
    assert "accepted" in done.stdout


def test_a_stranger_with_the_policy(stack: Up, stranger: Home) -> None:
    done = stranger.hermetic("verify", stack.url, *stack.accepted, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert (document["verdict"], document["simulated"], document["service"]) == ("accepted", True, "demo-chat")
    assert outcomes(document).keys() == {"pass"}
    assert document["policy_digest"] == Policy.load(stack.policy).digest
    assert document["source"] == stack.url
    assert {"tee", "product", "devices", "device_link", "launch_digest", "keyset_digest", "report_digest"} <= set(
        document
    )
    launch = json.loads((stack.folder / "launch.json").read_bytes())
    assert launch["config_digest"] in {check["got"] for check in document["checks"]}


def test_a_saved_report_offline(stranger: Home, saved: tuple[Path, list[str]]) -> None:
    path, arguments = saved
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    done = stranger.hermetic("verify", path, *arguments, "--json", http_proxy=NOBODY, https_proxy=NOBODY)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["verdict"] == "accepted"


def test_verbose_shows_the_evidence_in_full(stranger: Home, saved: tuple[Path, list[str]]) -> None:
    path, arguments = saved
    nonce = arguments[arguments.index("--nonce") + 1]
    shown = stranger.hermetic("verify", path, *arguments, "--verbose", COLUMNS="120").stdout
    assert nonce in "".join(shown.split())
    assert "snp.measurement" in shown
    assert "snp.measurement" not in stranger.hermetic("verify", path, *arguments, COLUMNS="120").stdout


def test_outcomes_are_never_cut(stack: Up, stranger: Home, saved: tuple[Path, list[str]]) -> None:
    shown = stranger.hermetic("verify", saved[0], *stack.accepted, COLUMNS="60").stdout
    assert "○ not performed " in shown


# Incomplete: nothing is wrong, and not everything was shown


def test_without_the_nonce_it_may_be_old(stack: Up, stranger: Home, saved: tuple[Path, list[str]]) -> None:
    done = stranger.hermetic("verify", saved[0], *stack.accepted)
    assert done.returncode == 3
    assert "incomplete" in done.stdout
    assert "not performed" in done.stdout
    assert "--nonce" in done.stdout


def test_authentic_is_not_accepted(stack: Up) -> None:
    """Without a policy only hardware is authentic; here the claims come from a verifier that pinned the simulator."""
    judge = Verifier(policy=Policy.load(stack.policy), allow_simulated=True)
    nonce = judge.ask()
    report = AttestationReport.from_bytes(fetch_report(stack.url, nonce=nonce))
    unappraised = report_verdict(judge.authenticate(report, nonce=nonce))
    assert (str(unappraised.overall), exit_code(unappraised)) == ("authentic, NOT APPRAISED", 3)
    assert unappraised.to_json()["policy_digest"] is None
    assert any("--policy" in fix for fix in fixes(unappraised, allow_simulated=True))


# Refused


def test_without_a_policy_a_simulator_is_refused(stack: Up, stranger: Home) -> None:
    done = stranger.hermetic("verify", stack.url)
    assert done.returncode == 1
    assert "snp.chain.root" in done.stdout
    assert "--allow-simulated" in done.stdout
    assert "accepted" not in done.stdout.replace("is accepted only with", "")


def test_allowing_simulation_without_a_policy_changes_nothing(stack: Up, stranger: Home) -> None:
    assert stranger.hermetic("verify", stack.url, "--allow-simulated").returncode == 1


def test_the_policy_alone_does_not_allow_simulation(stack: Up, stranger: Home) -> None:
    done = stranger.hermetic("verify", stack.url, "--policy", stack.policy, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert document["verdict"] == "refused"
    assert document["error"]["code"] == "snp.chain.root"
    assert "--allow-simulated" in document["error"]["fix"]
    assert outcomes(document)["fail"] == {"snp.chain.root"}


def test_another_simulator_is_refused(stack: Up, stranger: Home, tmp_path: Path) -> None:
    other = another_policy(stack, tmp_path / "policy.toml", simulated_root="sha256:" + "00" * 32)
    done = stranger.hermetic("verify", stack.url, "--policy", other, "--allow-simulated", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "snp.chain.root"


def test_all_that_a_policy_does_not_want_is_told_at_once(stack: Up, stranger: Home, tmp_path: Path) -> None:
    nothing = "sha256:" + "00" * 32
    workload = {"programs": [nothing], "configs": [nothing], "models": [nothing], "services": ["other-chat"]}
    other = another_policy(stack, tmp_path / "policy.toml", workload=workload, snp={"products": ["Turin"]})
    done = stranger.hermetic("verify", stack.url, "--policy", other, "--allow-simulated", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["verdict"]) == (1, "refused")
    failed = outcomes(document)["fail"]
    assert {"policy.program", "policy.config", "policy.models", "policy.service", "policy.snp.product"} <= failed
    shown = stranger.hermetic("verify", stack.url, "--policy", other, "--allow-simulated")
    assert shown.returncode == 1
    assert shown.stdout.count("✗ FAIL") == len(failed)


@pytest.mark.parametrize("part", range(1, 6))
def test_a_changed_report(stranger: Home, saved: tuple[Path, list[str]], tmp_path: Path, part: int) -> None:
    path, arguments = saved
    data = bytearray(path.read_bytes())
    data[len(data) * part // 6] ^= 0x01
    changed = tmp_path / "changed.json"
    changed.write_bytes(data)
    done = stranger.hermetic("verify", changed, *arguments, "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["verdict"]) == (1, "refused")
    assert document["error"]["code"]


@pytest.mark.parametrize("data", [b"", b"{}", b"\x00" * 100, b"[" * 100_000])
def test_what_is_no_report(stack: Up, stranger: Home, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(data)
    done = stranger.hermetic("verify", path, *stack.accepted)
    assert done.returncode == 1
    assert "refused" in done.stdout
    assert "Traceback" not in done.stderr
    document = json.loads(stranger.hermetic("verify", path, *stack.accepted, "--json").stdout)
    assert document["parts"]["cpu0"] == {"kind": "unknown", "authentic": False, "simulated": False, "claims": []}
    assert "tee" not in document


@pytest.mark.parametrize(
    ("name", "value"),
    [("--nonce", "00" * 32), ("--at", "2099-01-01T00:00:00Z"), ("--at", "2020-01-01")],
    ids=["another question", "too late", "too early"],
)
def test_another_question_or_time(stranger: Home, saved: tuple[Path, list[str]], name: str, value: str) -> None:
    path, arguments = saved
    arguments = [*arguments]
    arguments[arguments.index(name) + 1] = value
    assert stranger.hermetic("verify", path, *arguments).returncode == 1


# Wrong usage, and nobody there


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "no-such-report.json"],
        ["verify", NOBODY, "--policy", "no-such-policy.toml"],
        ["verify", NOBODY, "--nonce", "00" * 32],
        ["verify", NOBODY, "--at", "2026-01-01"],
        ["verify", NOBODY, "--no-such-option"],
        ["verify", "SAVED", "--nonce", "zz"],
        ["verify", "SAVED", "--at", "yesterday"],
        ["verify", "SAVED", "--at", "0001-01-01T00:00:00+23:59"],
        ["verify", "SAVED", "--save", "again.json"],
        ["verify", "SAVED", "--allow-simulated"],
    ],
    ids=" ".join,
)
def test_wrong_usage(stranger: Home, saved: tuple[Path, list[str]], arguments: list[str]) -> None:
    done = stranger.hermetic(*(saved[0] if word == "SAVED" else word for word in arguments))
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("place", ["nowhere/report.json", "x" * 300], ids=["no folder", "no name"])
def test_a_place_that_cannot_be_written(stack: Up, tmp_path: Path, place: str) -> None:
    done = stack.hermetic("verify", stack.url, "--save", tmp_path / place)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("url", [NOBODY, "http://no-such-host.invalid"])
def test_nobody_there(stack: Up, stranger: Home, url: str) -> None:
    done = stranger.hermetic("verify", url, *stack.accepted)
    assert done.returncode == 4
    assert "does not answer" in done.stderr
    assert "→" in done.stderr


def test_a_server_that_is_none_of_ours(stack: Up, stranger: Home) -> None:
    done = stranger.hermetic("verify", stack.broker_url, *stack.accepted)
    assert done.returncode == 4
    assert "when asked for its attestation" in done.stderr
