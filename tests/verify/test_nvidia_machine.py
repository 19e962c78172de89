"""Several devices, one machine: whatever does not fit together is refused, each reason by its own check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from hermetic.errors import Misconfigured, NotAuthentic
from hermetic.verify import Outcome
from hermetic.verify.nvidia import DeviceClaims, NvidiaRoots, check_machine, verify_device
from nvidia_forge import (
    DEVICE,
    NONCE,
    NOW,
    Entry,
    bundle,
    certify,
    device_templates,
    gpu_fields,
    report,
    roots,
)
from nvidia_support import IN_2026, stated, verified
from vectors import needs_vectors

GPU_PDIS = b"gpu-0000gpu-0001" + bytes(8)
SWITCH_PDIS = (b"switch-0", b"switch-1")
PPCIE, MPT, SPT = b"\x02\0", b"\x01\0", b"\0\0"


@cache
def entries(names: Sequence[str], serial: int) -> tuple[Entry, ...]:
    """A chain of its own for each serial number, all to one root."""
    made = [root()]
    for at, template in enumerate(reversed(device_templates(names)[:4])):
        made.append(certify(template, made[-1], serial=1000 + serial if at == 3 else 10 + at))
    return tuple(reversed(made))


@cache
def root() -> Entry:
    return certify(device_templates()[4], None, serial=10)


@cache
def device(names: Sequence[str], serial: int, *fields: tuple[str, bytes | None], nonce: bytes = NONCE) -> DeviceClaims:
    opaque = gpu_fields(**dict(fields))
    made = bundle(replace(report(opaque), nonce=nonce), entries(names, serial), rims={})
    asked: dict[str, Any] = {"revocation_required": False, "rims_required": False}
    return verify_device(made, roots=roots(device=root()), now=NOW, nonce=nonce, **asked)


def gpu(serial: int, mode: bytes | None = PPCIE, switches: bytes = b"".join(SWITCH_PDIS), **more: Any) -> DeviceClaims:
    return device(DEVICE, serial, ("FEATURE_FLAG", mode), ("SWITCH_PDI", switches), **more)


SWITCH = ("LS_10 A01 FSP FMC LF", "LS_10 A01 FSP BROM", "NVIDIA LS_10 Provisioner ICA 1", *DEVICE[3:])


def switch(serial: int, pdi: bytes, gpus: bytes = GPU_PDIS) -> DeviceClaims:
    silent = [(name, None) for name in ("CHIP_SKU", "PROJECT", "PROJECT_SKU", "DRIVER_VERSION", "NVDEC0_STATUS")]
    fields = (("FIRMWARE_VERSION", b"96.10.55.00.01"), ("SWITCH_PDI", pdi), ("GPU_PDIS", gpus))
    return device(SWITCH, serial, *silent, ("FEATURE_FLAG", None), *fields)


def machine() -> tuple[DeviceClaims, ...]:
    return (gpu(1), gpu(2), switch(3, SWITCH_PDIS[0]), switch(4, SWITCH_PDIS[1]))


def code(
    devices: tuple[DeviceClaims, ...],
    nonce: bytes | None = NONCE,
    gpus: int | None = 2,
    switches: int | None = 2,
) -> str:
    with pytest.raises(NotAuthentic) as caught:
        check_machine(devices, nonce=nonce, gpus=gpus, switches=switches)
    *before, last = caught.value.checks
    assert {check.outcome for check in before} <= {Outcome.PASS}
    assert last.name == caught.value.code
    return caught.value.code


def test_one_machine() -> None:
    checks = check_machine(machine(), nonce=NONCE, gpus=2, switches=2)
    assert [check.name for check in checks] == [
        "machine.world",
        "machine.nonce",
        "machine.devices",
        "machine.mode",
        "machine.links",
    ]
    assert {check.outcome for check in checks} == {Outcome.PASS}


def test_one_machine_of_as_many_as_there_are() -> None:
    """What the coordinator of CPU and devices asks; how many are wanted is a policy's to say."""
    assert {check.outcome for check in check_machine(machine(), nonce=NONCE)} == {Outcome.PASS}
    by_name = {check.name: check for check in check_machine(machine(), nonce=None)}
    assert by_name.pop("machine.nonce").outcome is Outcome.NOT_PERFORMED
    assert {check.outcome for check in by_name.values()} == {Outcome.PASS}
    assert (by_name["machine.devices"].expected, by_name["machine.devices"].got) == (
        "any number of GPUs and any number of switches",
        "2 GPUs and 2 switches",
    )


def test_devices_that_are_no_machine_in_any_number() -> None:
    def found(*devices: DeviceClaims, nonce: bytes | None = NONCE) -> str:
        return code(devices, nonce=nonce, gpus=None, switches=None)

    one, other, *switches = machine()
    assert found(nonce=None) == "machine.nonce"
    assert found(gpu(1), gpu(2, nonce=NONCE[::-1]), *switches, nonce=None) == "machine.nonce"
    assert found(*switches) == "machine.devices"
    assert found(one, one) == "machine.devices"
    assert found(one, other) == "machine.mode"
    assert found(one, *switches) == "machine.links"
    assert found(one, other, switches[0]) == "machine.links"


@pytest.mark.parametrize("modes", [(SPT,), (None,), (MPT, MPT), (SPT, SPT)])
def test_gpus_without_switches(modes: tuple[bytes | None, ...]) -> None:
    devices = tuple(gpu(serial, mode) for serial, mode in enumerate(modes, 1))
    checks = check_machine(devices, nonce=NONCE, gpus=len(devices), switches=0)
    assert [check.name for check in checks][-1] == "machine.mode"


@pytest.mark.parametrize(("gpus", "switches"), [(0, 0), (-1, 4), (1, -1)])
def test_expectations_that_cannot_be_meant(gpus: int, switches: int) -> None:
    with pytest.raises(Misconfigured):
        check_machine(machine(), nonce=NONCE, gpus=gpus, switches=switches)


def test_no_device_is_no_machine() -> None:
    assert code((), gpus=1, switches=0) == "machine.nonce"


@needs_vectors
def test_a_simulated_device_beside_a_real_one() -> None:
    whole, nonce = stated("nvidia/json/hopper_evidence.json")
    real = verified(whole, IN_2026, nonce=nonce)
    assert not real.simulated
    assert code((real, gpu(1, nonce=nonce)), nonce=nonce, switches=0) == "machine.world"
    # The real one alone is a machine of one GPU whose switches are missing.
    assert code((real,), nonce=nonce, gpus=1, switches=0) == "machine.mode"


def test_answers_to_two_questions() -> None:
    assert code((gpu(1), gpu(2, nonce=NONCE[::-1]), *machine()[2:])) == "machine.nonce"
    assert code(machine(), nonce=NONCE[::-1]) == "machine.nonce"


def test_devices_that_are_too_few_too_many_or_one_twice() -> None:
    whole = machine()
    for devices in (whole[1:], whole[:-1], (*whole, gpu(9)), (gpu(1), gpu(1), *whole[2:]), whole[:2] + whole[2:3] * 2):
        assert code(devices) == "machine.devices"
    assert code(whole, gpus=3, switches=1) == "machine.devices"


def test_gpus_of_two_generations() -> None:
    blackwell = device(tuple(name.replace("GH100", "GB100") for name in DEVICE), 7, ("FEATURE_FLAG", MPT))
    assert code((gpu(1, MPT), blackwell), switches=0) == "machine.devices"


@pytest.mark.parametrize(
    ("modes", "with_switches"),
    [
        ((PPCIE, MPT), True),
        ((PPCIE, None), True),
        ((None, None), True),
        ((MPT, MPT), True),
        ((PPCIE, PPCIE), False),
        ((None, None), False),
        ((SPT, MPT), False),
    ],
)
def test_modes_that_do_not_fit(modes: tuple[bytes | None, ...], with_switches: bool) -> None:
    devices = tuple(gpu(serial, mode) for serial, mode in enumerate(modes, 1))
    assert (
        code((*devices, *(machine()[2:] if with_switches else ())), switches=2 if with_switches else 0)
        == "machine.mode"
    )


def test_links_to_a_device_elsewhere() -> None:
    """A GPU or a switch of another machine took the place of one of this."""
    one, other, *switches = machine()
    for devices in (
        (one, gpu(5, switches=b"switch-0switch-9"), *switches),
        (one, gpu(5, switches=b"switch-0"), *switches),
        (one, gpu(5, switches=b""), *switches),
        (one, other, switches[0], switch(6, b"switch-9")),
        (one, other, switches[0], switch(6, b"switch-0")),
        (gpu(1, switches=b"switch-0"), gpu(2, switches=b"switch-0"), switches[0], switch(6, b"switch-0")),
        (one, other, switches[0], switch(6, b"switch-0switch-1")),
        (one, other, switches[0], switch(6, b"")),
        (one, other, switches[0], switch(6, SWITCH_PDIS[1], gpus=b"gpu-0000gpu-0009")),
        (one, other, *(switch(n, pdi, gpus=b"gpu-0000") for n, pdi in enumerate(SWITCH_PDIS, 6))),
    ):
        assert code(devices) == "machine.links"


def test_the_roots_of_these_tests_are_simulated() -> None:
    assert isinstance(roots(), NvidiaRoots)
    assert all(claims.simulated for claims in machine())
