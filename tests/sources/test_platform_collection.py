"""All of a machine's evidence at once: what is asked, in which order, and what the platform signs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import NO_DEVICES, devices_digest, machine_report_data
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.sources.collection import collect
from hermetic.sources.platform import Platform, detect
from hermetic.sources.simulator.nvidia import SimulatedNvidia
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from quote_support import verified
from snp_support import CREATED, NOW, SEED

from .dstack_agent import agent

_NONCE = bytes(range(32))
_NOTHING = Platform(findings=())


class _Gpus:
    """A simulated machine's GPUs."""

    def __init__(self, gpus: int) -> None:
        self._machine = NvidiaMachine(gpus=gpus)
        self.asked: list[bytes] = []

    def collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
        self.asked.append(nonce)
        return SimulatedNvidia.create(created=CREATED, seed=SEED).issue(nonce, now=NOW, machine=self._machine)


def _dstack(root: Path) -> Path:
    (root / "run").mkdir()
    return root / "run" / "dstack.sock"


def test_the_platform_signs_the_nonce_and_the_devices_that_answered_it(tmp_path: Path) -> None:
    gpus = _Gpus(2)
    with agent(_dstack(tmp_path)):
        collected = collect(detect(tmp_path), nonce=_NONCE, devices=gpus, root=tmp_path)
    assert gpus.asked == [_NONCE]
    devices = collected.evidence.devices
    assert len(devices) == 2
    assert collected.report_data == _NONCE + bytes.fromhex(devices_digest(devices).removeprefix("sha256:"))
    assert collected.together
    assert collected.report_data != machine_report_data(_NONCE, devices[::-1])
    assert collected.report_data != machine_report_data(_NONCE, devices[:1])
    assert collected.evidence.platform is not None
    verified(collected.evidence.platform, collected.report_data)
    assert collected.interface is not None
    assert (collected.interface.name, collected.nonce, collected.left_out) == ("dstack", _NONCE, ())


def test_without_devices_that_there_are_none_is_signed(tmp_path: Path) -> None:
    with agent(_dstack(tmp_path)):
        collected = collect(detect(tmp_path), nonce=_NONCE, root=tmp_path)
    assert collected.report_data == _NONCE + bytes.fromhex(NO_DEVICES.removeprefix("sha256:"))
    assert collected.evidence.devices == ()


def test_report_data_of_the_askers_own_are_signed_as_they_are(tmp_path: Path) -> None:
    own = hashlib.sha512(b"own").digest()
    with agent(_dstack(tmp_path)):
        collected = collect(detect(tmp_path), nonce=_NONCE, report_data=own, root=tmp_path)
    assert collected.report_data == own
    assert not collected.together
    assert collected.evidence.platform is not None
    verified(collected.evidence.platform, own)


def test_devices_without_a_platform_are_evidence_of_devices(tmp_path: Path) -> None:
    collected = collect(_NOTHING, nonce=_NONCE, devices=_Gpus(1))
    assert collected.evidence.platform is None
    assert collected.interface is None
    assert len(collected.evidence.devices) == 1


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_nonce_of_another_length_is_refused(tmp_path: Path, length: int) -> None:
    with agent(_dstack(tmp_path)), pytest.raises(Malformed, match="nonce: expected 32 bytes"):
        collect(detect(tmp_path), nonce=bytes(length), root=tmp_path)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_report_data_of_another_length_are_refused_before_anything_is_asked(length: int) -> None:
    gpus = _Gpus(1)
    with pytest.raises(Malformed, match="report data: expected 64 bytes"):
        collect(_NOTHING, nonce=_NONCE, report_data=bytes(length), devices=gpus)
    assert gpus.asked == []


def test_a_machine_without_anything_is_told_so() -> None:
    with pytest.raises(Unavailable, match="nothing to collect evidence from: no trusted execution") as refusal:
        collect(_NOTHING, nonce=_NONCE)
    assert refusal.value.code == "no_tee"
    assert "hermetic demo" in refusal.value.fix


def test_what_this_version_cannot_collect_is_named(tmp_path: Path) -> None:
    (tmp_path / "dev" / "nsm").mkdir(parents=True)
    with pytest.raises(Unavailable, match="found Nitro Secure Module, which"):
        collect(detect(tmp_path), nonce=_NONCE, root=tmp_path)


@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="there is a GPU here")
def test_gpus_that_cannot_be_asked_are_left_out_and_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "proc" / "driver" / "nvidia" / "version").mkdir(parents=True)
    with agent(_dstack(tmp_path)):
        collected = collect(detect(tmp_path), nonce=_NONCE, root=tmp_path)
    assert collected.evidence.devices == ()
    (sentence,) = collected.left_out
    assert sentence.startswith("NVIDIA GPUs, if there are any: ")


@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="there is a GPU here")
def test_gpus_that_cannot_be_asked_are_named_where_there_is_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "proc" / "driver" / "nvidia" / "version").mkdir(parents=True)
    with pytest.raises(Unavailable, match="NVIDIA GPUs, if there are any"):
        collect(detect(tmp_path), nonce=_NONCE, root=tmp_path)


def test_a_platform_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with agent(_dstack(tmp_path), {"/GetQuote": lambda _: (500, b"")}), pytest.raises(Unavailable, match="status 500"):
        collect(detect(tmp_path), nonce=_NONCE, devices=_Gpus(1), root=tmp_path)
