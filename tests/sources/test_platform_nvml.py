"""The collectors of GPUs and NVSwitches, on NVIDIA's libraries with recorded devices behind them."""

# ruff: noqa: N802

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import devices_from_json
from hermetic.evidence.nvidia import DeviceBundle, NvidiaReport
from hermetic.sources.nvml import GpuMode, NvmlDevices
from hermetic.wire import parse_json
from nvidia_driver import compile_library, needs_compiler, needs_vectors, record
from nvidia_support import HOPPER, IN_2024, SWITCH, read, recorded, verified

pytestmark = needs_vectors


class NvmlFailed(Exception):
    """What pynvml raises."""


@dataclass
class Nvml:
    """The module pynvml over a driver with ``gpus`` recorded Hoppers, by structures of the same shape."""

    NVMLError: type[Exception] = NvmlFailed
    gpus: int = 1
    cc: int = 1
    devtools: int = 0
    multi_gpu: int | None = 0  # None: the driver does not know the question
    settings_result: int = 0
    architecture: int = 9
    fails: str = ""
    nonce: bytes | None = None  # that the devices answer instead of the one that was asked
    trailing: bytes = b""
    calls: list[str] = field(default_factory=list)

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.fails == name:
            raise NvmlFailed("Unknown Error")

    def nvmlInit(self) -> None:
        self._call("init")

    def nvmlShutdown(self) -> None:
        self._call("shutdown")

    def nvmlSystemGetConfComputeState(self) -> Any:
        self._call("state")
        return SimpleNamespace(environment=2, ccFeature=self.cc, devToolsMode=self.devtools)

    def c_nvmlSystemConfComputeSettings_v1_t(self) -> Any:
        class Settings(ctypes.Structure):
            _fields_ = [(name, ctypes.c_uint) for name in ("version", "environment", "cc", "devtools", "multiGpuMode")]

        return Settings()

    def nvmlSystemGetConfComputeSettings(self, settings: Any, /) -> int:
        if self.multi_gpu is None:
            raise NvmlFailed("Function Not Found")
        settings._obj.multiGpuMode = self.multi_gpu
        return self.settings_result

    def nvmlDeviceGetCount(self) -> int:
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Any:
        return index

    def nvmlDeviceGetArchitecture(self, device: Any, /) -> int:
        return self.architecture

    def nvmlDeviceGetConfComputeGpuCertificate(self, device: Any, /) -> Any:
        self._call(f"certificate {device}")
        chain = read(f"nvidia/{HOPPER}/chain.pem") + self.trailing
        return SimpleNamespace(attestationCertChain=chain.ljust(0x1400, b"\0"), attestationCertChainSize=len(chain))

    def nvmlDeviceGetConfComputeGpuAttestationReport(self, device: Any, nonce: bytes, /) -> Any:
        self._call(f"report {device}")
        report = recorded(HOPPER).evidence
        report = report[:4] + (self.nonce or nonce) + report[36:]
        return SimpleNamespace(attestationReport=report.ljust(0x2000, b"\0"), attestationReportSize=len(report))


class _Switches:
    """A source of one recorded NVSwitch."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
        self.asked.append(nonce)
        return (recorded(SWITCH),)


def _devices(library: Nvml | None = None, **knobs: Any) -> NvmlDevices:
    return NvmlDevices(library or Nvml(**knobs), switches=_Switches())


_NONCE = bytes(range(32))


# ---- through the real binding, and a library with NVIDIA's symbols


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("driver")
    compile_library("nvml_library.c", folder / "libnvidia-ml.so.1")
    compile_library("nscq_library.c", folder / "libnvidia-nscq.so.2")
    return folder


_COLLECT = """
import json, sys
from hermetic.sources.nvml import NvmlDevices
from hermetic.evidence import devices_to_json
from hermetic.errors import HermeticError
try:
    print(json.dumps(devices_to_json(NvmlDevices().collect(bytes.fromhex(sys.argv[1])))))
except HermeticError as refusal:
    print(json.dumps([refusal.code, refusal.message]))
"""


def _run(driver: Path, recordings: Path, nonce: bytes, **knobs: str) -> Any:
    environment = {**os.environ, "LD_LIBRARY_PATH": str(driver), "RECORDED": str(recordings), **knobs}
    command = [sys.executable, "-c", _COLLECT, nonce.hex()]
    return parse_json(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)


@needs_compiler
def test_what_a_driver_gives_through_nvidias_binding_verifies(driver: Path, tmp_path: Path) -> None:
    pytest.importorskip("pynvml", reason="NVIDIA's binding is not installed")
    nonce = record(tmp_path, gpus=2)
    devices = devices_from_json(_run(driver, tmp_path, nonce))
    assert [device.evidence for device in devices] == [recorded(HOPPER).evidence] * 2
    for device in devices:
        verified(device, IN_2024, nonce=nonce)


@needs_compiler
@pytest.mark.parametrize(
    ("knobs", "code", "message"),
    [
        ({"CC": "0"}, "device_not_confidential", "none of 1 GPUs"),
        ({"DEVTOOLS": "1"}, "device_devtools", "developer mode"),
        ({"ARCHITECTURE": "8"}, "unavailable", "GPU 0 cannot attest"),
        ({"PPCIE": "1"}, "unavailable", "0 switches report"),
    ],
    ids=["off", "devtools", "ada", "no switches"],
)
def test_what_a_driver_says_of_modes_is_heard(
    driver: Path, tmp_path: Path, knobs: dict[str, str], code: str, message: str
) -> None:
    pytest.importorskip("pynvml", reason="NVIDIA's binding is not installed")
    nonce = record(tmp_path, gpus=1)
    told = _run(driver, tmp_path, nonce, **knobs)
    assert told[0] == code
    assert message in told[1]


def test_a_machine_without_a_driver_is_told() -> None:
    pytest.importorskip("pynvml", reason="NVIDIA's binding is not installed")
    code = "from hermetic.sources.nvml import NvmlDevices; NvmlDevices().mode()"
    environment = {**os.environ, "LD_LIBRARY_PATH": "/nowhere"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("there is a GPU here")
    assert "Unavailable: NVML: NVML Shared Library Not Found" in result.stderr


def test_without_nvidias_binding_the_extra_is_named() -> None:
    code = "import sys; sys.modules['pynvml'] = None\nfrom hermetic.sources.nvml import nvml_library; nvml_library()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Misconfigured: " in result.stderr
    assert "pip install 'hermetic[nvml]'" in result.stderr


# ---- the collector's own decisions


@pytest.mark.parametrize("gpus", [1, 8])
@pytest.mark.parametrize("architecture", [9, 10], ids=["hopper", "blackwell"])
def test_every_gpu_answers_the_nonce(gpus: int, architecture: int) -> None:
    library = Nvml(gpus=gpus, architecture=architecture)
    devices = _devices(library).collect(_NONCE)
    assert [NvidiaReport.from_bytes(device.evidence).nonce for device in devices] == [_NONCE] * gpus
    assert devices[0].certificates == recorded(HOPPER).certificates
    assert (dict(devices[0].rims), devices[0].ocsp, devices[0].crls) == ({}, (), ())
    assert library.calls[0] == "init"
    assert library.calls[-1] == "shutdown"


def test_a_chain_that_ends_in_zeros_is_read() -> None:
    assert _devices(trailing=b"\0").collect(_NONCE)[0].certificates == recorded(HOPPER).certificates


@pytest.mark.parametrize(
    ("knobs", "mode"),
    [
        ({}, GpuMode(gpus=1, confidential=True, devtools=False, protected_pcie=False)),
        ({"cc": 0}, GpuMode(gpus=1, confidential=False, devtools=False, protected_pcie=False)),
        ({"devtools": 1}, GpuMode(gpus=1, confidential=True, devtools=True, protected_pcie=False)),
        ({"multi_gpu": 1, "cc": 0}, GpuMode(gpus=1, confidential=False, devtools=False, protected_pcie=True)),
        ({"multi_gpu": 2}, GpuMode(gpus=1, confidential=True, devtools=False, protected_pcie=False)),
        ({"multi_gpu": None}, GpuMode(gpus=1, confidential=True, devtools=False, protected_pcie=False)),
        (
            {"multi_gpu": 1, "settings_result": 3},
            GpuMode(gpus=1, confidential=True, devtools=False, protected_pcie=False),
        ),
    ],
    ids=["on", "off", "devtools", "protected PCIe", "NVLink encrypted", "older driver", "refused"],
)
def test_the_mode_is_the_drivers_word(knobs: dict[str, Any], mode: GpuMode) -> None:
    assert _devices(**knobs).mode() == mode
    assert mode.attests is (mode.confidential or mode.protected_pcie)


def test_a_machine_without_gpus_does_not_attest() -> None:
    assert not _devices(gpus=0).mode().attests
    with pytest.raises(Unavailable, match="none of 0 GPUs"):
        _devices(gpus=0).collect(_NONCE)


@pytest.mark.parametrize(
    ("knobs", "message", "code"),
    [
        ({"cc": 0, "gpus": 2}, "none of 2 GPUs", "device_not_confidential"),
        ({"devtools": 1}, "developer mode", "device_devtools"),
        ({"architecture": 8}, "cannot attest", "unavailable"),
        ({"nonce": bytes(32)}, "GPU 0 answers another nonce", "device_disturbed"),
        ({"fails": "init"}, "NVML: Unknown Error", "unavailable"),
        ({"fails": "report 1", "gpus": 2}, "NVML: Unknown Error", "unavailable"),
        ({"fails": "certificate 1", "gpus": 2}, "NVML: Unknown Error", "unavailable"),
    ],
    ids=["off", "devtools", "ada", "another nonce", "no driver", "one does not report", "one has no certificates"],
)
def test_devices_that_are_not_all_asked_are_refused(knobs: dict[str, Any], message: str, code: str) -> None:
    with pytest.raises(Unavailable, match=message) as refusal:
        _devices(**knobs).collect(_NONCE)
    assert refusal.value.code == code


class _OldNvml(Nvml):
    """A module from before the question about several GPUs."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("c_nvmlSystemConfComputeSettings_v1_t", "NVMLError"):
            raise AttributeError(f"module 'pynvml' has no attribute '{name}'")
        return super().__getattribute__(name)


def test_a_module_that_is_too_old_is_told_what_to_install() -> None:
    library = _OldNvml()
    with pytest.raises(Unavailable, match=r"too old .* 'c_nvmlSystemConfComputeSettings_v1_t'") as refusal:
        _devices(library).collect(_NONCE)
    assert "hermetic[nvml]" in refusal.value.fix
    assert library.calls[-1] == "shutdown"


def test_the_library_is_left_when_a_device_fails() -> None:
    library = Nvml(fails="report 0")
    with pytest.raises(Unavailable):
        _devices(library).collect(_NONCE)
    assert library.calls[-1] == "shutdown"


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_nonce_of_another_length_is_refused(length: int) -> None:
    library = Nvml()
    with pytest.raises(Malformed, match="expected 32 bytes"):
        _devices(library).collect(bytes(length))
    assert library.calls == []


@pytest.mark.parametrize(("multi_gpu", "switches"), [(0, 0), (1, 1)], ids=["each for itself", "protected PCIe"])
def test_switches_are_asked_where_they_are_in_the_mode(multi_gpu: int, switches: int) -> None:
    source = _Switches()
    devices = NvmlDevices(Nvml(gpus=2, multi_gpu=multi_gpu), switches=source).collect(_NONCE)
    assert len(devices) == 2 + switches
    assert source.asked == [_NONCE] * switches
