"""Each knob of the simulated Intel turns what an authentic quote says, and nothing else; or has it refused by name."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest

import event_log_support
from hermetic.errors import Malformed, Misconfigured, NotAuthentic
from hermetic.evidence import (
    SEV_SNP,
    SGX,
    TDX,
    EnclaveAttributes,
    EnclaveFlag,
    EvidenceBundle,
    TcgAlgorithm,
    TdAttributes,
    TdFlag,
)
from hermetic.sources.simulator.intel_machine import HEALTHY_JUDGEMENT, HEALTHY_MACHINE, IntelJudgement, IntelMachine
from hermetic.sources.simulator.sgx_platform import SIMULATED_ENCLAVE, SgxPlatform
from hermetic.sources.simulator.tdx_platform import SIMULATED_TD_MEASUREMENT, TdxPlatform, module_svn
from hermetic.verify import IntelClaims, Outcome, TcbStatus, simulated_root, verify
from intel_forge import INTEL, LAUNCH_DIGEST, NOW, REPORT_DATA

pytest.importorskip("dcap_qvl", reason="the second verifier is not installed (pip install dcap-qvl)")

ONE = b"\1" * 48


def issue(platform: TdxPlatform | SgxPlatform) -> EvidenceBundle:
    tee = TDX if isinstance(platform, TdxPlatform) else SGX
    return INTEL.issue(REPORT_DATA, tee=tee, launch_digest=LAUNCH_DIGEST, now=NOW, platform=platform)


def verified(platform: TdxPlatform | SgxPlatform) -> IntelClaims:
    roots = (simulated_root(INTEL.root_digest),)
    claims = verify(issue(platform), roots=roots, now=NOW, report_data=REPORT_DATA)
    assert isinstance(claims, IntelClaims)
    return claims


def body(platform: TdxPlatform | SgxPlatform) -> dict[str, Any]:
    said = verified(platform).report.body
    return {entry.name: getattr(said, entry.name) for entry in fields(said)}


def assert_only(changed: dict[str, Any], usual: dict[str, Any], expected: dict[str, Any]) -> None:
    assert {name for name in usual if usual[name] != changed[name]} == expected.keys()
    assert {name: changed[name] for name in expected} == expected


@pytest.mark.parametrize("platform", [TdxPlatform(), TdxPlatform(version=4), TdxPlatform(tdx_1_5=False), SgxPlatform()])
def test_a_healthy_platform_passes_every_check_of_both_verifiers(platform: TdxPlatform | SgxPlatform) -> None:
    claims = verified(platform)
    assert {check.outcome for check in claims.checks} == {Outcome.PASS}
    assert claims.simulated
    assert claims.tcb.status is TcbStatus.UP_TO_DATE
    assert claims.tcb.advisories == ()
    assert claims.chip_id == INTEL.ppid
    assert claims.pck.platform_instance_id == INTEL.platform_instance


def test_the_launch_digest_begins_the_place_that_the_host_fills() -> None:
    assert verified(TdxPlatform()).host_data == LAUNCH_DIGEST + bytes(16)
    assert verified(SgxPlatform()).host_data == LAUNCH_DIGEST + bytes(32)
    assert verified(TdxPlatform()).measurement == SIMULATED_TD_MEASUREMENT
    assert verified(SgxPlatform()).measurement == SIMULATED_ENCLAVE


TDX_KNOBS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "attributes": (
        {"attributes": TdAttributes(flags=TdFlag.SEPT_VE_DISABLE | TdFlag.DEBUG)},
        {"td_attributes": TdAttributes(flags=TdFlag.SEPT_VE_DISABLE | TdFlag.DEBUG)},
    ),
    "unknown attributes": (
        {"attributes": TdAttributes(flags=TdFlag.SEPT_VE_DISABLE, unknown=1 << 40)},
        {"td_attributes": TdAttributes(flags=TdFlag.SEPT_VE_DISABLE, unknown=1 << 40)},
    ),
    "xfam": ({"xfam": 0x3}, {"xfam": 0x3}),
    "mr_td": ({"mr_td": ONE}, {"mr_td": ONE}),
    "mr_seam": ({"mr_seam": ONE}, {"mr_seam": ONE}),
    "mr_owner": ({"mr_owner": ONE}, {"mr_owner": ONE}),
    "mr_owner_config": ({"mr_owner_config": ONE}, {"mr_owner_config": ONE}),
    "mr_service_td": ({"mr_service_td": ONE}, {"mr_service_td": ONE}),
    "rtmrs": ({"rtmrs": (ONE,) * 4}, {"rtmrs": (ONE,) * 4}),
    "launched_by": (
        {"launched_by": module_svn(8)},
        {"tee_tcb_svn": module_svn(8), "tee_tcb_svn2": module_svn(8)},
    ),
    "run_by": ({"run_by": module_svn(9)}, {"tee_tcb_svn2": module_svn(9)}),
    "tdx_1_5": ({"tdx_1_5": False}, {"tee_tcb_svn2": None, "mr_service_td": None}),
    "version": ({"version": 4}, {"tee_tcb_svn2": None, "mr_service_td": None}),
}


@pytest.mark.parametrize("knob", TDX_KNOBS)
def test_a_knob_of_a_domain_turns_what_its_report_says(knob: str) -> None:
    turned, expected = TDX_KNOBS[knob]
    assert_only(body(TdxPlatform(**turned)), body(TdxPlatform()), expected)


DEBUGGED = EnclaveAttributes(flags=EnclaveFlag.INIT | EnclaveFlag.MODE64 | EnclaveFlag.KSS | EnclaveFlag.DEBUG)
SGX_KNOBS: dict[str, Any] = {
    "attributes": DEBUGGED,
    "xfrm": 0x3,
    "misc_select": 1,
    "mr_enclave": ONE[:32],
    "mr_signer": ONE[:32],
    "isv_prod_id": 7,
    "isv_svn": 7,
    "isv_ext_prod_id": ONE[:16],
    "isv_family_id": ONE[:16],
    "config_svn": 7,
    "cpu_svn": ONE[:16],
}


@pytest.mark.parametrize("knob", SGX_KNOBS)
def test_a_knob_of_an_enclave_turns_what_its_report_says(knob: str) -> None:
    turned = {knob: SGX_KNOBS[knob]}
    assert_only(body(SgxPlatform(**turned)), body(SgxPlatform()), turned)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another signer of the module": ({"mr_signer_seam": ONE}, "tdx.module"),
    "attributes of the module": ({"seam_attributes": b"\1" + bytes(7)}, "tdx.module"),
    "an unknown module": ({"launched_by": module_svn(major=2)}, "tdx.module"),
    "a module below every level": ({"launched_by": module_svn(3)}, "dcap.tcb"),
    "a revoked platform": ({"judgement": IntelJudgement(status=TcbStatus.REVOKED)}, "dcap.tcb"),
    "a revoked module": ({"judgement": IntelJudgement(module_status=TcbStatus.REVOKED)}, "dcap.tcb"),
    "a revoked enclave": ({"judgement": IntelJudgement(enclave_status=TcbStatus.REVOKED)}, "dcap.tcb"),
    "components below every level": ({"machine": IntelMachine(components=(2,) * 16)}, "dcap.tcb"),
    "a provisioning enclave below every level": ({"machine": IntelMachine(pce_svn=1)}, "dcap.tcb"),
    "a quoting enclave below every level": ({"machine": IntelMachine(enclave_svn=1)}, "dcap.tcb"),
}


@pytest.mark.parametrize(("turned", "code"), REFUSED.values(), ids=REFUSED)
def test_what_intel_does_not_vouch_for_is_no_claim(turned: dict[str, Any], code: str) -> None:
    with pytest.raises(NotAuthentic) as refused:
        verified(TdxPlatform(**turned))
    assert refused.value.code == code


# What Intel says of such machines


@pytest.mark.parametrize("kind", [TdxPlatform, SgxPlatform])
@pytest.mark.parametrize("status", [status for status in TcbStatus if status is not TcbStatus.REVOKED])
def test_every_status(kind: type[TdxPlatform] | type[SgxPlatform], status: TcbStatus) -> None:
    """A status that is a level's is a judgement; the derived ones come of a module that was replaced meanwhile."""
    if status.startswith("TDRelaunch"):
        judged = TcbStatus.CONFIGURATION_NEEDED if "Configuration" in status else TcbStatus.UP_TO_DATE
        judgement = IntelJudgement(status=judged)
        platform: Any = TdxPlatform(launched_by=module_svn(4), run_by=module_svn(7), judgement=judgement)
    else:
        platform = kind(judgement=IntelJudgement(status=status))
    assert verified(platform).tcb.status is status


@pytest.mark.parametrize("kind", [TdxPlatform, SgxPlatform])
def test_advisories_dates_and_editions(kind: type[TdxPlatform] | type[SgxPlatform]) -> None:
    when, advisories = datetime(2024, 3, 13, tzinfo=UTC), ("INTEL-SA-00960", "INTEL-SA-00982")
    judgement = IntelJudgement(
        status=TcbStatus.SW_HARDENING_NEEDED, advisories=advisories, date=when, evaluation_number=17
    )
    tcb = verified(kind(judgement=judgement)).tcb
    assert tcb.advisories == advisories
    assert tcb.date == when
    assert tcb.evaluation_numbers == (17, 17)
    healthy = verified(kind()).tcb
    assert (healthy.advisories, healthy.evaluation_numbers) == ((), (18, 18))
    assert healthy.date > when


OUTDATED: dict[str, tuple[dict[str, Any], str]] = {
    "components": ({"machine": replace(HEALTHY_MACHINE, components=(4,) * 16)}, "INTEL-SA-00001"),
    "provisioning enclave": ({"machine": replace(HEALTHY_MACHINE, pce_svn=11)}, "INTEL-SA-00001"),
    "microcode": ({"launched_by": module_svn(microcode=4)}, "INTEL-SA-00001"),
    "module": ({"launched_by": module_svn(6)}, "INTEL-SA-00002"),
    "quoting enclave": ({"machine": replace(HEALTHY_MACHINE, enclave_svn=3)}, "INTEL-SA-00003"),
}


@pytest.mark.parametrize(("turned", "advisory"), OUTDATED.values(), ids=OUTDATED)
def test_what_is_older_is_out_of_date(turned: dict[str, Any], advisory: str) -> None:
    tcb = verified(TdxPlatform(**turned)).tcb
    assert (tcb.status, tcb.advisories) == (TcbStatus.OUT_OF_DATE, (advisory,))


def test_the_parts_are_judged_apart() -> None:
    tcb = verified(TdxPlatform(launched_by=module_svn(6))).tcb
    assert tcb.module is not None
    assert (tcb.platform.status, tcb.module.status) == (TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE)
    judgement = replace(HEALTHY_JUDGEMENT, enclave_status=TcbStatus.OUT_OF_DATE)
    tcb = verified(SgxPlatform(judgement=judgement)).tcb
    assert (tcb.platform.status, tcb.enclave.status) == (TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE)


# The machine


MACHINE_KNOBS: dict[str, Any] = {
    "fmspc": bytes.fromhex("00806f050000"),
    "pce_id": b"\1\0",
    "ppid": ONE[:16],
    "pce_svn": 14,
    "components": (6,) * 16,
    "sgx_type": 0,
    "dynamic_platform": False,
    "cached_keys": True,
    "smt_enabled": False,
}


@pytest.mark.parametrize("knob", MACHINE_KNOBS)
def test_a_knob_of_the_machine_turns_what_its_certificate_says(knob: str) -> None:
    usual, changed = (
        verified(TdxPlatform(machine=made)).pck
        for made in (IntelMachine(), IntelMachine(**{knob: MACHINE_KNOBS[knob]}))
    )
    differing = {entry.name for entry in fields(usual) if getattr(usual, entry.name) != getattr(changed, entry.name)}
    assert getattr(changed, knob) == MACHINE_KNOBS[knob]
    assert differing == {knob} | ({"cpu_svn"} if knob == "components" else set())


def test_a_machine_of_one_package_has_no_instance() -> None:
    pck = verified(TdxPlatform(machine=IntelMachine(instance=ONE[:16]))).pck
    assert pck.platform_instance_id == ONE[:16]
    pck = verified(TdxPlatform(machine=IntelMachine(instance=b""))).pck
    assert (pck.platform_instance_id, pck.dynamic_platform, pck.cached_keys, pck.smt_enabled) == (None,) * 4


@pytest.mark.parametrize(("processors", "name"), [(False, "Platform"), (True, "Processor")])
def test_either_authority_certifies_it(processors: bool, name: str) -> None:
    checks = {
        check.name: check for check in verified(TdxPlatform(machine=IntelMachine(processor_ca=processors))).checks
    }
    assert {check.outcome for check in checks.values()} == {Outcome.PASS}
    assert checks["dcap.chain.issuer"].got == f"Intel SGX PCK {name} CA"


# Event logs


def test_without_logs_there_are_no_events() -> None:
    assert verified(TdxPlatform()).events is None


EVENTS = (("app-id", ONE[:20]), ("compose-hash", ONE[:32]), ("instance-id", ONE[:20]), ("key-provider", b"{}"))


def test_events_from_before_the_boundary_are_claims() -> None:
    events = verified(TdxPlatform(events=EVENTS, later_events=(("os-image-hash", ONE[:32]),))).events
    assert events is not None
    assert (events.app_id, events.compose_hash, events.instance_id) == (ONE[:20], ONE[:32], ONE[:20])
    assert events.key_provider == b"{}"
    assert (events.os_image_hash, events.launch_digest) == (None, None)


def test_the_launch_digest_as_an_event() -> None:
    claims = verified(TdxPlatform(launch_event=True))
    assert claims.events is not None
    assert claims.events.launch_digest == LAUNCH_DIGEST
    assert claims.host_data == bytes(48)
    claims = verified(TdxPlatform(events=(), later_events=(("hermetic-launch-digest", LAUNCH_DIGEST),)))
    assert claims.events is not None
    assert claims.events.launch_digest is None
    assert claims.host_data == LAUNCH_DIGEST + bytes(16)


def test_registers_follow_from_the_logs() -> None:
    log = event_log_support.ccel(*event_log_support.BOOT)
    claims = verified(TdxPlatform(ccel=log, events=EVENTS))
    registers = log.registers(TcgAlgorithm.SHA384)
    assert claims.report.body.rtmrs[0] == registers[1]  # type: ignore[union-attr]
    bundle = issue(TdxPlatform(events=EVENTS))
    other = issue(TdxPlatform(events=EVENTS[:-1]))
    with pytest.raises(NotAuthentic) as refused:
        verify(
            replace(bundle, event_logs=other.event_logs),
            roots=(simulated_root(INTEL.root_digest),),
            now=NOW,
            report_data=REPORT_DATA,
        )
    assert refused.value.code == "tdx.event-log"


# What is no platform of Intel's


@pytest.mark.parametrize(
    ("tee", "platform"), [(TDX, SgxPlatform()), (SGX, TdxPlatform()), (SEV_SNP, None), (SEV_SNP, TdxPlatform())]
)
def test_a_platform_of_another_kind(tee: str, platform: TdxPlatform | SgxPlatform | None) -> None:
    with pytest.raises(Misconfigured, match="simulated Intel has no"):
        INTEL.issue(REPORT_DATA, tee=tee, launch_digest=LAUNCH_DIGEST, now=NOW, platform=platform)


@pytest.mark.parametrize("length", [0, 31, 33, 48])
def test_a_launch_digest_is_32_bytes(length: int) -> None:
    with pytest.raises(Misconfigured, match="32 bytes"):
        INTEL.issue(REPORT_DATA, tee=TDX, launch_digest=bytes(length), now=NOW)


def test_report_data_is_64_bytes() -> None:
    with pytest.raises(Malformed):
        INTEL.issue(REPORT_DATA[:-1], tee=TDX, launch_digest=LAUNCH_DIGEST, now=NOW)
