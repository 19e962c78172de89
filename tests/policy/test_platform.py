"""Whom a policy trusts, and which files it rests on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from attested_support import amd, policy_text
from hermetic.errors import Misconfigured, NotAcceptable
from hermetic.policy import PlatformPolicy, Policy, lint
from hermetic.policy.document import parse_any
from hermetic.verify import AMD_ROOTS, INTEL_ROOTS
from hermetic.verify.nvidia import NVIDIA_ROOTS
from hermetic.wire import sha256_digest
from policy_support import nvidia, parse

REAL = (*AMD_ROOTS, *INTEL_ROOTS)
SNP = f'[snp]\nmeasurements = ["{"00" * 48}"]\n'
GPU = "[nvidia]\ngpus = 1\n"
DEVICE_ROOTS = (
    f'simulated_device_root = "{nvidia().device_root_digest}"\n'
    f'simulated_manifest_root = "{nvidia().manifest_root_digest}"\n'
)
SIMULATED = f'simulated_root = "{amd().root_digest}"\n'


def test_a_policy_with_a_workload_judges_platforms_too() -> None:
    text = policy_text().encode()
    assert PlatformPolicy.parse(text) == Policy.parse(text).platform


def test_a_policy_for_platforms_remembers_that_its_file_says_what_may_run() -> None:
    assert PlatformPolicy.parse(policy_text().encode()).has_workload is True
    assert parse(SNP).has_workload is False


def test_a_policy_for_platforms_alone_is_none_for_workloads() -> None:
    text = f'version = 1\nprofile = "development"\n{SNP}'.encode()
    assert isinstance(parse_any(text), PlatformPolicy)
    with pytest.raises(Misconfigured) as refusal:
        Policy.parse(text)
    assert refusal.value.code == "policy_malformed"
    assert "[workload]" in refusal.value.message


def test_a_workload_needs_a_platform() -> None:
    text = policy_text(tables={"nvidia": {"gpus": 1}}).encode()
    with pytest.raises(Misconfigured) as refusal:
        Policy.parse(text)
    assert refusal.value.code == "pins_no_platform"
    assert PlatformPolicy.parse(text).nvidia is not None


def test_both_load_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(policy_text())
    assert PlatformPolicy.load(path) == Policy.load(path).platform
    loaders: tuple[Callable[[Path], object], ...] = (PlatformPolicy.load, Policy.load)
    for load in loaders:
        with pytest.raises(Misconfigured) as refusal:
            load(tmp_path / "no-such-policy.toml")
        assert refusal.value.code == "policy_unreadable"


# Roots of platforms


def test_vendors_are_trusted_and_one_simulator_at_most() -> None:
    assert parse(SIMULATED + SNP).roots(allow_simulated=False) == REAL
    *real, simulator = parse(SIMULATED + SNP).roots(allow_simulated=True)
    assert tuple(real) == REAL
    assert (simulator.sha256, simulator.simulated) == (amd().root_digest, True)


def test_simulation_needs_a_pin_of_platform_or_devices() -> None:
    with pytest.raises(NotAcceptable) as refusal:
        parse(SNP + GPU).roots(allow_simulated=True)
    assert refusal.value.code == "simulated_root_unpinned"
    assert parse(SNP + GPU + DEVICE_ROOTS).roots(allow_simulated=True) == REAL


# Roots of devices


def test_device_roots() -> None:
    wanted = parse(SNP + GPU + DEVICE_ROOTS)
    assert wanted.device_roots(allow_simulated=False) == NVIDIA_ROOTS
    both = wanted.device_roots(allow_simulated=True)
    assert both.device == (*NVIDIA_ROOTS.device, *nvidia().roots.device)
    assert both.manifest == (*NVIDIA_ROOTS.manifest, *nvidia().roots.manifest)
    assert parse(SIMULATED + SNP).device_roots(allow_simulated=True) == NVIDIA_ROOTS
    assert parse(SIMULATED + SNP + GPU).device_roots(allow_simulated=True) == NVIDIA_ROOTS


def test_simulators_alone() -> None:
    """For whoever takes simulated evidence and no other: no vendor is among them."""
    roots, of_devices = parse(SIMULATED + SNP + GPU + DEVICE_ROOTS).simulated_roots()
    assert [root.sha256 for root in roots] == [amd().root_digest]
    assert of_devices == nvidia().roots
    assert parse(SIMULATED + SNP).simulated_roots()[1] == NVIDIA_ROOTS  # the policy refuses any device


@pytest.mark.parametrize("text", [SNP, SNP + GPU + DEVICE_ROOTS, SIMULATED + SNP + GPU], ids=["none", "cpu", "devices"])
def test_simulators_alone_must_all_be_pinned(text: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        parse(text).simulated_roots()
    assert refusal.value.code == "simulated_root_unpinned"


@pytest.mark.parametrize(
    "text",
    [
        f'simulated_root = "{AMD_ROOTS[0].sha256}"\n{SNP}',
        f'simulated_root = "{INTEL_ROOTS[0].sha256}"\n{SNP}',
        f'simulated_root = "{NVIDIA_ROOTS.device[0].sha256}"\n{SNP}',
        f"{SNP}{GPU}{DEVICE_ROOTS}".replace(nvidia().device_root_digest, NVIDIA_ROOTS.device[0].sha256),
        f"{SNP}{GPU}{DEVICE_ROOTS}".replace(nvidia().manifest_root_digest, NVIDIA_ROOTS.manifest[0].sha256),
    ],
    ids=["AMD's", "Intel's", "NVIDIA's", "device", "manifest"],
)
def test_a_vendors_root_is_no_simulators(text: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        parse(text)
    assert refusal.value.code == "simulated_root_real"


@pytest.mark.parametrize(
    "text",
    [
        f'simulated_root = "{nvidia().device_root_digest}"\n{SNP}{GPU}{DEVICE_ROOTS}',
        f"{SNP}{GPU}{DEVICE_ROOTS}".replace(nvidia().manifest_root_digest, nvidia().device_root_digest),
    ],
    ids=["platform-and-device", "device-and-manifest"],
)
def test_one_root_is_for_one_purpose(text: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        parse(text)
    assert refusal.value.code == "simulated_root_twice"


@pytest.mark.parametrize("field", ["simulated_device_root", "simulated_manifest_root"])
def test_a_root_has_one_spelling(field: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        parse(f'{SNP}{GPU}{field} = "{"00" * 32}"\n')
    assert refusal.value.code == "policy_malformed"


@pytest.mark.parametrize(
    ("number", "says"),
    [
        pytest.param("[" * 100_000, "nested too deeply", id="deep"),
        pytest.param("9" * 5_000, "digits", id="long"),
        pytest.param('"1"', "version", id="another type"),
    ],
)
def test_a_policy_that_cannot_be_read(number: str, says: str) -> None:
    with pytest.raises(Misconfigured, match=says) as refusal:
        PlatformPolicy.parse(f"version = {number}".encode())
    assert refusal.value.code == "policy_malformed"


# What production never says


def production(text: str) -> list[str]:
    policy = PlatformPolicy.parse_unlinted(f'version = 1\nprofile = "production"\n{text}'.encode())
    return [finding.code for finding in lint(policy) if finding.refuses]


FLOOR = "tcb.Genoa = { boot_loader = 1, tee = 0, snp = 1, microcode = 1 }\n"
SOUND = f'{SNP}products = ["Genoa"]\n{FLOOR}'
SOUND_GPU = (
    GPU + 'architectures = ["Hopper"]\nmodes = ["SPT"]\n'
    'driver_min.GH100 = "550.0"\nvbios_min.GH100 = "96.00.00.00.00"\n'
)
REGISTERS = f'rtmr0s = ["{"00" * 48}"]\nrtmr1s = ["{"00" * 48}"]\nrtmr2s = ["{"00" * 48}"]\n'
SOUND_TDX = f'[tdx]\nmr_tds = ["{"00" * 48}"]\n{REGISTERS}tcb_date_min = "2025-05-14"\n'
SOUND_SGX = f'[sgx]\nmr_enclaves = ["{"00" * 32}"]\ntcb_date_min = "2025-05-14"\n'


@pytest.mark.parametrize("text", [SOUND, SOUND + SOUND_GPU, SOUND_TDX, SOUND_SGX, SOUND + SOUND_TDX + SOUND_SGX])
def test_a_sound_production_policy(text: str) -> None:
    assert production(text) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (SIMULATED + SOUND, "simulation_in_production"),
        (SOUND + SOUND_GPU + DEVICE_ROOTS, "simulation_in_production"),
        (SOUND.replace("Genoa", "Milan"), "product_forgeable"),
        (f"{SOUND}allow_debug = true\n", "too_lax"),
        (f"{SOUND_TDX}allow_migration = true\n", "too_lax"),
        (f'{SOUND_TDX}statuses = ["OutOfDate"]\n', "too_lax"),
        (f"{SOUND_SGX}allow_debug = true\n", "too_lax"),
        (SOUND + SOUND_GPU.replace('modes = ["SPT"]\n', ""), "pins_no_modes"),
    ],
)
def test_what_production_never_says(text: str, code: str) -> None:
    assert production(text) == [code]


def test_the_development_profile_is_remarked_upon() -> None:
    assert [finding.code for finding in lint(parse(SNP))] == ["development_profile"]


# The digest


def test_without_other_files_the_digest_is_the_files() -> None:
    text = f'version = 1\nprofile = "development"\n{SNP}'.encode()
    assert PlatformPolicy.parse(text).digest == sha256_digest(text)
