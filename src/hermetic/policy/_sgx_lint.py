"""What is wrong with an ``[sgx]`` table before anybody relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from hermetic.policy._finding import Finding, empty_list, too_lax
from hermetic.policy._intel import lint_intel
from hermetic.policy._sgx_table import SgxPolicy

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
