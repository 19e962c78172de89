"""``hermetic simulator root`` and ``run``, as a person runs them on each TEE."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hermetic.cli import cli
from hermetic.errors import Misconfigured
from hermetic.evidence import SEV_SNP, SGX, TDX
from hermetic.sources.simulator.sgx_platform import SgxPlatform
from hermetic.sources.simulator.state import open_machine, open_nvidia
from hermetic.sources.simulator.tdx_platform import TdxPlatform

INTEL = {"tdx": TDX, "sgx": SGX}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulator") / "state"


def run(state: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["simulator", *words[:1], "--state", str(state), *words[1:]])


def said(state: Path, *words: str) -> str:
    done = run(state, "root", *words)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("tee", INTEL)
def test_the_root_of_a_processor_is_one_line(state: Path, tee: str) -> None:
    root = open_machine(state, now=datetime.now(UTC), tee=INTEL[tee]).root_digest
    assert said(state, "--tee", tee) == f"{root}\n"


def test_amd_is_the_default(state: Path) -> None:
    root = open_machine(state, now=datetime.now(UTC), tee=SEV_SNP).root_digest
    assert said(state) == said(state, "--tee", "snp") == f"{root}\n"


def test_the_roots_of_devices_are_lines_of_a_policy(state: Path) -> None:
    nvidia = open_nvidia(state, now=datetime.now(UTC))
    assert tomllib.loads(said(state, "--devices", "--tee", "tdx")) == {
        "simulated_device_root": nvidia.device_root_digest,
        "simulated_manifest_root": nvidia.manifest_root_digest,
    }


def test_everything_to_pin_as_json(state: Path) -> None:
    tdx, sgx = (json.loads(said(state, "--json", "--tee", tee)) for tee in INTEL)
    nvidia = open_nvidia(state, now=datetime.now(UTC))
    shared = {
        "simulated_root": open_machine(state, now=datetime.now(UTC), tee=TDX).root_digest,
        "simulated_device_root": nvidia.device_root_digest,
        "simulated_manifest_root": nvidia.manifest_root_digest,
        "ppid": tdx["ppid"],
    }
    assert tdx == shared | {"mr_td": TdxPlatform().mr_td.hex(), "mr_seam": TdxPlatform().mr_seam.hex()}
    assert sgx == shared | {"mr_enclave": SgxPlatform().mr_enclave.hex(), "mr_signer": SgxPlatform().mr_signer.hex()}
    assert json.loads(said(state, "--json")).keys() == {
        "simulated_root",
        "simulated_device_root",
        "simulated_manifest_root",
        "product",
        "measurement",
    }


def test_a_tee_that_nobody_plays(state: Path) -> None:
    done = run(state, "root", "--tee", "nitro")
    assert done.exit_code == 2
    assert "'snp', 'tdx', 'sgx'" in done.output


def test_switches_link_gpus(state: Path, tmp_path: Path) -> None:
    (tmp_path / "server.toml").touch()
    command = ["--", "hermetic", "serve", "--config", str(tmp_path / "server.toml")]
    done = run(state, "run", "--tee", "tdx", "--switches", "1", *command)
    assert isinstance(done.exception, Misconfigured)
    assert "at least one GPU" in done.exception.message
