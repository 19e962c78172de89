"""``hermetic broker``: what a person reads, and what a program does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker_support import OTHER, RESOURCE, House, changed
from hermetic.broker import OUTSIDE_TEE
from hermetic.cli import cli
from hermetic.errors import Misconfigured
from hermetic.wire import sha256_digest


def _run(house: House, *arguments: str) -> Result:
    command = ["broker", *arguments, "--config", str(house.config_path)]
    return CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False)


def test_init_says_what_others_need_and_that_it_runs_outside_a_tee(house: House) -> None:
    said = _run(house, "init").output
    assert OUTSIDE_TEE in said
    assert house.made.broker_key in said
    assert house.made.log_key in said
    assert "there already" in said
    document = json.loads(_run(house, "init", "--json").output)
    assert document["recipients"] == dict(house.made.recipients)
    assert (document["made"], document["outside_tee"], document["notice"]) == ([], True, OUTSIDE_TEE)


def test_init_makes_a_folder_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "broker.toml").write_text('name = "a.example"\ndata = "deep/er/data"\n')
    command = ["broker", "init", "--config", str(tmp_path / "broker.toml"), "--json"]
    made = CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False)
    assert json.loads(made.output)["broker_key"].startswith("ed25519:")
    assert (tmp_path / "deep/er/data/root.key").stat().st_mode & 0o777 == 0o600


def test_recipient_prints_just_that(house: House) -> None:
    assert _run(house, "recipient", RESOURCE).output == house.made.recipients[RESOURCE] + "\n"
    assert json.loads(_run(house, "recipient", RESOURCE, "--json").output)["resource"] == RESOURCE
    with pytest.raises(Misconfigured):
        _run(house, "recipient", OTHER)


def test_releases_tell_the_owner_who_and_why_not(house: House) -> None:
    assert "nobody has asked yet" in _run(house, "releases").output
    with house.serving() as running:
        workload = house.workload()
        running.post(running.request(workload))
        running.post(running.request(changed(workload, program_digest=sha256_digest(b"tampered"))))
        said = _run(house, "releases").output
        document = json.loads(_run(house, "releases", "--json").output)
    assert OUTSIDE_TEE in said
    assert said.index("granted") < said.index("denied"), "the newest last, where the eye is"
    assert "SIMULATED" in said
    assert "policy.program" in said
    assert sha256_digest(b"tampered") in said
    assert "hermetic measure server.toml" in said
    newest, older = document["releases"]
    assert (newest["outcome"], older["outcome"]) == ("denied", "granted")
    assert newest["findings"][0]["check"] == "policy.program"
    assert newest["findings"][0]["expected"] == workload.launch.program_digest
    assert older["machine"]["simulated"] is True
    assert older["keyset_digest"] == workload.keyset.digest


def test_releases_of_one_resource_and_so_many(tmp_path: Path) -> None:
    house = House(tmp_path, names=(RESOURCE, OTHER))
    with house.serving() as running:
        for _ in range(3):
            running.post(running.request(house.workload()))
    assert json.loads(_run(house, "releases", "--resource", OTHER, "--json").output)["releases"] == []
    limited = json.loads(_run(house, "releases", "--resource", RESOURCE, "--limit", "2", "--json").output)
    assert len(limited["releases"]) == 2
    with pytest.raises(Misconfigured):
        _run(house, "releases", "--resource", "broker/clinic/none")


def test_what_a_stranger_wrote_is_shown_as_text(house: House) -> None:
    """A service name is the workload's own word: it must not style, or hide, a line of the owner's list."""
    with house.serving() as running:
        workload = changed(house.workload(), service="[green]granted[/] nice")
        running.post(running.request(workload))
    assert "[green]granted[/] nice" in _run(house, "releases").output
