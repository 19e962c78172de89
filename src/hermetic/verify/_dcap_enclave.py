"""DCAP 3, 4 and 8: the platform vouches for a quoting enclave, that for a key, and the key signed the quote."""

from __future__ import annotations

import hmac

from hermetic.errors import NotAuthentic
from hermetic.evidence import EnclaveReport, SgxQuote, TdxQuote
from hermetic.verify._algorithms import ECDSA_P256
from hermetic.verify._checks import Checklist
from hermetic.verify._dcap_chain import PckChain
from hermetic.verify.intel_collateral import QeIdentity
from hermetic.wire import sha256

_SECTION, _SECTION_IDENTITY = "DCAP 3: Intel DCAP, 4.1.2.4.12 and 13", "DCAP 8: Intel DCAP, 4.1.2.4.14 and 15"


def check_signatures(checks: Checklist, quote: SgxQuote | TdxQuote, chain: PckChain) -> None:
    """DCAP 3 and 4."""
    # 3. The platform's key signed the enclave's report, and that names the attestation key.
    signature = quote.signature
    with checks.step(
        "dcap.qe-report.signature",
        "The platform vouches for the quoting enclave",
        section=_SECTION,
        expected="ECDSA P-256 by the platform's certified key over the enclave's report",
    ):
        ECDSA_P256.require_raw(chain.pck.public_key, signature.qe_report_bytes, signature.qe_report_signature)
    with checks.step(
        "dcap.qe-report.key",
        "The quoting enclave vouches for the attestation key",
        section=_SECTION,
        expected="SHA-256 of key and authentication data, then zeros",
    ):
        named = sha256(signature.attestation_key, signature.auth_data).ljust(64, b"\0")
        if not hmac.compare_digest(named, signature.qe_report.report_data):
            raise NotAuthentic("report data that names another key")

    # 4. That key signed all that comes before the signature.
    with checks.step(
        "dcap.signature",
        "That key signed exactly this quote",
        section="DCAP 4: Intel DCAP, 4.1.2.4.16",
        expected="ECDSA P-256 over header and body",
    ):
        key = ECDSA_P256.key_from_point(signature.attestation_key)
        ECDSA_P256.require_raw(key, quote.signed_bytes(), signature.signature)


def check_enclave(checks: Checklist, report: EnclaveReport, identity: QeIdentity) -> None:
    """DCAP 8."""
    with checks.step(
        "dcap.qe-identity",
        "The quoting enclave is Intel's",
        section=_SECTION_IDENTITY,
        expected=f"signer {identity.mrsigner[:16].lower()}…, product {identity.isvprodid}, no debugging",
    ):
        if report.mr_signer != bytes.fromhex(identity.mrsigner):
            raise NotAuthentic(f"signer {report.mr_signer[:8].hex()}…")
        if report.isv_prod_id != identity.isvprodid:
            raise NotAuthentic(f"product {report.isv_prod_id}")
        misc, attributes = report.misc_select.to_bytes(4, "little"), report.attributes.to_int().to_bytes(8, "little")
        _require_masked("miscselect", misc, identity.miscselect, identity.miscselect_mask)
        xfrm = report.xfrm.to_bytes(8, "little")
        _require_masked("attributes", attributes + xfrm, identity.attributes, identity.attributes_mask)


def _require_masked(what: str, got: bytes, expected: str, mask: str) -> None:
    """``got`` is what Intel expects in every bit under the mask (both hex, in the order of the report's bytes)."""
    for byte, wanted, care in zip(got, bytes.fromhex(expected), bytes.fromhex(mask), strict=True):
        if (byte ^ wanted) & care:
            raise NotAuthentic(f"{what} {got.hex()}")
