"""A processor and its devices, launched together: whatever is asked through one descriptor is of one machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import snp_support
from hermetic.errors import Malformed, Misconfigured, Unavailable
from hermetic.evidence import SEV_SNP, SGX, TDX
from hermetic.identity import Attester, Claims, Purpose, verify_report
from hermetic.sources.simulator.answering import answer
from hermetic.sources.simulator.device import SimulatedDevice
from hermetic.sources.simulator.handover import Handover, socket_pair
from hermetic.sources.simulator.intel import SimulatedIntel
from hermetic.sources.simulator.machine import SimulatedMachine
from hermetic.sources.simulator.nvidia import SimulatedNvidia
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.sources.simulator.snp_platform import SnpPlatform
from hermetic.sources.simulator.state import open_machine, reset_state
from hermetic.sources.simulator.tdx_platform import TdxPlatform
from hermetic.verify import Outcome, simulated_root
from hermetic.verify.nvidia import verify_device
from hermetic.wire import canonical, parse_object, unhex
from identity_support import keyset, launch

CREATED = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
SEED = b"a seed that is fixed in tests...."[:32]
INTEL, NVIDIA = SimulatedIntel.create(created=CREATED, seed=SEED), SimulatedNvidia.create(created=CREATED, seed=SEED)
NONCE = bytes(range(32))
LAUNCH = launch()
TEES = (SEV_SNP, TDX, SGX)


def machine(tee: str = TDX, gpus: int = 2, switches: int = 0, **changes: Any) -> SimulatedMachine:
    cpu = snp_support.simulated() if tee == SEV_SNP else INTEL
    devices = NvidiaMachine(gpus=gpus, switches=switches) if gpus else None
    return SimulatedMachine(tee=tee, cpu=cpu, nvidia=NVIDIA if gpus else None, devices=devices, **changes)


@contextmanager
def launched(made: SimulatedMachine, **changes: Any) -> Iterator[SimulatedDevice]:
    """The device that a workload launched on ``made`` inherits."""
    platform, child = socket_pair()
    told = Handover(launch=LAUNCH, config=b"", folder=Path("/somewhere"), tee=made.tee, devices=made.device_count)
    source = made.source(unhex(LAUNCH.digest.removeprefix("sha256:")))
    arguments = {"source": source, "handover": replace(told, **changes), "devices": made.device_source()}
    thread = threading.Thread(target=answer, args=(platform,), kwargs=arguments)
    thread.start()
    device = SimulatedDevice(child)
    try:
        yield device
    finally:
        device.close()
        thread.join(10)
        platform.close()


def verified(made: SimulatedMachine, device: SimulatedDevice) -> Claims:
    attester = Attester(device, keyset=keyset(), launch=LAUNCH, devices=device.devices)
    report = attester.attest(purpose=Purpose.SESSION, nonce=NONCE)
    roots, now = (simulated_root(made.root_digest),), datetime.now(UTC)
    return verify_report(report, roots=roots, device_roots=NVIDIA.roots, now=now, purpose=Purpose.SESSION, nonce=NONCE)


@pytest.mark.parametrize("tee", TEES)
@pytest.mark.parametrize(("gpus", "switches"), [(0, 0), (1, 0), (2, 1)])
def test_one_verdict_over_processor_and_devices(tee: str, gpus: int, switches: int) -> None:
    made = machine(tee, gpus, switches)
    with launched(made) as device:
        assert device.tee == tee
        claims = verified(made, device)
    assert claims.platform.tee == tee
    assert claims.simulated
    assert [claim.model.is_switch for claim in claims.devices] == [False] * gpus + [True] * switches
    assert {check.outcome for check in claims.checks} == {Outcome.PASS}


@pytest.mark.parametrize(("tee", "claim"), [(SEV_SNP, 0), (TDX, 16), (SGX, 32)])
def test_the_launch_digest_is_where_the_processor_signs_it(tee: str, claim: int) -> None:
    made = machine(tee, 0)
    with launched(made) as device:
        assert verified(made, device).platform.host_data == unhex(LAUNCH.digest.removeprefix("sha256:")) + bytes(claim)


def test_the_launch_digest_as_an_event_of_the_domain() -> None:
    made = machine(platform=TdxPlatform(launch_event=True))
    with launched(made) as device:
        claims = verified(made, device)
    assert "launch.event" in {check.name for check in claims.checks}


def test_a_platform_other_than_the_healthy_one() -> None:
    made = machine(SEV_SNP, 0, platform=SnpPlatform(guest_svn=9))
    with launched(made) as device:
        assert verified(made, device).platform.report.guest_svn == 9  # type: ignore[union-attr]


def test_a_machine_without_devices_has_none_to_ask() -> None:
    with launched(machine(gpus=0)) as device:
        assert device.devices is None
        with pytest.raises(Unavailable, match="has 0 devices"):
            device.collect_device(NONCE, 0)


def test_each_device_answers_the_nonce_of_its_request() -> None:
    with launched(machine()) as device:
        assert device.devices is not None
        for nonce in (NONCE, bytes(32), NONCE):
            bundles = device.devices.collect(nonce)
            assert len(bundles) == 2
            for bundle in bundles:
                verify_device(bundle, roots=NVIDIA.roots, now=datetime.now(UTC), nonce=nonce)


@pytest.mark.parametrize("number", [-1, 2, 10**6])
def test_a_device_that_is_not_there(number: int) -> None:
    with launched(machine()) as device:
        with pytest.raises(Unavailable, match="has 2 devices"):
            device.collect_device(NONCE, number)
        assert len(device.collect_device(NONCE, 1).certificates) == 5


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_nonce_is_32_bytes(length: int) -> None:
    with launched(machine()) as device, pytest.raises(Malformed, match="expected 32 bytes"):
        device.collect_device(bytes(length), 0)


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "device"},
        {"op": "device", "nonce": "A" * 43 + "="},
        {"op": "device", "nonce": "AAAA", "number": 0},
        {"op": "device", "nonce": "A" * 43 + "=", "number": "0"},
        {"op": "device", "nonce": "A" * 43 + "=", "number": 0, "more": 1},
    ],
    ids=["nothing", "no number", "a short nonce", "a number in text", "more"],
)
def test_a_request_for_a_device_that_is_not_understood(request_: dict[str, Any]) -> None:
    made = machine()
    platform, child = socket_pair()
    with platform, child:
        child.send(canonical({"id": 1, **request_}))
        child.shutdown(1)
        told = Handover(launch=LAUNCH, config=b"", folder=Path("/somewhere"), tee=TDX, devices=2)
        answer(platform, source=made.source(bytes(32)), handover=told, devices=made.device_source())
        assert set(parse_object(child.recv(1 << 17))) == {"id", "error"}


@pytest.mark.parametrize(
    "change",
    [{"tee": "nitro"}, {"tee": None}, {"devices": -1}, {"devices": 33}, {"devices": True}, {"devices": "2"}],
    ids=["an unknown TEE", "no TEE", "fewer than none", "too many", "true", "text"],
)
def test_a_handover_of_no_such_machine(change: dict[str, Any]) -> None:
    told = Handover(launch=LAUNCH, config=b"", folder=Path("/somewhere"), tee=TDX, devices=2)
    assert Handover.from_json(told.to_json()) == told
    with pytest.raises(Malformed, match="known TEE"):
        Handover.from_json(told.to_json() | change)


# How machines are put together


@pytest.mark.parametrize(("tee", "intel"), [(SEV_SNP, True), (TDX, False), (SGX, False), ("nitro", True)])
def test_a_processor_without_that_tee(tee: str, intel: bool) -> None:
    with pytest.raises(Misconfigured, match="no simulated processor"):
        SimulatedMachine(tee=tee, cpu=INTEL if intel else snp_support.simulated())


@pytest.mark.parametrize("half", [{"nvidia": NVIDIA}, {"devices": NvidiaMachine()}], ids=["vendor", "devices"])
def test_devices_and_their_vendor_come_together(half: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match="needs their vendor"):
        SimulatedMachine(tee=TDX, cpu=INTEL, **half)


@pytest.mark.parametrize(
    ("made", "summary"),
    [
        (machine(SEV_SNP, 0), "AMD SEV-SNP (Genoa)"),
        (machine(TDX, 1), "Intel TDX, 1 GPU"),
        (machine(SGX, 8, 4), "Intel SGX, 8 GPUs, 4 switches"),
        (machine(TDX, 2, 1), "Intel TDX, 2 GPUs, 1 switch"),
    ],
    ids=["snp", "tdx", "sgx", "one switch"],
)
def test_what_it_is_called(made: SimulatedMachine, summary: str) -> None:
    assert made.summary == summary


def test_machines_of_one_folder_share_their_vendors(tmp_path: Path) -> None:
    folder, now = tmp_path / "state", datetime.now(UTC)
    tdx, sgx = (
        open_machine(folder, now=now, tee=TDX, gpus=2),
        open_machine(folder, now=now, tee=SGX, gpus=8, switches=4),
    )
    assert tdx.root_digest == sgx.root_digest
    assert tdx.nvidia is not None
    assert sgx.nvidia is not None
    assert tdx.nvidia.roots == sgx.nvidia.roots
    assert (tdx.device_count, sgx.device_count) == (2, 12)
    assert open_machine(folder, now=now, tee=TDX).nvidia is None
    assert {path.name for path in reset_state(folder)} == {"simulated-intel.json", "simulated-nvidia.json"}


def test_switches_alone_are_no_machine(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="at least one GPU"):
        open_machine(tmp_path / "state", now=datetime.now(UTC), tee=TDX, switches=1)
