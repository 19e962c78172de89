"""Is this quote of a TDX trust domain authentic?  DCAP 1 to 13 of :mod:`hermetic.verify.dcap`; here 1, 9, 12, 13."""

from __future__ import annotations

from datetime import datetime

from hermetic.errors import NotAuthentic
from hermetic.evidence import TDX, EvidenceBundle, TdxQuote
from hermetic.verify._checks import Checklist
from hermetic.verify._claims import IntelClaims
from hermetic.verify._dcap_chain import PckChain
from hermetic.verify._event_log import check_event_logs
from hermetic.verify.dcap import check_report_data, verify_platform
from hermetic.verify.intel_collateral import TcbInfo
from hermetic.verify.intel_tcb import TdxVersions, module_of
from hermetic.verify.roots import Root


def verify_tdx(
    bundle: EvidenceBundle, *, roots: tuple[Root, ...], now: datetime, report_data: bytes | None, crl_required: bool
) -> IntelClaims:
    """The claims of an authentic quote.  Parameters and errors as in :func:`hermetic.verify.verify`."""
    checks = Checklist()
    # 1. It is a quote, and it comes with the platform's certificates.
    with checks.step(
        "tdx.format",
        "The bytes are the quote of a TDX trust domain with its platform's certificates",
        section="DCAP 1: Quote Format, A.4 and A.5",
        expected="a quote of version 4 or 5 with three certificates that can be read",
    ):
        quote = TdxQuote.from_bytes(bundle.evidence)
        chain = PckChain.from_pem(quote.signature.pck_chain)

    platform = verify_platform(
        checks,
        bundle,
        quote,
        chain,
        roots=roots,
        now=now,
        crl_required=crl_required,
        check_module=lambda tcb_info: _check_module(checks, quote, tcb_info),
    )  # 2 to 11
    check_report_data(checks, TDX, quote.body.report_data, report_data)  # 12
    events = check_event_logs(checks, bundle, quote)  # 13
    return IntelClaims(
        tee=TDX,
        root=platform.root,
        product=f"Intel TDX, FMSPC {platform.pck.fmspc.hex()}",
        report=quote,
        chip_id=platform.pck.ppid,
        provider=None,
        measurement=quote.body.mr_td,
        host_data=quote.body.mr_config_id,
        report_data=quote.body.report_data,
        pck=platform.pck,
        tcb=platform.tcb,
        events=events,
        dates=platform.dates,
        checks=checks.made,
    )


def _check_module(checks: Checklist, quote: TdxQuote, tcb_info: TcbInfo) -> TdxVersions:
    # 9. The module that isolates the domain is Intel's, of a major version that Intel knows.
    body = quote.body
    with checks.step(
        "tdx.module",
        "The TDX module is Intel's",
        section="DCAP 9: Intel DCAP, 4.1.2.4.11",
        expected="signer and attributes as in the TCB info, no attribute set",
        got=f"version {body.tee_tcb_svn[1]}.{body.tee_tcb_svn[0]}, measured {body.mr_seam[:8].hex()}…",
    ):
        module = module_of(tcb_info, body.tee_tcb_svn)
        if body.mr_signer_seam != bytes.fromhex(module.mrsigner):
            raise NotAuthentic(f"signer {body.mr_signer_seam[:8].hex()}…")
        # Intel's own library asks for zeros here, whatever the mask says.
        if any(body.seam_attributes) or any(bytes.fromhex(module.attributes)):
            raise NotAuthentic(f"attributes {body.seam_attributes.hex()}")
    return TdxVersions(launched=body.tee_tcb_svn, running=body.tee_tcb_svn2)
