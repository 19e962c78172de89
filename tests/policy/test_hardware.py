"""A platform and its devices under a whole policy: each table judges its own kind, and nothing goes unjudged."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hermetic.errors import Misconfigured
from hermetic.policy import PlatformPolicy, appraise_platform, draft_policy, seen_tables
from hermetic.policy.reference import ReferenceValues
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.sources.simulator.sgx_platform import SgxPlatform
from hermetic.sources.simulator.tdx_platform import TdxPlatform
from hermetic.verify import Outcome, PlatformClaims
from hermetic.verify.nvidia import DeviceClaims
from policy_support import devices, failed, intel_claims, nvidia
from snp_support import NOW
from snp_support import claims as snp_claims

CPUS: dict[str, PlatformClaims] = {
    "snp": snp_claims(),
    "tdx": intel_claims(TdxPlatform()),
    "sgx": intel_claims(SgxPlatform()),
}
ROOTS = {tee: made.root.sha256 for tee, made in CPUS.items()}
TEES = list(CPUS)
GPU = devices()


def policy(*tables: str, gpus: bool = False, **changes: Any) -> PlatformPolicy:
    """A development policy with what was seen of these TEEs, and of one GPU."""
    seen = {name: table for tee in tables for name, table in seen_tables(CPUS[tee]).items()}
    seen |= seen_tables(None, GPU) if gpus else {}
    root = ROOTS[tables[0]] if tables else None
    text = draft_policy(None, profile="development", tables=seen, simulated_root=root)
    return replace(PlatformPolicy.parse(text.encode()), **changes)


def refused(
    platform: PlatformClaims | None, wanted: PlatformPolicy, gpus: tuple[DeviceClaims, ...] = (), **asked: Any
) -> list[str]:
    return failed(appraise_platform(platform, gpus, wanted, **asked), "policy.")


@pytest.mark.parametrize("tee", TEES)
def test_what_was_seen_is_accepted_and_nothing_of_another_kind(tee: str) -> None:
    assert refused(CPUS[tee], policy(tee)) == []
    for other in TEES:
        if other != tee:
            assert "tee" in refused(CPUS[other], policy(tee))


def test_a_policy_may_want_several_kinds() -> None:
    assert refused(CPUS["tdx"], policy("tdx", "sgx", "snp")) == []
    assert refused(CPUS["sgx"], policy("sgx", "tdx", "snp")) == []
    assert refused(CPUS["snp"], policy("snp", "tdx", "sgx")) == []


@pytest.mark.parametrize("tee", TEES)
def test_the_table_of_that_kind_judges(tee: str) -> None:
    """Each table's verdict is part of the whole."""
    pins = {"snp": ("measurements", "00" * 48), "tdx": ("mr_tds", "00" * 48), "sgx": ("mr_enclaves", "00" * 32)}
    field, value = pins[tee]
    tables = {name: dict(table) | {field: [value]} for name, table in seen_tables(CPUS[tee]).items()}
    text = draft_policy(None, profile="development", tables=tables, simulated_root=ROOTS[tee])
    names = {"snp": "snp.measurement", "tdx": "tdx.mr-td", "sgx": "sgx.mr-enclave"}
    assert refused(CPUS[tee], PlatformPolicy.parse(text.encode())) == [names[tee]]


def test_no_platform_where_one_is_wanted() -> None:
    assert refused(None, policy("tdx")) == ["tee"]
    assert refused(None, policy("tdx", gpus=True), GPU) == ["tee"]


def test_nothing_at_all_is_not_accepted() -> None:
    bare = replace(policy("tdx"), tdx=None)
    assert refused(None, bare) == ["tee"]


def test_devices_alone() -> None:
    assert refused(None, policy(gpus=True), GPU) == []
    assert refused(CPUS["tdx"], policy(gpus=True, simulated_root=ROOTS["tdx"]), GPU) == ["tee"]


# Devices


def test_devices_that_nobody_asked_about_refuse() -> None:
    assert refused(CPUS["tdx"], policy("tdx")) == []
    (none,) = (check for check in appraise_platform(CPUS["tdx"], (), policy("tdx")) if check.name == "policy.devices")
    assert (none.outcome, none.got) == (Outcome.PASS, "no devices")
    assert refused(CPUS["tdx"], policy("tdx"), GPU) == ["simulation.devices", "simulation.manifests", "devices"]


def test_devices_that_are_not_there_refuse() -> None:
    assert refused(CPUS["tdx"], policy("tdx", gpus=True), GPU) == []
    assert refused(CPUS["tdx"], policy("tdx", gpus=True)) == ["nvidia.gpus", "nvidia.machine"]


def test_one_device_more_than_wanted() -> None:
    two = devices(NvidiaMachine(gpus=2))
    assert refused(CPUS["tdx"], policy("tdx", gpus=True), two) == [
        "nvidia.gpu0.mode",
        "nvidia.gpu1.mode",
        "nvidia.gpus",
    ]


# Simulation: every root that verified, each by its own pin


def real(claims: Any) -> Any:
    return replace(claims, root=replace(claims.root, simulated=False, name="a vendor"))


@pytest.mark.parametrize("tee", TEES)
def test_another_simulators_platform(tee: str) -> None:
    wanted = policy(tee, simulated_root=nvidia().device_root_digest)
    assert refused(CPUS[tee], wanted) == ["simulation"]
    assert refused(CPUS[tee], replace(wanted, simulated_root=None)) == ["simulation"]
    assert refused(real(CPUS[tee]), replace(wanted, simulated_root=None)) == []


@pytest.mark.parametrize(
    ("field", "check"),
    [("simulated_device_root", "simulation.devices"), ("simulated_manifest_root", "simulation.manifests")],
)
def test_another_simulators_devices(field: str, check: str) -> None:
    tables = {"nvidia": dict(seen_tables(None, GPU)["nvidia"]) | {field: f"sha256:{'00' * 32}"}}
    wanted = PlatformPolicy.parse(draft_policy(None, profile="development", tables=tables).encode())
    assert refused(None, wanted, GPU) == [check]


def test_devices_that_nobody_pinned_are_simulated_all_the_same() -> None:
    table = seen_tables(None, GPU)["nvidia"]
    tables = {"nvidia": {name: value for name, value in table.items() if not name.startswith("simulated_")}}
    wanted = PlatformPolicy.parse(draft_policy(None, profile="development", tables=tables).encode())
    assert refused(None, wanted, GPU) == ["simulation.devices", "simulation.manifests"]
    (gpu,) = GPU
    genuine = replace(real(gpu), manifest_roots=tuple(replace(root, simulated=False) for root in gpu.manifest_roots))
    assert refused(None, wanted, (genuine,)) == []


def test_no_pin_helps_outside_development() -> None:
    """Such a policy does not load; here the verdict itself is asked."""
    wanted = replace(policy("tdx", gpus=True), profile="production")
    assert refused(CPUS["tdx"], wanted, GPU) == ["simulation", "simulation.devices", "simulation.manifests"]


# A release's life

RELEASE = ReferenceValues.convert(
    {
        "name": "vm",
        "version": "1",
        "issued": (NOW - timedelta(days=1)).isoformat(),
        "not_after": (NOW + timedelta(days=1)).isoformat(),
        "tdx": {"mr_tds": ["00" * 48]},
    },
    what="release",
)


@pytest.mark.parametrize(
    ("at", "good"),
    [
        (RELEASE.issued, True),
        (RELEASE.issued - timedelta(seconds=1), False),
        (RELEASE.not_after - timedelta(seconds=1), True),
        (RELEASE.not_after, False),
    ],
    ids=["from-the-first-second", "too-early", "to-the-last", "too-late"],
)
def test_a_release_is_good_for_its_life(at: Any, good: bool) -> None:
    assert refused(CPUS["tdx"], policy("tdx", release=RELEASE), at=at) == ([] if good else ["release"])
    assert refused(CPUS["tdx"], policy("tdx"), at=at) == []


def test_without_a_time_nobody_says_that_a_release_is_good() -> None:
    checks = appraise_platform(CPUS["tdx"], (), policy("tdx", release=RELEASE))
    assert {check.name: check.outcome for check in checks}["policy.release"] is Outcome.NOT_PERFORMED


# A policy that pins nothing does not load


@pytest.mark.parametrize("text", ['version = 1\nprofile = "production"\n', 'version = 1\nprofile = "development"\n'])
def test_a_policy_without_any_table(text: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        PlatformPolicy.parse(text.encode())
    assert refusal.value.code == "pins_no_platform"
