"""Every knob of the ``[sgx]`` table has a twin pair: an enclave that passes, and the same with one thing different."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hermetic.evidence import EnclaveAttributes, EnclaveFlag
from hermetic.policy.sgx import XFRM_KNOWN, SgxPolicy, appraise_sgx, lint_sgx
from hermetic.sources.simulator.sgx_platform import SIMULATED_ENCLAVE, SIMULATED_ENCLAVE_SIGNER, SgxPlatform
from policy_support import LAUNCH, codes, intel_claims, table
from policy_support import failed as failed_of

PINNED: dict[str, Any] = {"mr_enclaves": [SIMULATED_ENCLAVE.hex()]}
SIGNED: dict[str, Any] = {"mr_signers": [SIMULATED_ENCLAVE_SIGNER.hex()], "isv_prod_ids": [1], "isv_svn_min": 1}
HEALTHY = SgxPlatform()
USUAL = EnclaveFlag.INIT | EnclaveFlag.MODE64 | EnclaveFlag.KSS
OTHER = "07" * 32


def failed(platform: SgxPlatform, **knobs: Any) -> list[str]:
    return failed_of(appraise_sgx(intel_claims(platform), table(SgxPolicy, **knobs)), "policy.sgx.")


def enclave(flags: EnclaveFlag, unknown: int = 0) -> SgxPlatform:
    return SgxPlatform(attributes=EnclaveAttributes(flags=flags, unknown=unknown))


@pytest.mark.parametrize("pins", [PINNED, SIGNED, PINNED | SIGNED], ids=["code", "signer", "both"])
def test_a_healthy_enclave_passes(pins: dict[str, Any]) -> None:
    assert failed(HEALTHY, **pins) == []


def test_every_failure_is_reported_at_once() -> None:
    sick = SgxPlatform(
        attributes=EnclaveAttributes(flags=EnclaveFlag.DEBUG, unknown=1 << 40), xfrm=1 << 63, misc_select=1, isv_svn=0
    )
    assert failed(sick, **(SIGNED | {"mr_signers": [OTHER]})) == [
        "attributes.init",
        "attributes.debug",
        "attributes.bits",
        "xfrm",
        "misc-select",
        "mr-signer",
        "isv-svn",
    ]


# DCAP 16


def test_an_enclave_that_was_never_initialised() -> None:
    assert failed(enclave(USUAL & ~EnclaveFlag.INIT), **PINNED) == ["attributes.init"]


def test_debugging() -> None:
    debugged = enclave(USUAL | EnclaveFlag.DEBUG)
    assert failed(debugged, **PINNED) == ["attributes.debug"]
    assert failed(debugged, **PINNED, allow_debug=True) == []


@pytest.mark.parametrize("flag", [EnclaveFlag.CET, EnclaveFlag.AEX_NOTIFY], ids=["cet", "aex-notify"])
def test_attributes_that_let_nobody_in(flag: EnclaveFlag) -> None:
    assert failed(enclave(USUAL | flag), **PINNED) == []


@pytest.mark.parametrize("bit", [3, 4, 5, 8, 40, 63])
def test_any_other_attribute_needs_its_number(bit: int) -> None:
    made = SgxPlatform(attributes=EnclaveAttributes.from_int(int(USUAL) | 1 << bit))
    assert failed(made, **PINNED) == ["attributes.bits"]
    assert failed(made, **PINNED, allow_attribute_bits=[bit]) == []
    assert failed(made, **PINNED, allow_attribute_bits=[bit - 1] if bit > 3 else [4]) == ["attributes.bits"]


def test_extended_state_under_a_mask() -> None:
    assert failed(SgxPlatform(xfrm=XFRM_KNOWN), **PINNED) == []
    assert failed(SgxPlatform(xfrm=0xE7 | 1 << 19), **PINNED) == ["xfrm"]
    assert failed(SgxPlatform(xfrm=0xE7 | 1 << 19), **PINNED, xfrm_mask=XFRM_KNOWN | 1 << 19) == []
    assert failed(SgxPlatform(xfrm=0xE7), **PINNED, xfrm_mask=0x7) == ["xfrm"]


@pytest.mark.parametrize("bit", [0, 1, 31])
def test_state_that_is_saved_on_exits(bit: int) -> None:
    assert failed(SgxPlatform(misc_select=1 << bit), **PINNED) == ["misc-select"]
    assert failed(SgxPlatform(misc_select=1 << bit), **PINNED, allow_misc_bits=[bit]) == []


# DCAP 17


def test_a_policy_that_names_no_enclave_accepts_none() -> None:
    assert failed(HEALTHY) == ["pinned"]
    assert failed(HEALTHY, isv_prod_ids=[1], isv_svn_min=1) == ["pinned"]


@pytest.mark.parametrize(
    ("knob", "field", "length", "check"),
    [
        ("mr_enclaves", "mr_enclave", 32, "mr-enclave"),
        ("mr_signers", "mr_signer", 32, "mr-signer"),
        ("isv_ext_prod_ids", "isv_ext_prod_id", 16, "isv-ext-prod-id"),
        ("isv_family_ids", "isv_family_id", 16, "isv-family-id"),
    ],
)
def test_pins(knob: str, field: str, length: int, check: str) -> None:
    platform = SgxPlatform(**{field: b"\x07" * length})  # type: ignore[arg-type]
    others = {} if knob.startswith("mr_") else PINNED
    assert failed(platform, **others, **{knob: ["08" * length, "07" * length]}) == []
    assert failed(platform, **others, **{knob: ["08" * length]}) == [check]
    assert failed(platform, **others, **{knob: []}) == [check]


def test_whatever_is_stated_must_hold() -> None:
    assert failed(HEALTHY, **(PINNED | SIGNED | {"mr_signers": [OTHER]})) == ["mr-signer"]
    assert failed(HEALTHY, **(PINNED | SIGNED | {"mr_enclaves": [OTHER]})) == ["mr-enclave"]


def test_product() -> None:
    assert failed(SgxPlatform(isv_prod_id=7), **SIGNED) == ["isv-prod-id"]
    assert failed(SgxPlatform(isv_prod_id=7), **(SIGNED | {"isv_prod_ids": [1, 7]})) == []


def test_version() -> None:
    assert failed(SgxPlatform(isv_svn=2), **(SIGNED | {"isv_svn_min": 2})) == []
    assert failed(SgxPlatform(isv_svn=1), **(SIGNED | {"isv_svn_min": 2})) == ["isv-svn"]
    assert failed(SgxPlatform(isv_svn=0), **(SIGNED | {"isv_svn_min": 0})) == []


def test_configuration() -> None:
    mine = LAUNCH.ljust(64, b"\0").hex()
    assert failed(HEALTHY, **PINNED, config_ids=[mine]) == []
    assert failed(HEALTHY, **PINNED, config_ids=["00" * 64]) == ["config-id"]
    assert failed(SgxPlatform(config_svn=3), **PINNED, config_svn_min=3) == []
    assert failed(SgxPlatform(config_svn=2), **PINNED, config_svn_min=3) == ["config-svn"]


# The table as a file has it


@pytest.mark.parametrize(
    "knobs",
    [
        {"mr_enclaves": ["00" * 48]},
        {"mr_signers": ["AA" * 32]},
        {"isv_prod_ids": [65536]},
        {"isv_svn_min": -1},
        {"allow_attribute_bits": [1]},
        {"allow_misc_bits": [32]},
        {"config_ids": ["00" * 32]},
        {"xfrm_mask": "all"},
        {"xfrm_mask": -1},
        {"xfrm_mask": 1 << 63},
    ],
    ids=str,
)
def test_what_the_table_cannot_say(knobs: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        table(SgxPolicy, **(PINNED | knobs))


FLOORS = {"tcb_date_min": "2025-05-14", "evaluation_min": 18}


def linted(profile: Any, **knobs: Any) -> list[str]:
    return codes(lint_sgx(table(SgxPolicy, **(FLOORS | knobs)), profile))


@pytest.mark.parametrize("profile", ["production", "development"])
@pytest.mark.parametrize(
    "field", ["mr_enclaves", "mr_signers", "isv_prod_ids", "isv_ext_prod_ids", "isv_family_ids", "config_ids"]
)
def test_lint_refuses_an_empty_list(profile: str, field: str) -> None:
    assert linted(profile, **(PINNED | SIGNED)) == []
    assert linted(profile, **(PINNED | SIGNED | {field: []})) == [f"pins_no_{field}"]


@pytest.mark.parametrize("profile", ["production", "development"])
def test_lint_refuses_a_policy_for_no_enclave(profile: str) -> None:
    assert linted(profile) == ["pins_no_enclave"]


@pytest.mark.parametrize("field", ["isv_prod_ids", "isv_svn_min"])
def test_lint_refuses_in_production_a_signer_without_product_and_version(field: str) -> None:
    knobs = {name: value for name, value in SIGNED.items() if name != field}
    assert linted("production", **knobs) == [f"pins_no_{field}"]
    assert linted("production", **knobs, **PINNED) == []
    assert linted("development", **knobs) == []


@pytest.mark.parametrize("profile", ["production", "development"])
@pytest.mark.parametrize(
    "knob",
    [{"isv_prod_ids": [1]}, {"isv_svn_min": 1}, {"isv_ext_prod_ids": ["00" * 16]}, {"isv_family_ids": ["00" * 16]}],
    ids=str,
)
def test_lint_refuses_the_word_of_a_signer_that_nobody_pinned(profile: str, knob: dict[str, Any]) -> None:
    """MRENCLAVE covers none of it, so anybody can sign the same code again, with another product or version."""
    assert linted(profile, **PINNED, **knob) == ["unauthenticated_identity"]
    assert linted(profile, **(PINNED | SIGNED | knob)) == []
    assert linted(profile, **PINNED, config_ids=["00" * 64], config_svn_min=1) == []


@pytest.mark.parametrize("bit", [4, 5])
def test_lint_advises_against_enclaves_that_are_handed_keys(bit: int) -> None:
    def advice(profile: Any, *bits: int) -> list[tuple[str, bool]]:
        wanted = table(SgxPolicy, **FLOORS, **PINNED, allow_attribute_bits=list(bits))
        return [(finding.code, finding.refuses) for finding in lint_sgx(wanted, profile)]

    assert advice("production", 3, bit) == [("hands_out_keys", False)]
    assert advice("production", 3) == []
    assert advice("development", 3, bit) == []


def test_lint_refuses_debugging_in_production() -> None:
    assert linted("production", **PINNED, allow_debug=True) == ["too_lax"]
    assert linted("development", **PINNED, allow_debug=True) == []
