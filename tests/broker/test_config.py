"""broker.toml is strict, and its errors name the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from hermetic.broker import ResourceClass, load_config
from hermetic.errors import Misconfigured
from hermetic.identity import format_ed25519

OWNER = format_ed25519(bytes(32))
GOOD = f"""
name = "log.clinic.example/broker"
data = "data"

[listen]
host = "127.0.0.1"
port = 0

[limits]
challenge_seconds = 30

[[resources]]
name = "broker/clinic/triage"
class = "simulated"
owner = "{OWNER}"
policy = "policy.toml"
versions = ["a/version.json", "b/version.json"]
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "broker.toml"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = load_config(_write(tmp_path, GOOD))
    resource = config.resource("broker/clinic/triage")
    assert config.data == tmp_path / "data"
    assert resource.policy == tmp_path / "policy.toml"
    assert resource.versions == (tmp_path / "a/version.json", tmp_path / "b/version.json")
    assert (resource.resource_class, resource.tenant) == (ResourceClass.SIMULATED, "clinic")
    assert config.limits.challenge_seconds == 30


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    config = load_config(_write(tmp_path, GOOD.replace('data = "data"', 'data = "/srv/broker"')))
    assert config.data == Path("/srv/broker")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('name = "log.clinic.example/broker"', "", "name"),
        ("log.clinic.example/broker", "two words", "name"),
        ("log.clinic.example/broker", "a+b", "name"),
        ('data = "data"', 'data = ""', "data"),
        ('data = "data"', 'data = "data"\nextra = 1', "extra"),
        ("port = 0", "port = 65536", "port"),
        ("port = 0", 'port = "0"', "port"),
        ("port = 0", "port = 0\ntls = true", "tls"),
        ("challenge_seconds = 30", "challenge_seconds = 61", "challenge_seconds"),
        ("challenge_seconds = 30", "challenge_seconds = 0", "challenge_seconds"),
        ("challenge_seconds = 30", "no_limit = true", "no_limit"),
        ("broker/clinic/triage", "triage", "resources"),
        ("broker/clinic/triage", "broker/clinic/triage/deep", "resources"),
        ("broker/clinic/triage", "broker/clinic/Triage", "resources"),
        ("broker/clinic/triage", "broker/../triage", "resources"),
        ('class = "simulated"', 'class = "any"', "class"),
        ('class = "simulated"', "", "class"),
        (OWNER, "ed25519:AAAA", "owner"),
        (OWNER, OWNER[:-1], "owner"),
        ('policy = "policy.toml"', "", "policy"),
        ('policy = "policy.toml"', 'policy = "policy.toml"\nfront_doors = []', "front_doors"),
        ("[[resources]]", "[[resources", "line"),
        pytest.param("port = 0", "port = " + "[" * 100_000, "nested too deeply", id="deep"),
        pytest.param("port = 0", "port = " + "9" * 5_000, "digits", id="long"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, old: str, new: str, named: str) -> None:
    assert old in GOOD
    with pytest.raises(Misconfigured) as refused:
        load_config(_write(tmp_path, GOOD.replace(old, new, 1)))
    assert named in refused.value.message


def test_a_resource_is_configured_once(tmp_path: Path) -> None:
    twice = GOOD + GOOD[GOOD.index("[[resources]]") :]
    with pytest.raises(Misconfigured, match="twice"):
        load_config(_write(tmp_path, twice))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as refused:
        load_config(tmp_path / "broker.toml")
    assert refused.value.code == "config_unreadable"
    assert "--config" in refused.value.fix


def test_an_unknown_resource_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as refused:
        load_config(_write(tmp_path, GOOD)).resource("broker/clinic/none")
    assert "broker/clinic/triage" in refused.value.fix
