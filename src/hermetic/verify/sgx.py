"""Is this quote of an SGX enclave authentic?  DCAP 1 to 12 of :mod:`hermetic.verify.dcap`, without 9."""

from __future__ import annotations

from datetime import datetime

from hermetic.evidence import SGX, EvidenceBundle, SgxQuote
from hermetic.verify._checks import Checklist
from hermetic.verify._claims import IntelClaims
from hermetic.verify._dcap_chain import PckChain
from hermetic.verify.dcap import check_report_data, verify_platform
from hermetic.verify.roots import Root


def verify_sgx(
    bundle: EvidenceBundle, *, roots: tuple[Root, ...], now: datetime, report_data: bytes | None, crl_required: bool
) -> IntelClaims:
    """The claims of an authentic quote.  Parameters and errors as in :func:`hermetic.verify.verify`."""
    checks = Checklist()
    # 1. It is a quote, and it comes with the platform's certificates.
    with checks.step(
        "sgx.format",
        "The bytes are the quote of an SGX enclave with its platform's certificates",
        section="DCAP 1: Quote Format, A.3",
        expected="a quote of version 3 with three certificates that can be read",
    ):
        quote = SgxQuote.from_bytes(bundle.evidence)
        chain = PckChain.from_pem(quote.signature.pck_chain)

    platform = verify_platform(
        checks, bundle, quote, chain, roots=roots, now=now, crl_required=crl_required, check_module=lambda _: None
    )  # 2 to 11
    check_report_data(checks, SGX, quote.body.report_data, report_data)  # 12
    return IntelClaims(
        tee=SGX,
        root=platform.root,
        product=f"Intel SGX, FMSPC {platform.pck.fmspc.hex()}",
        report=quote,
        chip_id=platform.pck.ppid,
        provider=None,
        measurement=quote.body.mr_enclave,
        host_data=quote.body.config_id,
        report_data=quote.body.report_data,
        pck=platform.pck,
        tcb=platform.tcb,
        dates=platform.dates,
        checks=checks.made,
    )
