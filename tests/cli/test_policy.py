"""``hermetic policy``: what it writes loads, lints and accepts; what is dangerous it says."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import tomli_w

from hermetic.policy import Policy
from stack_support import Home, Up


def findings(home: Home, policy: Path) -> tuple[int, set[str]]:
    """``hermetic policy lint``: exit code, and the codes of what would refuse."""
    done = home.hermetic("policy", "lint", policy, "--json")
    document = json.loads(done.stdout)
    codes = {finding["code"] for finding in document["findings"] if finding["refuses"]}
    assert document["refused"] == bool(codes)
    return done.returncode, codes


def test_trust_on_first_use(stack: Up, stranger: Home, tmp_path: Path) -> None:
    written = stranger.hermetic("policy", "new", stack.url, "--allow-simulated")
    assert written.returncode == 0, written.stderr
    assert "Trust on first use" in written.stdout
    policy = tmp_path / "policy.toml"
    policy.write_text(written.stdout)
    assert findings(stranger, policy) == (0, set())
    done = stranger.hermetic("verify", stack.url, "--policy", policy, "--allow-simulated")
    assert done.returncode == 0, done.stdout
    pinned, ours = Policy.load(policy), Policy.load(stack.policy)
    assert pinned.workload == ours.workload


def test_from_a_launch_document(stack: Up, stranger: Home, tmp_path: Path) -> None:
    root = json.loads(stack.hermetic("simulator", "root", "--json").stdout)
    written = stranger.hermetic(
        *("policy", "new", "--launch", stack.folder / "launch.json", "--product", root["product"]),
        *("--measurement", root["measurement"], "--simulated-root", root["simulated_root"]),
    )
    assert written.returncode == 0, written.stderr
    policy = tmp_path / "policy.toml"
    policy.write_text(written.stdout)
    assert stranger.hermetic("verify", stack.url, "--policy", policy, "--allow-simulated").returncode == 0


def test_from_a_launch_document_on_the_simulator_of_this_machine(stack: Up, stranger: Home, tmp_path: Path) -> None:
    arguments = ("--launch", stack.folder / "launch.json", "--allow-simulated")
    written = stack.hermetic("policy", "new", *arguments, "--log-key", stack.log_key)
    assert written.returncode == 0, written.stderr
    policy = tmp_path / "policy.toml"
    policy.write_text(written.stdout)
    assert Policy.load(policy).log_keys == (stack.log_key,)
    assert stranger.hermetic("verify", stack.url, "--policy", policy, "--allow-simulated").returncode == 0
    # Hardware and simulator are not mixed.
    assert stack.hermetic("policy", "new", *arguments, "--product", "Genoa").returncode == 2


def test_nothing_is_written_for_what_is_no_measurement(stack: Up, stranger: Home) -> None:
    arguments = ("--launch", stack.folder / "launch.json", "--product", "Genoa", "--measurement", "MEASUREMENT")
    written = stranger.hermetic("policy", "new", *arguments)
    assert written.returncode == 2
    assert written.stdout == ""
    assert "96 hex digits" in written.stderr


FLOOR = """
[snp.tcb.Genoa]
boot_loader = 9
tee = 0
snp = 21
microcode = 71
"""


def test_a_production_policy_needs_floors_and_holds_no_simulator(stack: Up, stranger: Home, tmp_path: Path) -> None:
    root = json.loads(stack.hermetic("simulator", "root", "--json").stdout)
    arguments = ("--launch", stack.folder / "launch.json", "--product", "Genoa", "--measurement", root["measurement"])
    written = stranger.hermetic("policy", "new", *arguments, "--profile", "production")
    assert written.returncode == 3
    assert "[snp.tcb.Genoa]" in written.stderr
    policy = tmp_path / "policy.toml"
    policy.write_text(written.stdout)
    assert "add [snp.tcb.Genoa]" in stranger.hermetic("policy", "lint", policy).stdout  # brackets are no markup
    policy.write_text(written.stdout + FLOOR)
    assert findings(stranger, policy) == (0, set())
    # It loads, and no simulator is in it, whatever the caller allows.
    done = stranger.hermetic("verify", stack.url, "--policy", policy, "--allow-simulated", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "simulated_root_unpinned"
    # Nor can one be put in.
    policy.write_text(f'simulated_root = "{root["simulated_root"]}"\n{written.stdout}{FLOOR}')
    assert findings(stranger, policy) == (1, {"simulation_in_production"})
    assert stranger.hermetic("verify", stack.url, "--policy", policy, "--allow-simulated").returncode == 2


def test_a_simulator_is_pinned_only_when_asked_to(stack: Up, stranger: Home) -> None:
    done = stranger.hermetic("policy", "new", stack.url)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "--allow-simulated" in done.stderr


@pytest.mark.parametrize("gap", ["services", "programs", "configs", "argv"])
def test_a_policy_that_pins_nothing_is_refused(stack: Up, stranger: Home, tmp_path: Path, gap: str) -> None:
    document = tomllib.loads(stack.policy.read_text())
    document["workload"][gap] = []
    policy = tmp_path / "policy.toml"
    policy.write_text(tomli_w.dumps(document))
    assert findings(stranger, policy) == (1, {f"pins_no_{gap}"})
    done = stranger.hermetic("verify", stack.url, "--policy", policy, "--allow-simulated")
    assert done.returncode == 2
    assert f"pins_no_{gap}" in done.stderr
    said = stranger.hermetic("policy", "lint", policy)
    assert said.returncode == 1
    assert f"pins_no_{gap}" in said.stdout


@pytest.mark.parametrize(
    "text",
    ["version = 1\n", "version = 99\n", "not toml at all", 'version = 1\nprofile = "development"\nsurprise = 1\n'],
)
def test_what_is_no_policy(stranger: Home, tmp_path: Path, text: str) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(text)
    done = stranger.hermetic("policy", "lint", policy)
    assert done.returncode == 2
    assert str(policy) in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["policy", "new"],
        ["policy", "new", "http://127.0.0.1:1", "--launch", "launch.json"],
        ["policy", "new", "http://127.0.0.1:1", "--profile", "production"],
        ["policy", "new", "--launch", "launch.json"],
        ["policy", "new", "--launch", "no-such.json", "--product", "Genoa", "--measurement", "00" * 48],
        ["policy", "lint", "no-such.toml"],
    ],
    ids=" ".join,
)
def test_wrong_usage(stranger: Home, arguments: list[str]) -> None:
    done = stranger.hermetic(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_nobody_there(stranger: Home) -> None:
    assert stranger.hermetic("policy", "new", "http://127.0.0.1:1").returncode == 4
