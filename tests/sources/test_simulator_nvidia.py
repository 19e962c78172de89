"""Each knob of the simulated devices turns what an authentic report says, or has it refused by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hermetic.errors import Misconfigured, NotAuthentic
from hermetic.evidence.composite import MAX_DEVICES
from hermetic.evidence.nvidia import DeviceBundle, FeatureMode, OpaqueField
from hermetic.sources.simulator.nvidia import SimulatedNvidia
from hermetic.sources.simulator.nvidia_device import (
    DRIVER_INDEXES,
    FIRMWARE_INDEXES,
    Links,
    NvidiaGpu,
    vbios_bytes,
)
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.sources.simulator.nvidia_pki import revocation_list
from hermetic.verify import Outcome
from hermetic.verify.nvidia import Architecture, DeviceClaims, check_machine, verify_device

CREATED = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
NONCE = bytes(range(32))
NVIDIA = SimulatedNvidia.create(created=CREATED, seed=b"a seed that is fixed in tests...."[:32])
PPCIE = NvidiaMachine(gpus=8, switches=4)


def verified(bundle: DeviceBundle, **changes: Any) -> DeviceClaims:
    asked: dict[str, Any] = {"roots": NVIDIA.roots, "now": NOW, "nonce": NONCE}
    return verify_device(bundle, **(asked | changes))


def claims_of(machine: NvidiaMachine) -> tuple[DeviceClaims, ...]:
    return tuple(verified(bundle) for bundle in NVIDIA.issue(NONCE, now=NOW, machine=machine))


def changed(**fields: Any) -> NvidiaMachine:
    """A machine of one GPU with these fields."""
    return NvidiaMachine(changes={0: fields})


def refusal(machine: NvidiaMachine) -> str:
    with pytest.raises(NotAuthentic) as refused:
        claims_of(machine)
    return refused.value.code


MACHINES: dict[str, tuple[NvidiaMachine, FeatureMode]] = {
    "one GPU": (NvidiaMachine(), FeatureMode.SPT),
    "GPUs without switches": (NvidiaMachine(gpus=2), FeatureMode.MPT),
    "eight GPUs and four switches": (PPCIE, FeatureMode.PPCIE),
    "Blackwell": (NvidiaMachine(gpus=2, architecture=Architecture.BLACKWELL), FeatureMode.MPT),
}


@pytest.mark.parametrize(("machine", "mode"), MACHINES.values(), ids=MACHINES)
def test_a_healthy_machine_passes_every_check(machine: NvidiaMachine, mode: FeatureMode) -> None:
    claims = claims_of(machine)
    assert all(device.complete and device.simulated for device in claims)
    assert {check.outcome for device in claims for check in device.checks} == {Outcome.PASS}
    assert {device.mode for device in claims if not device.model.is_switch} == {mode}
    assert [device.model.is_switch for device in claims] == [False] * machine.gpus + [True] * machine.switches
    assert len({device.ueid for device in claims}) == len(claims)
    check_machine(claims, nonce=NONCE, gpus=machine.gpus, switches=machine.switches)


def said(device: DeviceClaims) -> dict[str, object]:
    """What a policy can ask of a device."""
    opaque = device.report.opaque
    return {
        "architecture": device.model.architecture,
        "driver": device.driver_version,
        "firmware": device.firmware_version,
        "mode": device.mode,
        "board": (opaque.project, opaque.project_sku, opaque.chip_sku),
        "nvdec0": opaque.nvdec0_enabled,
        "protected_pcie": opaque.protected_pcie,
        "fwid": opaque.fwid,
        "chip_info": opaque.chip_info,
        "links": (opaque.switch_pdis, opaque.gpu_pdis),
        "unknown": opaque.unknown_types,
    }


KNOBS: dict[str, tuple[Mapping[str, Any], dict[str, object]]] = {
    "driver": ({"driver_version": "580.95.05"}, {"driver": "580.95.05"}),
    "mode": ({"mode": FeatureMode.MPT}, {"mode": FeatureMode.MPT}),
    "a driver too old to say its mode": ({"mode": None}, {"mode": None}),
    "project": ({"project": "1011"}, {"board": ("1011", "0200", "882")}),
    "project SKU": ({"project_sku": "0300"}, {"board": ("1010", "0300", "882")}),
    "chip SKU": ({"chip_sku": "895"}, {"board": ("1010", "0200", "895")}),
    "decoder": ({"nvdec0": False}, {"nvdec0": False}),
    "protected PCIe": ({"protected_pcie": True}, {"protected_pcie": True}),
    "a driver that does not report its firmware": ({"reports_fwid": False}, {"fwid": None}),
    "links": ({"links": Links(switches=(b"switch-0",))}, {"links": ((b"switch-0",), ())}),
    "an unknown field": ({"more_fields": (OpaqueField(type=99, value=b"?"),)}, {"unknown": (99,)}),
}


@pytest.mark.parametrize(("fields", "expected"), KNOBS.values(), ids=KNOBS)
def test_a_knob_turns_what_the_report_says(fields: Mapping[str, Any], expected: dict[str, object]) -> None:
    (usual,), (device,) = claims_of(NvidiaMachine()), claims_of(changed(**fields))
    turned = {name: value for name, value in said(device).items() if value != said(usual)[name]}
    assert turned == expected


def test_firmware_has_an_identity_of_its_own() -> None:
    (usual,), (device,) = claims_of(NvidiaMachine()), claims_of(NvidiaMachine(vbios_version="96.00.A5.00.01"))
    assert device.firmware_version == "96.00.A5.00.01"
    assert device.report.opaque.fwid not in (None, usual.report.opaque.fwid)
    assert vbios_bytes("96.00.5E.00.01") == bytes.fromhex("005e009601000000")


def test_a_machines_versions_are_those_of_its_devices() -> None:
    machine = NvidiaMachine(gpus=2, switches=1, driver_version="570.1", bios_version="96.10.56.00.01")
    claims = claims_of(machine)
    assert [device.driver_version for device in claims] == ["570.1", "570.1", None]
    assert claims[2].firmware_version == "96.10.56.00.01"
    (one, other) = claims_of(NvidiaMachine(gpus=2, changes={1: {"driver_version": "570.1"}}))
    assert (one.driver_version, other.driver_version) == ("550.144.03", "570.1")


@pytest.mark.parametrize("index", [*DRIVER_INDEXES, *FIRMWARE_INDEXES])
def test_a_measurement_that_is_not_the_published_one(index: int) -> None:
    what = "driver" if index in DRIVER_INDEXES else "firmware"
    assert refusal(changed(measured={index: bytes(48)})) == f"nvidia.measurements.{what}"


def test_a_measurement_that_nobody_published() -> None:
    (device,) = claims_of(changed(measured={40: bytes(48)}))
    assert device.report.measurements[40].value == bytes(48)


def test_a_switchs_knobs() -> None:
    fields = {"bios_version": "96.10.57.00.01", "more_fields": (OpaqueField(type=99, value=b"?"),)}
    switch = claims_of(replace(PPCIE, changes={8: fields}))[8]
    assert (switch.firmware_version, switch.report.opaque.unknown_types) == ("96.10.57.00.01", (99,))
    assert refusal(replace(PPCIE, changes={8: {"measured": {1: bytes(48)}}})) == "nvidia.measurements.firmware"


OTHER = Links(switches=(b"switch-9",), gpus=(b"gpu-0009",))


@pytest.mark.parametrize("at", [0, 7, 8, 11])
def test_a_device_of_another_machine_does_not_fit(at: int) -> None:
    claims = claims_of(replace(PPCIE, changes={at: {"links": OTHER}}))
    with pytest.raises(NotAuthentic) as refused:
        check_machine(claims, nonce=NONCE)
    assert refused.value.code == "machine.links"


@pytest.mark.parametrize("mode", [FeatureMode.SPT, FeatureMode.MPT, None])
def test_a_gpu_in_another_mode_does_not_fit(mode: FeatureMode | None) -> None:
    claims = claims_of(replace(PPCIE, changes={3: {"mode": mode}}))
    with pytest.raises(NotAuthentic) as refused:
        check_machine(claims, nonce=NONCE)
    assert refused.value.code == "machine.mode"


def test_a_mode_for_all() -> None:
    assert {device.mode for device in claims_of(NvidiaMachine(gpus=2, mode=FeatureMode.SPT))} == {FeatureMode.SPT}


@pytest.mark.parametrize(("gpus", "switches"), [(0, 0), (0, 4), (-1, 0), (1, -1), (MAX_DEVICES, 1)])
def test_machines_that_do_not_exist(gpus: int, switches: int) -> None:
    with pytest.raises(Misconfigured, match="at least one GPU"):
        NvidiaMachine(gpus=gpus, switches=switches)


# Around the report


def test_it_answers_the_question_that_was_asked() -> None:
    (bundle,) = NVIDIA.issue(bytes(32), now=NOW)
    assert verified(bundle, nonce=bytes(32)).nonce == bytes(32)
    with pytest.raises(NotAuthentic) as refused:
        verified(bundle)
    assert refused.value.code == "nvidia.nonce"


def test_answers_about_revocation_are_of_the_day() -> None:
    (bundle,) = NVIDIA.issue(NONCE, now=NOW)
    verified(bundle, now=NOW + timedelta(days=5))
    with pytest.raises(NotAuthentic) as refused:
        verified(bundle, now=NOW + timedelta(days=7))
    assert refused.value.code == "nvidia.revocation.brom"
    (later,) = NVIDIA.issue(NONCE, now=NOW + timedelta(days=7))
    verified(later, now=NOW + timedelta(days=7))


def test_a_revoked_device() -> None:
    (bundle,) = NVIDIA.issue(NONCE, now=NOW)
    chain = NVIDIA.chain(NvidiaGpu(), 0)
    listed = revocation_list(chain[2], chain[1], first=NOW - timedelta(days=1), last=NOW + timedelta(days=1))
    with pytest.raises(NotAuthentic) as refused:
        verified(replace(bundle, crls=(listed,)))
    assert refused.value.code == "nvidia.revocation.brom"


def test_devices_share_what_is_the_same_for_all() -> None:
    one, other = NVIDIA.issue(NONCE, now=NOW, machine=NvidiaMachine(gpus=2))
    assert one.rims == other.rims
    assert one.ocsp[1:] == other.ocsp[1:]
    assert one.certificates[2:] == other.certificates[2:]
    assert not {one.evidence, one.certificates[0], one.certificates[1], one.ocsp[0]} & {
        other.evidence,
        *other.certificates,
        *other.ocsp,
    }


def test_without_lxml_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['lxml'] = None\n"
        "from datetime import UTC, datetime\n"
        "from hermetic.errors import Misconfigured\n"
        "from hermetic.sources.simulator.nvidia import SimulatedNvidia\n"
        "now = datetime(2026, 2, 3, tzinfo=UTC)\n"
        "try:\n    SimulatedNvidia.create(created=now, seed=bytes(32)).issue(bytes(32), now=now)\n"
        "except Misconfigured as error:\n    print(error.fix)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "pip install 'hermetic[nvidia]'"
