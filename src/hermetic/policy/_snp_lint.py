"""What is wrong with an ``[snp]`` table before anybody relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from hermetic.evidence import Product
from hermetic.policy._finding import Finding, empty_list, excludes_nothing, too_lax
from hermetic.policy._snp_table import PRODUCTION_PRODUCTS, SnpPolicy

_OF_THE_ID_BLOCK = ("guest_svn_min", "family_ids", "image_ids")


def lint_snp(policy: SnpPolicy, profile: Literal["production", "development"]) -> Iterator[Finding]:
    """What is wrong with the table by itself, then what a production profile may not say."""
    for field in ("products", "measurements"):
        if not getattr(policy, field):
            yield Finding(code=f"pins_no_{field}", message=f"snp.{field} is empty, so nothing would be accepted")
    for field in ("chip_ids", "id_key_digests", "author_key_digests", "family_ids", "image_ids"):
        if getattr(policy, field) == ():
            yield empty_list("snp", field)
    if policy.launch_tcb == {}:
        yield Finding(
            code="pins_no_launch_tcb",
            message="snp.launch_tcb is empty, and says nothing",
            fix="leave it out to ask for snp.tcb there too",
        )
    used = [field for field in _OF_THE_ID_BLOCK if getattr(policy, field)]
    if used and not (policy.id_key_digests or policy.author_key_digests):
        yield Finding(
            code="unauthenticated_id_block",
            message=f"snp.{' and '.join(used)} without a pinned key: the host signs an ID block with one of its own",
            fix="pin id_key_digests or author_key_digests, or leave it out: the measurement names the image",
        )
    for table in (policy.tcb, policy.launch_tcb or {}):
        for product, floor in table.items():
            if (floor.fmc is not None) != (product is Product.TURIN):
                message = f"a floor for {product}: fmc is Turin's, and Turin needs it"
                yield Finding(code="tcb_fmc", message=message)
    if profile == "production":
        yield from _lint_production(policy)


def _lint_production(policy: SnpPolicy) -> Iterator[Finding]:
    for product in policy.products:
        if product not in PRODUCTION_PRODUCTS:
            yield Finding(
                code="product_forgeable",
                message=f"{product} reports can be forged at any firmware version (arXiv 2605.12990)",
                fix=f"products = {list(map(str, PRODUCTION_PRODUCTS))}",
            )
        yield from _floors(policy, product)
    forbidden = {
        "allow_debug": policy.allow_debug,
        "allow_migration": policy.allow_migration,
        "allow_provisional_firmware": policy.allow_provisional_firmware,
        "require_alias_check = false": not policy.require_alias_check,
        "report_version_min = 2": policy.report_version_min < 3,
    }
    for words, said in forbidden.items():
        if said:
            yield too_lax("snp", words)


def _floors(policy: SnpPolicy, product: Product) -> Iterator[Finding]:
    """Floors for a product that is wanted: now, and at launch where a table of its own says so."""
    stated = {"tcb": policy.tcb} | ({"launch_tcb": policy.launch_tcb} if policy.launch_tcb else {})
    for name, floors in stated.items():
        floor = floors.get(product)
        if floor is None:
            yield Finding(
                code="tcb_rules_missing",
                message=f"there is no floor for the firmware of {product} in snp.{name}",
                fix=f"add [snp.{name}.{product}] with every component",
            )
        elif not any((floor.fmc, floor.boot_loader, floor.tee, floor.snp, floor.microcode)):
            yield excludes_nothing(f"snp.{name}.{product}")
