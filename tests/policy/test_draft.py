"""What is drafted from what was seen: it loads, it accepts just that, and another machine it refuses."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest

from hermetic.identity import LaunchDocument
from hermetic.policy import PlatformPolicy, Policy, Tables, draft_policy, seen_tables
from hermetic.policy.sgx import appraise_sgx
from hermetic.policy.tdx import appraise_tdx
from hermetic.sources.simulator.intel_machine import HEALTHY_JUDGEMENT
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.sources.simulator.sgx_platform import SgxPlatform
from hermetic.sources.simulator.tdx_platform import TdxPlatform
from hermetic.verify import TcbStatus
from identity_support import launch
from policy_support import devices, failed, intel_claims, nvidia
from snp_support import claims as snp_claims

ONE = b"\x01" * 48


def drafted(tables: Tables) -> PlatformPolicy:
    return PlatformPolicy.parse(draft_policy(None, profile="development", tables=tables).encode())


def test_snp() -> None:
    seen = snp_claims()
    assert seen_tables(seen) == {"snp": {"products": [str(seen.product)], "measurements": [seen.measurement.hex()]}}


def others_register(platform: TdxPlatform, number: int) -> TdxPlatform:
    zero, one, two, three = (bytes(48) if n == number else value for n, value in enumerate(platform.rtmrs))
    return replace(platform, rtmrs=(zero, one, two, three))


def test_a_value_that_differs_between_machines_says_so() -> None:
    lines = draft_policy(None, profile="development", tables=seen_tables(intel_claims(TdxPlatform()))).splitlines()
    assert lines[lines.index(f'rtmr0s = ["{"00" * 48}"]') - 1].startswith("# Follows memory, processors")


def test_tdx_pins_the_firmware_and_what_it_started_with_and_started() -> None:
    seen = TdxPlatform(rtmrs=(ONE, ONE, ONE, ONE))
    policy = drafted(seen_tables(intel_claims(seen))).tdx
    assert policy is not None
    assert policy.rtmr3s is None
    for other in (replace(seen, mr_td=ONE), *(others_register(seen, number) for number in range(3))):
        assert len(failed(appraise_tdx(intel_claims(other), policy), "")) == 1
    assert failed(appraise_tdx(intel_claims(others_register(seen, 3)), policy), "") == []
    assert failed(appraise_tdx(intel_claims(seen), policy), "") == []


def test_sgx_pins_the_enclave() -> None:
    policy = drafted(seen_tables(intel_claims(SgxPlatform()))).sgx
    assert policy is not None
    assert failed(appraise_sgx(intel_claims(SgxPlatform()), policy), "") == []
    assert failed(appraise_sgx(intel_claims(SgxPlatform(mr_enclave=bytes(32))), policy), "") == [
        "policy.sgx.mr-enclave"
    ]


@pytest.mark.parametrize("advisories", [(), ("INTEL-SA-00615", "INTEL-SA-01036")], ids=["none", "two"])
def test_a_status_is_taken_as_it_is_found(advisories: tuple[str, ...]) -> None:
    judgement = replace(HEALTHY_JUDGEMENT, status=TcbStatus.SW_HARDENING_NEEDED, advisories=advisories)
    seen = intel_claims(TdxPlatform(judgement=judgement))
    policy = drafted(seen_tables(seen)).tdx
    assert policy is not None
    assert policy.allow_advisories == advisories
    assert failed(appraise_tdx(seen, policy), "") == []
    worse = replace(judgement, advisories=(*advisories, "INTEL-SA-09999"))
    assert failed(appraise_tdx(intel_claims(TdxPlatform(judgement=worse)), policy), "") == ["policy.tdx.advisories"]


def test_devices() -> None:
    seen = NvidiaMachine(gpus=2, switches=1)
    assert seen_tables(None, devices(seen)) == {
        "nvidia": {
            "gpus": 2,
            "switches": 1,
            "architectures": ["Hopper"],
            "modes": ["PPCIE"],
            "simulated_device_root": nvidia().device_root_digest,
            "simulated_manifest_root": nvidia().manifest_root_digest,
        }
    }


def test_a_driver_that_does_not_say_its_mode() -> None:
    assert "modes" not in seen_tables(None, devices(NvidiaMachine(changes={0: {"mode": None}})))["nvidia"]


def test_tables_within_tables() -> None:
    document: LaunchDocument = launch(environment={"A": "1"}, outbound={})
    tables = {"nvidia": {"driver_min": {"GH100": "550.0"}, "gpus": 1, "vbios_min": {"a.b": "x"}}}
    text = draft_policy(document, profile="development", tables=tables, log_keys=("k",), note="one\ntwo")
    read = tomllib.loads(text)
    assert text.startswith("# one\n# two\n")
    assert read["nvidia"] == tables["nvidia"]
    assert read["workload"]["environment"] == {"A": "1"}
    assert read["log_keys"] == ["k"]


def test_a_workload_and_what_it_runs_on() -> None:
    tables = seen_tables(intel_claims(TdxPlatform()), devices())
    text = draft_policy(launch(), profile="development", tables=tables)
    policy = Policy.parse(text.encode())
    assert policy.platform.tdx is not None
    assert policy.platform.nvidia is not None
    assert policy.workload.services == (launch().service,)
