"""Every knob of the ``[nvidia]`` table has a twin pair: devices that pass, and the same with one thing different."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from hermetic.evidence.nvidia import FeatureMode, OpaqueField
from hermetic.policy.nvidia import NvidiaPolicy, appraise_nvidia, lint_nvidia
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.verify.nvidia import Architecture, DeviceClaims
from policy_support import HEALTHY_GPU, codes, devices, table
from policy_support import failed as failed_of

PPCIE = NvidiaMachine(gpus=2, switches=2)
ROOTS = {"simulated_device_root": f"sha256:{'00' * 32}", "simulated_manifest_root": f"sha256:{'11' * 32}"}


def failed(machine: NvidiaMachine | tuple[DeviceClaims, ...] = HEALTHY_GPU, **knobs: Any) -> list[str]:
    made = devices(machine) if isinstance(machine, NvidiaMachine) else machine
    return failed_of(appraise_nvidia(made, table(NvidiaPolicy, **({"gpus": 1} | knobs))), "policy.nvidia.")


@pytest.mark.parametrize(
    ("machine", "knobs"),
    [
        (HEALTHY_GPU, {}),
        (NvidiaMachine(gpus=2), {"gpus": 2}),
        (PPCIE, {"gpus": 2, "switches": 2}),
        (NvidiaMachine(architecture=Architecture.BLACKWELL), {}),
    ],
    ids=["one", "two", "switched", "blackwell"],
)
def test_a_healthy_machine_passes_the_default_policy(machine: NvidiaMachine, knobs: dict[str, Any]) -> None:
    assert failed(machine, **knobs) == []


def test_every_failure_of_every_device_is_reported_at_once() -> None:
    wanted = {"driver_min": {"GH100": "600.0"}, "vbios_min": {"GH100": "97.00.00.00.00", "LS10": "97.00.00.00.00"}}
    assert failed(PPCIE, gpus=1, **wanted, modes=["SPT"], ueids=["1"]) == [
        *("gpu0.driver", "gpu0.mode", "gpu0.vbios", "gpu0.ueid"),
        *("gpu1.driver", "gpu1.mode", "gpu1.vbios", "gpu1.ueid"),
        *("switch0.vbios", "switch0.ueid", "switch1.vbios", "switch1.ueid"),
        *("gpus", "switches"),
    ]


# NVIDIA 10


@pytest.mark.parametrize("gpus", [1, 2, 3])
def test_how_many_gpus(gpus: int) -> None:
    assert failed(NvidiaMachine(gpus=2), gpus=gpus) == ([] if gpus == 2 else ["gpus"])


@pytest.mark.parametrize("switches", [0, 1, 2, 3])
def test_how_many_switches(switches: int) -> None:
    assert failed(PPCIE, gpus=2, switches=switches) == ([] if switches == 2 else ["switches"])


def test_no_devices_at_all() -> None:
    assert failed(()) == ["gpus", "machine"]


def test_devices_that_are_no_machine() -> None:
    one, other = devices(NvidiaMachine(gpus=2))
    assert failed((one, other), gpus=2) == []
    assert failed((one, one), gpus=2) == ["machine"]
    asked_apart = replace(other, report=replace(other.report, nonce=bytes(32)))
    assert failed((one, asked_apart), gpus=2) == ["machine"]


# NVIDIA 9


@pytest.mark.parametrize("made", [Architecture.HOPPER, Architecture.BLACKWELL])
def test_architecture(made: Architecture) -> None:
    other = {Architecture.HOPPER: "Blackwell", Architecture.BLACKWELL: "Hopper"}[made]
    assert failed(NvidiaMachine(architecture=made), architectures=[str(made)]) == []
    assert failed(NvidiaMachine(architecture=made), architectures=[other]) == ["gpu0.architecture"]


def test_a_switch_is_of_no_gpus_generation() -> None:
    assert failed(PPCIE, gpus=2, switches=2, architectures=["Hopper"]) == []


@pytest.mark.parametrize(
    ("floor", "good"),
    [
        ("550.144.03", True),
        ("550.144.3", True),
        ("550.99.99", True),
        ("99.0", True),
        ("550.144", True),
        ("550.144.04", False),
        ("550.144.03.1", False),
        ("1000.0", False),
    ],
)
def test_driver(floor: str, good: bool) -> None:
    """Parts compare as numbers: 144 is more than 99, and 03 is 3."""
    assert failed(driver_min={"GH100": floor}) == ([] if good else ["gpu0.driver"])


def test_floors_that_leave_out_the_product_refuse_it() -> None:
    assert failed(driver_min={"GB100": "1.0"}) == ["gpu0.driver"]
    assert failed(vbios_min={"GB100": "00.00.00.00.00"}) == ["gpu0.vbios"]


def test_a_driver_that_calls_itself_what_it_likes_is_below_every_floor() -> None:
    named = NvidiaMachine(driver_version="999.beta")
    assert failed(named) == []
    assert failed(named, driver_min={"GH100": "0.0"}) == ["gpu0.driver"]


@pytest.mark.parametrize(
    ("floor", "good"),
    [
        ("96.00.5E.00.01", True),
        ("96.00.59.00.FF", True),
        ("95.FF.FF.FF.FF", True),
        ("96.00.5E.00.02", False),
        ("96.00.A5.00.00", False),
        ("97.00.00.00.00", False),
    ],
)
def test_vbios(floor: str, good: bool) -> None:
    """Parts are hexadecimal: A5 is more than 5E."""
    assert failed(vbios_min={"GH100": floor}) == ([] if good else ["gpu0.vbios"])


def test_a_project_has_its_own_floor() -> None:
    lower, higher = "96.00.5E.00.01", "96.00.A5.00.00"
    assert failed(vbios_min={"GH100": higher, "1010": lower}) == []
    assert failed(vbios_min={"GH100": lower, "1010": higher}) == ["gpu0.vbios"]
    assert failed(vbios_min={"GH100": higher, "G520": lower}) == ["gpu0.vbios"]


def test_the_firmware_of_a_switch() -> None:
    wanted: dict[str, Any] = {"gpus": 2, "switches": 2}
    assert failed(PPCIE, **wanted, vbios_min={"GH100": "96.00.00.00.00", "LS10": "96.10.55.00.01"}) == []
    assert failed(PPCIE, **wanted, vbios_min={"GH100": "96.00.00.00.00", "LS10": "96.10.55.00.02"}) == [
        "switch0.vbios",
        "switch1.vbios",
    ]


@pytest.mark.parametrize(
    ("mode", "machine", "knobs"),
    [
        ("SPT", HEALTHY_GPU, {}),
        ("MPT", NvidiaMachine(mode=FeatureMode.MPT), {}),
        ("PPCIE", NvidiaMachine(gpus=1, switches=1), {"switches": 1}),
    ],
)
def test_mode(mode: str, machine: NvidiaMachine, knobs: dict[str, Any]) -> None:
    assert failed(machine, **knobs, modes=[mode]) == []
    others = [other for other in ("SPT", "MPT", "PPCIE") if other != mode]
    assert failed(machine, **knobs, modes=others) == ["gpu0.mode"]


def test_a_driver_that_does_not_say_its_mode() -> None:
    silent = NvidiaMachine(changes={0: {"mode": None}})
    assert failed(silent) == []
    assert failed(silent, modes=["SPT", "MPT", "PPCIE"]) == ["gpu0.mode"]


def test_ueids() -> None:
    (gpu,) = devices()
    assert failed((gpu,), ueids=[gpu.ueid]) == []
    assert failed((gpu,), ueids=["1"]) == ["gpu0.ueid"]
    assert failed((gpu,), ueids=[]) == ["gpu0.ueid"]
    *known, last = (device.ueid for device in devices(PPCIE))
    assert failed(PPCIE, gpus=2, switches=2, ueids=[*known, last]) == []
    assert failed(PPCIE, gpus=2, switches=2, ueids=known) == ["switch1.ueid"]


@pytest.mark.parametrize(("place", "name"), [(0, "gpu0"), (1, "switch0")])
def test_fields_whose_meaning_nobody_knows(place: int, name: str) -> None:
    unknown = {"more_fields": (OpaqueField(type=99, value=b"?"),)}
    more = NvidiaMachine(switches=1, changes={place: unknown})
    assert failed(more, switches=1) == [f"{name}.opaque-fields"]
    assert failed(more, switches=1, allow_opaque_fields=[98]) == [f"{name}.opaque-fields"]
    assert failed(more, switches=1, allow_opaque_fields=[99]) == []


# The table as a file has it


@pytest.mark.parametrize(
    "knobs",
    [
        {"gpus": None},
        {"gpus": 0},
        {"gpus": 33},
        {"switches": -1},
        {"architectures": ["Ampere"]},
        {"driver_min": {"GH100": "new"}},
        {"driver_min": {"gh100": "1.0"}},
        {"vbios_min": {"GH100": "96.00.5e.00.01"}},
        {"vbios_min": {"GH100": "96.00.5E.00"}},
        {"modes": ["DEVTOOLS"]},
        {"ueids": ["0x12"]},
        {"spare": True},
    ],
    ids=str,
)
def test_what_the_table_cannot_say(knobs: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        table(NvidiaPolicy, **({"gpus": 1} | knobs))


SOUND: dict[str, Any] = {
    "gpus": 1,
    "architectures": ["Hopper"],
    "driver_min": {"GH100": "550.144.03"},
    "vbios_min": {"GH100": "96.00.5E.00.01"},
    "modes": ["SPT"],
}


def linted(profile: Any, **knobs: Any) -> list[str]:
    return codes(lint_nvidia(table(NvidiaPolicy, **(SOUND | knobs)), profile))


@pytest.mark.parametrize("profile", ["production", "development"])
@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"modes": []}, "pins_no_modes"),
        ({"ueids": []}, "pins_no_ueids"),
        ({"architectures": ["Hopper", "NVSwitch 3"]}, "switch_is_no_gpu"),
        ({"modes": ["PPCIE"]}, "mode_impossible"),
        ({"switches": 1}, "mode_impossible"),
    ],
    ids=str,
)
def test_lint_refuses_what_cannot_be_meant(profile: str, knobs: dict[str, Any], code: str) -> None:
    assert linted(profile) == []
    assert code in linted(profile, **knobs)


def test_lint_refuses_a_policy_for_no_architecture() -> None:
    assert linted("development", architectures=[]) == ["pins_no_architectures"]


@pytest.mark.parametrize("field", list(ROOTS))
def test_lint_refuses_one_root_of_two(field: str) -> None:
    assert linted("development", **ROOTS) == []
    assert linted("development", **{field: ROOTS[field]}) == ["simulated_root_alone"]


@pytest.mark.parametrize(
    ("knobs", "refused"),
    [
        ({"driver_min": {}}, ["device_floor_missing"]),
        ({"driver_min": {"GH100": "0.00"}}, ["floor_excludes_nothing"]),
        ({"vbios_min": {"GH100": "00.00.00.00.00"}}, ["floor_excludes_nothing"]),
        ({"vbios_min": SOUND["vbios_min"] | {"1010": "00.00.00.00.00"}}, ["floor_excludes_nothing"]),
        ({"vbios_min": {}}, ["device_floor_missing"]),
        ({"architectures": ["Hopper", "Blackwell"]}, ["device_floor_missing"] * 2),
        ({"modes": None}, ["pins_no_modes"]),
        (ROOTS, ["simulation_in_production"]),
    ],
    ids=str,
)
def test_lint_refuses_in_production_what_development_may_say(knobs: dict[str, Any], refused: list[str]) -> None:
    assert linted("production", **knobs) == refused
    assert linted("development", **knobs) == []


@pytest.mark.parametrize(
    ("project", "product", "advised"),
    [("5D", "5E", True), ("5E", "5E", False), ("5F", "5E", False), ("5D", None, False)],
    ids=["below", "same", "above", "alone"],
)
def test_lint_advises_against_a_project_that_is_below_its_product(
    project: str, product: str | None, advised: bool
) -> None:
    floors = {"1010": f"96.00.{project}.00.01"} | ({} if product is None else {"GH100": f"96.00.{product}.00.01"})
    found = lint_nvidia(table(NvidiaPolicy, **(SOUND | {"vbios_min": floors})), "development")
    assert [(one.code, one.refuses) for one in found] == ([("project_below_product", False)] if advised else [])


def test_lint_asks_for_a_floor_of_switches_too() -> None:
    switched: dict[str, Any] = {"switches": 1, "modes": ["PPCIE"]}
    assert linted("production", **switched) == ["device_floor_missing"]
    with_floor = SOUND["vbios_min"] | {"LS10": "96.10.55.00.01"}
    assert linted("production", **switched, vbios_min=with_floor) == []


@pytest.mark.parametrize("field", list(ROOTS))
def test_one_simulated_root_is_one_too_many_in_production(field: str) -> None:
    assert linted("production", **{field: ROOTS[field]}) == ["simulated_root_alone", "simulation_in_production"]
