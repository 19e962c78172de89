"""What ``[tdx]`` and ``[sgx]`` ask of Intel's platform alike: a twin pair for every knob, under both tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from hermetic.policy._intel import IntelPolicy, appraise_intel, lint_intel
from hermetic.policy.sgx import SgxPolicy, appraise_sgx, lint_sgx
from hermetic.policy.tdx import TdxPolicy, appraise_tdx, lint_tdx
from hermetic.sources.simulator.intel_machine import HEALTHY_JUDGEMENT, HEALTHY_MACHINE
from hermetic.sources.simulator.sgx_platform import SIMULATED_ENCLAVE, SgxPlatform
from hermetic.sources.simulator.tdx_platform import SIMULATED_TD_MEASUREMENT, TdxPlatform
from hermetic.verify import IntelClaims, TcbStatus
from policy_support import codes, failed, intel, intel_claims, table


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A table, its platforms, and how both come together."""

    name: str
    policy: type[IntelPolicy]
    platform: Callable[..., TdxPlatform | SgxPlatform]
    appraise: Callable[..., Any]
    lint: Callable[..., Any]
    pins: dict[str, Any]
    floors: dict[str, Any]

    def failed(self, claims: IntelClaims, **knobs: Any) -> list[str]:
        return failed(self.appraise(claims, table(self.policy, **(self.pins | knobs))), f"policy.{self.name}.")

    def machine(self, **changes: Any) -> IntelClaims:
        return intel_claims(self.platform(machine=replace(HEALTHY_MACHINE, **changes)))

    def judged(self, **changes: Any) -> IntelClaims:
        return intel_claims(self.platform(judgement=replace(HEALTHY_JUDGEMENT, **changes)))

    def codes(self, profile: str, **knobs: Any) -> list[str]:
        wanted = table(self.policy, **(self.pins | self.floors | knobs))
        return codes(self.lint(wanted, profile))


REGISTER = ["00" * 48]
KINDS = [
    Kind(
        name="tdx",
        policy=TdxPolicy,
        platform=TdxPlatform,
        appraise=appraise_tdx,
        lint=lint_tdx,
        pins={"mr_tds": [SIMULATED_TD_MEASUREMENT.hex()]},
        floors={
            "rtmr0s": REGISTER,
            "rtmr1s": REGISTER,
            "rtmr2s": REGISTER,
            "tcb_date_min": "2025-05-14",
            "evaluation_min": 18,
        },
    ),
    Kind(
        name="sgx",
        policy=SgxPolicy,
        platform=SgxPlatform,
        appraise=appraise_sgx,
        lint=lint_sgx,
        pins={"mr_enclaves": [SIMULATED_ENCLAVE.hex()]},
        floors={"tcb_date_min": "2025-05-14", "evaluation_min": 18},
    ),
]
both = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
ADVISORY, OTHER = "INTEL-SA-00615", "INTEL-SA-01036"


@both
def test_a_healthy_platform_passes(kind: Kind) -> None:
    assert kind.failed(kind.machine()) == []
    assert kind.failed(kind.machine(), **kind.floors) == []


# DCAP 14


def statuses(claims: IntelClaims) -> list[str]:
    """Accepting whatever Intel says of these claims, and nothing else."""
    return [str(claims.tcb.status)]


@both
@pytest.mark.parametrize(
    "status", [TcbStatus.SW_HARDENING_NEEDED, TcbStatus.CONFIGURATION_NEEDED, TcbStatus.OUT_OF_DATE]
)
def test_a_status_is_accepted_by_name(kind: Kind, status: TcbStatus) -> None:
    claims = kind.judged(status=status)
    assert claims.tcb.status is status
    assert kind.failed(claims) == ["tcb-status"]
    assert kind.failed(claims, statuses=[str(status)]) == []
    assert kind.failed(kind.machine(), statuses=[str(status)]) == ["tcb-status"]


@both
def test_a_status_is_worth_no_more_than_the_advisories_behind_it(kind: Kind) -> None:
    claims = kind.judged(status=TcbStatus.SW_HARDENING_NEEDED, advisories=(ADVISORY, OTHER))
    accepted = {"statuses": statuses(claims)}
    assert kind.failed(claims, **accepted) == ["advisories"]
    assert kind.failed(claims, **accepted, allow_advisories=[ADVISORY]) == ["advisories"]
    assert kind.failed(claims, **accepted, allow_advisories=[ADVISORY, OTHER]) == []
    assert kind.failed(claims, allow_advisories=[ADVISORY, OTHER]) == ["tcb-status"]


@both
def test_advisories_of_what_is_up_to_date_need_no_name(kind: Kind) -> None:
    assert kind.failed(kind.judged(advisories=(ADVISORY,))) == []


@both
def test_a_denied_advisory_refuses_whatever_the_status(kind: Kind) -> None:
    claims = kind.judged(advisories=(ADVISORY,))
    assert kind.failed(claims, deny_advisories=[ADVISORY]) == ["denied-advisories"]
    assert kind.failed(claims, deny_advisories=[OTHER]) == []


@both
def test_the_date_of_the_oldest_part(kind: Kind) -> None:
    claims = kind.judged(date=datetime(2025, 5, 14, tzinfo=UTC))
    assert kind.failed(claims, tcb_date_min="2025-05-14") == []
    assert kind.failed(claims, tcb_date_min="2025-05-15") == ["tcb-date"]


@both
def test_the_edition_of_intels_documents(kind: Kind) -> None:
    claims = kind.judged(evaluation_number=18)
    assert kind.failed(claims, evaluation_min=18) == []
    assert kind.failed(claims, evaluation_min=19) == ["evaluation"]


@both
@pytest.mark.parametrize("numbers", [(17, 18), (18, 17)], ids=["tcb-info", "qe-identity"])
def test_both_documents_must_be_new_enough(kind: Kind, numbers: tuple[int, int]) -> None:
    claims = kind.machine()
    older = replace(claims, tcb=replace(claims.tcb, evaluation_numbers=numbers))
    assert kind.failed(older, evaluation_min=17) == []
    assert kind.failed(older, evaluation_min=18) == ["evaluation"]


# DCAP 15


@both
def test_ppids(kind: Kind) -> None:
    mine = intel().ppid.hex()
    assert kind.failed(kind.machine(), ppids=[mine]) == []
    assert kind.failed(kind.machine(), ppids=[mine[::-1]]) == ["ppid"]
    assert kind.failed(kind.machine(), ppids=[]) == ["ppid"]


@both
def test_platform_instances(kind: Kind) -> None:
    mine = intel().platform_instance.hex()
    assert kind.failed(kind.machine(), platform_instance_ids=[mine]) == []
    assert kind.failed(kind.machine(), platform_instance_ids=["00" * 16]) == ["platform-instance"]


@both
def test_a_machine_of_one_package_is_no_listed_platform(kind: Kind) -> None:
    assert kind.failed(kind.machine(instance=b""), platform_instance_ids=["00" * 16]) == ["platform-instance"]


@both
@pytest.mark.parametrize(
    ("knob", "field", "check"),
    [
        ("allow_dynamic_platform", "dynamic_platform", "dynamic-platform"),
        ("allow_cached_keys", "cached_keys", "cached-keys"),
        ("allow_smt", "smt_enabled", "smt"),
    ],
)
def test_how_the_platform_is_set_up(kind: Kind, knob: str, field: str, check: str) -> None:
    on, off = kind.machine(**{field: True}), kind.machine(**{field: False})
    assert kind.failed(on) == kind.failed(off) == []
    assert kind.failed(on, **{knob: False}) == [check]
    assert kind.failed(off, **{knob: False}) == []


@both
def test_what_a_certificate_does_not_say_is_no_promise(kind: Kind) -> None:
    assert kind.failed(kind.machine(instance=b""), allow_smt=False) == ["smt"]


def test_both_tables_share_these_checks() -> None:
    claims = intel_claims(TdxPlatform())
    names = [check.name for check in appraise_intel(claims, table(TdxPolicy), "tdx")]
    assert names == ["policy.tdx.tcb-status"]


# Lint


@both
@pytest.mark.parametrize("profile", ["production", "development"])
@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"statuses": []}, "pins_no_statuses"),
        ({"ppids": []}, "pins_no_ppids"),
        ({"platform_instance_ids": []}, "pins_no_platform_instance_ids"),
        ({"statuses": ["UpToDate", "Revoked"]}, "status_revoked"),
        ({"allow_advisories": [ADVISORY], "deny_advisories": [ADVISORY]}, "advisory_contradiction"),
    ],
    ids=str,
)
def test_lint_refuses_what_cannot_be_meant(kind: Kind, profile: str, knobs: dict[str, Any], code: str) -> None:
    assert kind.codes(profile) == []
    assert kind.codes(profile, **knobs) == [code]


@both
@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"statuses": ["OutOfDate"]}, "too_lax"),
        ({"statuses": ["OutOfDateConfigurationNeeded"]}, "too_lax"),
        ({"tcb_date_min": None}, "tcb_rules_missing"),
        ({"tcb_date_min": "2017-12-31"}, "floor_excludes_nothing"),
        ({"require_second_opinion": False}, "too_lax"),
    ],
    ids=str,
)
def test_lint_refuses_in_production_what_development_may_say(kind: Kind, knobs: dict[str, Any], code: str) -> None:
    assert kind.codes("production", **knobs) == [code]
    assert kind.codes("development", **knobs) == []


@both
def test_the_oldest_level_that_can_be_meant(kind: Kind) -> None:
    assert kind.codes("production", tcb_date_min="2018-01-01") == []


@both
def test_lint_advises_to_ask_for_an_edition(kind: Kind) -> None:
    floors = kind.floors | {"evaluation_min": 0}
    findings = list(kind.lint(table(kind.policy, **(kind.pins | floors)), "production"))
    assert [(finding.code, finding.refuses) for finding in findings] == [("evaluation_unpinned", False)]


@both
@pytest.mark.parametrize(
    "knobs",
    [
        {"statuses": ["Fine"]},
        {"allow_advisories": ["intel-sa-1"]},
        {"deny_advisories": [""]},
        {"tcb_date_min": "yesterday"},
        {"evaluation_min": -1},
        {"ppids": ["00"]},
        {"ppids": ["AB" * 16]},
        {"platform_instance_ids": ["00" * 17]},
        {"spare": 1},
    ],
    ids=str,
)
def test_what_the_tables_cannot_say(kind: Kind, knobs: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        table(kind.policy, **(kind.pins | knobs))


def test_lint_names_the_table() -> None:
    (finding,) = lint_intel(table(SgxPolicy, statuses=[], mr_enclaves=["00" * 32]), "sgx", "development")
    assert finding.message.startswith("sgx.statuses")
