"""A launch in the simulated platform, seen from inside."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from guest_support import CONFIG
from hermetic.errors import Misconfigured, NotAuthentic, Unavailable
from hermetic.evidence import SEV_SNP, SGX, TDX, EvidenceBundle, SnpReport
from hermetic.guest import LaunchPlan, Program, enter, plan_launch
from hermetic.guest.installation import Installation
from hermetic.guest.simulated import SimulatedPlatform
from hermetic.guest.tree import Tree
from hermetic.identity import AttestationReport, Purpose, verify_report
from hermetic.sources.simulator.amd import SIMULATED_MEASUREMENT, SimulatedAmd
from hermetic.sources.simulator.machine import SimulatedMachine
from hermetic.sources.simulator.state import open_machine, open_vendor
from hermetic.verify import Outcome, simulated_root, verify

Launch = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="session")
def vendor(state: Path) -> SimulatedAmd:
    return open_vendor(state, now=datetime.now(UTC))


@pytest.fixture
def platform(vendor: SimulatedAmd, program: Program) -> SimulatedPlatform:
    return SimulatedPlatform(machine=SimulatedMachine(cpu=vendor), store=program.root.parent)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "server.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def plan(config: Path, tree: Tree) -> Callable[[str], LaunchPlan]:
    return lambda probe: plan_launch(config, arguments=(probe,), tree=tree)


@pytest.fixture
def launch(platform: SimulatedPlatform, plan: Callable[[str], LaunchPlan], tmp_path: Path) -> Launch:
    def run(probe: str) -> tuple[int, str]:
        with (tmp_path / "output").open("w+b") as output:
            code = platform.launch(plan(probe), stdout=output).wait(60)
            output.seek(0)
            return code, output.read().decode()

    return run


# ---- the room it wakes up in


def test_it_runs_isolated_from_the_copy_with_nothing_but_one_descriptor(
    launch: Launch, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HERMETIC_CANARY", "PYTHONPATH", "PYTHONHOME", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONINSPECT"):
        monkeypatch.setenv(name, "/canary")
    kept_open = os.open("/dev/zero", os.O_RDONLY)
    os.set_inheritable(kept_open, True)
    try:
        code, output = launch("look")
    finally:
        os.close(kept_open)
    seen = json.loads(output)
    assert code == 0
    assert (seen["environment"], seen["initial_environment"]) == ({}, "")
    assert all(Path(entry).is_relative_to(program.root) for entry in [*seen["path"], seen["executable"]])
    assert seen["flags"] == [1, True]
    assert seen["argv"] == ["serve", "--config", "server.toml", "look"]
    assert seen["folder"] == str(program.root)
    assert seen["session_leader"]
    descriptors = seen["descriptors"]
    (extra,) = descriptors.keys() - {"0", "1", "2"}
    assert descriptors["0"] == "/dev/null"
    assert descriptors[extra].startswith("socket:")


def test_it_gets_the_launch_document_and_the_configuration_that_were_measured(
    launch: Launch, plan: Callable[[str], LaunchPlan], config: Path
) -> None:
    _, output = launch("enter")
    seen = json.loads(output)
    assert seen["launch"] == plan("enter").document.to_json()
    assert seen["config"] == CONFIG
    assert seen["folder"] == str(config.parent)
    assert seen["descriptor_inheritable"] == [False]


def test_a_configuration_changed_after_it_was_hashed_is_not_what_is_read(
    platform: SimulatedPlatform, plan: Callable[[str], LaunchPlan], config: Path, tmp_path: Path
) -> None:
    planned = plan("enter")
    config.write_text(CONFIG.replace("clinic-chat", "someone-else"))
    with (tmp_path / "output").open("w+b") as output:
        platform.launch(planned, stdout=output).wait(60)
        output.seek(0)
        seen = json.load(output)
    assert seen["config"] == CONFIG
    assert seen["launch"]["service"] == "clinic-chat"


def test_what_it_starts_does_not_inherit_the_device(launch: Launch) -> None:
    seen = json.loads(launch("grandchild")[1])
    assert "0" in seen["seen"]
    assert seen["number"] not in seen["seen"]


# ---- evidence


def test_its_evidence_carries_the_launch_digest_and_verifies_under_the_pinned_root_only(
    launch: Launch, plan: Callable[[str], LaunchPlan], vendor: SimulatedAmd
) -> None:
    bundle = EvidenceBundle.from_json(json.loads(launch("attest")[1]))
    now = datetime.now(UTC)
    claims = verify(bundle, roots=(simulated_root(vendor.root_digest),), now=now, report_data=bytes(range(64)))
    report = SnpReport.from_bytes(bundle.evidence)
    assert claims.root.simulated
    assert f"sha256:{report.host_data.hex()}" == plan("attest").document.digest
    assert report.measurement == SIMULATED_MEASUREMENT
    with pytest.raises(NotAuthentic):
        verify(bundle, roots=(simulated_root("sha256:" + "0" * 64),), now=now, report_data=bytes(range(64)))


@pytest.mark.parametrize("tee", [SEV_SNP, TDX, SGX])
def test_processor_and_gpus_attest_one_launch_in_one_report(
    tee: str, state: Path, program: Program, plan: Callable[[str], LaunchPlan], tmp_path: Path
) -> None:
    machine = open_machine(state, now=datetime.now(UTC), tee=tee, gpus=2, switches=1)
    platform, planned = SimulatedPlatform(machine=machine, store=program.root.parent), plan("report")
    with (tmp_path / "output").open("w+b") as output:
        assert platform.launch(planned, stdout=output).wait(60) == 0
        output.seek(0)
        report = AttestationReport.from_bytes(output.read())
    assert machine.nvidia is not None
    claims = verify_report(
        report,
        roots=(simulated_root(machine.root_digest),),
        device_roots=machine.nvidia.roots,
        now=datetime.now(UTC),
        purpose=Purpose.SESSION,
        nonce=bytes(range(32)),
    )
    assert claims.platform.tee == tee
    assert claims.simulated
    assert claims.launch == planned.document
    assert [device.model.is_switch for device in claims.devices] == [False, False, True]
    assert {check.outcome for check in claims.checks} == {Outcome.PASS}


def test_a_launch_document_that_does_not_describe_its_configuration_is_refused_inside(
    platform: SimulatedPlatform, plan: Callable[[str], LaunchPlan], tmp_path: Path
) -> None:
    """A platform that hands over another configuration than the launch digest covers."""
    honest = plan("enter")
    lying = dataclasses.replace(honest, config=CONFIG.replace("8443", "6666").encode())
    with (tmp_path / "output").open("w+b") as output:
        assert platform.launch(lying, stderr=output).wait(60) == 1
        output.seek(0)
        assert b"does not describe the configuration" in output.read()


def test_without_a_platform_there_is_nothing_to_enter() -> None:
    with pytest.raises(Misconfigured, match="not launched by a platform") as refusal:
        enter()
    assert refusal.value.code == "not_launched"


# ---- what is refused before it starts


def test_a_modified_copy_does_not_start(
    own_copy: Program, vendor: SimulatedAmd, plan: Callable[[str], LaunchPlan], tmp_path: Path
) -> None:
    own_copy.root.rename(tmp_path / own_copy.digest.removeprefix("sha256:"))
    victim = next(tmp_path.rglob("hermetic/cli/serve.py"))
    text = victim.read_text()
    victim.unlink()
    victim.write_text(text + "# harmless\n")
    with pytest.raises(NotAuthentic, match=r"hermetic/cli/serve\.py was changed"):
        SimulatedPlatform(machine=SimulatedMachine(cpu=vendor), store=tmp_path).launch(plan("look"))


def test_a_handover_that_does_not_fit_is_refused(
    platform: SimulatedPlatform, plan: Callable[[str], LaunchPlan]
) -> None:
    with pytest.raises(Misconfigured, match="too large"):
        platform.launch(dataclasses.replace(plan("look"), config=b"#" * 128 * 1024))


# ---- its end


def test_exit_codes_are_its_own(launch: Launch) -> None:
    assert launch("7")[0] == 7


def test_stop_asks_first_and_a_time_limit_is_kept(
    platform: SimulatedPlatform, plan: Callable[[str], LaunchPlan], tmp_path: Path
) -> None:
    with (tmp_path / "output").open("w+b") as output:
        workload = platform.launch(plan("wait"), stdout=output)
        _line(tmp_path / "output")
        assert workload.poll() is None
        with pytest.raises(Unavailable, match="still runs"):
            workload.wait(0.01)
        assert workload.stop() == workload.poll() == 43
        workload.send_signal(signal.SIGTERM)  # nothing is left to signal


@pytest.fixture
def command(installation: Installation, state: Path, config: Path, store: Path) -> tuple[list[str], dict[str, str]]:
    """``hermetic simulator run``, of the same code that the shared program holds."""
    arguments = ["--state", str(state), "--store", str(store), "--", "hermetic", "serve", "--config", str(config)]
    words = [sys.executable, "-B", "-m", "hermetic", "simulator", "run", *arguments]
    return words, {**os.environ, "PYTHONPATH": str(installation.package.parent)}


def test_the_command_says_simulated_and_passes_the_exit_code_on(
    command: tuple[list[str], dict[str, str]], vendor: SimulatedAmd
) -> None:
    words, environment = command
    done = subprocess.run([*words, "9"], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 9, done.stderr
    assert "SIMULATED" in done.stderr.splitlines()[0]
    assert vendor.root_digest in done.stderr


def test_signals_are_passed_on(command: tuple[list[str], dict[str, str]]) -> None:
    with _started(command) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
            assert process.stdout.readline() == f"{number.name}\n"
        assert process.wait(60) == 43


def test_it_dies_with_its_platform(command: tuple[list[str], dict[str, str]]) -> None:
    with _started(command) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert _alive(child)
        process.kill()
        deadline = time.monotonic() + 30
        while _alive(child) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not _alive(child)


def _started(command: tuple[list[str], dict[str, str]]) -> subprocess.Popen[str]:
    words, environment = command
    return subprocess.Popen([*words, "wait"], env=environment, stdout=subprocess.PIPE, text=True)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # nobody may be left to reap it


def _line(path: Path) -> Any:
    deadline = time.monotonic() + 60
    while not path.read_text().endswith("\n"):
        assert time.monotonic() < deadline, "the workload said nothing"
        time.sleep(0.01)
    return json.loads(path.read_text())
