"""``hermetic platform --collect``, on machines of every kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector_support import mounted, needs_fuse
from examined_support import policy_text
from hermetic.evidence import SEV_SNP, SGX, TDX, Composite, EventLog, SnpReport, machine_report_data, parse_evidence
from hermetic.evidence.nvidia import NvidiaReport
from hermetic.sources.simulator.device import OPTION
from hermetic.sources.simulator.handover import socket_pair
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from machine_support import in_machine, needs_namespaces
from nvidia_driver import compile_library, needs_compiler, needs_vectors, record
from quote_support import verified
from sources.dstack_agent import agent
from sources.simulated_launch import answering
from vectors import ROOT

_SOURCES = Path(__file__).parents[1] / "sources"
_TSM = "/sys/kernel/config/tsm/report"
_NONCE = bytes(range(32))


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with mounted(_SOURCES / "tsm_kernel.py", tmp_path_factory.mktemp("kernels")) as folder:
        yield folder


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with mounted(_SOURCES / "guest_kernel.py", tmp_path_factory.mktemp("dev")) as folder:
        yield folder


def _collected(path: Path) -> Composite:
    return Composite.from_bytes(path.read_bytes())


def _report_data(collected: Composite) -> bytes:
    assert collected.platform is not None
    evidence = parse_evidence(collected.platform)
    return evidence.report_data if isinstance(evidence, SnpReport) else evidence.body.report_data


# ---- machines: the real paths, in a mount namespace of their own


@needs_fuse
@needs_namespaces
@pytest.mark.parametrize(
    ("kind", "tee", "interface"),
    [
        ("tsm-snp", SEV_SNP, "configfs-tsm, sev_guest"),
        ("tsm-tdx", TDX, "configfs-tsm, tdx_guest"),
        ("sev-guest", SEV_SNP, "/dev/sev-guest"),
    ],
)
def test_a_machine_with_a_kernels_interface(
    kernels: Path, devices: Path, tmp_path: Path, kind: str, tee: str, interface: str
) -> None:
    (tmp_path / "marker").touch()
    binds = {
        "tsm-snp": {_TSM: kernels / "provider=sev_guest", "/dev/sev-guest": tmp_path / "marker"},
        "tsm-tdx": {_TSM: kernels / "provider=tdx_guest", "/dev/tdx_guest": tmp_path / "marker"},
        "sev-guest": {"/dev/sev-guest": devices / "sev-guest"},
    }[kind]
    output = tmp_path / "evidence.json"
    done = in_machine(tmp_path, binds, "platform", "--collect", output, "--nonce", _NONCE.hex(), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["simulated"], told["platform"]["tee"], told["platform"]["interface"]) == (False, tee, interface)
    assert told["platform"]["askers"] == "root, and whom the file's permissions admit"
    collected = _collected(output)
    assert collected.platform is not None
    assert collected.platform.tee == tee
    assert _report_data(collected) == machine_report_data(_NONCE, ()) == bytes.fromhex(told["platform"]["report_data"])
    assert told["verify"] == [
        "hermetic", "evidence", "verify", str(output), "--report-data", told["platform"]["report_data"]
    ]  # fmt: skip
    assert not list(tmp_path.glob(".*evidence*")), "nothing half-written stays behind"


@needs_fuse
@needs_namespaces
@needs_compiler
@needs_vectors
def test_a_machine_with_tdx_an_event_log_and_gpus(kernels: Path, tmp_path: Path) -> None:
    pytest.importorskip("pynvml", reason="NVIDIA's binding is not installed")
    compile_library("nvml_library.c", tmp_path / "libnvidia-ml.so.1")
    nonce = record(tmp_path, gpus=2)
    (tmp_path / "version").write_text("NVRM version: …")
    log = ROOT / "attestation" / "tdx-eventlogs" / "CCEL_data"
    binds = {
        _TSM: kernels / "provider=tdx_guest,padding=900",
        "/dev/tdx_guest": tmp_path / "version",
        "/proc/driver/nvidia/version": tmp_path / "version",
        "/sys/firmware/acpi/tables/data/CCEL": log,
    }
    output = tmp_path / "evidence.json"
    environment = {"LD_LIBRARY_PATH": str(tmp_path), "RECORDED": str(tmp_path)}
    arguments = ("platform", "--collect", output, "--nonce", nonce.hex(), "--json")
    done = in_machine(tmp_path, binds, *arguments, environment=environment)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["devices"], told["left_out"], told["platform"]["event_logs"]) == (2, [], ["ccel"])
    collected = _collected(output)
    assert [NvidiaReport.from_bytes(device.evidence).nonce for device in collected.devices] == [nonce, nonce]
    assert collected.platform is not None
    assert dict(collected.platform.event_logs) == {"ccel": EventLog.from_ccel(log.read_bytes()).to_bytes()}
    assert _report_data(collected) == machine_report_data(nonce, collected.devices)
    assert told["verify"][-2:] == ["--nonce", nonce.hex()]


@needs_namespaces
@needs_compiler
@needs_vectors
@pytest.mark.parametrize(
    ("knobs", "code"), [({"CC": "0"}, "no_tee"), ({"DEVTOOLS": "1"}, "device_devtools")], ids=["off", "devtools"]
)
def test_gpus_that_prove_nothing_are_no_evidence(tmp_path: Path, knobs: dict[str, str], code: str) -> None:
    pytest.importorskip("pynvml", reason="NVIDIA's binding is not installed")
    compile_library("nvml_library.c", tmp_path / "libnvidia-ml.so.1")
    nonce = record(tmp_path, gpus=1)
    (tmp_path / "version").touch()
    binds = {"/proc/driver/nvidia/version": tmp_path / "version"}
    environment = {"LD_LIBRARY_PATH": str(tmp_path), "RECORDED": str(tmp_path), **knobs}
    output = tmp_path / "evidence.json"
    arguments = ("platform", "--collect", output, "--nonce", nonce.hex())
    done = in_machine(tmp_path, binds, *arguments, environment=environment)
    assert done.returncode == 4
    assert f"[{code}]" in done.stderr
    assert not output.exists()


@needs_namespaces
def test_a_machine_of_dstacks_says_who_can_ask(tmp_path: Path) -> None:
    output = tmp_path / "evidence.json"
    report_data = b"\7" * 64
    with agent(tmp_path / "dstack.sock") as socket:
        binds = {"/run/dstack.sock": socket}
        done = in_machine(tmp_path, binds, "platform", "--collect", output, "--report-data", report_data.hex())
        shown = in_machine(tmp_path / "..", binds, "platform")
    assert done.returncode == 0, done.stderr
    assert "any process that reaches the socket" in done.stdout
    collected = _collected(output)
    assert collected.platform is not None
    verified(collected.platform, report_data)
    assert list(collected.platform.event_logs) == ["dstack"]
    assert "any process that reaches the socket" in shown.stdout


@needs_fuse
@needs_namespaces
def test_an_enclave_of_gramines(tmp_path: Path) -> None:
    output = tmp_path / "evidence.json"
    with mounted(_SOURCES / "gramine_enclave.py", tmp_path / "enclaves") as enclaves:
        binds = {"/dev/attestation": enclaves / "one"}
        done = in_machine(tmp_path, binds, "platform", "--collect", output, "--nonce", _NONCE.hex())
    assert done.returncode == 0, done.stderr
    collected = _collected(output)
    assert collected.platform is not None
    assert collected.platform.tee == SGX
    verified(collected.platform, machine_report_data(_NONCE, ()))


# ---- and without any


def _hermetic(*arguments: str | Path, options: tuple[str, ...] = (), **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-m", "hermetic", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


@needs_namespaces
def test_a_machine_without_a_tee_is_told_what_to_do(tmp_path: Path) -> None:
    output = tmp_path / "evidence.json"
    done = in_machine(tmp_path, {}, "platform", "--collect", output)
    assert done.returncode == 4
    assert "[no_tee]" in done.stderr
    assert "hermetic demo" in done.stderr
    assert not output.exists()


@pytest.mark.parametrize(
    "option", [("--nonce", "00" * 32), ("--report-data", "00" * 64), ("--endorse",)], ids=["nonce", "data", "endorse"]
)
def test_options_of_evidence_need_evidence(option: tuple[str, ...]) -> None:
    done = _hermetic("platform", *option)
    assert done.returncode == 2
    assert "--collect OUT" in done.stderr


@pytest.mark.parametrize(
    "option", [("--nonce", "00" * 31), ("--nonce", "zz" * 32), ("--report-data", "00" * 63)], ids=["short", "hex", "63"]
)
def test_numbers_are_hex_of_their_length(tmp_path: Path, option: tuple[str, ...]) -> None:
    done = _hermetic("platform", "--collect", tmp_path / "out.json", *option)
    assert done.returncode == 2
    assert option[0] in done.stderr
    assert not (tmp_path / "out.json").exists()


# ---- launched by the simulator


@pytest.mark.parametrize(("tee", "gpus"), [("sev-snp", 0), ("tdx", 1)])
def test_a_process_that_the_simulator_launched(tmp_path: Path, tee: str, gpus: int) -> None:
    output = tmp_path / "evidence.json"
    platform, child = socket_pair()
    with platform, child, answering(platform, tee=tee, gpus=gpus):
        child.set_inheritable(True)
        option = ("-X", f"{OPTION}={child.fileno()}")
        arguments = ("platform", "--collect", output, "--nonce", _NONCE.hex())
        told = _hermetic(*arguments, "--json", options=option, pass_fds=(child.fileno(),))
        # A simulator brings its own endorsements, so nobody has to be asked for them.
        state = {**os.environ, "HERMETIC_STATE": str(tmp_path / "state")}
        shown = _hermetic(*arguments, "--endorse", options=option, pass_fds=(child.fileno(),), env=state)
        child.close()
    assert told.returncode == shown.returncode == 0, told.stderr + shown.stderr
    assert " SIMULATED " in shown.stdout
    said = json.loads(told.stdout)
    assert (said["simulated"], said["platform"]["tee"], said["devices"]) == (True, tee, gpus)
    assert said["platform"]["askers"] == "the launched process alone"
    collected = _collected(output)
    assert len(collected.devices) == gpus
    assert _report_data(collected) == machine_report_data(_NONCE, collected.devices)
    # What it says to run next, where somebody decides what to trust.
    policy = tmp_path / "policy.toml"
    policy.write_text(policy_text(tee, NvidiaMachine(gpus=gpus) if gpus else None))
    trust = ("--policy", policy, "--allow-simulated", "--offline", "--json")
    judged = _hermetic(*said["verify"][1:], *trust, env=state)
    assert judged.returncode == 0, judged.stdout + judged.stderr
