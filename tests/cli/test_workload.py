"""The commands around a workload: what will be launched, on what, who got keys, and the log of it all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hermetic.identity import LaunchDocument
from hermetic.policy import Policy
from hermetic.wire import sha256_digest
from stack_support import Home, Up


def said(home: Home, *arguments: str | Path) -> Any:
    """What a command says with ``--json``; it must succeed."""
    done = home.hermetic(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# hermetic measure


def test_measuring_again_gives_what_was_launched(stack: Up, stranger: Home, tmp_path: Path) -> None:
    """Before anything runs, and from another person's account: the same launch digest that the policy pins."""
    output = tmp_path / "launch.json"
    measured = said(stranger, "measure", stack.server_toml, "--output", output)
    launched = json.loads((stack.folder / "launch.json").read_bytes())
    assert measured["launch"] == launched
    assert json.loads(output.read_bytes()) == launched
    launch = LaunchDocument.from_json(launched)
    assert measured["launch_digest"] == launch.digest
    policy = Policy.load(stack.policy)
    assert (launch.program_digest,) == policy.workload.programs
    assert (launch.config_digest,) == policy.workload.configs
    assert launch.config_digest == sha256_digest(stack.server_toml.read_bytes())
    assert said(stack.home, "verify", stack.url)["launch_digest"] == launch.digest


def test_measure_for_people(stack: Up, stranger: Home) -> None:
    done = stranger.hermetic("measure", stack.server_toml)
    assert done.returncode == 0
    assert sha256_digest(stack.server_toml.read_bytes()) in done.stdout


@pytest.mark.parametrize("text", [None, "not toml", 'service = "x"\n'], ids=["absent", "not toml", "not all"])
def test_measure_refuses_what_is_no_configuration(stranger: Home, tmp_path: Path, text: str | None) -> None:
    config = tmp_path / "server.toml"
    if text is not None:
        config.write_text(text)
    done = stranger.hermetic("measure", config, "--output", tmp_path / "launch.json")
    assert done.returncode == 2
    assert str(config) in done.stderr
    assert not (tmp_path / "launch.json").exists()


# hermetic platform, hermetic simulator


def test_platform(stranger: Home) -> None:
    found = said(stranger, "platform")
    assert found["findings"]
    assert {"name", "tee", "present", "collector"} <= found["findings"][0].keys()
    shown = stranger.hermetic("platform")
    assert shown.returncode == 0
    assert found["summary"] in shown.stdout


def test_the_simulator_s_root_is_what_the_policy_pins(stack: Up) -> None:
    root = said(stack.home, "simulator", "root")
    policy = Policy.load(stack.policy)
    assert root["simulated_root"] == policy.platform.simulated_root
    assert policy.platform.snp is not None
    assert (root["product"],) == policy.platform.snp.products
    assert stack.hermetic("simulator", "root").stdout == f"{policy.platform.simulated_root}\n"


def test_a_simulator_that_was_reset_is_another_one(stranger: Home, tmp_path: Path) -> None:
    where = ("--state", tmp_path / "simulator")
    first = said(stranger, "simulator", "root", *where)
    assert said(stranger, "simulator", "root", *where) == first
    asked = stranger.hermetic("simulator", "reset", *where, "--store", tmp_path / "store", typed="n\n")
    assert asked.returncode == 130
    assert said(stranger, "simulator", "root", *where) == first
    done = stranger.hermetic("simulator", "reset", *where, "--store", tmp_path / "store", "--yes")
    assert done.returncode == 0
    assert said(stranger, "simulator", "root", *where)["simulated_root"] != first["simulated_root"]


def test_the_simulator_launches_nothing_that_it_cannot_measure(stranger: Home) -> None:
    done = stranger.hermetic("simulator", "run", "--", "python3", "-c", "print('ran')")
    assert done.returncode == 2
    assert "ran" not in done.stdout


def test_serve_runs_only_where_it_is_attested(stack: Up, stranger: Home) -> None:
    done = stranger.hermetic("serve", "--config", stack.server_toml)
    assert done.returncode == 2
    assert "not_launched" in done.stderr
    assert "hermetic simulator run" in done.stderr


# hermetic broker, hermetic log


def test_who_got_the_key(stack: Up) -> None:
    seen = said(stack.home, "broker", "releases", "--config", stack.broker_toml)
    assert seen["outside_tee"] is True
    (release,) = [release for release in seen["releases"] if release["outcome"] == "granted"]
    assert release["findings"] == []
    assert release["machine"]["simulated"] is True
    launch = json.loads((stack.folder / "launch.json").read_bytes())
    assert release["launch_digest"] == LaunchDocument.from_json(launch).digest
    shown = stack.hermetic("broker", "releases", "--config", stack.broker_toml)
    assert "granted" in shown.stdout
    assert "SIMULATED" in shown.stdout


def test_a_broker_that_is_running_is_not_changed(stack: Up) -> None:
    done = stack.hermetic("broker", "init", "--config", stack.broker_toml)
    assert done.returncode == 4
    assert "log_locked" in done.stderr


def test_the_log_from_first_to_last(stack: Up, stranger: Home) -> None:
    unknown = stranger.hermetic("log", "verify", stack.broker_url)
    assert unknown.returncode == 3
    assert "--log-key" in unknown.stdout
    first = said(stranger, "log", "verify", stack.broker_url, "--log-key", stack.log_key)
    assert (first["verdict"], first["first_seen"]) == ("verified", True)
    assert first["size"] >= 1
    again = said(stranger, "log", "verify", stack.broker_url)
    assert (again["verdict"], again["first_seen"]) == ("verified", False)


def test_another_log_key_is_refused(stack: Up, stranger: Home) -> None:
    name, number, key = stack.log_key.split("+", 2)
    other = f"{name}+{int(number, 16) ^ 1:08x}+{key}"
    assert stranger.hermetic("log", "verify", stack.broker_url, "--log-key", other).returncode == 1


def test_there_is_no_log(stack: Up, stranger: Home) -> None:
    assert stranger.hermetic("log", "verify", "http://127.0.0.1:1").returncode == 4
    assert stranger.hermetic("log", "verify", stack.url).returncode in {1, 4}


# A key for another launch


def test_another_configuration_gets_no_key(stack: Up, tmp_path: Path) -> None:
    """The same program with one line added, launched as anybody might: refused, and the owner sees why."""
    config = tmp_path / "server.toml"
    text = stack.server_toml.read_text().replace(f"port = {stack.port}", "port = 0")
    config.write_text(text.replace('bundle = "model"', f"bundle = {json.dumps(str(stack.folder / 'model'))}"))
    done = stack.hermetic("simulator", "run", "--", "hermetic", "serve", "--config", config)
    assert done.returncode != 0
    assert "not_released" in done.stdout + done.stderr
    newest = said(stack.home, "broker", "releases", "--config", stack.broker_toml, "--limit", "1")["releases"][0]
    assert newest["outcome"] == "denied"
    assert {finding["check"] for finding in newest["findings"]} == {"policy.config"}
    assert os.fspath(stack.folder) not in json.dumps(newest)
