"""Do we want this SGX platform and this enclave?  The ``[sgx]`` table of a policy, and its appraisal.

    [sgx]
    mr_signers = ["<64 hex digits>"]              # who signs the enclaves
    isv_prod_ids = [1]                            # which of theirs
    isv_svn_min = 3                               # and how old it may be
    tcb_date_min = "2025-05-14"                   # Intel's date of the oldest firmware that is still wanted

Continues the check-list of :mod:`hermetic.verify.dcap` and of :mod:`hermetic.policy._intel`, and reports every failure
at once:

    DCAP 16  nobody can debug the enclave, and it has no attribute or state that is not named (Intel SDM 3D, 38.7)
    DCAP 17  it is an enclave that we want: code, signer, product, version, and configuration where we pin it
"""

from __future__ import annotations

from collections.abc import Iterator

from hermetic.evidence import EnclaveFlag, EnclaveReport, SgxQuote
from hermetic.policy._checks import Step
from hermetic.policy._intel import appraise_intel
from hermetic.policy._sgx_lint import lint_sgx
from hermetic.policy._sgx_table import XFRM_KNOWN, SgxPolicy
from hermetic.verify import Check, IntelClaims

__all__ = ["XFRM_KNOWN", "SgxPolicy", "appraise_sgx", "lint_sgx"]

# What every enclave may have: nothing of it lets anybody in.  DEBUG has a knob of its own.
_HARMLESS = EnclaveFlag.INIT | EnclaveFlag.MODE64 | EnclaveFlag.CET | EnclaveFlag.KSS | EnclaveFlag.AEX_NOTIFY


def appraise_sgx(claims: IntelClaims, policy: SgxPolicy) -> tuple[Check, ...]:
    """Every check that ``policy`` asks for, passed and failed.  Decides nothing: the caller refuses if one failed.

    ``claims`` are those of an SGX quote.
    """
    quote = claims.report
    assert isinstance(quote, SgxQuote)  # noqa: S101 - the caller looked at the TEE
    return (*appraise_intel(claims, policy, "sgx"), *_attributes(quote.body, policy), *_enclave(quote.body, policy))


def _attributes(body: EnclaveReport, policy: SgxPolicy) -> Iterator[Check]:
    # 16. What the enclave may do, and what may be done to it.
    step, attributes = Step(table="sgx", section="DCAP 16: Intel SDM 3D, 38.7"), body.attributes
    yield step.check(
        "attributes.init",
        "The enclave was initialised",
        EnclaveFlag.INIT in attributes.flags,
        "attribute bit 0 set",
        f"0x{attributes.to_int():x}",
    )
    if not policy.allow_debug:
        is_set = EnclaveFlag.DEBUG in attributes.flags
        yield step.check(
            "attributes.debug",
            "Nobody can debug the enclave",
            not is_set,
            "attribute bit 1 clear",
            "set" if is_set else "clear",
            "start the enclave without debugging, or say sgx.allow_debug = true",
        )
    yield step.no_other_bits(
        "attributes.bits",
        "It has no attribute that hands out keys, or that nobody has named",
        attributes.to_int() & ~int(_HARMLESS | EnclaveFlag.DEBUG),
        policy.allow_attribute_bits,
        "sgx.allow_attribute_bits",
    )
    yield step.check(
        "xfrm",
        "The enclave uses no extended state of the processor but what we allow",
        not body.xfrm & ~policy.xfrm_mask,
        f"none outside 0x{policy.xfrm_mask:x}",
        f"0x{body.xfrm:x}",
        "build the enclave with fewer features, or widen sgx.xfrm_mask once you know what the bit means",
    )
    yield step.no_other_bits(
        "misc-select",
        "No state is saved on exits but what we allow",
        body.misc_select,
        policy.allow_misc_bits,
        "sgx.allow_misc_bits",
    )


def _enclave(body: EnclaveReport, policy: SgxPolicy) -> Iterator[Check]:
    # 17. Which enclave it is.
    step = Step(table="sgx", section="DCAP 17: Intel SDM 3D, 38.16")
    named = [field for field in ("mr_enclaves", "mr_signers") if getattr(policy, field) is not None]
    yield step.check(
        "pinned",
        "The policy says which enclave it wants",
        bool(named),
        "mr_enclaves or mr_signers",
        " and ".join(named) or "neither",
        "pin sgx.mr_enclaves, or sgx.mr_signers with isv_prod_ids and isv_svn_min",
    )
    pinned = (
        ("mr_enclave", "The enclave's code is what we pinned", body.mr_enclave),
        ("mr_signer", "A signer that we pinned signed it", body.mr_signer),
        ("isv_ext_prod_id", "It is a product that we want, by its long name", body.isv_ext_prod_id),
        ("isv_family_id", "It is of a family that we want", body.isv_family_id),
        ("config_id", "Its configuration is one that we pinned", body.config_id),
    )
    for field, title, got in pinned:
        wanted = getattr(policy, f"{field}s")
        if wanted is not None:
            name = field.replace("_", "-")
            yield step.member(name, title, got.hex(), wanted, f"pin it in sgx.{field}s, if you know what it is")
    if policy.isv_prod_ids is not None:
        yield step.member(
            "isv-prod-id",
            "It is one of the signer's products that we want",
            str(body.isv_prod_id),
            tuple(map(str, policy.isv_prod_ids)),
            "pin it in sgx.isv_prod_ids, if you want that product",
        )
    floors = (
        ("isv-svn", "The enclave is not too old", body.isv_svn, policy.isv_svn_min),
        ("config-svn", "Its configuration is not too old", body.config_svn, policy.config_svn_min or None),
    )
    for name, title, svn, floor in floors:
        if floor is not None:
            yield step.check(name, title, svn >= floor, f"at least {floor}", str(svn), "start a newer one")
