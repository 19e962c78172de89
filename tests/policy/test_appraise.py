"""Policies: nothing is accepted by omission, everything wrong is said at once, and each pin is needed."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from attested_support import NONCE, NOT_AFTER, NOW, amd, policy, policy_text, report
from hermetic.errors import Misconfigured, NotAcceptable
from hermetic.identity import Claims, LaunchDocument, MeasuredModel, Purpose, format_ed25519, verify_report
from hermetic.policy import Accepted, Policy, appraise, lint, review
from hermetic.verify import AMD_ROOTS, INTEL_ROOTS, Outcome
from hermetic.wire import sha256_digest
from identity_support import keyset, launch

OTHER = sha256_digest(b"other")


def claims(document: LaunchDocument | None = None, *, wanted: Policy | None = None, **changes: Any) -> Claims:
    roots = (wanted or policy()).roots(allow_simulated=True)
    asked: dict[str, Any] = {"now": NOW, "purpose": Purpose.SESSION, "nonce": NONCE}
    keys = changes.pop("keys", None)
    return verify_report(report(document=document, keys=keys), roots=roots, **(asked | changes))


def test_what_the_policy_pins_is_accepted() -> None:
    accepted = appraise(claims(), policy())
    assert accepted.policy_digest == policy().digest
    assert accepted.simulated
    assert {check.outcome for check in accepted.checks} == {Outcome.PASS}


@pytest.mark.parametrize(
    ("document", "check"),
    [
        (launch(program_digest=OTHER), "policy.program"),
        (launch(config_digest=OTHER), "policy.config"),
        (launch(argv=("hermetic", "serve")), "policy.argv"),
        (launch(environment={"DEBUG": "1"}), "policy.environment"),
        (launch(models=(MeasuredModel(name="other", manifest_digest=OTHER),)), "policy.models"),
        (launch(models=()), "policy.models"),
        (launch(broker_key=format_ed25519(b"x" * 32)), "policy.broker"),
        (launch(broker_key=None), "policy.broker"),
        (launch(outbound={"peer": OTHER}), "policy.outbound"),
    ],
)
def test_every_field_of_the_launch_is_judged(document: LaunchDocument, check: str) -> None:
    with pytest.raises(NotAcceptable) as refusal:
        appraise(claims(document), policy())
    failed = [found.name for found in refusal.value.checks if found.outcome is not Outcome.PASS]
    assert failed == [check]
    assert refusal.value.code == check


def test_another_service_is_refused() -> None:
    document = launch(service="other")
    with pytest.raises(NotAcceptable) as refusal:
        appraise(claims(document, keys=keyset(subject="other", not_after=NOT_AFTER)), policy())
    assert refusal.value.code == "policy.service"


def test_all_failures_are_reported_at_once() -> None:
    document = launch(program_digest=OTHER, config_digest=OTHER, broker_key=None)
    with pytest.raises(NotAcceptable) as refusal:
        appraise(claims(document), policy())
    failed = {check.name for check in refusal.value.checks if check.outcome is Outcome.FAIL}
    assert failed == {"policy.program", "policy.config", "policy.broker"}
    assert "hermetic measure" in refusal.value.fix


def test_a_pinned_peer_and_environment_are_accepted() -> None:
    document = launch(outbound={"peer": OTHER}, environment={"TZ": "UTC"})
    appraise(claims(document), policy(document))


def test_a_check_that_nobody_performed_refuses() -> None:
    stale = claims(nonce=None)
    assert Outcome.FAIL not in {check.outcome for check in review(stale, policy())}
    with pytest.raises(NotAcceptable) as refusal:
        appraise(stale, policy())
    assert refusal.value.code == "binding.nonce"


def test_keys_that_live_too_long_are_refused() -> None:
    with pytest.raises(NotAcceptable) as refusal:
        appraise(claims(keys=keyset(not_after=NOT_AFTER + 31 * 24 * 3600)), policy())
    assert refusal.value.code == "policy.keyset-lifetime"


def test_another_simulator_than_the_pinned_one_is_refused() -> None:
    """Even where somebody verified it under that root: the policy pins its own."""
    other = policy(simulated_root=amd("two").root_digest)
    with pytest.raises(NotAcceptable) as refusal:
        appraise(claims(wanted=policy()), other)
    assert refusal.value.code == "policy.simulation"


def test_a_policy_without_simulation_refuses_simulated_claims() -> None:
    with pytest.raises(NotAcceptable) as refusal:
        appraise(claims(), policy(simulated_root=None))
    assert refusal.value.code == "policy.simulation"


def test_simulation_needs_two_yeses() -> None:
    assert policy().roots(allow_simulated=False) == (*AMD_ROOTS, *INTEL_ROOTS)
    assert policy().roots(allow_simulated=True)[:-1] == (*AMD_ROOTS, *INTEL_ROOTS)
    assert policy().roots(allow_simulated=True)[-1].sha256 == amd().root_digest
    with pytest.raises(NotAcceptable, match="pins no simulated_root"):
        policy(simulated_root=None).roots(allow_simulated=True)


def test_nobody_but_appraise_makes_an_accepted() -> None:
    with pytest.raises(TypeError, match="appraise"):
        Accepted(claims=claims(), policy_digest=OTHER, checks=(), made_by=object())


def test_nobody_makes_another_out_of_an_accepted() -> None:
    accepted = appraise(claims(), policy())
    changes: dict[str, Any] = {"policy_digest": OTHER}
    with pytest.raises(ValueError, match="made_by"):
        replace(accepted, **changes)


def test_the_digest_is_that_of_the_file() -> None:
    text = policy_text().encode()
    assert Policy.parse(text).digest == sha256_digest(text)
    assert Policy.parse(text + b"\n").digest != sha256_digest(text)


def edited(**places: Any) -> bytes:
    """The policy as TOML with some fields replaced (``None`` removes), addressed as table__field."""
    document = tomllib.loads(policy_text())
    for place, value in places.items():
        *tables, name = place.split("__")
        target = document
        for table in tables:
            target = target[table]
        if value is None:
            del target[name]
        else:
            target[name] = value
    return msgspec.toml.encode(document)


@pytest.mark.parametrize(
    "places",
    [
        {"extra": 1},
        {"workload__extra": 1},
        {"snp__extra": 1},
        {"version": 2},
        {"profile": "lenient"},
        {"profile": None},
        {"workload__programs": None},
        {"workload__programs": ["sha256:xyz"]},
        {"workload__configs": ["any"]},
        {"workload__models": [5]},
        {"workload__broker_keys": ["everyone"]},
        {"simulated_root": "mine"},
        {"log_keys": ["the usual log"]},
        {"log_keys": "broker.example+00000000+AQ=="},
        {"snp__products": ["Naples"]},
    ],
)
def test_what_a_policy_cannot_say_refuses(places: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured) as refusal:
        Policy.parse(edited(**places))
    assert refusal.value.code == "policy_malformed"


@pytest.mark.parametrize(
    ("places", "code"),
    [
        ({"workload__services": []}, "pins_no_services"),
        ({"workload__programs": []}, "pins_no_programs"),
        ({"workload__configs": []}, "pins_no_configs"),
        ({"workload__argv": []}, "pins_no_argv"),
        ({"snp__measurements": []}, "pins_no_measurements"),
        ({"snp__products": []}, "pins_no_products"),
        ({"profile": "production", "snp__products": ["Turin"]}, "simulation_in_production"),
        ({"max_keyset_hours": 0}, "keyset_lifetime"),
        ({"max_keyset_hours": 24 * 32}, "keyset_lifetime"),
    ],
)
def test_a_policy_that_would_accept_too_much_does_not_load(places: dict[str, Any], code: str) -> None:
    data = edited(**places)
    with pytest.raises(Misconfigured) as refusal:
        Policy.parse(data)
    assert refusal.value.code == code
    assert code in {finding.code for finding in lint(Policy.parse_unlinted(data)) if finding.refuses}


def test_milan_has_no_place_in_production() -> None:
    data = edited(profile="production", simulated_root=None, snp__products=["Milan"])
    codes = {finding.code for finding in lint(Policy.parse_unlinted(data)) if finding.refuses}
    assert {"product_forgeable", "tcb_rules_missing"} <= codes


def test_a_missing_policy_says_what_to_do() -> None:
    with pytest.raises(Misconfigured) as refusal:
        Policy.load("no-such-policy.toml")
    assert "hermetic policy new" in refusal.value.fix


def test_a_draft_escapes_what_it_writes() -> None:
    document = launch(service='quote"back\\slash', argv=('a"b', "c\\d", "é"))
    drafted = Policy.parse(policy_text(document, note="first\nsecond").encode())
    assert drafted.workload.services == (document.service,)
    assert drafted.workload.argv == document.argv


@pytest.mark.parametrize("text", ["version = " + "[" * 2000, "version = " + "1" * 5000], ids=["deep", "long"])
def test_what_the_reader_of_toml_cannot_read_is_no_policy(text: str) -> None:
    """Errors of Python's own, of which the reader says nothing."""
    with pytest.raises(Misconfigured) as refusal:
        Policy.parse(text.encode())
    assert refusal.value.code == "policy_malformed"
