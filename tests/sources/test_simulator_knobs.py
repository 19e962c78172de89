"""Whatever a policy can ask of TDX, SGX or NVIDIA's devices, the simulator can both meet and miss.

Each knob of a policy has a twin pair: evidence that meets it, and evidence that misses it and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

import event_log_support
from hermetic.evidence import EnclaveAttributes, EnclaveFlag, TdAttributes, TdFlag
from hermetic.evidence.nvidia import FeatureMode, OpaqueField
from hermetic.identity import LaunchPlace, find_launch_digest
from hermetic.policy.nvidia import NvidiaPolicy, appraise_nvidia
from hermetic.policy.sgx import SgxPolicy, appraise_sgx
from hermetic.policy.tdx import TdxPolicy, appraise_tdx
from hermetic.sources.simulator.intel_machine import IntelJudgement, IntelMachine
from hermetic.sources.simulator.nvidia import SimulatedNvidia
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.sources.simulator.sgx_platform import SgxPlatform
from hermetic.sources.simulator.tdx_platform import TdxPlatform, module_svn
from hermetic.verify import Check, IntelClaims, Outcome, TcbStatus, simulated_root, verify
from hermetic.verify.nvidia import Architecture, verify_device
from intel_forge import CREATED, INTEL, LAUNCH_DIGEST, NOW, REPORT_DATA, SEED

NVIDIA = SimulatedNvidia.create(created=CREATED, seed=SEED)
NONCE = bytes(32)
ONE = b"\1" * 64
FILES = {"ppids_file", "ueids_file"}  # lists that join another knob's when a policy is loaded


@dataclass(frozen=True, kw_only=True)
class Twin:
    """``asks`` of a policy, a platform that ``meets`` it, one that ``misses`` it, and the checks that then fail."""

    asks: Mapping[str, Any] = field(default_factory=dict)
    meets: Mapping[str, Any] = field(default_factory=dict)
    misses: Mapping[str, Any]
    fails: str


def judged(**fields: Any) -> dict[str, Any]:
    return {"judgement": IntelJudgement(**fields)}


def on(**fields: Any) -> dict[str, Any]:
    return {"machine": IntelMachine(**fields)}


def said(event: str, payload: bytes) -> dict[str, Any]:
    return {"events": ((event, payload),)}


HARDENING = {"status": TcbStatus.SW_HARDENING_NEEDED, "advisories": ("INTEL-SA-00960",)}
EITHER = {"statuses": (TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED)}

OF_INTEL: dict[str, Twin] = {
    "statuses": Twin(misses=judged(status=TcbStatus.CONFIGURATION_NEEDED), fails="tcb-status"),
    "allow_advisories": Twin(
        asks={"allow_advisories": ("INTEL-SA-00960",), **EITHER},
        meets=judged(**HARDENING),
        misses=judged(**HARDENING | {"advisories": ("INTEL-SA-00960", "INTEL-SA-00982")}),
        fails="advisories",
    ),
    "deny_advisories": Twin(
        asks={"deny_advisories": ("INTEL-SA-00960",)},
        misses=judged(advisories=("INTEL-SA-00960",)),
        fails="denied-advisories",
    ),
    "tcb_date_min": Twin(
        asks={"tcb_date_min": date(2025, 5, 14)},
        misses=judged(date=datetime(2025, 5, 13, tzinfo=UTC)),
        fails="tcb-date",
    ),
    "evaluation_min": Twin(asks={"evaluation_min": 18}, misses=judged(evaluation_number=17), fails="evaluation"),
    "ppids": Twin(asks={"ppids": (INTEL.ppid.hex(),)}, misses=on(ppid=ONE[:16]), fails="ppid"),
    "platform_instance_ids": Twin(
        asks={"platform_instance_ids": (INTEL.platform_instance.hex(),)},
        misses=on(instance=ONE[:16]),
        fails="platform-instance",
    ),
    "allow_dynamic_platform": Twin(
        asks={"allow_dynamic_platform": False}, meets=on(dynamic_platform=False), misses={}, fails="dynamic-platform"
    ),
    "allow_cached_keys": Twin(asks={"allow_cached_keys": False}, misses=on(cached_keys=True), fails="cached-keys"),
    "allow_smt": Twin(asks={"allow_smt": False}, meets=on(smt_enabled=False), misses={}, fails="smt"),
}


def domain(flags: TdFlag, unknown: int = 0) -> dict[str, Any]:
    return {"attributes": TdAttributes(flags=flags, unknown=unknown)}


def registers(at: int) -> dict[str, Any]:
    return {"rtmrs": tuple(ONE[:48] if n == at else bytes(48) for n in range(4))}


SEPT = TdFlag.SEPT_VE_DISABLE
BOOTED = event_log_support.ccel(*event_log_support.BOOT)
UNSIGNED = event_log_support.ccel(
    event_log_support.event(0, event_log_support.VARIABLE, event_log_support.variable("SecureBoot", b"\0")),
    *event_log_support.BOOT[1:],
)

TDX: dict[str, Twin] = OF_INTEL | {
    "quote_version_min": Twin(asks={"quote_version_min": 5}, misses={"version": 4}, fails="quote-version"),
    "require_tdx_1_5": Twin(asks={"require_tdx_1_5": True}, misses={"tdx_1_5": False}, fails="tdx-1-5"),
    "allow_debug": Twin(misses=domain(SEPT | TdFlag.DEBUG), fails="attributes.debug"),
    "allow_migration": Twin(misses=domain(SEPT | TdFlag.MIGRATABLE), fails="attributes.migration"),
    "require_sept_ve_disable": Twin(misses=domain(TdFlag(0)), fails="attributes.sept-ve-disable"),
    "allow_attribute_bits": Twin(
        asks={"allow_attribute_bits": (30,)},
        meets=domain(SEPT | TdFlag.PKS),
        misses=domain(SEPT, unknown=1 << 40),
        fails="attributes.bits",
    ),
    "xfam_mask": Twin(asks={"xfam_mask": 0xE7}, misses={"xfam": 0x2E7}, fails="xfam"),
    "mr_service_tds": Twin(misses={"mr_service_td": ONE[:48]}, fails="mr-service-td"),
    "module_min": Twin(asks={"module_min": "1.8"}, meets={"launched_by": module_svn(8)}, misses={}, fails="module"),
    "mr_seams": Twin(asks={"mr_seams": (TdxPlatform().mr_seam.hex(),)}, misses={"mr_seam": ONE[:48]}, fails="mr-seam"),
    "mr_tds": Twin(misses={"mr_td": ONE[:48]}, fails="mr-td"),
    "rtmr0s": Twin(asks={"rtmr0s": ("00" * 48,)}, misses=registers(0), fails="rtmr0"),
    "rtmr1s": Twin(asks={"rtmr1s": ("00" * 48,)}, misses=registers(1), fails="rtmr1"),
    "rtmr2s": Twin(asks={"rtmr2s": ("00" * 48,)}, misses=registers(2), fails="rtmr2"),
    "rtmr3s": Twin(asks={"rtmr3s": ("00" * 48,)}, misses=registers(3), fails="rtmr3"),
    "mr_config_ids": Twin(
        asks={"mr_config_ids": ((LAUNCH_DIGEST + bytes(16)).hex(),)},
        misses={"launch_event": True},
        fails="mr-config-id",
    ),
    "mr_owners": Twin(asks={"mr_owners": ("00" * 48,)}, misses={"mr_owner": ONE[:48]}, fails="mr-owner"),
    "mr_owner_configs": Twin(
        asks={"mr_owner_configs": ("00" * 48,)}, misses={"mr_owner_config": ONE[:48]}, fails="mr-owner-config"
    ),
    "require_event_log": Twin(asks={"require_event_log": True}, meets={"events": ()}, misses={}, fails="event-log"),
    "require_secure_boot": Twin(
        asks={"require_secure_boot": True}, meets={"ccel": BOOTED}, misses={"ccel": UNSIGNED}, fails="secure-boot"
    ),
    "compose_hashes": Twin(
        asks={"compose_hashes": (ONE[:32].hex(),)},
        meets=said("compose-hash", ONE[:32]),
        misses=said("compose-hash", bytes(32)),
        fails="compose-hash",
    ),
    "app_ids": Twin(
        asks={"app_ids": (ONE[:20].hex(),)},
        meets=said("app-id", ONE[:20]),
        misses=said("app-id", bytes(20)),
        fails="app-id",
    ),
    "instance_ids": Twin(
        asks={"instance_ids": (ONE[:20].hex(),)},
        meets=said("instance-id", ONE[:20]),
        misses=said("instance-id", bytes(20)),
        fails="instance-id",
    ),
    "os_image_hashes": Twin(
        asks={"os_image_hashes": (ONE[:32].hex(),)},
        meets=said("os-image-hash", ONE[:32]),
        misses={"events": (), "later_events": (("os-image-hash", ONE[:32]),)},
        fails="os-image-hash",
    ),
    "key_providers": Twin(
        asks={"key_providers": ("{}",)},
        meets=said("key-provider", b"{}"),
        misses=said("key-provider", b"[]"),
        fails="key-provider",
    ),
}


def enclave(flags: EnclaveFlag, unknown: int = 0) -> dict[str, Any]:
    return {"attributes": EnclaveAttributes(flags=EnclaveFlag.INIT | EnclaveFlag.KSS | flags, unknown=unknown)}


SGX: dict[str, Twin] = OF_INTEL | {
    "allow_debug": Twin(misses=enclave(EnclaveFlag.DEBUG), fails="attributes.debug"),
    "allow_attribute_bits": Twin(
        asks={"allow_attribute_bits": (4,)},
        meets=enclave(EnclaveFlag.PROVISION_KEY),
        misses=enclave(EnclaveFlag.EINITTOKEN_KEY),
        fails="attributes.bits",
    ),
    "xfrm_mask": Twin(asks={"xfrm_mask": 0xE7}, misses={"xfrm": 0x2E7}, fails="xfrm"),
    "allow_misc_bits": Twin(
        asks={"allow_misc_bits": (0,)}, meets={"misc_select": 1}, misses={"misc_select": 2}, fails="misc-select"
    ),
    "mr_enclaves": Twin(misses={"mr_enclave": ONE[:32]}, fails="mr-enclave"),
    "mr_signers": Twin(
        asks={"mr_signers": (SgxPlatform().mr_signer.hex(),)}, misses={"mr_signer": ONE[:32]}, fails="mr-signer"
    ),
    "isv_prod_ids": Twin(asks={"isv_prod_ids": (1,)}, misses={"isv_prod_id": 2}, fails="isv-prod-id"),
    "isv_svn_min": Twin(asks={"isv_svn_min": 1}, misses={"isv_svn": 0}, fails="isv-svn"),
    "isv_ext_prod_ids": Twin(
        asks={"isv_ext_prod_ids": ("00" * 16,)}, misses={"isv_ext_prod_id": ONE[:16]}, fails="isv-ext-prod-id"
    ),
    "isv_family_ids": Twin(
        asks={"isv_family_ids": ("00" * 16,)}, misses={"isv_family_id": ONE[:16]}, fails="isv-family-id"
    ),
    "config_ids": Twin(
        asks={"config_ids": ((LAUNCH_DIGEST + bytes(32)).hex(),)},
        misses={"launch_digest": bytes(32)},
        fails="config-id",
    ),
    "config_svn_min": Twin(
        asks={"config_svn_min": 2}, meets={"config_svn": 2}, misses={"config_svn": 1}, fails="config-svn"
    ),
}


def alone(**fields: Any) -> dict[str, Any]:
    """A machine of one GPU with these fields."""
    return {"changes": {0: fields}}


UEID = verify_device(NVIDIA.issue(NONCE, now=NOW)[0], roots=NVIDIA.roots, now=NOW, nonce=NONCE).ueid
DEVICES: dict[str, Twin] = {
    "gpus": Twin(misses={"gpus": 2}, fails="gpus"),
    "switches": Twin(
        asks={"gpus": 2, "switches": 1},
        meets={"gpus": 2, "switches": 1},
        misses={"gpus": 2, "switches": 2},
        fails="switches",
    ),
    "architectures": Twin(
        asks={"architectures": (Architecture.HOPPER,)},
        misses={"architecture": Architecture.BLACKWELL},
        fails="gpu0.architecture",
    ),
    "driver_min": Twin(
        asks={"driver_min": {"GH100": "550.144.03"}}, misses={"driver_version": "550.144.2"}, fails="gpu0.driver"
    ),
    "vbios_min": Twin(
        asks={"vbios_min": {"GH100": "96.00.5E.00.01"}}, misses={"vbios_version": "96.00.5D.FF.01"}, fails="gpu0.vbios"
    ),
    "modes": Twin(asks={"modes": ("SPT",)}, misses=alone(mode=FeatureMode.MPT), fails="gpu0.mode"),
    "ueids": Twin(asks={"ueids": (UEID,)}, misses={"first": 1}, fails="gpu0.ueid"),
    "allow_opaque_fields": Twin(
        asks={"allow_opaque_fields": (99,)},
        meets=alone(more_fields=(OpaqueField(type=99, value=b"?"),)),
        misses=alone(more_fields=(OpaqueField(type=98, value=b"?"),)),
        fails="gpu0.opaque-fields",
    ),
}


def failed(checks: tuple[Check, ...]) -> list[str]:
    assert checks
    assert {check.outcome for check in checks} <= {Outcome.PASS, Outcome.FAIL}
    return [check.name for check in checks if check.outcome is Outcome.FAIL]


def of_intel(platform: TdxPlatform | SgxPlatform, tee: str, launch_digest: bytes = LAUNCH_DIGEST) -> IntelClaims:
    bundle = INTEL.issue(REPORT_DATA, tee=tee, launch_digest=launch_digest, now=NOW, platform=platform)
    claims = verify(bundle, roots=(simulated_root(INTEL.root_digest),), now=NOW, report_data=REPORT_DATA)
    assert isinstance(claims, IntelClaims)
    return claims


def knobs(policy: type[msgspec.Struct]) -> set[str]:
    return {entry.name for entry in msgspec.structs.fields(policy)} - FILES


@pytest.mark.parametrize("knob", TDX)
def test_what_is_asked_of_a_trust_domain(knob: str) -> None:
    twin = TDX[knob]
    policy = msgspec.structs.replace(TdxPolicy(mr_tds=(TdxPlatform().mr_td.hex(),)), **twin.asks)
    assert failed(appraise_tdx(of_intel(replace(TdxPlatform(), **twin.meets), "tdx"), policy)) == []
    missed = of_intel(replace(TdxPlatform(), **twin.misses), "tdx")
    assert failed(appraise_tdx(missed, policy)) == [f"policy.tdx.{twin.fails}"]


@pytest.mark.parametrize("knob", SGX)
def test_what_is_asked_of_an_enclave(knob: str) -> None:
    twin = SGX[knob]
    policy = msgspec.structs.replace(SgxPolicy(mr_enclaves=(SgxPlatform().mr_enclave.hex(),)), **twin.asks)
    assert failed(appraise_sgx(of_intel(replace(SgxPlatform(), **twin.meets), "sgx"), policy)) == []
    changes = dict(twin.misses)
    digest = changes.pop("launch_digest", LAUNCH_DIGEST)
    missed = of_intel(replace(SgxPlatform(), **changes), "sgx", digest)
    assert failed(appraise_sgx(missed, policy)) == [f"policy.sgx.{twin.fails}"]


@pytest.mark.parametrize("knob", DEVICES)
def test_what_is_asked_of_devices(knob: str) -> None:
    twin = DEVICES[knob]
    policy = msgspec.structs.replace(NvidiaPolicy(gpus=1), **twin.asks)

    def appraised(fields: Mapping[str, Any]) -> list[str]:
        issued = NVIDIA.issue(NONCE, now=NOW, machine=NvidiaMachine(**fields))
        claims = tuple(verify_device(device, roots=NVIDIA.roots, now=NOW, nonce=NONCE) for device in issued)
        return failed(appraise_nvidia(claims, policy))

    assert appraised(twin.meets) == []
    assert appraised(twin.misses) == [f"policy.nvidia.{twin.fails}"]


def test_either_place_of_the_launch_digest() -> None:
    """Judged with the launch document, not with the domain: ``launch_place``."""
    for event, place in ((False, LaunchPlace.MRCONFIGID), (True, LaunchPlace.EVENT)):
        assert find_launch_digest(of_intel(TdxPlatform(launch_event=event), "tdx"))[0] is place


def test_every_knob_of_a_policy_has_its_twins() -> None:
    whole = {"launch_place", "require_second_opinion"}  # about the verdict as a whole: tests/policy/test_composite.py
    whole |= {"allow_any_rtmr0"}  # a word for production policies, that nothing is asked of rtmr0s: test_tdx.py
    assert knobs(TdxPolicy) - whole == TDX.keys()
    assert knobs(SgxPolicy) - whole == SGX.keys()
    assert knobs(NvidiaPolicy) - {"simulated_device_root", "simulated_manifest_root"} == DEVICES.keys()
