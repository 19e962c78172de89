"""AR4SI vectors and tiers: each number has a reason, and nothing affirms what nobody looked at."""

from __future__ import annotations

from typing import Any

import pytest

from hermetic.errors import Malformed, NotAuthentic
from hermetic.results import CATEGORIES, Part, Tier, Verdict, status, trust_vector
from hermetic.results.trust import tier_of
from results_support import SNP_POLICY, part, verdict

NOTHING = dict.fromkeys(CATEGORIES, 0)
GOOD = NOTHING | {
    "instance-identity": 2,
    "configuration": 2,
    "executables": 3,
    "hardware": 2,
    "runtime-opaque": 2,
}


def vector(made: Verdict, which: int = 0) -> dict[str, int]:
    return dict(trust_vector(made, made.parts[which]))


def tier(made: Verdict, which: int = 0) -> Tier:
    return status(made, made.parts[which])


def changed(*names: str, **changes: Any) -> Verdict:
    """The accepted verdict with some of its policy's checks ended otherwise."""
    plain = {name.rstrip("!?"): name for name in ("snp.signature", *SNP_POLICY)}
    return verdict(*(plain | {name.rstrip("!?"): name for name in names}).values(), **changes)


def test_an_accepted_platform() -> None:
    assert vector(verdict()) == GOOD
    assert tier(verdict()) is Tier.AFFIRMING


@pytest.mark.parametrize(
    ("name", "category", "number"),
    [
        ("policy.snp.measurement!", "executables", 33),
        ("policy.snp.tcb!", "hardware", 97),
        ("policy.snp.guest-policy.debug!", "configuration", 36),
        ("policy.snp.chip-id!", "instance-identity", 97),
        ("policy.keyset-lifetime!", "configuration", 36),
        ("policy.program!", "executables", 33),
        ("policy.models!", "executables", 33),
        ("policy.snp.vmpl!", "configuration", 36),
        ("policy.snp.launch-tcb!", "hardware", 97),
        ("policy.snp.firmware!", "hardware", 97),
        ("policy.snp.id-key!", "executables", 33),
        ("policy.something-new!", "configuration", 36),
    ],
)
def test_each_failed_check_is_heard_in_its_category(name: str, category: str, number: int) -> None:
    made = changed(name)
    expected = GOOD | {category: number} | ({"runtime-opaque": 0} if category == "configuration" else {})
    assert vector(made) == expected
    assert tier(made) is Tier.CONTRAINDICATED


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("policy.snp.measurement?", "executables"),
        ("policy.snp.tcb?", "hardware"),
        ("policy.snp.guest-policy.debug?", "configuration"),
    ],
)
def test_what_was_not_performed_makes_no_claim_and_warns(name: str, category: str) -> None:
    made = changed(name)
    assert vector(made)[category] == 0
    assert tier(made) is Tier.WARNING


def test_an_incomplete_verdict_warns_although_its_vector_is_good() -> None:
    made = changed("snp.revocation?")
    assert vector(made) == GOOD
    assert tier(made) is Tier.WARNING


def test_without_a_policy_nothing_is_claimed() -> None:
    made = verdict(policy=None)
    assert vector(made) == NOTHING
    assert tier(made) is Tier.NONE


def test_nothing_is_affirmed_that_no_check_looked_at() -> None:
    for missing in ("policy.snp.measurement", "policy.snp.tcb"):
        made = verdict(*(name for name in ("snp.signature", *SNP_POLICY) if name != missing))
        assert tier(made) is Tier.NONE
    without_identity = verdict(*(name for name in SNP_POLICY if "chip-id" not in name))
    assert vector(without_identity) == GOOD | {"instance-identity": 0}
    assert tier(without_identity) is Tier.AFFIRMING


@pytest.mark.parametrize(
    ("refusal", "number"),
    [
        pytest.param(NotAuthentic("no", code="snp.signature"), 99, id="not authentic"),
        pytest.param(Malformed("no"), 1, id="not to be read"),
        pytest.param(None, 99, id="no reason kept"),
    ],
)
def test_what_is_not_authentic(refusal: Any, number: int) -> None:
    made = verdict(parts=(part(authentic=False),), refusal=refusal)
    assert vector(made) == dict.fromkeys(CATEGORIES, number)
    assert tier(made) is Tier.CONTRAINDICATED


def test_one_refused_part_refuses_the_others_and_claims_nothing_of_them() -> None:
    made = verdict(parts=(part(), part("gpu0", kind="nvidia", authentic=False)), refusal=NotAuthentic("no"))
    assert vector(made) == NOTHING
    assert tier(made) is Tier.CONTRAINDICATED


def test_simulated_is_never_affirming() -> None:
    made = verdict(parts=(part(simulated=True),))
    assert vector(made) == GOOD | {"hardware": 97, "runtime-opaque": 96}
    assert tier(made) is Tier.CONTRAINDICATED
    unappraised = verdict(parts=(part(simulated=True),), policy=None)
    assert vector(unappraised) == NOTHING
    assert tier(unappraised) is Tier.NONE


def test_a_genuine_part_beside_a_simulated_one_affirms_nothing() -> None:
    stated = {"measres": "comparison-success"}
    names = (*SNP_POLICY, "policy.nvidia.gpu0.driver", "policy.nvidia.gpu0.mode")

    def machine(*, simulated: bool, **changes: Any) -> Verdict:
        return verdict(*names, parts=(part(simulated=simulated), part("gpu0", kind="nvidia", stated=stated)), **changes)

    genuine = machine(simulated=False)
    assert (tier(genuine), tier(genuine, 1)) == (Tier.AFFIRMING, Tier.AFFIRMING)
    mixed = machine(simulated=True)
    assert vector(mixed, 1) == NOTHING
    assert (tier(mixed), tier(mixed, 1)) == (Tier.CONTRAINDICATED, Tier.NONE)


def test_what_warns_beside_a_simulated_part_still_warns() -> None:
    stated = {"intel.tcb.status": "OutOfDate"}
    made = verdict(*TDX_POLICY, parts=(part(kind="tdx", stated=stated), part("gpu0", kind="nvidia", simulated=True)))
    assert vector(made) == NOTHING | {"hardware": 32}
    assert tier(made) is Tier.WARNING


def test_a_debuggable_platform_shows_its_memory() -> None:
    made = verdict(parts=(part(stated={"dbgstat": "enabled"}),))
    assert vector(made) == GOOD | {"runtime-opaque": 96}
    assert tier(made) is Tier.CONTRAINDICATED
    assert tier(verdict(parts=(part(stated={"dbgstat": "disabled-since-boot"}),))) is Tier.AFFIRMING


TDX_POLICY = ("policy.tdx.mrtd", "policy.tdx.tcb-status", "policy.tdx.attributes.debug")


@pytest.mark.parametrize(
    ("intel", "hardware", "expected"),
    [("UpToDate", 2, Tier.AFFIRMING), ("SWHardeningNeeded", 32, Tier.WARNING), ("OutOfDate", 32, Tier.WARNING)],
)
def test_firmware_with_known_weaknesses_warns_although_a_policy_accepts_it(
    intel: str, hardware: int, expected: Tier
) -> None:
    made = verdict(*TDX_POLICY, parts=(part(kind="tdx", stated={"intel.tcb.status": intel}),))
    assert vector(made)["hardware"] == hardware
    assert tier(made) is expected


def test_checks_of_one_kind_concern_the_parts_of_that_kind() -> None:
    parts = (part(), part("gpu0", kind="nvidia", stated={"measres": "comparison-success"}))
    names = (*SNP_POLICY, "policy.nvidia.gpu0.driver", "policy.nvidia.gpu0.mode")
    made = verdict(*names, parts=parts)
    assert vector(made) == GOOD
    assert vector(made, 1) == NOTHING | {"configuration": 2, "hardware": 2, "executables": 3}
    assert tier(made, 1) is Tier.AFFIRMING
    old = verdict(*names[:-2], "policy.nvidia.gpu0.driver!", "policy.nvidia.gpu0.mode", parts=parts)
    assert vector(old) == GOOD
    assert vector(old, 1)["hardware"] == 97
    assert tier(old) is Tier.CONTRAINDICATED  # by the verdict: the machine is refused as a whole


def test_a_check_that_names_a_device_is_that_devices_alone() -> None:
    stated = {"measres": "comparison-success"}
    parts = (part("gpu0", kind="nvidia", stated=stated), part("gpu1", kind="nvidia", stated=stated))
    names = [f"policy.nvidia.{name}.{what}" for name in ("gpu0", "gpu1") for what in ("driver", "mode")]
    made = verdict(*names[:-2], "policy.nvidia.gpu1.driver!", names[-1], "policy.nvidia.gpus", parts=parts)
    assert (vector(made)["hardware"], vector(made, 1)["hardware"]) == (2, 97)
    missing = verdict(*names, "policy.nvidia.gpus!", parts=parts)
    assert (vector(missing)["configuration"], vector(missing, 1)["configuration"]) == (36, 36)


def test_what_is_about_everything_may_refuse_and_does_not_approve() -> None:
    general = ("policy.simulation", "policy.program", "policy.release")
    assert vector(verdict(*general)) == NOTHING
    assert vector(changed("policy.program")) == GOOD
    assert vector(verdict(*SNP_POLICY, "policy.simulation!")) == GOOD | {"configuration": 36, "runtime-opaque": 0}


def test_a_device_that_was_not_compared_with_what_its_vendor_published_affirms_nothing() -> None:
    parts = (part("gpu0", kind="nvidia", stated={"measres": "comparison-not-run"}),)
    made = verdict("policy.nvidia.gpu0.driver", "policy.nvidia.gpu0.mode", parts=parts)
    assert vector(made)["executables"] == 0
    assert tier(made) is Tier.NONE


def test_the_tiers_of_all_numbers() -> None:
    tiers = {number: tier_of(number) for number in range(-128, 128)}
    assert {number for number, found in tiers.items() if found is Tier.NONE} == {-1, 0, 1}
    assert {number for number, found in tiers.items() if found is Tier.AFFIRMING} == {*range(-32, -1), *range(2, 32)}
    assert {number for number, found in tiers.items() if found is Tier.WARNING} == {*range(-96, -32), *range(32, 96)}
    assert tiers[96] is tiers[-97] is Tier.CONTRAINDICATED


def test_other_parts_of_a_kind_are_untouched() -> None:
    parts: tuple[Part, ...] = (part(kind="tdx"),)
    assert vector(verdict(*TDX_POLICY, "policy.snp.tcb!", parts=parts))["hardware"] == 2
