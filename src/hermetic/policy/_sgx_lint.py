"""What is wrong with an ``[sgx]`` table before anybody relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from hermetic.policy._finding import Finding, empty_list, too_lax
from hermetic.policy._intel import lint_intel
from hermetic.policy._sgx_table import SgxPolicy

_SIGNED = ("isv_prod_ids", "isv_svn_min", "isv_ext_prod_ids", "isv_family_ids")
"""What stands in the enclave's signature (SIGSTRUCT) and not in its measurement."""
_HANDS_OUT_KEYS = {4: "PROVISION_KEY", 5: "EINITTOKEN_KEY"}
_LISTS = ("mr_enclaves", "mr_signers", "isv_prod_ids", "isv_ext_prod_ids", "isv_family_ids", "config_ids")


def lint_sgx(policy: SgxPolicy, profile: Literal["production", "development"]) -> Iterator[Finding]:
    """What is wrong with the table by itself, then what a production profile may not say."""
    yield from lint_intel(policy, "sgx", profile)
    for field in _LISTS:
        if getattr(policy, field) == ():
            yield empty_list("sgx", field)
    if policy.mr_enclaves is None and policy.mr_signers is None:
        yield Finding(
            code="pins_no_enclave",
            message="sgx names neither an enclave nor a signer, so nothing would be accepted",
            fix="pin mr_enclaves, or mr_signers with isv_prod_ids and isv_svn_min",
        )
    if policy.mr_signers is None and (used := [field for field in _SIGNED if getattr(policy, field) is not None]):
        yield Finding(
            code="unauthenticated_identity",
            message=f"sgx.{' and '.join(used)} without mr_signers: anyone can sign the same code with any of them",
            fix="pin mr_signers too, or leave it out: mr_enclaves alone names the code",
        )
    if profile == "production":
        yield from _lint_production(policy)


def _lint_production(policy: SgxPolicy) -> Iterator[Finding]:
    if policy.mr_enclaves is None and policy.mr_signers is not None:
        for field in ("isv_prod_ids", "isv_svn_min"):
            if getattr(policy, field) is None:
                yield Finding(
                    code=f"pins_no_{field}",
                    message=f"sgx.mr_signers without {field} accepts whatever the signer ever signed",
                    fix=f"add sgx.{field}, or pin mr_enclaves",
                )
    if policy.allow_debug:
        yield too_lax("sgx", "allow_debug")
    for bit in policy.allow_attribute_bits:
        if bit in _HANDS_OUT_KEYS:
            yield Finding(
                code="hands_out_keys",
                message=f"sgx.allow_attribute_bits allows {_HANDS_OUT_KEYS[bit]}, for enclaves of the platform itself",
                fix=f"remove {bit}, unless you want an enclave that provisions platforms or launches others",
                refuses=False,
            )
