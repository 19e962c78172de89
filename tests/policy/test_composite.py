"""A whole policy over an Intel machine and its GPUs: one verdict, and nothing of it passes unjudged."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hermetic.errors import NotAcceptable
from hermetic.evidence import TdAttributes, TdFlag
from hermetic.identity import Claims
from hermetic.policy import Accepted, Policy, ReferenceValues, appraise, draft_policy, seen_tables
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.sources.simulator.sgx_platform import SgxPlatform
from hermetic.sources.simulator.tdx_platform import TdxPlatform
from hermetic.verify import Outcome
from identity_support import launch
from policy_support import Machine, intel

PLATFORMS: dict[str, TdxPlatform | SgxPlatform] = {"tdx": TdxPlatform(), "sgx": SgxPlatform()}
TWO = NvidiaMachine(gpus=2, switches=1)


def machine(platform: TdxPlatform | SgxPlatform, gpus: NvidiaMachine | None = None) -> Claims:
    return Machine(platform=platform, gpus=gpus, document=launch()).claims()


def policy(claims: Claims, root: str | None = None, **changes: Any) -> Policy:
    """What was seen, with fields of the platform's table changed."""
    tables = dict(seen_tables(claims.platform, claims.devices))
    tables[claims.platform.tee] = {**tables[claims.platform.tee], **changes}
    text = draft_policy(launch(), profile="development", tables=tables, simulated_root=root or intel().root_digest)
    return Policy.parse(text.encode())


def refusal(claims: Claims, wanted: Policy) -> str:
    with pytest.raises(NotAcceptable) as caught:
        appraise(claims, wanted)
    return caught.value.code


@pytest.mark.parametrize("tee", list(PLATFORMS))
@pytest.mark.parametrize("gpus", [None, NvidiaMachine(), TWO], ids=["none", "one", "switched"])
def test_what_was_seen_is_accepted(tee: str, gpus: NvidiaMachine | None) -> None:
    claims = machine(PLATFORMS[tee], gpus)
    accepted = appraise(claims, policy(claims))
    assert isinstance(accepted, Accepted)
    assert accepted.simulated
    assert {check.outcome for check in accepted.checks} == {Outcome.PASS}
    names = [check.name for check in accepted.checks]
    assert len(names) == len(set(names))


def test_a_machine_that_lost_or_gained_a_gpu_is_another_one() -> None:
    two, one, none = (machine(TdxPlatform(), gpus) for gpus in (TWO, NvidiaMachine(gpus=1, switches=1), None))
    assert refusal(one, policy(two)) == "policy.nvidia.gpus"
    assert refusal(two, policy(one)) == "policy.nvidia.gpus"
    assert refusal(none, policy(two)) == "policy.nvidia.gpus"
    assert refusal(two, policy(none)) == "policy.simulation.devices"


def test_simulators_are_pinned_one_by_one() -> None:
    claims = machine(TdxPlatform(), TWO)
    assert refusal(claims, policy(claims, f"sha256:{'00' * 32}")) == "policy.simulation"


@pytest.mark.parametrize("day", [-1, 0, 1], ids=["issued-later", "current", "expired"])
def test_a_release_is_judged_for_the_time_of_the_claims(day: int) -> None:
    claims = machine(TdxPlatform())
    stated = {
        "name": "vm",
        "version": "1",
        "issued": (claims.at - timedelta(hours=1)).isoformat(),
        "not_after": (claims.at + timedelta(hours=1)).isoformat(),
        "tdx": {"mr_tds": ["00" * 48]},
    }
    wanted = policy(claims)
    released = replace(wanted, platform=replace(wanted.platform, release=ReferenceValues.convert(stated, what="test")))
    later = replace(claims, at=claims.at + timedelta(days=day))
    if day:
        assert refusal(later, replace(released, max_keyset_hours=72)) == "policy.release"
    else:
        appraise(later, released)


# The second opinion


def debugged() -> Claims:
    flags = TdFlag.SEPT_VE_DISABLE | TdFlag.DEBUG
    return machine(TdxPlatform(attributes=TdAttributes(flags=flags)))


def test_a_quote_without_a_second_opinion_needs_an_explicit_word() -> None:
    claims = debugged()
    assert refusal(claims, policy(claims, allow_debug=True)) == "dcap.second-opinion"
    accepted = appraise(claims, policy(claims, allow_debug=True, require_second_opinion=False))
    (left_out,) = (check for check in accepted.checks if check.outcome is not Outcome.PASS)
    assert (left_out.name, left_out.outcome) == ("dcap.second-opinion", Outcome.NOT_PERFORMED)


def test_that_word_is_about_the_opinion_alone() -> None:
    claims = debugged()
    assert refusal(claims, policy(claims, require_second_opinion=False)) == "policy.tdx.attributes.debug"


def test_an_opinion_that_was_asked_for_and_differs_is_never_spared() -> None:
    claims = machine(TdxPlatform())
    wanted = policy(claims, require_second_opinion=False)
    checks = tuple(
        replace(check, outcome=Outcome.FAIL) if check.name == "dcap.second-opinion" else check
        for check in claims.checks
    )
    assert refusal(replace(claims, checks=checks), wanted) == "dcap.second-opinion"


def test_the_word_of_one_table_does_not_speak_for_another() -> None:
    claims = debugged()
    tables = {**seen_tables(claims.platform), **seen_tables(machine(SgxPlatform()).platform)}
    tables["tdx"] = {**tables["tdx"], "allow_debug": True}
    tables["sgx"] = {**tables["sgx"], "require_second_opinion": False}
    text = draft_policy(launch(), profile="development", tables=tables, simulated_root=intel().root_digest)
    assert refusal(claims, Policy.parse(text.encode())) == "dcap.second-opinion"
