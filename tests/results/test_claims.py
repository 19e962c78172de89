"""Claims of every TEE: what the evidence says, under stable names, each with its source."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from examined_support import NOW, NVIDIA, PPCIE, devices
from hermetic.evidence import EnclaveFlag, GuestPolicy, GuestPolicyFlag, SigningKey, TdAttributes, TdFlag
from hermetic.results import Claim, Source, Value
from hermetic.results._device_claims import device_claims
from hermetic.results._platform_claims import bits, platform_claims
from hermetic.sources.simulator.sgx_platform import SgxPlatform
from hermetic.sources.simulator.snp_platform import SnpPlatform
from hermetic.sources.simulator.tdx_platform import TdxPlatform
from hermetic.verify import INTEL_ROOTS, IntelClaims, PlatformClaims, verify
from hermetic.verify.nvidia import verify_device
from intel_forge import INTEL, LAUNCH_DIGEST, REPORT_DATA
from intel_support import bundle_of, time_of
from nvidia_support import IN_2026, SWITCH, SWITCH_RIMS, read, recorded, verified
from snp_support import claims as snp_claims
from vectors import needs_vectors

pytest.importorskip("dcap_qvl", reason="the second verifier is not installed (pip install dcap-qvl)")


def stated(claims: tuple[Claim, ...]) -> dict[str, Value]:
    names = [claim.name for claim in claims]
    assert len(set(names)) == len(names)
    return {claim.name: claim.value for claim in claims}


def source(claims: tuple[Claim, ...], name: str) -> Source:
    return next(claim.source for claim in claims if claim.name == name)


def test_a_simulated_snp_guest() -> None:
    verified_claims = snp_claims()
    claims = platform_claims(verified_claims)
    said, report = stated(claims), verified_claims.report
    assert said["oemid"] == 3704
    assert said["hwmodel"] == "Genoa"
    assert said["snp.measurement"] == verified_claims.measurement.hex()
    assert said["snp.host-data"] == verified_claims.host_data.hex()
    assert said["snp.report-data"] == verified_claims.report_data.hex()
    assert said["snp.tcb.reported"] == "boot_loader=10 tee=0 snp=25 microcode=84"
    assert said["snp.chip-id"] == verified_claims.chip_id.hex()
    assert said["snp.vmpl"] == 0
    assert said["snp.mitigations.launch"] == "0x3"
    assert said["snp.author-key-digest"] == "none"
    assert "snp.vlek-provider" not in said
    assert report is verified_claims.report
    assert source(claims, "snp.measurement") is Source.EVIDENCE
    assert source(claims, "snp.chip-id") is Source.CERTIFICATE
    assert source(claims, "hwmodel") is Source.CERTIFICATE


def test_bits_by_name_and_by_number() -> None:
    policy = GuestPolicy.from_int(1 << 17 | 1 << 19 | 1 << 40 | 1 << 63)
    assert bits(policy.flags, policy.unknown) == ("RESERVED_ONE", "DEBUG", "bit 40", "bit 63")
    attributes = TdAttributes.from_int(1 << 28 | 1 << 2)
    assert bits(attributes.flags, attributes.unknown) == ("SEPT_VE_DISABLE", "bit 2")
    assert bits(EnclaveFlag(0), 0) == ()


@pytest.mark.parametrize(("debug", "dbgstat"), [(False, "disabled-since-boot"), (True, "enabled")])
def test_whether_memory_can_be_read(debug: bool, dbgstat: str) -> None:
    usual = SnpPlatform().policy
    flags = usual.flags | GuestPolicyFlag.DEBUG if debug else usual.flags
    snp = SnpPlatform(policy=GuestPolicy(abi_major=usual.abi_major, abi_minor=usual.abi_minor, flags=flags))
    assert stated(platform_claims(snp_claims(snp)))["dbgstat"] == dbgstat
    base = TdxPlatform().attributes
    attributes = TdAttributes(flags=base.flags | TdFlag.DEBUG if debug else base.flags)
    assert stated(platform_claims(intel("tdx", TdxPlatform(attributes=attributes))))["dbgstat"] == dbgstat


@pytest.mark.parametrize("bit", range(9))
def test_any_bit_that_makes_a_domain_untrusted_is_debugging(bit: int) -> None:
    usual = TdxPlatform().attributes
    attributes = TdAttributes.from_int(usual.to_int() | 1 << bit)
    said = stated(platform_claims(intel("tdx", TdxPlatform(attributes=attributes))))
    assert said["dbgstat"] == ("enabled" if bit < 8 else "disabled-since-boot")


def test_whether_an_enclave_can_be_debugged() -> None:
    usual = SgxPlatform().attributes
    debugged = replace(usual, flags=usual.flags | EnclaveFlag.DEBUG)
    assert stated(platform_claims(intel("sgx")))["dbgstat"] == "disabled-since-boot"
    assert stated(platform_claims(intel("sgx", SgxPlatform(attributes=debugged))))["dbgstat"] == "enabled"


def test_the_date_of_the_firmware_is_that_of_its_oldest_part() -> None:
    """As policies judge it, whichever part that is."""
    domain = intel("tdx")
    assert isinstance(domain, IntelClaims)
    tcb = domain.tcb
    assert tcb.module is not None
    old = datetime(2020, 2, 29, tzinfo=UTC)
    for name in ("platform", "module", "enclave"):
        aged = replace(domain, tcb=replace(tcb, **{name: replace(getattr(tcb, name), date=old)}))
        said = stated(platform_claims(aged))
        assert (said["intel.tcb.date"], said[f"intel.tcb.{name}-date"]) == ("2020-02-29", "2020-02-29")
        for other in {"platform", "module", "enclave"} - {name}:
            assert said[f"intel.tcb.{other}-date"] == f"{getattr(tcb, other).date:%Y-%m-%d}"
    assert "intel.tcb.module-date" not in stated(platform_claims(intel("sgx")))


def test_a_providers_key_names_its_provider() -> None:
    claims = platform_claims(snp_claims(SnpPlatform(signing_key=SigningKey.VLEK)))
    said = stated(claims)
    assert said["snp.signing-key"] == "VLEK"
    assert isinstance(said["snp.vlek-provider"], str)
    assert source(claims, "snp.vlek-provider") is Source.CERTIFICATE
    assert source(claims, "snp.chip-id") is Source.EVIDENCE


def intel(tee: str, chosen: Any = None) -> PlatformClaims:
    from hermetic.verify import simulated_root

    bundle = INTEL.issue(REPORT_DATA, tee=tee, launch_digest=LAUNCH_DIGEST, now=NOW, platform=chosen)
    return verify(bundle, roots=(simulated_root(INTEL.root_digest),), now=NOW, report_data=REPORT_DATA)


def test_a_simulated_trust_domain_and_a_simulated_enclave() -> None:
    domain = intel("tdx")
    claims = platform_claims(domain)
    said = stated(claims)
    assert said["oemid"] == 343
    assert said["tdx.mrtd"] == domain.measurement.hex()
    assert said["tdx.mrconfigid"] == domain.host_data.hex()
    assert said["tdx.report-data"] == REPORT_DATA.hex()
    assert said["intel.tcb.status"] == "UpToDate"
    assert said["intel.tcb.advisories"] == ()
    assert {"tdx.rtmr0", "tdx.rtmr3", "tdx.tee-tcb-svn2", "intel.ppid", "intel.fmspc"} <= said.keys()
    for name, expected in (
        ("tdx.rtmr0", Source.EVIDENCE),
        ("intel.ppid", Source.CERTIFICATE),
        ("intel.tcb.status", Source.COLLATERAL),
    ):
        assert source(claims, name) is expected
    old = stated(platform_claims(intel("tdx", TdxPlatform(version=4, tdx_1_5=False))))
    assert "tdx.tee-tcb-svn2" not in old
    enclave = intel("sgx")
    said = stated(platform_claims(enclave))
    assert said["sgx.mrenclave"] == enclave.measurement.hex()
    assert said["sgx.config-id"] == enclave.host_data.hex()


@needs_vectors
@pytest.mark.parametrize(
    ("collateral", "status", "advisories"),
    [("collateral-2025-11-04-UpToDate.json", "UpToDate", 0), ("collateral-2026-06-27-OutOfDate.json", "OutOfDate", 13)],
)
def test_the_same_quote_at_two_dates(collateral: str, status: str, advisories: int) -> None:
    folder = "tdx/v4-00806f050000-go-tdx-guest-00b252"
    claims = verify(bundle_of(folder, collateral), roots=INTEL_ROOTS, now=time_of(folder, collateral), report_data=None)
    said = stated(platform_claims(claims))
    assert said["intel.tcb.status"] == status
    assert isinstance(said["intel.tcb.advisories"], tuple)
    assert len(said["intel.tcb.advisories"]) == advisories


@needs_vectors
def test_events_are_claims_of_the_log() -> None:
    folder, collateral = "tdx/v4-90c06f000000-dstack-cbdb5b", "collateral-2026-03-09-UpToDate.json"
    answer = json.loads(read("tdx-eventlogs/dstack-quote-report.json"))
    bundle = bundle_of(folder, collateral)
    with_log = replace(
        bundle,
        evidence=bytes.fromhex(answer["quote"])[: len(bundle.evidence)],
        event_logs={"dstack": answer["event_log"].encode()},
    )
    now = time_of(folder, collateral)
    claims = platform_claims(verify(with_log, roots=INTEL_ROOTS, now=now, report_data=None))
    said = stated(claims)
    assert said["events.compose-hash"] == "3763bc34552cf3a27ff71ad5f7a90471562a1a2df552dfc1998cba2d60da27e7"
    assert said["events.app-id"] == "3763bc34552cf3a27ff71ad5f7a90471562a1a2d"
    assert source(claims, "events.compose-hash") is Source.EVENT_LOG
    without = platform_claims(verify(replace(with_log, event_logs={}), roots=INTEL_ROOTS, now=now, report_data=None))
    assert not [claim for claim in without if claim.source is Source.EVENT_LOG]


# Devices


def test_simulated_devices() -> None:
    gpu, _, switch = (verify_device(each, roots=NVIDIA.roots, now=NOW, nonce=None) for each in devices(PPCIE))
    said = stated(device_claims(gpu))
    assert said["oemid"] == 5703
    assert said["nvidia.mode"] == "protected PCIe"
    assert said["measres"] == "comparison-success"
    assert said["nvidia.driver-version"] == gpu.driver_version
    assert said["nvidia.manifests"] == (gpu.rim_names.driver, gpu.rim_names.firmware)
    assert len(said["nvidia.measurements"]) == len(gpu.report.measurements)  # type: ignore[arg-type]
    of_switch = stated(device_claims(switch))
    assert "nvidia.driver-version" not in of_switch
    assert of_switch["nvidia.manifests"] == (switch.rim_names.firmware,)
    assert source(device_claims(gpu), "ueid") is Source.CERTIFICATE
    assert source(device_claims(gpu), "measres") is Source.MANIFEST


@needs_vectors
def test_as_nvidias_own_service_says_it() -> None:
    """The service's own claims about this very report of a switch, where it has a claim for what we have."""
    (theirs,) = json.loads(read(f"nvidia/{SWITCH}/nras_claims_v3.json")).values()
    claims = verified(recorded(SWITCH, SWITCH_RIMS), IN_2026)
    ours = stated(device_claims(claims))
    for name in ("hwmodel", "ueid", "eat_nonce"):
        assert ours[name] == theirs[name]
    assert ours["nvidia.firmware-version"] == theirs["x-nvidia-switch-bios-version"]
    assert (ours["measres"], theirs["measres"]) == ("comparison-success", "success")
    passed = {check.name for check in claims.checks if check.outcome == "pass"}
    said_by_both = {
        "x-nvidia-switch-attestation-report-parsed": "nvidia.format",
        "x-nvidia-switch-attestation-report-signature-verified": "nvidia.signature",
        "x-nvidia-switch-arch-check": "nvidia.model",
        "x-nvidia-switch-bios-rim-fetched": "nvidia.firmware-rim",
        "x-nvidia-switch-bios-rim-signature-verified": "nvidia.firmware-rim.signature",
        "x-nvidia-switch-bios-rim-version-match": "nvidia.firmware-rim.version",
        "x-nvidia-switch-bios-rim-measurements-available": "nvidia.measurements.firmware",
    }
    assert {name for name in said_by_both if theirs[name] is True} == said_by_both.keys()
    assert set(said_by_both.values()) <= passed
    expires = datetime.fromisoformat(theirs["x-nvidia-switch-bios-rim-cert-chain"]["x-nvidia-cert-expiration-date"])
    assert expires > datetime(2026, 5, 1, tzinfo=UTC)


@needs_vectors
def test_without_a_manifest_nothing_was_compared() -> None:
    claims = verified(recorded(SWITCH), IN_2026)
    assert stated(device_claims(claims))["measres"] == "comparison-not-run"
