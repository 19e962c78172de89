"""What is wrong with an ``[snp]`` table before anybody relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from hermetic.evidence import Product
from hermetic.policy._snp_table import PRODUCTION_PRODUCTS, SnpPolicy


class SnpFinding(NamedTuple):
    """What a lint says of the ``[snp]`` table; one that ``refuses`` stops the policy from loading."""

    code: str
    message: str
    fix: str
    refuses: bool


def lint_snp(policy: SnpPolicy, profile: Literal["production", "development"]) -> Iterator[SnpFinding]:
    """What is wrong with the table by itself, then what a production profile may not say."""
    for field in ("products", "measurements"):
        if not getattr(policy, field):
            yield SnpFinding(f"pins_no_{field}", f"snp.{field} is empty, so nothing would be accepted", "", True)
    for field in ("chip_ids", "id_key_digests", "author_key_digests", "family_ids", "image_ids"):
        if getattr(policy, field) == ():
            yield SnpFinding(
                f"pins_no_{field}",
                f"snp.{field} is empty, so nothing would be accepted",
                "leave it out to not ask",
                True,
            )
    for table in (policy.tcb, policy.launch_tcb or {}):
        for product, floor in table.items():
            if (floor.fmc is not None) != (product is Product.TURIN):
                yield SnpFinding("tcb_fmc", f"a floor for {product}: fmc is Turin's, and Turin needs it", "", True)
    if profile == "production":
        yield from _lint_production(policy)


def _lint_production(policy: SnpPolicy) -> Iterator[SnpFinding]:
    for product in policy.products:
        if product not in PRODUCTION_PRODUCTS:
            yield SnpFinding(
                "product_forgeable",
                f"{product} reports can be forged at any firmware version (arXiv 2605.12990)",
                f"products = {list(map(str, PRODUCTION_PRODUCTS))}",
                True,
            )
        if product not in policy.tcb:
            yield SnpFinding(
                "tcb_rules_missing",
                f"there is no floor for the firmware of {product}",
                f"add [snp.tcb.{product}] with every component",
                True,
            )
    forbidden = {
        "allow_debug": policy.allow_debug,
        "allow_migration": policy.allow_migration,
        "allow_provisional_firmware": policy.allow_provisional_firmware,
        "require_alias_check = false": not policy.require_alias_check,
        "report_version_min = 2": policy.report_version_min < 3,
    }
    for words, said in forbidden.items():
        if said:
            yield SnpFinding("too_lax", f"a production policy may not say snp.{words}", "remove it", True)
