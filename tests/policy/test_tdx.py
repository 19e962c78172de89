"""Every knob of the ``[tdx]`` table has a twin pair: a domain that passes, and the same with one thing different."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from hermetic.evidence import TdAttributes, TdFlag, TdxQuote
from hermetic.policy.tdx import XFAM_KNOWN, TdxPolicy, appraise_tdx, lint_tdx
from hermetic.sources.simulator.tdx_platform import (
    SIMULATED_TD_MEASUREMENT,
    SIMULATED_TDX_MODULE,
    TdxPlatform,
    module_svn,
)
from hermetic.verify import IntelClaims, MeasuredEvents
from policy_support import LAUNCH, codes, intel_claims, table
from policy_support import failed as failed_of

PINNED: dict[str, Any] = {"mr_tds": [SIMULATED_TD_MEASUREMENT.hex()]}
HEALTHY = TdxPlatform()
SEPT = TdFlag.SEPT_VE_DISABLE
ONE, TWO = b"\x01" * 48, b"\x02" * 48


def failed(platform: TdxPlatform | IntelClaims, **knobs: Any) -> list[str]:
    claims = platform if isinstance(platform, IntelClaims) else intel_claims(platform)
    return failed_of(appraise_tdx(claims, table(TdxPolicy, **(PINNED | knobs))), "policy.tdx.")


def domain(flags: TdFlag = SEPT, unknown: int = 0, **changes: Any) -> TdxPlatform:
    return TdxPlatform(attributes=TdAttributes(flags=flags, unknown=unknown), **changes)


@pytest.mark.parametrize(
    "platform", [HEALTHY, TdxPlatform(version=4), TdxPlatform(tdx_1_5=False)], ids=["5", "4", "1.0"]
)
def test_a_healthy_domain_passes_the_default_policy(platform: TdxPlatform) -> None:
    assert failed(platform) == []


def test_every_failure_is_reported_at_once() -> None:
    sick = domain(TdFlag.DEBUG | TdFlag.MIGRATABLE, unknown=1 << 40, xfam=1, mr_td=ONE, rtmrs=(ONE, ONE, ONE, ONE))
    assert failed(sick, rtmr1s=["00" * 48], module_min="9.0") == [
        "attributes.debug",
        "attributes.migration",
        "attributes.sept-ve-disable",
        "attributes.bits",
        "xfam",
        "module",
        "mr-td",
        "rtmr1",
    ]


# DCAP 16


def test_quote_version() -> None:
    assert failed(TdxPlatform(version=4), quote_version_min=4) == []
    assert failed(TdxPlatform(version=4), quote_version_min=5) == ["quote-version"]
    assert failed(HEALTHY, quote_version_min=5) == []


def test_a_report_of_tdx_1_5() -> None:
    assert failed(TdxPlatform(tdx_1_5=False), require_tdx_1_5=True) == ["tdx-1-5"]
    assert failed(HEALTHY, require_tdx_1_5=True) == []


@pytest.mark.parametrize(
    ("knob", "flag", "check"),
    [("allow_debug", TdFlag.DEBUG, "attributes.debug"), ("allow_migration", TdFlag.MIGRATABLE, "attributes.migration")],
)
def test_what_the_host_may_do_to_the_domain(knob: str, flag: TdFlag, check: str) -> None:
    assert failed(domain(SEPT | flag)) == [check]
    assert failed(domain(SEPT | flag), **{knob: True}) == []
    assert failed(HEALTHY, **{knob: True}) == []


def test_pages_cannot_be_unmapped() -> None:
    assert failed(domain(TdFlag(0))) == ["attributes.sept-ve-disable"]
    assert failed(domain(TdFlag(0)), require_sept_ve_disable=False) == []


@pytest.mark.parametrize("bit", [1, 4, 5, 6, 7, 27, 30, 31, 40, 62, 63])
def test_any_other_attribute_needs_its_number(bit: int) -> None:
    made = TdAttributes.from_int(int(SEPT) | 1 << bit)
    assert failed(TdxPlatform(attributes=made)) == ["attributes.bits"]
    assert failed(TdxPlatform(attributes=made), allow_attribute_bits=[bit]) == []
    assert failed(TdxPlatform(attributes=made), allow_attribute_bits=[bit % 63 + 1]) == ["attributes.bits"]


@pytest.mark.parametrize("xfam", [0x0, 0x1, 0x2, XFAM_KNOWN | 1 << 10, 0x3 | 1 << 63])
def test_extended_state_that_no_domain_has(xfam: int) -> None:
    assert failed(TdxPlatform(xfam=xfam)) == ["xfam"]


def test_extended_state_under_a_mask() -> None:
    assert failed(TdxPlatform(xfam=XFAM_KNOWN)) == []
    assert failed(TdxPlatform(xfam=0xE7), xfam_mask=0xE7) == []
    assert failed(TdxPlatform(xfam=0x2E7), xfam_mask=0xE7) == ["xfam"]
    assert failed(TdxPlatform(xfam=0xE7 | 1 << 19), xfam_mask=XFAM_KNOWN | 1 << 19) == []


def test_service_domain() -> None:
    bound = TdxPlatform(mr_service_td=ONE)
    assert failed(bound) == ["mr-service-td"]
    assert failed(bound, mr_service_tds=[ONE.hex()]) == []
    assert failed(HEALTHY, mr_service_tds=[ONE.hex()]) == ["mr-service-td"]


def test_a_report_that_cannot_name_its_service_domain() -> None:
    """Without migration there is none to name; with it, whoever may move the domain stays unknown."""
    migratable = domain(SEPT | TdFlag.MIGRATABLE, version=4)
    assert failed(migratable, allow_migration=True) == ["mr-service-td"]
    assert failed(domain(SEPT, version=4), mr_service_tds=[ONE.hex()]) == ["mr-service-td"]
    assert failed(domain(SEPT, version=4)) == []


# DCAP 17


@pytest.mark.parametrize(
    ("launched", "running", "good"),
    [
        ((7, 1), (7, 1), True),
        ((8, 1), (7, 1), True),
        ((6, 1), (9, 1), False),
        ((9, 1), (6, 1), False),
        ((0, 2), (0, 2), True),
    ],
    ids=str,
)
def test_module(launched: tuple[int, int], running: tuple[int, int], good: bool) -> None:
    claims = intel_claims(HEALTHY)
    assert isinstance(claims.report, TdxQuote)
    body = replace(claims.report.body, tee_tcb_svn=module_svn(*launched), tee_tcb_svn2=module_svn(*running))
    changed = replace(claims, report=replace(claims.report, body=body))
    assert failed(changed, module_min="1.7") == ([] if good else ["module"])
    assert failed(changed) == []


def test_a_module_that_is_the_only_one_stated() -> None:
    assert failed(TdxPlatform(version=4), module_min="1.7") == []
    assert failed(TdxPlatform(version=4), module_min="1.8") == ["module"]


def test_mr_seam() -> None:
    assert failed(HEALTHY, mr_seams=[SIMULATED_TDX_MODULE.hex()]) == []
    assert failed(HEALTHY, mr_seams=[ONE.hex()]) == ["mr-seam"]
    assert failed(TdxPlatform(mr_seam=ONE)) == []


# DCAP 18


def test_mr_td() -> None:
    assert failed(TdxPlatform(mr_td=ONE)) == ["mr-td"]
    assert failed(TdxPlatform(mr_td=ONE), mr_tds=[TWO.hex(), ONE.hex()]) == []
    assert failed(HEALTHY, mr_tds=[]) == ["mr-td"]


@pytest.mark.parametrize("number", range(4))
def test_registers(number: int) -> None:
    rtmrs = [bytes(48)] * 4
    rtmrs[number] = ONE
    platform, knob = TdxPlatform(rtmrs=(rtmrs[0], rtmrs[1], rtmrs[2], rtmrs[3])), f"rtmr{number}s"
    assert failed(platform) == []
    assert failed(platform, **{knob: [ONE.hex()]}) == []
    assert failed(platform, **{knob: ["00" * 48]}) == [f"rtmr{number}"]


def test_what_the_host_states_is_not_called_more_than_that() -> None:
    """MRCONFIGID, MROWNER and MROWNERCONFIG are whoever launches the domain's; secure boot alone names no keys."""
    zeros = ["00" * 48]
    knobs = {"mr_config_ids": zeros, "mr_owners": zeros, "mr_owner_configs": zeros, "require_secure_boot": True}
    checks = appraise_tdx(intel_claims(HEALTHY), table(TdxPolicy, **(PINNED | knobs)))
    titles = {check.name.removeprefix("policy.tdx."): check.title for check in checks}
    stated = [titles[name] for name in ("mr-config-id", "mr-owner", "mr-owner-config")]
    assert all(title.startswith("The host stated") and title.endswith("at launch") for title in stated)
    assert titles["secure-boot"] == "Secure boot was on"


@pytest.mark.parametrize("field", ["mr_owner", "mr_owner_config"])
def test_owner(field: str) -> None:
    platform = TdxPlatform(**{field: ONE})  # type: ignore[arg-type]
    assert failed(platform) == []
    assert failed(platform, **{f"{field}s": [ONE.hex()]}) == []
    assert failed(platform, **{f"{field}s": [TWO.hex()]}) == [field.replace("_", "-")]


def test_mr_config_id() -> None:
    assert failed(HEALTHY, mr_config_ids=[LAUNCH.ljust(48, b"\0").hex()]) == []
    assert failed(HEALTHY, mr_config_ids=["00" * 48]) == ["mr-config-id"]


# DCAP 19


def logged(**events: Any) -> IntelClaims:
    return replace(intel_claims(HEALTHY), events=MeasuredEvents(**events))


def test_an_event_log() -> None:
    assert failed(HEALTHY) == []
    assert failed(HEALTHY, require_event_log=True) == ["event-log"]
    assert failed(logged(), require_event_log=True) == []


@pytest.mark.parametrize(("said", "good"), [(True, True), (False, False), (None, False)])
def test_secure_boot(said: bool | None, good: bool) -> None:
    claims = logged(secure_boot=said)
    assert failed(claims, require_secure_boot=True) == ([] if good else ["secure-boot"])
    assert failed(claims) == []


@pytest.mark.parametrize(
    ("knob", "event", "length", "check"),
    [
        ("compose_hashes", "compose_hash", 32, "compose-hash"),
        ("app_ids", "app_id", 20, "app-id"),
        ("instance_ids", "instance_id", 20, "instance-id"),
        ("os_image_hashes", "os_image_hash", 32, "os-image-hash"),
    ],
)
def test_what_the_log_says(knob: str, event: str, length: int, check: str) -> None:
    claims = logged(**{event: b"\x07" * length})
    assert failed(claims) == []
    assert failed(claims, **{knob: ["07" * length]}) == []
    assert failed(claims, **{knob: ["08" * length]}) == [check]
    assert failed(logged(), **{knob: ["07" * length]}) == [check]
    assert failed(HEALTHY, **{knob: ["07" * length]}) == [check]


def test_key_provider() -> None:
    kms = '{"name":"kms","id":"3059"}'
    claims = logged(key_provider=kms.encode())
    assert failed(claims, key_providers=[kms]) == []
    assert failed(claims, key_providers=[kms.replace("3059", "3060")]) == ["key-provider"]
    assert failed(logged(), key_providers=[kms]) == ["key-provider"]
    assert failed(logged(key_provider=b"\xff"), key_providers=["\ufffd"]) == ["key-provider"]


# The table as a file has it


@pytest.mark.parametrize(
    "knobs",
    [
        {"mr_tds": ["00" * 32]},
        {"rtmr0s": ["zz" * 48]},
        {"quote_version_min": 3},
        {"quote_version_min": 6},
        {"allow_attribute_bits": [0]},
        {"allow_attribute_bits": [64]},
        {"xfam_mask": -1},
        {"xfam_mask": 1 << 63},
        {"module_min": "1"},
        {"module_min": "1.5.1"},
        {"app_ids": ["00" * 32]},
        {"compose_hashes": ["00" * 20]},
    ],
    ids=str,
)
def test_what_the_table_cannot_say(knobs: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        table(TdxPolicy, **(PINNED | knobs))


SOUND: dict[str, Any] = PINNED | {
    "rtmr0s": [ONE.hex()],
    "rtmr1s": [ONE.hex()],
    "rtmr2s": [ONE.hex()],
    "tcb_date_min": "2025-05-14",
    "evaluation_min": 18,
}


def linted(profile: Any, **knobs: Any) -> list[str]:
    return codes(lint_tdx(table(TdxPolicy, **(SOUND | knobs)), profile))


LISTS = [f"rtmr{number}s" for number in range(4)]
LISTS += ["mr_tds", "mr_seams", "mr_config_ids", "mr_owners", "mr_owner_configs", "mr_service_tds"]
LISTS += ["compose_hashes", "app_ids", "instance_ids", "os_image_hashes", "key_providers"]


@pytest.mark.parametrize("profile", ["production", "development"])
@pytest.mark.parametrize("field", LISTS)
def test_lint_refuses_an_empty_list(profile: str, field: str) -> None:
    assert linted(profile) == []
    assert linted(profile, **{field: []}) == [f"pins_no_{field}"]


def test_lint_refuses_a_mask_that_no_domain_fits() -> None:
    assert linted("development", xfam_mask=0x1) == ["xfam_impossible"]
    assert linted("development", xfam_mask=0x3) == []


def test_production_takes_any_rtmr0_where_the_policy_says_so() -> None:
    assert linted("production", rtmr0s=None, allow_any_rtmr0=True) == []
    assert linted("production", rtmr0s=None, allow_any_rtmr0=False) == ["pins_no_rtmr0s"]


@pytest.mark.parametrize("profile", ["production", "development"])
def test_lint_refuses_a_pinned_rtmr0_of_which_any_will_do(profile: str) -> None:
    assert linted(profile, allow_any_rtmr0=True) == ["rtmr0_contradiction"]


@pytest.mark.parametrize("profile", ["production", "development"])
def test_lint_refuses_secure_boot_under_keys_that_nobody_pinned(profile: str) -> None:
    any_keys = {"rtmr0s": None, "allow_any_rtmr0": True}
    assert linted(profile, require_secure_boot=True) == []
    assert linted(profile, **any_keys) == []
    assert linted(profile, **any_keys, require_secure_boot=True) == ["secure_boot_unpinned"]


@pytest.mark.parametrize("bit", [28, 29])
def test_lint_refuses_a_number_for_what_has_a_knob(bit: int) -> None:
    assert linted("development", allow_attribute_bits=[bit]) == ["bit_has_a_knob"]
    assert linted("development", allow_attribute_bits=[30]) == []


@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"rtmr0s": None}, "pins_no_rtmr0s"),
        ({"rtmr1s": None}, "pins_no_rtmr1s"),
        ({"rtmr2s": None}, "pins_no_rtmr2s"),
        ({"allow_debug": True}, "too_lax"),
        ({"allow_migration": True}, "too_lax"),
        ({"require_sept_ve_disable": False}, "too_lax"),
        ({"allow_attribute_bits": [7]}, "too_lax"),
    ],
    ids=str,
)
def test_lint_refuses_in_production_what_development_may_say(knobs: dict[str, Any], code: str) -> None:
    assert linted("production", **knobs) == [code]
    assert linted("development", **knobs) == []
